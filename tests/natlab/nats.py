"""Sites behind a NAT in user space, and carriers' NATs in front of sites of any kind."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from tests.natlab.behaviour import APD, Behaviour
from tests.natlab.lan import FIRST_HOST, bridge, join, private
from tests.natlab.namespace import Host, Keeper, LaboratoryError
from tests.natlab.sites import Profile, Site

CARRIER_ONE_WAY = 0.002
"""Seconds between a carrier's NAT and the core by default; to its subscribers it is their own delay."""

_FIRST_SUBSCRIBER = 10


@dataclass(frozen=True)
class Nat:
    """A NAT that does exactly what its settings say, between a router that only routes and the core.

    ``lan``, ``first``, ``isolated``: as for :class:`tests.natlab.routers.Masquerade`.
    """

    behaviour: Behaviour = field(default_factory=Behaviour)
    lan: str | None = None
    first: int = FIRST_HOST
    isolated: bool = False

    def add_host(self, site: Site, name: str, moved: Host | None = None) -> Host:
        """A host in the LAN; the router and its NAT first if there are none yet."""
        network = private(site, self.lan)
        if site.router is None:
            site.enlarge(self.behaviour.pool)
            router = site.new_router(f"{site.name}-router")
            inside = bridge([f"{network[1]}/24"])
            forward = {"net/ipv4/ip_forward": "1"}
            # The router has none of the public addresses, or it would take what is for the NAT.
            site.connect(router, (), inside, "", forward, site.outside, self.behaviour)
        address = network[self.first + site.built]
        return join(site, name, [f"{address}/24"], [str(network[1])], isolated=self.isolated, moved=moved)

    def reboot(self, site: Site) -> None:
        """Forget all mappings."""
        site.keeper.core.ask("forget", name=site.name)


@dataclass(eq=False)
class Carrier:
    """A NAT in front of whole sites (RFC 6888); they have addresses of RFC 6598 from it.

    Made by :meth:`Laboratory.carrier`. ``ipv4``: its public addresses.
    """

    keeper: Keeper
    name: str
    number: int
    ipv4: Sequence[str]
    behaviour: Behaviour
    subscribers: int = 0

    def build(self, one_way: float, isolated: bool) -> None:
        """``isolated``: its subscribers reach each other through its NAT or not at all."""
        self.keeper.core.ask(
            "carrier",
            name=self.name,
            addresses=list(self.ipv4),
            one_way=one_way,
            isolated=isolated,
            behaviour=self.behaviour.as_message(),
        )

    def subscribe(self, site: Site) -> None:
        """Have a site behind it; before anything of that is connected."""
        site.carrier = self.name
        site.ipv4 = list(self.ipv4)
        site.outside = [f"100.64.{self.number}.{_FIRST_SUBSCRIBER + self.subscribers}"]
        self.subscribers += 1

    def reboot(self) -> None:
        """Forget all mappings."""
        self.keeper.core.ask("forget", name=self.name)


@dataclass(frozen=True)
class CarrierHome:
    """A home behind a carrier of its own, named after the site: ``alice-carrier``.

    ``home``: how the home itself is connected; ``Open()``: a telephone, with nothing between it and the carrier.
    """

    home: Profile
    behaviour: Behaviour = field(default_factory=lambda: Behaviour(filtering=APD, hairpin="external"))

    def add_host(self, site: Site, name: str, moved: Host | None = None) -> Host:
        """The carrier first, then what the home's profile builds."""
        if not site.built:
            if site.carrier is not None:
                raise LaboratoryError(f"{site.name} has a carrier already")
            site.enlarge(self.behaviour.pool)
            carrier = Carrier(site.keeper, f"{site.name}-carrier", site.number, site.ipv4, self.behaviour)
            carrier.build(CARRIER_ONE_WAY, isolated=True)
            carrier.subscribe(site)
        return self.home.add_host(site, name, moved)

    def reboot(self, site: Site) -> None:
        """The home's router; the carrier stays as it is."""
        self.home.reboot(site)
