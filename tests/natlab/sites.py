"""Sites: what is behind one uplink of the core, and how it is built."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from tests.natlab.behaviour import Behaviour
from tests.natlab.namespace import Host, Keeper, LaboratoryError, Namespace

UPLINK = "uplink"
"""The device towards the core, in each namespace that has one."""


def add(address: str, device: str) -> str:
    """A line for ``ip``: an address with its prefix length."""
    # Also where nobody looks for duplicates, a worker of the kernel has to say so: until then it can't be bound.
    return f"address add {address} dev {device}" + (" nodad" if ":" in address else "")


class Profile(Protocol):
    """How a site is connected: the one thing to write for a new kind of router, firewall or carrier.

    A profile holds settings only; what it builds it keeps in the site (``router``, ``hosts``).
    """

    def add_host(self, site: Site, name: str, moved: Host | None = None) -> Host:
        """Build a host. For the first one of a site: also all that is between it and the core.

        ``moved``: the host itself, which was in another site until now; only where there is a LAN.
        """

    def reboot(self, site: Site) -> None:
        """Make its router forget everything. The core has cut the link meanwhile."""


@dataclass(eq=False)
class Site:
    """One place on the internet.

    ``number``: its own one, for private networks; ``ipv4``, ``ipv6``: its public addresses; ``outside``: the
    IPv4 ones of its uplink, which behind a ``carrier`` are not public; ``router``: what translates, filters or
    routes for it, None where its host is on the core itself; ``built``: how many hosts it has had, so that each
    gets an address and a port of the bridge that nobody else had.
    """

    name: str
    number: int
    profile: Profile
    keeper: Keeper
    one_way: float
    ipv4: Sequence[str]
    ipv6: Sequence[str]
    carrier: str | None = None
    outside: Sequence[str] = ()
    router: Namespace | None = None
    hosts: list[Host] = field(default_factory=list)
    built: int = 0

    def __post_init__(self) -> None:
        self.outside = self.outside or self.ipv4

    def host(self, name: str) -> Host:
        """Add one more host to its network."""
        return self.profile.add_host(self, name)

    def take_in(self, host: Host) -> None:
        """Have a host that is nowhere now."""
        self.profile.add_host(self, host.name, host)

    # -- for profiles

    def enlarge(self, count: int) -> None:
        """Have so many public IPv4 addresses; to be called before anything is connected."""
        if self.carrier is not None and count > len(self.ipv4):
            raise LaboratoryError(f"{self.name}: a carrier gives one address")
        self.ipv4 = [*self.ipv4, *(f"198.18.{self.number}.{more}" for more in range(len(self.ipv4), count))]
        self.outside = self.outside if self.carrier else self.ipv4

    def new_host(self, name: str, addresses: list[str], moved: Host | None = None) -> Host:
        """A namespace for a host, not connected to anything yet; ``moved``: one that is there already."""
        host = moved or Host(self.keeper, name, *self._new_namespace(), self, addresses)
        host.site, host.addresses = self, addresses
        self.hosts.append(host)
        self.built += 1
        return host

    def new_router(self, name: str) -> Namespace:
        """A namespace for a router; not connected to anything yet."""
        self.router = Namespace(self.keeper, name, *self._new_namespace())
        return self.router

    def _new_namespace(self) -> tuple[int, int]:
        reply, _ = self.keeper.ask("build", namespace=None, tun=None, sysctl={}, ip=[], nft="")
        return reply["namespace"], reply["inode"]

    def connect(
        self,
        namespace: Namespace,
        addresses: Sequence[str],
        ip: Sequence[str] = (),
        nft: str = "",
        sysctl: Mapping[str, str] | None = None,
        routed: Sequence[str] | None = None,
        behaviour: Behaviour | None = None,
    ) -> None:
        """Give a namespace the uplink to the core with these addresses, and further settings.

        ``routed``: the addresses that the core routes to it, where that are others than those it has itself;
        ``behaviour``: that of a NAT between the uplink and the core, which then has these.
        """
        routes = list(addresses if routed is None else routed)
        lines = [
            "link set lo up",
            # No link-local address: nothing would answer it, and captures stay free of its noise.
            f"link set {UPLINK} up addrgenmode none",
            *(add(f"{address}/{_bits(address)}", UPLINK) for address in addresses),
            *(f"route add {everything} dev {UPLINK}" for everything in _defaults(routes)),
            *ip,
        ]
        descriptor = namespace.configure(lines, nft, sysctl, tun=UPLINK)
        assert descriptor is not None
        try:
            self.keeper.core.ask(
                "attach",
                [descriptor],
                site=self.name,
                routes=routes,
                one_way=self.one_way,
                carrier=self.carrier,
                behaviour=behaviour.as_message() if behaviour is not None else None,
            )
        finally:
            os.close(descriptor)


def _bits(address: str) -> int:
    return 128 if ":" in address else 32


def _defaults(addresses: Sequence[str]) -> set[str]:
    return {"::/0" if ":" in address else "0.0.0.0/0" for address in addresses}


@dataclass(frozen=True)
class Open:
    """A host right on the core, with public addresses. ``ipv6``: IPv6 beside IPv4."""

    ipv6: bool = False

    def add_host(self, site: Site, name: str, moved: Host | None = None) -> Host:
        """The site's only host."""
        if moved is not None:
            raise LaboratoryError(f"{site.name} is open: there is no network to move into")
        if site.built:
            raise LaboratoryError(f"{site.name} is open: it has one host")
        host = site.new_host(name, [*site.outside, *(site.ipv6 if self.ipv6 else ())])
        site.connect(host, host.addresses)
        return host

    def reboot(self, site: Site) -> None:
        """There is none."""
        raise LaboratoryError(f"{site.name} is open: it has no router")
