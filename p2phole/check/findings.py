"""What a check has found out: about this network, and about the attempt at one other side.  Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from p2phole.addresses import Endpoint, InterfaceAddress, is_loopback, is_private, is_undiallable
from p2phole.behaviour import UNKNOWN, Behaviour
from p2phole.check.outlook import HOME, outlook


@dataclass(frozen=True, slots=True)
class Meeting:
    """The attempt at one member of the room.

    ``theirs``: what that side had found out about its own network, as far as it had told.  Either
    ``candidate``, ``remote`` and ``seconds`` tell of the direct connection, or ``reason`` is a word of
    :data:`~p2phole.punch.verdict.REASONS`.
    """

    peer: str
    theirs: Behaviour = UNKNOWN
    candidate: str = ""
    remote: str = ""
    seconds: float = 0.0
    reason: str = ""

    @property
    def direct(self) -> bool:
        """Whether there was a direct connection."""
        return not self.reason


@dataclass(frozen=True, slots=True)
class Findings:
    """This network, as seen from ``local`` by the broker, who saw it as ``observed``.

    ``ipv6``: whether this machine has an IPv6 address that means something elsewhere.
    """

    broker: str
    local: Endpoint
    observed: Endpoint
    nat: Behaviour
    ipv6: bool = False
    meeting: Meeting | None = None

    @property
    def direct(self) -> bool:
        """Whether direct is possible: with the peer that was asked for, else with an ordinary home router."""
        return self.meeting.direct if self.meeting else outlook(self.nat, HOME).direct

    @property
    def scope(self) -> str:
        """How far all this reaches: ``machine``, ``private``, ``ipv6`` or ``ipv4``.

        A broker on this machine, or in a private network, has not seen the way to the internet; and what is
        found over one family says nothing of the other.
        """
        if is_loopback(self.observed.ip):
            return "machine"
        if is_private(self.observed.ip):
            return "private"
        return "ipv6" if self.observed.ip.version == 6 else "ipv4"


def has_ipv6(own: Iterable[InterfaceAddress]) -> bool:
    """Whether one of a machine's addresses is an IPv6 address that others can dial."""
    return any(
        each.ip.version == 6 and not (is_private(each.ip) or is_loopback(each.ip) or is_undiallable(each.ip))
        for each in own
    )
