"""Rooms for two, found by a short number: who may be in which, and for how long.

The inviter asks for a number and says it to the other one, with words that the broker never hears.  Whoever
is second with the number is the other one; there is no third.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from heapq import heappop, heappush
from typing import Any

from p2phole.broker.directory import Key
from p2phole.wire.codec import BadLine

LIFE_SECONDS = 3600.0
"""From when a number is given out to when it means nothing any more."""
KEPT_SECONDS = 300.0
"""For how long an inviter that has lost its connection may come back to its number."""
MOST_OPEN = 10_000
"""Numbers that may be out at one time."""


@dataclass(slots=True, eq=False)
class _Invitation:
    inviter: Key
    ends: float
    timer: Any = None
    guest: Key | None = None


class Codes:
    """The numbers that are out.

    ``later``: as ``IReactorTime.callLater``; ``over``: hears the number of a room whose time is over.
    """

    def __init__(
        self, seconds: Callable[[], float], later: Callable[..., Any], over: Callable[[str], None]
    ) -> None:
        self._seconds = seconds
        self._later = later
        self._over = over
        self._out: dict[str, _Invitation] = {}
        self._free: list[int] = []
        """A heap of those below the highest one that was ever out."""
        self._highest = 0

    def belongs(self, key: Key, number: str) -> bool:
        """Whether this is one of the two for whom the number is."""
        invitation = self._out.get(number)
        return invitation is not None and key in (invitation.inviter, invitation.guest)

    def enter(self, key: Key, number: str) -> str:
        """The number of the room that this one is in from now on; it asks for a new one with none.

        Raises :class:`BadLine`.
        """
        if not number:
            return self._give(key)
        invitation = self._out.get(number)
        if invitation is None:
            raise BadLine("no-such-code", "no invitation with this number: check it, or ask for a new one")
        if key == invitation.inviter:
            self._end_at(number, invitation, invitation.ends)
        elif invitation.guest is None:
            invitation.guest = key
        elif key != invitation.guest:
            raise BadLine("code-taken", "somebody else has used this invitation: ask for a new one")
        return number

    def left(self, key: Key, number: str) -> None:
        """A member of that room is gone, perhaps for a moment only."""
        invitation = self._out.get(number)
        if invitation is not None and key == invitation.inviter:
            self._end_at(number, invitation, min(invitation.ends, self._seconds() + KEPT_SECONDS))

    def _give(self, key: Key) -> str:
        if len(self._out) >= MOST_OPEN:
            raise BadLine("limit", "too many invitations are open at this broker", KEPT_SECONDS)
        if self._free:
            number = str(heappop(self._free))
        else:
            self._highest += 1
            number = str(self._highest)
        invitation = self._out[number] = _Invitation(key, self._seconds() + LIFE_SECONDS)
        self._end_at(number, invitation, invitation.ends)
        return number

    def _end_at(self, number: str, invitation: _Invitation, when: float) -> None:
        if invitation.timer is not None:
            invitation.timer.cancel()
        invitation.timer = self._later(max(0.0, when - self._seconds()), self._end, number)

    def _end(self, number: str) -> None:
        del self._out[number]
        heappush(self._free, int(number))
        self._over(number)
