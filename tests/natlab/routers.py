"""Sites behind a router that is a Linux kernel: hosts in a LAN, translated on the way out.

Those that only filter are in :mod:`tests.natlab.firewalls`, those in user space in :mod:`tests.natlab.nats`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from tests.natlab.lan import FIRST_HOST, bridge, join, private
from tests.natlab.namespace import Host
from tests.natlab.sites import UPLINK, Site

# What is not part of a connection that began inside gets no answer, as RFC 5382 (REQ-4) would have it.
_SILENT = f"""
table inet filter {{
    chain input {{
        type filter hook input priority filter; policy accept;
        iifname "{UPLINK}" meta l4proto tcp ct state != {{ established, related }} drop
    }}
}}
"""

# What is no part of a connection would pass untranslated.
_STRICT = """
table inet strict {
    chain forward {
        type filter hook forward priority filter; policy accept;
        ct state invalid drop
    }
}
"""


def masquerade(ports: str) -> str:
    """The rules of a translating router. ``ports``: what it does with them, in nftables' words."""
    return f"""
table ip nat {{
    chain postrouting {{
        type nat hook postrouting priority srcnat; policy accept;
        oifname "{UPLINK}" masquerade {ports}
    }}
}}
"""


@dataclass(frozen=True)
class Masquerade:
    """A stock Linux router: nftables masquerade, conntrack with its defaults.

    ``stray``: what an unsolicited SYN gets. ``reset``: the router itself is addressed, nobody listens there,
    so its kernel answers RST, as Debian and OpenWrt do out of the box; ``silent``: nothing.
    ``lan``: the private network, a /24; by default one that no other site has. ``first``: the last number of
    the first host's address. ``isolated``: its hosts do not see each other.
    ``ports``: ``preserved`` wherever the destination is not taken, which looks endpoint-independent;
    ``random`` (by a hash of the destination) and ``fully-random``: another one for each connection.
    ``strict``: only a SYN begins a connection. Otherwise, as Linux has it by default (nf_conntrack_tcp_loose), any
    segment from inside does: what a reboot has cut goes on as soon as the inner host sends something.
    """

    stray: Literal["silent", "reset"] = "silent"
    lan: str | None = None
    ports: Literal["preserved", "random", "fully-random"] = "preserved"
    first: int = FIRST_HOST
    isolated: bool = False
    strict: bool = False

    def add_host(self, site: Site, name: str, moved: Host | None = None) -> Host:
        """A host in the LAN; the router first if there is none yet."""
        network = private(site, self.lan)
        if site.router is None:
            rules = masquerade("" if self.ports == "preserved" else self.ports)
            rules += _SILENT if self.stray == "silent" else ""
            router = site.new_router(f"{site.name}-router")
            forward = {"net/ipv4/ip_forward": "1"}
            site.connect(router, site.outside, bridge([f"{network[1]}/24"]), rules, forward)
            if self.strict:
                # Only now is there surely any connection tracking.
                router.configure(nft=_STRICT, sysctl={"net/netfilter/nf_conntrack_tcp_loose": "0"})
        address = network[self.first + site.built]
        return join(site, name, [f"{address}/24"], [str(network[1])], isolated=self.isolated, moved=moved)

    def reboot(self, site: Site) -> None:
        """Forget all translations; addresses and rules are the same afterwards."""
        if site.router is not None:
            site.router.forget_connections()
