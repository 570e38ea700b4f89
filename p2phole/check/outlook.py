"""What will work between two networks, of which each is known as far as its findings go.  Pure.

Everything here follows from the two :class:`~p2phole.behaviour.Behaviour` values alone.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import product

from p2phole.behaviour import ADDRESS, ANSWERS, FILTERINGS, INDEPENDENT, MAPPINGS, PORT, Behaviour
from p2phole.punch.verdict import spoilt, technique

OPEN = Behaviour("none", "none", "preserved", "unknown")
"""Whoever comes is let in: a server, or a port that was mapped at the router."""
HOME = Behaviour(INDEPENDENT, PORT, "preserved", "silent")
"""An ordinary home router; the exit status is about this one."""

SECONDS = {"one port": (0.2, 15.0), "prediction": (0.3, 15.0), "birthday": (2.0, 11.0)}
"""From introduced to authenticated, for routers 10 ms away: what is usual, and when it is given up."""


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of network that the other side may have.  ``ipv6``: whether it is met on IPv6 too."""

    word: str
    name: str
    behaviour: Behaviour
    ipv6: bool = False


KINDS = (
    Kind("open", "a server, or a port that is mapped", OPEN, ipv6=True),
    Kind("firewall", "no NAT, but a firewall", Behaviour("none", PORT, "preserved", "silent"), ipv6=True),
    Kind("loose", "a router with a loose filter", Behaviour(INDEPENDENT, ADDRESS, "preserved", "silent")),
    Kind("home", "an ordinary home router", HOME),
    Kind("reset", "a home router that answers with RST", replace(HOME, unsolicited="reset")),
    Kind("sequential", "a symmetric NAT, ports in sequence", Behaviour(PORT, PORT, "sequential", "silent")),
    Kind("random", "a symmetric NAT, random ports", Behaviour(PORT, PORT, "random", "silent")),
)
"""From the easiest to the hardest."""


@dataclass(frozen=True, slots=True)
class Outlook:
    """``technique``: ``one port``, ``prediction``, ``birthday`` or ``none``.  ``sure``: whether that
    something will do, or nothing will, holds whatever the unknown turns out to be."""

    technique: str
    sure: bool

    @property
    def direct(self) -> bool:
        """Whether a direct connection is to be expected."""
        return self.technique != "none"


def outlook(mine: Behaviour, theirs: Behaviour) -> Outlook:
    """What to expect of a pair; what is unknown counts as what is most common."""
    expected = _needed(mine, theirs)
    direct = expected != "none"
    possible = product(_completions(mine), _completions(theirs))
    sure = all((_needed(*pair) != "none") == direct for pair in possible)
    if expected == "birthday":
        # The many tries are made only by a side that knows of its own filter.
        easy = theirs if mine.is_hard else mine
        sure = sure and easy.filtering == PORT
    elif spoilt(mine, theirs):
        sure = False  # sometimes chance is quicker
    return Outlook(expected, sure)


def remedies(one: Behaviour, other: Behaviour) -> tuple[str, ...]:
    """What could be changed at ``one``'s side alone so that this pair would work, the least trouble first.

    ``silence``: let the router drop what comes unasked instead of answering it; ``network``: an
    ordinary home network instead of this one; ``firewall``: let incoming connections through (there is no
    NAT); ``mapping``: map a port at the router.  The last two also help where the pair should work as it
    is: then no SYNs need to cross.
    """
    found = []
    if not outlook(one, other).direct:
        if one.unsolicited in ("reset", "icmp") and outlook(replace(one, unsolicited="silent"), other).direct:
            found.append("silence")
        if outlook(HOME, other).direct:
            found.append("network")
    if one.mapping == "none":
        return (*found, "firewall") if own_firewall(one) else tuple(found)
    return (*found, "mapping")


def own_firewall(mine: Behaviour) -> bool:
    """Whether it is this machine's own firewall, or one just before it, that turns connections away.

    That can be said only where there is no NAT: behind one the router may do it, and nobody outside can
    tell the two apart.
    """
    return mine.mapping == "none" and mine.filtering in (ADDRESS, PORT)


def _needed(mine: Behaviour, theirs: Behaviour) -> str:
    return "none" if spoilt(mine, theirs) else technique(mine, theirs)


def _completions(known: Behaviour) -> Iterator[Behaviour]:
    """All that a network may be, of which this is known."""

    def values(word: str, words: tuple[str, ...]) -> tuple[str, ...]:
        return (word,) if word != "unknown" else tuple(each for each in words if each != "unknown")

    for words in product(
        values(known.mapping, MAPPINGS),
        values(known.filtering, FILTERINGS),
        values(known.allocation, ("preserved", "random")),  # only "random" makes a difference
        values(known.unsolicited, ANSWERS),
    ):
        yield Behaviour(*words)
