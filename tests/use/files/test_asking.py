"""A question at a terminal."""

from __future__ import annotations

import os
import pty
from typing import Any

from twisted.internet.defer import CancelledError
from twisted.trial.unittest import SynchronousTestCase

from p2phole.use.files.asking import Terminal


class Reactor:
    """Knows who reads."""

    def __init__(self) -> None:
        self.readers: list[Any] = []

    def addReader(self, reader: Any) -> None:
        self.readers.append(reader)

    def removeReader(self, reader: Any) -> None:
        self.readers.remove(reader)


class AskingTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.user, fd = pty.openpty()
        self.reactor = Reactor()
        self.said: list[str] = []
        self.terminal = Terminal(self.reactor, self.said.append, fd)
        for each in (self.user, fd):
            self.addCleanup(os.close, each)

    def test_an_answer(self) -> None:
        answer = self.terminal.ask("Take it? ")
        self.assertEqual((self.said, self.reactor.readers), (["Take it? "], [self.terminal]))
        os.write(self.user, b" Yes \n")
        self.terminal.doRead()
        self.assertEqual(self.successResultOf(answer), "yes")
        self.assertEqual(self.reactor.readers, [])

    def test_the_end(self) -> None:
        answer = self.terminal.ask("Take it? ")
        os.write(self.user, b"\x04")
        self.terminal.doRead()
        self.assertEqual(self.successResultOf(answer), "")

    def test_what_was_typed_before_is_no_answer(self) -> None:
        os.write(self.user, b"y\n")
        answer = self.terminal.ask("Take it? ")
        os.write(self.user, b"n\n")
        self.terminal.doRead()
        self.assertEqual(self.successResultOf(answer), "n")

    def test_never_mind(self) -> None:
        answer = self.terminal.ask("Take it? ")
        answer.cancel()
        self.failureResultOf(answer, CancelledError)
        self.assertEqual(self.reactor.readers, [])
