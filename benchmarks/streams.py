"""Protocols that fill and empty a stream, the same on a bare transport and on a stream of a session."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from typing import Any

from twisted.internet.interfaces import IPushProducer
from twisted.internet.protocol import Protocol
from zope.interface import implementer

CHUNK = secrets.token_bytes(65_536)
HEAD = 22
"""Bytes by which a stream says what it is for."""


@implementer(IPushProducer)
class Source(Protocol):
    """Writes so many bytes, a chunk at the least and no part of one, as fast as the transport takes them; ``done``
    when the sink has them."""

    transport: Any

    def __init__(self, size: int, done: Callable[[], None]) -> None:
        self.left = max(size // len(CHUNK), 1) * len(CHUNK)
        self.done = done
        self.paused = True

    def head(self) -> bytes:
        return b"bulk %16d " % self.left

    def connectionMade(self) -> None:
        self.transport.write(self.head())
        self.transport.registerProducer(self, True)
        self.resumeProducing()

    def pauseProducing(self) -> None:
        self.paused = True

    def resumeProducing(self) -> None:
        self.paused = False
        while self.left and not self.paused:
            self.left -= len(CHUNK)
            self.transport.write(CHUNK)

    def stopProducing(self) -> None:
        self.paused = True

    def dataReceived(self, data: bytes) -> None:
        self.transport.unregisterProducer()
        self.done()


class Unread(Source):
    """Writes without end to somebody who never reads."""

    def __init__(self) -> None:
        super().__init__(2**50, lambda: None)

    def head(self) -> bytes:
        return b"stall".ljust(HEAD)


class Visitor(Source):
    """Writes one chunk, hears of it, and leaves; ``done`` when it has gone."""

    def __init__(self, gone: Callable[[], None]) -> None:
        super().__init__(len(CHUNK), lambda: None)
        self.gone = gone

    def dataReceived(self, data: bytes) -> None:
        super().dataReceived(data)
        self.transport.loseConnection()

    def connectionLost(self, reason: Any = None) -> None:
        self.gone()


class Pinger(Protocol):
    """Sends 64 bytes when the last 64 have come back."""

    transport: Any

    def __init__(self, count: int, done: Callable[[], None]) -> None:
        self.left = count
        self.done = done
        self.missing = 64

    def connectionMade(self) -> None:
        self.transport.write(b"ping".ljust(HEAD) + CHUNK[:64])

    def dataReceived(self, data: bytes) -> None:
        self.missing -= len(data)
        if self.missing:
            return
        self.missing = 64
        self.left -= 1
        if self.left:
            self.transport.write(CHUNK[:64])
        else:
            self.done()


class Sink(Protocol):
    """The other side of all of them: counts and answers once, echoes, or never reads on."""

    transport: Any
    head = b""
    left = 0

    def dataReceived(self, data: bytes) -> None:
        if len(self.head) < HEAD:
            missing = HEAD - len(self.head)
            self.head += data[:missing]
            data = data[missing:]
            if self.head.startswith(b"bulk"):
                self.left = int(self.head.split()[1])
            elif self.head.startswith(b"stall"):
                self.transport.pauseProducing()
        if self.head.startswith(b"ping"):
            if data:
                self.transport.write(data)
        elif data and self.left:
            self.left -= len(data)
            if not self.left:
                self.transport.write(b"k")
