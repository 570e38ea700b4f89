"""What a site's connection is by its construction, in the words of RFC 4787 and of the product's events.

What a probe says of a profile, and what the product says of it, is compared with this.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from tests.natlab.behaviour import AD, APD, EI, Behaviour, Dependence, Stray
from tests.natlab.firewalls import Firewall
from tests.natlab.nats import CarrierHome, Nat
from tests.natlab.routers import Masquerade
from tests.natlab.sites import Open, Profile

_STRICTER: tuple[Dependence, ...] = (EI, AD, APD)


@dataclass(frozen=True)
class Nature:
    """``unsolicited``: what a SYN gets that nobody asked for (of an open host: where nobody listens).

    ``crossing``: whether SYNs may cross; ``hairpin``: whether its hosts meet at its public address.
    """

    mapping: Dependence | Literal["none"]
    filtering: Dependence
    allocation: Literal["preserved", "sequential", "random"]
    unsolicited: Stray
    crossing: bool = True
    hairpin: bool = False
    families: tuple[int, ...] = (4,)


def _of_behaviour(behaviour: Behaviour) -> Nature:
    return Nature(
        behaviour.mapping,
        behaviour.filtering,
        behaviour.allocation,
        behaviour.stray,
        behaviour.crossing == "allowed",
        behaviour.hairpin == "external",
    )


def _behind(home: Nature, carrier: Nature) -> Nature:
    """The stricter of both; ports and answers are what the outer one makes of them."""
    if home.mapping == "none":
        return carrier
    assert carrier.mapping != "none"
    return replace(
        carrier,
        mapping=max(home.mapping, carrier.mapping, key=_STRICTER.index),
        filtering=max(home.filtering, carrier.filtering, key=_STRICTER.index),
        crossing=home.crossing and carrier.crossing,
    )


def nature(profile: Profile, family: int = 4) -> Nature:
    """``family``: 4 or 6, where a site has both and they differ."""
    if isinstance(profile, Open):
        return Nature("none", EI, "preserved", "reset", families=(4, 6) if profile.ipv6 else (4,))
    if isinstance(profile, Nat):
        return _of_behaviour(profile.behaviour)
    if isinstance(profile, CarrierHome):
        return _behind(nature(profile.home), _of_behaviour(profile.behaviour))
    if isinstance(profile, Firewall):
        families = tuple(family for family in (4, 6) if (profile.ipv6 if family == 6 else profile.ipv4 != "none"))
        if family == 4 and profile.ipv4 == "fully-random":
            return Nature(APD, APD, "random", "reset", families=families)
        return Nature("none", APD, "preserved", profile.stray, families=families)
    if isinstance(profile, Masquerade):
        if profile.ports == "preserved":
            return Nature(EI, APD, "preserved", profile.stray)
        return Nature(APD, APD, "random", profile.stray)
    raise TypeError(f"nobody has said what {profile!r} is")
