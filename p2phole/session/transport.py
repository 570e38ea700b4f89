"""A stream as a Twisted transport, so that any protocol runs on it, unchanged."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import cast

from twisted.internet._producer_helpers import _PullToPush
from twisted.internet.error import ConnectionAborted, ConnectionDone, ConnectionLost
from twisted.internet.interfaces import (
    IAddress,
    IConsumer,
    IHalfCloseableProtocol,
    IProtocol,
    IPullProducer,
    IPushProducer,
    IReactorTime,
    ITransport,
)
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from p2phole.errors import P2pholeError
from p2phole.session.errors import GivenUp
from p2phole.session.streams import Stream

_log = Logger()


@implementer(IAddress)
class PeerAddress:
    """One end of a session: whose key it is proven to be (``fingerprint``), and what it is called here."""

    def __init__(self, name: str, fingerprint: str) -> None:
        self.name = name
        self.fingerprint = fingerprint

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, PeerAddress):
            return NotImplemented
        return (self.name, self.fingerprint) == (other.name, other.fingerprint)

    def __hash__(self) -> int:
        return hash((self.name, self.fingerprint))

    def __repr__(self) -> str:
        return f"PeerAddress({self.name!r}, {self.fingerprint!r})"


@implementer(ITransport, IConsumer, IPushProducer)
class StreamTransport:
    """The transport of one protocol (a :class:`~p2phole.session.interfaces.StreamUser`).

    Half-close as TCP has it: ``loseWriteConnection`` here, ``IHalfCloseableProtocol`` there; a protocol without
    that loses its connection when the other side writes no more.  ``connectionLost`` comes when both sides are
    done, with :class:`ConnectionDone`; :class:`ConnectionAborted` for this side's ``abortConnection``;
    :class:`ConnectionLost`, whose text says why, for everything else.  ``made``: called when the stream is
    taken, before ``connectionMade``; ``failed``: where it never was, in place of ``connectionLost``.
    """

    disconnecting = False

    def __init__(
        self,
        clock: IReactorTime,
        protocol: IProtocol,
        host: IAddress,
        peer: IAddress,
        made: Callable[[], None] = lambda: None,
        failed: Callable[[P2pholeError | None], None] = lambda error: None,
    ) -> None:
        self.stream: Stream | None = None
        self.disconnected = False
        self._clock = clock
        self._protocol = protocol
        self._host = host
        self._peer = peer
        self._made = made
        self._failed = failed
        self._connected = False
        self._producer: IPushProducer | _PullToPush | None = None
        self._full = False

    def take(self, stream: Stream) -> None:
        """Accept a stream that the other side has opened, for the protocol."""
        self.stream = stream
        stream.pause()
        stream.accept(self)
        if not stream.over:
            self.accepted()
            stream.resume()

    # -- ITransport

    def write(self, data: bytes) -> None:
        """See :class:`ITransport`."""
        if self.stream is not None:
            self.stream.write(data)

    def writeSequence(self, data: Iterable[bytes]) -> None:
        """See :class:`ITransport`."""
        self.write(b"".join(data))

    def loseConnection(self) -> None:
        """See :class:`ITransport`: a producer that is registered writes to its end first."""
        self.disconnecting = True
        if self._producer is None and self.stream is not None:
            self.stream.close()

    def loseWriteConnection(self) -> None:
        """See :class:`IHalfCloseableDescriptor`: write no more, and go on reading."""
        if self.stream is not None:
            self.stream.finish()

    def abortConnection(self) -> None:
        """See :class:`ITCPTransport`."""
        self.disconnecting = True
        if self.stream is not None:
            self.stream.abort()

    def getPeer(self) -> IAddress:
        """See :class:`ITransport`."""
        return self._peer

    def getHost(self) -> IAddress:
        """See :class:`ITransport`."""
        return self._host

    # -- IConsumer, of what is written

    def registerProducer(self, producer: object, streaming: bool) -> None:
        """See :class:`IConsumer`."""
        if self._producer is not None:
            raise RuntimeError(f"cannot register {producer}: {self._producer} is registered")
        if self.disconnected:
            cast(IPushProducer, producer).stopProducing()
        elif streaming:
            self._producer = cast(IPushProducer, producer)
            if self._full:
                self._producer.pauseProducing()
        else:
            self._producer = _PullToPush(cast(IPullProducer, producer), self)
            self._producer.startStreaming()
            if self._full:
                self._producer.pauseProducing()

    def unregisterProducer(self) -> None:
        """See :class:`IConsumer`."""
        producer, self._producer = self._producer, None
        if isinstance(producer, _PullToPush):
            producer.stopStreaming()
        if self.disconnecting and self.stream is not None:
            self.stream.close()

    # -- IPushProducer, of what is read

    def pauseProducing(self) -> None:
        """See :class:`IPushProducer`."""
        if self.stream is not None:
            self.stream.pause()

    def resumeProducing(self) -> None:
        """See :class:`IPushProducer`."""
        if self.stream is not None and not self.disconnecting:
            self.stream.resume()

    def stopProducing(self) -> None:
        """See :class:`IPushProducer`."""
        self.loseConnection()

    # -- StreamUser

    def accepted(self) -> None:
        """See :class:`~p2phole.session.interfaces.StreamUser`."""
        self._connected = True
        self._made()
        self._safely(lambda: self._protocol.makeConnection(self))

    def received(self, data: bytes) -> None:
        """See :class:`~p2phole.session.interfaces.StreamUser`."""
        try:
            self._protocol.dataReceived(data)
        except Exception:
            self._fail()

    def finished(self) -> None:
        """See :class:`~p2phole.session.interfaces.StreamUser`."""
        half = IHalfCloseableProtocol(self._protocol, None)
        if half is None:
            self.loseConnection()
        else:
            self._safely(half.readConnectionLost)

    def pause(self) -> None:
        """See :class:`~p2phole.session.interfaces.StreamUser`."""
        self._full = True
        if self._producer is not None:
            self._producer.pauseProducing()

    def resume(self) -> None:
        """See :class:`~p2phole.session.interfaces.StreamUser`."""
        self._full = False
        if self._producer is not None:
            self._producer.resumeProducing()

    def taken(self, count: int) -> None:
        """See :class:`~p2phole.session.interfaces.StreamUser`."""

    def ended(self, error: P2pholeError | None) -> None:
        """See :class:`~p2phole.session.interfaces.StreamUser`."""
        self.disconnected = True
        # Protocols do not expect it from within a call of their own.
        self._clock.callLater(0, self._lose, error)

    def _lose(self, error: P2pholeError | None) -> None:
        producer, self._producer = self._producer, None
        if producer is not None:
            producer.stopProducing()
        if not self._connected:
            self._failed(error)
            return
        reason: Exception
        if error is None:
            reason = ConnectionDone()
        elif isinstance(error, GivenUp):
            reason = ConnectionAborted(str(error))
        else:
            reason = ConnectionLost(str(error))
        try:
            self._protocol.connectionLost(Failure(reason))
        except Exception:
            _log.failure("A protocol on a stream failed while it was told of its end.")

    def _safely(self, call: Callable[[], None]) -> None:
        """A protocol that fails loses its own stream, and nobody else's."""
        try:
            call()
        except Exception:
            self._fail()

    def _fail(self) -> None:
        _log.failure("A protocol on a stream failed, and loses it.")
        if self.stream is not None:
            self.stream.abort("what serves it failed")
