"""The first of several tries that succeeds; each begins when the one before has failed or had its head start."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IDelayedCall
from twisted.python.failure import Failure

from p2phole.punch.portmap.exchange import UDPReactor

T = TypeVar("T")


class NoneOfThem(Exception):
    """What became of each: a failure, or None where it has not answered.  Those not begun are left out."""

    def __init__(self, failures: Sequence[Failure | None]) -> None:
        super().__init__(failures)
        self.failures = failures


class First(Generic[T]):
    """Try.  ``done`` fires with the number of the one that succeeded and its result, or fails with
    :class:`NoneOfThem` when all have failed or ``seconds`` are over; it may be cancelled."""

    def __init__(
        self,
        clock: UDPReactor,
        tries: Sequence[Callable[[], Deferred[T]]],
        head_start: float,
        seconds: float,
    ) -> None:
        self.done: Deferred[tuple[int, T]] = Deferred(lambda _: self._clear())
        self._clock = clock
        self._tries = tries
        self._head_start = head_start
        self._running: dict[int, Deferred[T]] = {}
        self._failures: list[Failure | None] = []
        self._timer: IDelayedCall | None = None
        self._deadline = clock.callLater(seconds, self._give_up)
        self._next()

    def _next(self) -> None:
        if self._timer is not None and self._timer.active():
            self._timer.cancel()
        number = len(self._failures)
        if number == len(self._tries):
            return
        self._failures.append(None)
        self._timer = self._clock.callLater(self._head_start, self._next)
        self._running[number] = running = self._tries[number]()
        running.addCallbacks(
            lambda result: self._succeeded(result, number), lambda failure: self._failed(failure, number)
        )

    def _succeeded(self, result: T, number: int) -> None:
        self._running.pop(number)
        if not self.done.called:
            self._clear()
            self.done.callback((number, result))

    def _failed(self, failure: Failure, number: int) -> None:
        self._running.pop(number, None)
        if self.done.called or failure.check(CancelledError):
            return
        self._failures[number] = failure
        if number == len(self._failures) - 1:
            self._next()
        if not self._running and len(self._failures) == len(self._tries):
            self._give_up()

    def _give_up(self) -> None:
        if not self.done.called:
            self._clear()
            self.done.errback(NoneOfThem(tuple(self._failures)))

    def _clear(self) -> None:
        for timer in (self._timer, self._deadline):
            if timer is not None and timer.active():
                timer.cancel()
        running, self._running = self._running, {}
        for one in running.values():
            one.cancel()
