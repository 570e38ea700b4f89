"""Who produces what is written to a transport: of either kind, asked for more as long as there is room for it."""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

from twisted.internet.interfaces import IDelayedCall, IPullProducer, IPushProducer, IReactorTime
from zope.interface import implementer

PULLS_A_TURN = 16
"""How often a producer is asked in one turn of the reactor: a file gives 16 KiB each time, and others want
their turn."""


@implementer(IPushProducer)
class Pulled:
    """Makes a push producer of a pull producer.  ``failed``: called while its exception is being handled; it is
    not asked again.  Nor is it before it has written what it was asked for, which may take it some time.

    Twisted's own for TLS goes by the global cooperator, and that by the global reactor; this one goes by the
    clock that it is given.
    """

    def __init__(self, clock: IReactorTime, producer: IPullProducer, failed: Callable[[], None]) -> None:
        self._clock = clock
        self._producer = producer
        self._failed = failed
        self._wanted = self._asked = False
        self._turn: IDelayedCall | None = None

    def begin(self) -> None:
        """Ask it for the first time, at once, as TCP does."""
        self._wanted = self._asked = True
        self._producer.resumeProducing()

    def wrote(self) -> None:
        """Something was written."""
        self._asked = False
        if self._wanted:
            self.resumeProducing()

    def resumeProducing(self) -> None:
        """See :class:`IPushProducer`: in the next turn."""
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
                if self._asked or not self._wanted:
                    return
                self._asked = True
                self._producer.resumeProducing()
        except Exception:
            self._wanted = False
            self._failed()
        if self._wanted:
            self.resumeProducing()


class Feeder:
    """The one producer of a transport, if there is any.  ``failed``: called while an exception of it is being
    handled."""

    def __init__(self, clock: IReactorTime, failed: Callable[[], None]) -> None:
        self._clock = clock
        self._failed = failed
        self._producer: IPushProducer | Pulled | None = None
        self._full = False

    @property
    def has_more(self) -> bool:
        """Whether the end of what is written has to wait, as TCP has it: for a pull producer until it is
        unregistered, for a push producer while it is paused."""
        return isinstance(self._producer, Pulled) or (self._producer is not None and self._full)

    def register(self, producer: object, streaming: bool) -> None:
        """See :class:`IConsumer`."""
        if self._producer is not None:
            raise RuntimeError(f"cannot register {producer}: {self._producer} is registered")
        if streaming:
            self._producer = cast(IPushProducer, producer)
        else:
            self._producer = Pulled(self._clock, cast(IPullProducer, producer), self._failed)
            self._producer.begin()
        if self._full and self._producer is not None:
            self._producer.pauseProducing()

    def wrote(self) -> None:
        """Something was written."""
        if isinstance(self._producer, Pulled):
            self._producer.wrote()

    def unregister(self) -> None:
        """See :class:`IConsumer`."""
        producer, self._producer = self._producer, None
        if isinstance(producer, Pulled):
            producer.forget()

    def pause(self) -> None:
        """There is no room."""
        self._full = True
        if self._producer is not None:
            self._safely(self._producer.pauseProducing)

    def resume(self) -> None:
        """There is."""
        self._full = False
        if self._producer is not None:
            self._safely(self._producer.resumeProducing)

    def stop(self) -> None:
        """Nothing of it is wanted any more."""
        producer, self._producer = self._producer, None
        if producer is not None:
            self._safely(producer.stopProducing)

    def _safely(self, call: Callable[[], None]) -> None:
        try:
            call()
        except Exception:
            self._failed()
