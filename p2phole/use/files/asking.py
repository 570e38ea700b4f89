"""Asks the user at the terminal, while everything else goes on."""

from __future__ import annotations

import os
import termios
from collections.abc import Callable
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionDone
from twisted.python.failure import Failure

MOST_ANSWER = 1024
"""Bytes of an answer."""


class Terminal:
    """Standard input, a line at a time; a reader for the reactor while a question is open."""

    def __init__(self, reactor: Any, say: Callable[[str], None], fd: int = 0) -> None:
        self._reactor = reactor
        self._say = say
        self._fd = fd
        self._answer: Deferred[str] | None = None

    def ask(self, question: str) -> Deferred[str]:
        """The answer, without white space around it, in small letters; "" at the end of the input.  Cancel it
        where it is no longer of interest."""
        try:
            # Whatever was typed before the question was seen is no answer to it.
            termios.tcflush(self._fd, termios.TCIFLUSH)
        except termios.error:
            pass
        self._say(question)
        answer: Deferred[str] = Deferred(lambda _: self._stop())
        self._answer = answer
        self._reactor.addReader(self)
        return answer

    def _stop(self) -> None:
        self._answer = None
        self._reactor.removeReader(self)

    # -- IReadDescriptor

    def fileno(self) -> int:
        """See :class:`IReadDescriptor`."""
        return self._fd

    def doRead(self) -> Exception | None:
        """See :class:`IReadDescriptor`."""
        try:
            data = os.read(self._fd, MOST_ANSWER)
        except BlockingIOError:
            return None
        except OSError:
            data = b""
        answer = self._answer
        self._stop()
        if answer is not None:
            answer.callback(data.decode("utf-8", "replace").partition("\n")[0].strip().lower())
        return None

    def connectionLost(self, reason: Failure = Failure(ConnectionDone())) -> None:  # noqa: B008
        """See :class:`IReadDescriptor`: the reactor ends."""

    def logPrefix(self) -> str:
        """See :class:`ILoggingContext`."""
        return "terminal"
