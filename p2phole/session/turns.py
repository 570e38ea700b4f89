"""Frames in turn: however many come together, other connections of the process get theirs in between.

A TLS record is a quarter of a frame in bulk, and a thousand frames of somebody who sends the smallest there are.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from typing import Protocol as Interface

from twisted.internet.interfaces import IDelayedCall, IReactorTime

from p2phole.session.frames import Frame

MOST_AT_ONCE = 16
"""Frames that are handled before everybody else has a turn."""


class Reader(Interface):
    """What is paused meanwhile, so that no more comes."""

    def pause(self) -> None:
        """Read no more for now."""

    def resume(self) -> None:
        """Read on."""


class Turns:
    """Of one link.  ``handle`` is given frames, :data:`MOST_AT_ONCE` at the most."""

    def __init__(self, clock: IReactorTime, reader: Reader, handle: Callable[[Iterable[Frame]], None]) -> None:
        self._clock = clock
        self._reader = reader
        self._handle = handle
        self._waiting: deque[Frame] = deque()
        self._next: IDelayedCall | None = None

    def __len__(self) -> int:
        return len(self._waiting)

    def add(self, frames: list[Frame]) -> None:
        """They came together."""
        if self._next is None and len(frames) <= MOST_AT_ONCE:
            self._handle(frames)
            return
        self._waiting.extend(frames)
        if self._next is None:
            self._reader.pause()
            self._go_on()

    def _go_on(self) -> None:
        count = min(MOST_AT_ONCE, len(self._waiting))
        self._next = self._clock.callLater(0, self._go_on) if count < len(self._waiting) else None
        if self._next is None:
            self._reader.resume()
        self._handle([self._waiting.popleft() for _ in range(count)])

    def stop(self) -> None:
        """Handle none of those that wait."""
        self._waiting.clear()
        if self._next is not None:
            self._next.cancel()
            self._next = None
            self._reader.resume()  # it has still to notice the end
