"""What the check's peer has told, and how the check waits for it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from twisted.internet.defer import Deferred
from twisted.internet.defer import TimeoutError as DeferredTimeout
from twisted.internet.interfaces import IReactorTime

from p2phole import events
from p2phole.errors import LocalError

T = TypeVar("T")
E = TypeVar("E", bound=events.Event)


class Log:
    """The sink of the events, with the peer's first error.  One at a time may wait :meth:`until` something is
    in it."""

    def __init__(self, clock: IReactorTime) -> None:
        self._clock = clock
        self._seen: list[events.Event] = []
        self._error: LocalError | None = None
        self._waiting: Deferred[None] | None = None

    def emit(self, event: events.Event) -> None:
        """See :class:`~p2phole.events.EventSink`."""
        self._seen.append(event)
        self._tell()

    def fail(self, error: LocalError) -> None:
        """The peer cannot go on."""
        self._error = self._error or error
        self._tell()

    def _tell(self) -> None:
        # In a turn of its own: whoever emits is in the middle of something.
        self._clock.callLater(0, self._wake)

    def _wake(self) -> None:
        waiting, self._waiting = self._waiting, None
        if waiting is not None:
            waiting.callback(None)

    def first(self, kind: type[E], **keys: object) -> E | None:
        """The first event of that kind with those values, if it is there."""
        for event in self._seen:
            if isinstance(event, kind) and all(getattr(event, key) == value for key, value in keys.items()):
                return event
        return None

    async def until(self, look: Callable[[], T | None], seconds: float, otherwise: LocalError) -> T:
        """What ``look`` finds, as soon as it finds anything.  Raises the peer's own error, or, when the time
        is up, ``otherwise``."""
        deadline = self._clock.seconds() + seconds
        while True:
            if self._error is not None:
                raise self._error
            if (found := look()) is not None:
                return found
            waiting = self._waiting = Deferred()
            try:
                await waiting.addTimeout(max(0.0, deadline - self._clock.seconds()), self._clock)
            except DeferredTimeout:
                raise otherwise from None
            finally:
                self._waiting = None
