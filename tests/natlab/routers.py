"""Sites behind a router that is a Linux kernel: hosts in a LAN, translated on the way out.

Where to put others: a kernel router or firewall with different rules is another profile here; one in user
space is a profile of its own whose LAN side is a TUN device that its process reads.
"""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from typing import Literal

from tests.natlab.namespace import Host, LaboratoryError
from tests.natlab.sites import UPLINK, Site

_LAN = "lan"
_FIRST_HOST = 10

_TRANSLATE = f"""
table ip nat {{
    chain postrouting {{
        type nat hook postrouting priority srcnat; policy accept;
        oifname "{UPLINK}" masquerade
    }}
}}
"""

# What is not part of a connection that began inside gets no answer, as RFC 5382 (REQ-4) would have it.
_SILENT = f"""
table inet filter {{
    chain input {{
        type filter hook input priority filter; policy accept;
        iifname "{UPLINK}" meta l4proto tcp ct state != {{ established, related }} drop
    }}
}}
"""


@dataclass(frozen=True)
class Masquerade:
    """A stock Linux router: nftables masquerade, conntrack with its defaults.

    ``stray``: what an unsolicited SYN gets. ``reset``: the router itself is addressed, nobody listens there,
    so its kernel answers RST, as Debian and OpenWrt do out of the box; ``silent``: nothing.
    ``lan``: the private network, a /24; by default one that no other site has.
    """

    stray: Literal["silent", "reset"] = "silent"
    lan: str | None = None

    def add_host(self, site: Site, name: str) -> Host:
        """A host in the LAN; the router first if there is none yet."""
        network = ipaddress.IPv4Network(self.lan or f"192.168.{site.number}.0/24")
        if network.prefixlen != 24:
            raise LaboratoryError(f"{site.name}: a LAN is a /24, not {network}")
        gateway = network[1]
        number = len(site.hosts)
        address = network[_FIRST_HOST + number]
        host = site.new_host(name, [str(address)])
        port = [
            f"link add name port{number} type veth peer name eth0 netns {host.path}",
            f"link set port{number} up master {_LAN}",
        ]
        router = site.router
        if router is None:
            lan = [
                # With snooping and no querier, multicast (IPv6 neighbours) would depend on timing.
                f"link add name {_LAN} type bridge mcast_snooping 0",
                f"address add {gateway}/24 dev {_LAN}",
                f"link set {_LAN} up",
                *port,
            ]
            rules = _TRANSLATE + (_SILENT if self.stray == "silent" else "")
            router = site.new_router(f"{site.name}-router")
            site.connect(router, site.ipv4, lan, rules, {"net/ipv4/ip_forward": "1"})
        else:
            router.configure(port)
        host.configure(
            [
                "link set lo up",
                "link set eth0 up",
                f"address add {address}/24 dev eth0",
                f"route add default via {gateway}",
            ]
        )
        host.settle("eth0")
        router.settle(f"port{number}", _LAN)
        return host

    def reboot(self, site: Site) -> None:
        """Forget all translations; addresses and rules are the same afterwards."""
        if site.router is not None:
            site.router.forget_connections()
