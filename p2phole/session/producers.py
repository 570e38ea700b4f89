"""A pull producer that is asked for more by itself, as long as there is room for it."""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.interfaces import IDelayedCall, IPullProducer, IPushProducer, IReactorTime
from zope.interface import implementer

PULLS_A_TURN = 16
"""How often a producer is asked in one turn of the reactor: a file gives 16 KiB each time, and others want
their turn."""


@implementer(IPushProducer)
class Pulled:
    """Makes a push producer of a pull producer.  ``failed``: called while its exception is being handled; it is
    not asked again.

    Twisted's own for TLS goes by the global cooperator, and that by the global reactor; this one goes by the
    clock that it is given.
    """

    def __init__(self, clock: IReactorTime, producer: IPullProducer, failed: Callable[[], None]) -> None:
        self._clock = clock
        self._producer = producer
        self._failed = failed
        self._wanted = False
        self._turn: IDelayedCall | None = None

    def resumeProducing(self) -> None:
        """See :class:`IPushProducer`: from the next turn on."""
        self._wanted = True
        if self._turn is None:
            self._turn = self._clock.callLater(0, self._pull)

    def pauseProducing(self) -> None:
        """See :class:`IPushProducer`."""
        self._wanted = False

    def stopProducing(self) -> None:
        """See :class:`IPushProducer`."""
        self.forget()
        self._producer.stopProducing()

    def forget(self) -> None:
        """It has produced all that it has: ask it no more, and tell it nothing."""
        self._wanted = False
        if self._turn is not None:
            self._turn.cancel()
            self._turn = None

    def _pull(self) -> None:
        self._turn = None
        try:
            for _ in range(PULLS_A_TURN):
                if not self._wanted:
                    return
                self._producer.resumeProducing()
        except Exception:
            self._wanted = False
            self._failed()
        if self._wanted:
            self.resumeProducing()
