"""The order of events of a memory network on one `twisted.internet.task.Clock`."""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Callable

from twisted.internet.interfaces import IDelayedCall
from twisted.internet.task import Clock

TOLERANCE = 1e-9
"""Seconds: sums of floats for the same instant may differ by less than this."""

STANDSTILL = 200_000
"""So many events without any time passing are taken for an endless loop."""


class Timeline:
    """
    Runs events at their simulated time, those of one instant in the order in which they were asked for.

    Packets are kept here and only the next one is a delayed call on the clock: `Clock` sorts all its calls
    each time that one is added, which is slow with thousands.
    """

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self._events: list[tuple[float, int, Callable[..., object], tuple[object, ...]]] = []
        self._order = itertools.count()
        self._pumping = False
        self._wake_up: IDelayedCall | None = None
        self._instant = -1.0
        self._events_in_instant = 0

    def seconds(self) -> float:
        return self.clock.rightNow

    def later(self, delay: float, function: Callable[..., object], *arguments: object) -> None:
        """Calls `function` after `delay` seconds; 0 is still this instant, but never before this returns."""
        time = self.clock.rightNow + delay
        heapq.heappush(self._events, (time, next(self._order), function, arguments))
        if not self._pumping and self._events[0][0] == time:
            self._set_wake_up()

    def _set_wake_up(self) -> None:
        time = self._events[0][0]
        if self._wake_up is not None:
            if self._wake_up.getTime() <= time:
                return
            self._wake_up.cancel()
        self._wake_up = self.clock.callLater(max(0.0, time - self.clock.rightNow), self._pump)

    def _pump(self) -> None:
        self._wake_up = None
        self._pumping = True
        try:
            while self._events and self._events[0][0] <= self.clock.rightNow:
                _, _, function, arguments = heapq.heappop(self._events)
                self.tick()
                function(*arguments)
        finally:
            self._pumping = False
            if self._events:
                self._set_wake_up()

    def tick(self) -> None:
        """Counts one event; raises `RuntimeError` where time has stopped, which would hang the test."""
        if self.clock.rightNow != self._instant:
            self._instant = self.clock.rightNow
            self._events_in_instant = 0
        self._events_in_instant += 1
        if self._events_in_instant > STANDSTILL:
            raise RuntimeError(f"endless loop: {STANDSTILL} events at {self._instant:.4f} s and no end")

    def step(self, until: float) -> bool:
        """Goes to the next instant in which something is due and does it; False if that is after `until`."""
        due = min((call.getTime() for call in self.clock.calls), default=None)
        if due is None or due > until + TOLERANCE:
            return False
        # Setting the time, not adding a difference to it: a rounded sum could fall short of `due` for ever.
        self.clock.rightNow = max(self.clock.rightNow, due)
        self.clock.advance(0)
        return True

    def advance(self, seconds: float) -> None:
        """Lets `seconds` pass, from event to event, so that each one happens at its own time."""
        until = self.clock.rightNow + seconds
        while self.step(until):
            pass
        self.clock.rightNow = max(self.clock.rightNow, until)

    def run_until(self, predicate: Callable[[], object], limit: float) -> bool:
        """Goes from instant to instant until `predicate()` holds; False if not within `limit` seconds."""
        until = self.clock.rightNow + limit
        while not predicate():
            if not self.step(until):
                return False
        return True
