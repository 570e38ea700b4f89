"""Whether this machine has slept: every connection is doubtful then."""

from __future__ import annotations

import time
from collections.abc import Callable

NAP = 2.0
"""Seconds of sleep that nobody on the other side has noticed."""


def seconds_asleep() -> float:
    """How long this machine has slept in all: Linux's CLOCK_BOOTTIME goes on where CLOCK_MONOTONIC stands still
    (clock_gettime(2)); 0 where there is no such clock."""
    clock = getattr(time, "CLOCK_BOOTTIME", None)
    return time.clock_gettime(clock) - time.monotonic() if clock is not None else 0.0


class Sleep:
    """Notices it.  ``asleep``: see :func:`seconds_asleep`."""

    def __init__(self, asleep: Callable[[], float] = seconds_asleep) -> None:
        self._asleep = asleep
        self._before = asleep()

    def look(self) -> float:
        """Seconds that this machine has slept since the last look; 0 where that matters to nobody."""
        before, self._before = self._before, self._asleep()
        slept = self._before - before
        return slept if slept >= NAP else 0.0
