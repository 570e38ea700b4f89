"""Sites behind a router that filters by state and translates nothing: public addresses that cannot be reached.

Its kernel's conntrack decides: a TCP connection is let through once a SYN of it has gone out.
"""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from typing import Literal

from tests.natlab.behaviour import Stray
from tests.natlab.lan import FIRST_HOST, bridge, join, private
from tests.natlab.namespace import Host
from tests.natlab.routers import masquerade
from tests.natlab.sites import UPLINK, Site

_REFUSALS = {
    "silent": "drop",
    "reset": "reject with tcp reset",
    # What the rule "reject" alone means: port unreachable.
    "icmp": "reject",
}


def _filter(stray: Stray) -> str:
    return f"""
table inet firewall {{
    chain forward {{
        type filter hook forward priority filter; policy accept;
        ct state {{ established, related }} accept
        iifname "{UPLINK}" meta l4proto tcp {_REFUSALS[stray]}
    }}
}}
"""


@dataclass(frozen=True)
class Firewall:
    """A stateful firewall.

    ``stray``: what an unsolicited SYN gets. ``ipv4``: ``public`` addresses as well behind the firewall;
    ``fully-random``: translated like that, in a private network; ``none``. ``ipv6``: whether there is any.
    """

    stray: Stray = "silent"
    ipv4: Literal["public", "fully-random", "none"] = "public"
    ipv6: bool = False

    def add_host(self, site: Site, name: str, moved: Host | None = None) -> Host:
        """A host in the LAN; the router first if there is none yet."""
        network = private(site, None)
        network6 = ipaddress.IPv6Network(f"{site.ipv6[0]}/64", strict=False)
        number = FIRST_HOST + site.built
        addresses, gateways, routes = [], [], []
        if self.ipv4 == "public":
            if site.router is None:
                site.enlarge(8)
            public = site.ipv4[site.built]
            addresses.append(f"{public}/32")
            routes.append(f"route add {public}/32 dev lan")
        elif self.ipv4 == "fully-random":
            addresses.append(f"{network[number]}/24")
        if self.ipv4 != "none":
            gateways.append(f"{network[1]}")
        if self.ipv6:
            addresses.append(f"{network6[number]}/64")
            gateways.append(f"{network6[1]}")
        if site.router is None:
            self._build(site, gateways)
        return join(site, name, addresses, gateways, routes, moved=moved)

    def _build(self, site: Site, gateways: list[str]) -> None:
        translated = self.ipv4 == "fully-random"
        rules = _filter(self.stray) + (masquerade("fully-random") if translated else "")
        sysctl = {"net/ipv4/ip_forward": "1", "net/ipv6/conf/all/forwarding": "1"}
        inside = [gateway + ("/64" if ":" in gateway else "/24") for gateway in gateways]
        routed = ([] if self.ipv4 == "none" else list(site.outside)) + (list(site.ipv6) if self.ipv6 else [])
        own = site.outside if translated else ()
        router = site.new_router(f"{site.name}-router")
        site.connect(router, own, bridge(inside), rules, sysctl, routed)

    def reboot(self, site: Site) -> None:
        """Forget all connections."""
        if site.router is not None:
            site.router.forget_connections()
