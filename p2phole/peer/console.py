"""Standard input and output of a peer: lines in for everybody, received text out, neither without bounds."""

from __future__ import annotations

import codecs
from collections import deque
from collections.abc import Callable
from typing import Any

from twisted.internet.interfaces import IHalfCloseableProtocol, IPushProducer
from twisted.internet.protocol import Protocol, connectionDone
from twisted.internet.stdio import StandardIO
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

_log = Logger()


class LineSplitter:
    """Bytes in any chunks to lines of text.  A line longer than ``most`` bytes comes in pieces, cut
    between characters, so that nothing is lost and nothing is held without bounds; ``odd`` is called
    for what is not UTF-8 and for what is cut."""

    def __init__(self, most: int, odd: Callable[[str], None]) -> None:
        self._most = most
        self._odd = odd
        self._buffer = b""

    def feed(self, data: bytes, last: bool = False) -> list[str]:
        """The lines that are whole by now, or, at the end, all that is left."""
        *lines, self._buffer = (self._buffer + data).split(b"\n")
        if last and self._buffer:
            lines.append(self._buffer)
            self._buffer = b""
        pieces: list[str] = []
        for line in lines:
            pieces += self._pieces(line.removesuffix(b"\r"))
        while len(self._buffer) > self._most:
            self._odd(f"a line of more than {self._most} bytes is sent in pieces")
            piece = _cut(self._buffer, self._most)
            self._buffer = self._buffer[len(piece) :]
            pieces += self._pieces(piece)
        return pieces

    def _pieces(self, line: bytes) -> list[str]:
        line = self._valid(line)
        if len(line) > self._most:
            self._odd(f"a line of more than {self._most} bytes is sent in pieces")
        pieces = []
        while line:
            piece = _cut(line, self._most)
            line = line[len(piece) :]
            pieces.append(piece.decode("utf-8"))
        return pieces or [""]

    def _valid(self, data: bytes) -> bytes:
        try:
            data.decode("utf-8")
        except UnicodeDecodeError:
            self._odd("what is not UTF-8 on standard input is sent with \N{REPLACEMENT CHARACTER} in its place")
            # Before it is cut: the replacement is up to three times as long as what it replaces.
            return data.decode("utf-8", "replace").encode("utf-8")
        return data


def _cut(data: bytes, most: int) -> bytes:
    """The longest beginning of at most ``most`` bytes that does not end within a character."""
    if len(data) <= most:
        return data
    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    decoder.decode(data[:most])
    incomplete = len(decoder.getstate()[0])
    return data[: most - incomplete]


@implementer(IHalfCloseableProtocol, IPushProducer)
class Console(Protocol):
    """Standard input and output.  ``line`` is called for each line of input while it is not held; ``over``
    when there will be no more of them.

    The end of whoever reads the output never ends the peer.
    """

    def __init__(self, most: int, line: Callable[[str], None], over: Callable[[], None]) -> None:
        self._line = line
        self._over = over
        self._told: set[str] = set()
        self._splitter = LineSplitter(most, self._odd)
        self._lines: deque[str] = deque()
        self._ended = False
        self._held = True
        self._blocked = False
        self._mute = False
        self._waiting: deque[tuple[bytes, Callable[[], None]]] = deque()
        self._stdio: Any = None

    def start(self, reactor: Any) -> None:
        """Take over file descriptors 0 and 1."""
        try:
            self._stdio = StandardIO(self, reactor=reactor)
        except OSError:
            # One of them is closed: no lines, and nobody to read.
            self._mute = True
            return
        self._stdio.registerProducer(self, True)
        self._stdio.pauseProducing()

    def stop(self) -> None:
        """Let go of them."""
        self._mute = True
        if self._stdio is not None:
            self._stdio.unregisterProducer()
            self._stdio.loseConnection()

    # -- input

    def hold(self, held: bool) -> None:
        """Whether lines shall wait; they do at first."""
        if held == self._held:
            return
        self._held = held
        if not held:
            self._deliver()
        if self._stdio is not None and not self._ended:
            if self._held:
                self._stdio.pauseProducing()
            else:
                self._stdio.resumeProducing()

    def dataReceived(self, data: bytes) -> None:
        """Something was typed."""
        self._lines += self._splitter.feed(data)
        self._deliver()

    def readConnectionLost(self) -> None:
        """The end of the input."""
        self._ended = True
        self._lines += self._splitter.feed(b"", last=True)
        self._deliver()

    def _deliver(self) -> None:
        while self._lines and not self._held:
            self._line(self._lines.popleft())
        if self._ended and not self._lines:
            over, self._over = self._over, lambda: None
            over()

    def _odd(self, what: str) -> None:
        if what not in self._told:
            self._told.add(what)
            _log.warn("Standard input: {what}.", what=what)

    # -- output

    def show(self, line: str, done: Callable[[], None]) -> None:
        """Print a line; ``done`` is called when it is on its way to whoever reads, or nobody does."""
        if self._mute or self._stdio is None:
            done()
        elif self._blocked:
            self._waiting.append((line.encode("utf-8") + b"\n", done))
        else:
            self._stdio.write(line.encode("utf-8") + b"\n")
            done()

    def pauseProducing(self) -> None:
        """Whoever reads does not keep up."""
        self._blocked = True

    def resumeProducing(self) -> None:
        """Whoever reads has caught up."""
        self._blocked = False
        while self._waiting and not self._blocked:
            data, done = self._waiting.popleft()
            self._stdio.write(data)
            done()

    def stopProducing(self) -> None:
        """See :class:`IPushProducer`."""

    def writeConnectionLost(self) -> None:
        """Nobody reads any more."""
        self._mute = True
        waiting, self._waiting = self._waiting, deque()
        for _data, done in waiting:
            done()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """Both are gone."""
        self.writeConnectionLost()
