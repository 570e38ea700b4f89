"""Rooms for two, found by a short number: who may be in which, and for how long.

The inviter asks for a number and says it to the other one, with words that the broker never hears.  Whoever
is second with the number is the other one; there is no third.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from p2phole.broker.directory import Key
from p2phole.wire.codec import BadLine

LIFE_SECONDS = 3600.0
"""From when a number is given out to when it means nothing any more."""
KEPT_SECONDS = 300.0
"""For how long an inviter that has lost its connection may come back to its number."""
MOST_OPEN = 10_000
"""Numbers that may be out at one time."""
MOST_RESTING = 20_000
"""Numbers that are remembered as used lately, so that who comes late with one meets nobody else's invitation:
more than an hour's at the default rate."""
FEWEST_NUMBERS = 999
"""Numbers are picked from 1 to this at the least: short to say, and too many to be tried out at the rate of a
guest."""
SPARE = 4
"""How many times as many numbers there are to pick from as are out or rest."""


@dataclass(slots=True, eq=False)
class _Invitation:
    inviter: Key
    ends: float
    timer: Any = None
    guest: Key | None = None


class Codes:
    """The numbers that are out.

    ``later``: as ``IReactorTime.callLater``; ``over``: hears the number of a room whose time is over;
    ``entropy``: gives 16 random bytes.
    """

    def __init__(
        self,
        seconds: Callable[[], float],
        later: Callable[..., Any],
        over: Callable[[str], None],
        entropy: Callable[[], bytes],
    ) -> None:
        self._seconds = seconds
        self._later = later
        self._over = over
        self._entropy = entropy
        self._out: dict[str, _Invitation] = {}
        self._resting: OrderedDict[str, float] = OrderedDict()
        """Numbers that are given to nobody until then, the earliest first."""

    def belongs(self, key: Key, number: str) -> bool:
        """Whether this is one of the two for whom the number is."""
        invitation = self._out.get(number)
        return invitation is not None and key in (invitation.inviter, invitation.guest)

    def enter(self, key: Key, number: str, inviter: bool = False) -> str:
        """The number of the room that this one is in from now on; it asks for a new one with none.

        ``inviter``: it says that the number is of its own invitation, so it is nobody's guest.  Raises
        :class:`BadLine`.
        """
        if not number:
            return self._give(key)
        invitation = self._out.get(number)
        if invitation is None or (inviter and key != invitation.inviter):
            raise BadLine("no-such-code", "no invitation with this number: check it, or ask for a new one")
        if key == invitation.inviter:
            self._end_at(number, invitation, invitation.ends)
        elif invitation.guest is None:
            invitation.guest = key
        elif key != invitation.guest:
            who = "you have" if key[0] == invitation.guest[0] else "somebody else has"
            raise BadLine("code-taken", f"{who} used this invitation already: ask for a new one")
        return number

    def left(self, key: Key, number: str) -> None:
        """A member of that room is gone, perhaps for a moment only."""
        invitation = self._out.get(number)
        if invitation is not None and key == invitation.inviter:
            self._end_at(number, invitation, min(invitation.ends, self._seconds() + KEPT_SECONDS))

    def _give(self, key: Key) -> str:
        if len(self._out) >= MOST_OPEN:
            raise BadLine("limit", "too many invitations are open at this broker", KEPT_SECONDS)
        number = self._pick()
        invitation = self._out[number] = _Invitation(key, self._seconds() + LIFE_SECONDS)
        self._end_at(number, invitation, invitation.ends)
        return number

    def _pick(self) -> str:
        now = self._seconds()
        while self._resting and next(iter(self._resting.values())) <= now:
            self._resting.popitem(last=False)
        # No more than one in SPARE of these is taken, so a few tries will do.
        numbers = max(FEWEST_NUMBERS, SPARE * (len(self._out) + len(self._resting) + 1))
        while True:
            number = str(1 + int.from_bytes(self._entropy(), "big") % numbers)
            if number not in self._out and number not in self._resting:
                return number

    def _end_at(self, number: str, invitation: _Invitation, when: float) -> None:
        if invitation.timer is not None:
            invitation.timer.cancel()
        invitation.timer = self._later(max(0.0, when - self._seconds()), self._end, number)

    def _end(self, number: str) -> None:
        del self._out[number]
        self._resting[number] = self._seconds() + LIFE_SECONDS
        if len(self._resting) > MOST_RESTING:
            self._resting.popitem(last=False)
        self._over(number)
