"""Protocols that only remember what happened to them, for tests on the memory network."""

from __future__ import annotations

from typing import Any

from twisted.internet.interfaces import IAddress, IConnector, IHalfCloseableProtocol
from twisted.internet.protocol import ClientFactory, Protocol, connectionDone
from twisted.python.failure import Failure
from zope.interface import implementer


class Recorder(Protocol):
    """Keeps what it received, in what pieces, and why it ended."""

    transport: Any

    def __init__(self) -> None:
        self.pieces: list[bytes] = []
        self.lost: Any = None

    @property
    def received(self) -> bytes:
        return b"".join(self.pieces)

    def dataReceived(self, data: bytes) -> None:
        self.pieces.append(data)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self.lost = reason


@implementer(IHalfCloseableProtocol)
class HalfCloser(Recorder):
    """A recorder that lives on when one direction ends."""

    read_ended = write_ended = False

    def readConnectionLost(self) -> None:
        self.read_ended = True

    def writeConnectionLost(self) -> None:
        self.write_ended = True


class Factory(ClientFactory):
    """Makes one kind of protocol, for both sides, and keeps each one and each failure."""

    noisy = False

    def __init__(self, kind: type[Recorder] = Recorder) -> None:
        self.kind = kind
        self.made: list[Recorder] = []
        self.peers: list[Any] = []
        self.failures: list[Failure] = []
        self.losses: list[Failure] = []
        self.events: list[str] = []

    @property
    def only(self) -> Recorder:
        """The one protocol."""
        (protocol,) = self.made
        return protocol

    @property
    def error(self) -> Any:
        """The exception of the one failure to connect."""
        (failure,) = self.failures
        return failure.value

    def doStart(self) -> None:
        self.events.append("start")
        super().doStart()

    def doStop(self) -> None:
        self.events.append("stop")
        super().doStop()

    def startedConnecting(self, connector: IConnector) -> None:
        self.events.append("connecting")

    def buildProtocol(self, addr: IAddress | None) -> Recorder:
        self.events.append("build")
        self.peers.append(addr)
        protocol = self.kind()
        self.made.append(protocol)
        return protocol

    def clientConnectionFailed(self, connector: IConnector, reason: Failure) -> None:
        self.events.append("failed")
        self.failures.append(reason)

    def clientConnectionLost(self, connector: IConnector, reason: Failure) -> None:
        self.events.append("lost")
        self.losses.append(reason)
