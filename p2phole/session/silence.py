"""For how long nothing has come on a link, and what is to be done about it.  Pure.

A side that only receives has nothing on the way that the kernel could miss: so, when what came has stopped, it
sends one PING.  If the path is dead, that is what stays unacknowledged.
"""

from __future__ import annotations

from enum import Enum, auto

HUSH = 1.0
"""When numbered frames have come, and then nothing for so many seconds, the link is pinged once."""
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
    """Of one link, as far as looking at it each second tells: what comes reads no clock.  All times are seconds of
    one clock."""

    def __init__(self, now: float) -> None:
        self._began = now
        self._busy = False
        self._asked = 0.0
        """The silence after which the last PING went out."""

    def seconds(self, now: float) -> float:
        """For how long nothing came."""
        return now - self._began

    def look(self, now: float, came: bool, numbered: bool, due_since: float | None) -> Finding:
        """``came``: whether anything has since the last look.  ``numbered``: whether that were numbered frames, or
        parts of any; with PING and PONG alone two idle sides would never rest.  ``due_since``: since when nothing
        was acknowledged of what should be."""
        self._busy |= numbered
        if came:
            self._began, self._asked = now, 0.0
        quiet = self.seconds(now)
        if quiet >= DEAD:
            return Finding.DEAD
        if due_since is not None and now - due_since >= STALLED:
            return Finding.STALLED
        for seconds in (HUSH,) * self._busy + (QUIET, AGAIN):
            if self._asked < seconds <= quiet:
                self._asked, self._busy = quiet, False
                return Finding.ASK
        return Finding.WELL
