"""Where two peers are, seen from each other: the places that a pair of profiles alone does not say.

Each one builds two hosts (and whoever else is needed) in a laboratory that has a broker already or gets one
later; the homes' profiles may be chosen where there are homes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from tests.natlab.behaviour import EI, Behaviour
from tests.natlab.laboratory import Laboratory
from tests.natlab.namespace import Host, LaboratoryError
from tests.natlab.nats import Nat
from tests.natlab.routers import Masquerade
from tests.natlab.sites import Profile

_HOME = Nat(Behaviour())
_LAN = "192.168.1.0/24"


@dataclass(frozen=True)
class Pair:
    """Two hosts that want to meet; ``decoys``: who else is there."""

    first: Host
    second: Host
    decoys: tuple[Host, ...] = ()


Build = Callable[[Laboratory, Profile, Profile], Pair]


def _in_lan(profile: Profile, **settings: object) -> Profile:
    if not isinstance(profile, Masquerade | Nat):
        raise LaboratoryError(f"no private network: {profile!r}")
    return replace(profile, **settings)  # type: ignore[arg-type]


def apart(lab: Laboratory, first: Profile, second: Profile) -> Pair:
    """Two sites, 20 ms from each other and 10 ms from the broker."""
    return Pair(lab.site("alice", first), lab.site("bob", second))


def same_lan(lab: Laboratory, first: Profile, _second: Profile) -> Pair:
    """Two hosts of one LAN."""
    alice = lab.site("alice", first)
    return Pair(alice, alice.site.host("bob"))


def guests(lab: Laboratory, first: Profile, _second: Profile) -> Pair:
    """Two hosts of one LAN that keeps them apart, as guests' Wi-Fi does: only a hairpin connects them."""
    alice = lab.site("alice", _in_lan(first, isolated=True))
    return Pair(alice, alice.site.host("bob"))


def _one_carrier(lab: Laboratory, first: Profile, second: Profile, behaviour: Behaviour) -> Pair:
    carrier = lab.carrier("carrier", behaviour)
    return Pair(lab.site("alice", first, carrier=carrier), lab.site("bob", second, carrier=carrier))


def carrier_hairpin(lab: Laboratory, first: Profile, second: Profile) -> Pair:
    """Two homes behind one carrier, whose NAT connects its subscribers (RFC 6888 REQ-1)."""
    return _one_carrier(lab, first, second, Behaviour(hairpin="external", allocation="random"))


def carrier_internal(lab: Laboratory, first: Profile, second: Profile) -> Pair:
    """The same, but what arrives has the subscriber's address of the carrier's network as its source."""
    return _one_carrier(lab, first, second, Behaviour(filtering=EI, hairpin="internal", allocation="random"))


def carrier_no_hairpin(lab: Laboratory, first: Profile, second: Profile) -> Pair:
    """Two homes behind one carrier, who does not connect them: they cannot meet."""
    return _one_carrier(lab, first, second, Behaviour(allocation="random"))


def same_private_subnet(lab: Laboratory, first: Profile, second: Profile) -> Pair:
    """Two homes with the same private network; the address of the one is free in that of the other."""
    return Pair(lab.site("alice", _in_lan(first, lan=_LAN)), lab.site("bob", _in_lan(second, lan=_LAN, first=20)))


def same_private_address(lab: Laboratory, first: Profile, second: Profile) -> Pair:
    """Two homes with the same private network, and both peers with the same address in it."""
    return Pair(lab.site("alice", _in_lan(first, lan=_LAN)), lab.site("bob", _in_lan(second, lan=_LAN)))


def decoy(lab: Laboratory, first: Profile, second: Profile) -> Pair:
    """Two homes with the same private network; in each one somebody else has the other peer's address."""
    alice = lab.site("alice", _in_lan(first, lan=_LAN))
    second_of_alice = alice.site.host("decoy-of-bob")
    first_of_bob = lab.site("bob-home", _in_lan(second, lan=_LAN))
    return Pair(alice, first_of_bob.site.host("bob"), (second_of_alice, first_of_bob))


def lossy(lab: Laboratory, first: Profile, second: Profile) -> Pair:
    """2 % of the packets are lost on each of the two links, each way."""
    pair = apart(lab, first, second)
    for host in (pair.first, pair.second):
        lab.loss(host.site.name, None, 0.02)
    return pair


def unequal(lab: Laboratory, first: Profile, second: Profile) -> Pair:
    """The one 5 ms from the broker, the other 150 ms."""
    return Pair(lab.site("alice", first, one_way=0.005), lab.site("bob", second, one_way=0.15))


def far(lab: Laboratory, first: Profile, second: Profile) -> Pair:
    """Both 150 ms from the broker, 300 ms from each other."""
    return Pair(lab.site("alice", first, one_way=0.15), lab.site("bob", second, one_way=0.15))


def neighbours(lab: Laboratory, first: Profile, second: Profile) -> Pair:
    """A millisecond from each other, 80 ms from the broker."""
    pair = Pair(lab.site("alice", first, one_way=0.08), lab.site("bob", second, one_way=0.08))
    lab.one_way(pair.first.site.name, pair.second.site.name, 0.001)
    return pair


TOPOLOGIES: dict[str, Build] = {
    build.__name__.replace("_", "-"): build
    for build in (
        apart,
        same_lan,
        guests,
        carrier_hairpin,
        carrier_internal,
        carrier_no_hairpin,
        same_private_subnet,
        same_private_address,
        decoy,
        lossy,
        unequal,
        far,
        neighbours,
    )
}
"""By name."""


def build(lab: Laboratory, name: str, first: Profile = _HOME, second: Profile = _HOME) -> Pair:
    """One of them."""
    return TOPOLOGIES[name](lab, first, second)
