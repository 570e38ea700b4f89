"""What to dial, given how both NATs behave.  Pure.

A NAT that maps by endpoint (symmetric) uses, towards the other side, an outside port that nobody
has seen.  Where it takes its ports in sequence, the next ones can be told: the other side dials
those, and if both are like that, the k-th dial of one meets the k-th of the other.  Where it takes
them at random, many ports on that side and many tries on the other meet by chance (birthday).
"""

from __future__ import annotations

from collections.abc import Sequence

from p2phole.addresses import Candidate, Endpoint
from p2phole.behaviour import PORT, Behaviour

PREDICTED = 8
"""Ports that are predicted: other clients of the NAT may take some meanwhile."""


def predicted(latest: Endpoint, step: int) -> tuple[Candidate, ...]:
    """The endpoints that a NAT will use next after ``latest``, in order; none where ``step`` is 0."""
    if not step:
        return ()
    ports = (latest.port + step * number for number in range(1, PREDICTED + 1))
    return tuple(Candidate("predicted", Endpoint(latest.ip, port)) for port in ports if 1024 <= port < 65536)


def order(candidates: Sequence[Candidate]) -> tuple[Candidate, ...]:
    """The order in which to dial: predicted ports before the port that the broker saw, which is of little
    use then, and each dial of a sequential NAT uses up a port."""
    guessed = [one for one in candidates if one.kind == "predicted"]
    if not guessed:
        return tuple(candidates)
    others = [one for one in candidates if one.kind not in ("predicted", "srflx")]
    return (*others, *guessed, *(one for one in candidates if one.kind == "srflx"))


def is_random(behaviour: Behaviour) -> bool:
    """Whether its outside ports can't be told: mapped by endpoint, and not in sequence."""
    return behaviour.is_hard and behaviour.allocation == "random"


def is_sequential(behaviour: Behaviour) -> bool:
    """Whether its outside ports must be told, and can."""
    return behaviour.is_hard and not is_random(behaviour)


def calls_for_many_ports(mine: Behaviour, theirs: Behaviour) -> bool:
    """Whether this side, whose own NAT maps at random, should open many of its ports at once."""
    return is_random(mine) and not theirs.is_hard and not theirs.lets_in


def calls_for_many_tries(mine: Behaviour, theirs: Behaviour) -> bool:
    """Whether this side, whose own NAT (or firewall) lets in only what it dialled, should try many ports."""
    return is_random(theirs) and not mine.is_hard and mine.filtering == PORT


def takes_long(mine: Behaviour, theirs: Behaviour) -> bool:
    """Whether one of the two sides may need many tries, so that the deadline must be a later one; the same
    on both sides."""
    return (is_random(mine) and not theirs.is_hard) or (is_random(theirs) and not mine.is_hard)
