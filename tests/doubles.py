"""Transports that do what the kernel would, at once and in sight."""

from __future__ import annotations

from typing import Any

from twisted.internet.address import IPv4Address
from twisted.internet.error import ConnectionAborted, ConnectionDone
from twisted.internet.interfaces import IProtocol
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure
from twisted.test.iosim import FakeTransport, IOPump

HERE = IPv4Address("TCP", "10.0.0.1", 4000)
THERE = IPv4Address("TCP", "192.0.2.7", 5000)


class Socket:
    """Keeps the options that are set."""

    def __init__(self) -> None:
        self.options: dict[tuple[int, int], int] = {}

    def setsockopt(self, level: int, name: int, value: int) -> None:
        self.options[level, name] = value


class Wire(StringTransport):
    """A TCP transport whose other end is the test.

    Closing tells the protocol in the next turn of the clock, as a reactor does.
    """

    def __init__(self, clock: Clock, host: Any = HERE, peer: Any = THERE) -> None:
        super().__init__(host, peer)
        self.clock = clock
        self.socket = Socket()
        self.aborted = False
        self.no_delay = self.keep_alive = False
        self.protocol: IProtocol | None = None

    def attach(self, protocol: Any) -> Wire:
        self.protocol = protocol
        protocol.makeConnection(self)
        return self

    def setTcpNoDelay(self, enabled: bool) -> None:
        self.no_delay = enabled

    def setTcpKeepAlive(self, enabled: bool) -> None:
        self.keep_alive = enabled

    def getHandle(self) -> Socket:
        return self.socket

    def write(self, data: bytes) -> None:
        if not self.disconnecting:
            super().write(data)

    def unregisterProducer(self) -> None:
        self.producer = None

    def loseConnection(self) -> None:
        self._end(ConnectionDone())

    def abortConnection(self) -> None:
        if self.connected:
            self.aborted = True
            self.clear()
        self._end(ConnectionAborted())

    def _end(self, why: Exception) -> None:
        if not self.disconnecting:
            self.disconnecting = True
            self.clock.callLater(0, self.lose, why)

    def lose(self, why: Exception) -> None:
        """The connection is gone."""
        if self.connected:
            self.connected = False
            self.disconnecting = True
            assert self.protocol is not None
            self.protocol.connectionLost(Failure(why))

    def receive(self, data: bytes, size: int = 0) -> None:
        """The other end sends this, in chunks of that size (0: in one)."""
        assert self.protocol is not None
        for at in range(0, len(data), size or max(1, len(data))):
            if not self.connected or self.aborted:
                return
            self.protocol.dataReceived(data[at : at + (size or len(data))])

    def taken(self) -> bytes:
        """What was written since the last time."""
        written: bytes = self.value()
        self.clear()
        return written


class Pipe(FakeTransport):
    """iosim's transport, but that RST is not FIN, and that what was sent stays to be seen."""

    def __init__(self, protocol: Any, isServer: bool, host: Any = HERE, peer: Any = THERE) -> None:
        super().__init__(protocol, isServer, host, peer)
        self.sent = b""
        self.aborted = False
        self.socket = Socket()

    def getHandle(self) -> Socket:
        return self.socket

    def write(self, data: bytes) -> None:
        if not self.disconnecting:
            self.sent += data
        super().write(data)

    def abortConnection(self) -> None:
        if not self.disconnecting:
            self.aborted = True
            self.stream = []
        super().abortConnection()

    def bufferReceived(self, buf: bytes) -> None:
        if not self.disconnecting:
            super().bufferReceived(buf)


def join(one: Any, two: Any, clock: Clock) -> tuple[Pipe, Pipe, IOPump]:
    """Two protocols, the ends of one connection; nothing has moved yet."""
    first, second = Pipe(one, False, HERE, THERE), Pipe(two, True, THERE, HERE)
    one.makeConnection(first)
    two.makeConnection(second)
    return first, second, IOPump(one, two, first, second, False, clock=clock)


class FakePeople:
    """See :class:`~p2phole.peer.people.People`; ``kept``: name to fingerprint."""

    def __init__(self, **kept: str) -> None:
        self.kept = kept
        self.seen: list[tuple[str, str, str]] = []
        self.marks: dict[str, str] = {}

    def is_known(self, fingerprint: str) -> bool:
        return fingerprint in self.kept.values()

    is_kept = is_known

    def fingerprint_of(self, name: str) -> str | None:
        return self.kept.get(name)

    def shown(self, claimed: str, fingerprint: str) -> str:
        for name, key in self.kept.items():
            if key == fingerprint:
                return name
        return f"{claimed}?{fingerprint[:4]}" if claimed in self.kept else claimed

    def met(self, fingerprint: str, claimed: str, how: str, mark: str = "") -> None:
        self.seen.append((fingerprint, claimed, how))
        if mark:
            self.marks[mark] = fingerprint

    def met_by(self, mark: str) -> str | None:
        return self.marks.get(mark)

    def use_up(self, mark: str) -> None:
        self.marks.pop(mark, None)
