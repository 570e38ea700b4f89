"""For how long nothing has come on a link, and what is to be done about it.  Pure.

A side that only receives has nothing on the way that the kernel could miss: so, when what came has stopped, it
sends a PING now and then.  If the path is dead, that is what stays unacknowledged.
"""

from __future__ import annotations

from enum import Enum, auto

HUSHES = (1.0, 3.0, 7.0, 15.0)
"""So many seconds after the last numbered frame the link is pinged, whatever else came: a path that was of use a
moment ago is missed soon, and two idle sides still come to rest."""
QUIET = 20.0
"""A link on which nothing came for so many seconds is pinged: home gateways drop idle connections
within minutes (Haetoenen et al., IMC 2010)."""
AGAIN = 30.0
"""And once more."""
DEAD = 40.0
"""A link on which nothing came for so many seconds, pings notwithstanding, is dead."""
STALLED = 120.0
"""Seconds in which the other side may acknowledge nothing, although something is due and it goes on sending."""


class Finding(Enum):
    """What a look at a link finds."""

    WELL = auto()
    ASK = auto()
    """Send a PING."""
    DEAD = auto()
    """The link is of no more use."""
    STALLED = auto()
    """The other side takes without ever acknowledging."""


class Silence:
    """Of one link.  All times are seconds of one clock."""

    def __init__(self, now: float) -> None:
        self.began = now
        """When something came last."""
        self._in_part = False
        self._active = now
        """When something numbered came last."""
        self._hushes = 0
        """How many of the pings after that went out."""
        self._asked = 0.0
        """The silence after which the last PING went out."""

    def ended(self, now: float) -> None:
        """A frame came."""
        self.began, self._asked = now, 0.0

    def part(self) -> None:
        """Part of a frame came.  In bulk that is most of what comes: no clock is read."""
        self._in_part = True

    def numbered(self) -> None:
        """The frame that came was a numbered one."""
        self._active, self._hushes = self.began, 0

    def seconds(self, now: float) -> float:
        """For how long nothing came."""
        return now - self.began

    def look(self, now: float, due_since: float | None) -> Finding:
        """``due_since``: since when nothing was acknowledged of what should be."""
        if self._in_part:
            self._in_part = False
            self.ended(now)
            self.numbered()
        quiet = self.seconds(now)
        if quiet >= DEAD:
            return Finding.DEAD
        if due_since is not None and now - due_since >= STALLED:
            return Finding.STALLED
        if self._hushes < len(HUSHES) and now - self._active >= HUSHES[self._hushes]:
            self._hushes += 1
            return Finding.ASK
        for seconds in (QUIET, AGAIN):
            if self._asked < seconds <= quiet:
                self._asked = quiet
                return Finding.ASK
        return Finding.WELL
