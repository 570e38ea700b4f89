"""A stream as a Twisted transport, so that any protocol runs on it, unchanged."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from typing import cast

from twisted.internet.error import ConnectionAborted, ConnectionDone, ConnectionLost
from twisted.internet.interfaces import (
    IAddress,
    IConsumer,
    IDelayedCall,
    IHalfCloseableProtocol,
    IProtocol,
    IPushProducer,
    IReactorTime,
    ITCPTransport,
)
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from p2phole.errors import P2pholeError
from p2phole.session.errors import Aborted, GivenUp
from p2phole.session.producers import Feeder
from p2phole.session.streams import Stream

_log = Logger()


@implementer(ITCPTransport, IConsumer, IPushProducer)
class StreamTransport:
    """The transport of one protocol (a :class:`~p2phole.session.interfaces.StreamUser`).

    Half-close as TCP has it: ``loseWriteConnection`` here, ``IHalfCloseableProtocol`` there; a protocol without
    that loses its connection when the other side writes no more.  ``connectionLost`` comes when both sides are
    done, with :class:`ConnectionDone`; :class:`ConnectionAborted` for this side's ``abortConnection``; what the
    protocol or its producer raised; :class:`ConnectionLost`, whose text says why, for everything else.
    ``made``: called when the stream is taken, before ``connectionMade``; ``failed``: where it never was, in place
    of ``connectionLost``; ``gone``: behind either of those two.

    ``loseConnection`` and ``loseWriteConnection`` wait for a producer as TCP's do: for a pull producer until it
    is unregistered, for a push producer while it is paused.  They act in the next turn of the reactor, and so does
    ``resumeProducing``: protocols are used to writing behind the one, and to having nothing come within the other.
    """

    connected = disconnecting = disconnected = False
    protocol: IProtocol | None
    failure: Failure | None = None
    """What the protocol or its producer raised."""

    def __init__(
        self,
        clock: IReactorTime,
        protocol: IProtocol | None,
        host: IAddress,
        peer: IAddress,
        made: Callable[[], None] = lambda: None,
        failed: Callable[[P2pholeError | None], None] = lambda error: None,
        gone: Callable[[], object] = lambda: None,
    ) -> None:
        self.stream: Stream | None = None
        self.protocol = protocol
        """None: ``made`` sets it."""
        self._clock = clock
        self._host = host
        self._peer = peer
        self._made = made
        self._failed = failed
        self._gone = gone
        self._feeder = Feeder(clock, self._fail)
        self._paused = self._ends_writing = self._has_ended_writing = False
        self._reading: IDelayedCall | None = None
        self._ending: IDelayedCall | None = None

    def take(self, stream: Stream) -> None:
        """Accept a stream that the other side has opened, for the protocol."""
        self.stream = stream
        stream.pause()
        stream.accept(self)
        if not stream.over:
            self.accepted()
            # A protocol may have paused it in connectionMade, as port forwarders do.
            if not self._paused:
                stream.resume()

    # -- ITransport

    def write(self, data: bytes) -> None:
        """See :class:`ITransport`.  Raises :class:`TypeError`."""
        if not isinstance(data, bytes):
            raise TypeError(f"bytes are written, not {type(data).__name__}")
        if self.stream is not None:
            self.stream.write(data)
            self._feeder.wrote()

    def writeSequence(self, data: Iterable[bytes]) -> None:
        """See :class:`ITransport`."""
        self.write(b"".join(data))

    def loseConnection(self) -> None:
        """See :class:`ITransport`: everything written is delivered first."""
        self.pauseProducing()
        self.disconnecting = True
        self._end_soon()

    def loseWriteConnection(self) -> None:
        """See :class:`ITCPTransport`: write no more, and go on reading."""
        self._ends_writing = True
        self._end_soon()

    def _end_soon(self) -> None:
        if self._ending is None and (self.disconnecting or self._ends_writing):
            self._ending = self._clock.callLater(0, self._end)

    def _end(self) -> None:
        self._ending = None
        if self._feeder.has_more or self.stream is None:
            return
        if self.disconnecting:
            self.stream.close()
        elif not self._has_ended_writing:
            self._has_ended_writing = True
            self.stream.finish()
            half = IHalfCloseableProtocol(self.protocol, None)
            if half is not None and self.connected:
                self._safely(half.writeConnectionLost)

    def abortConnection(self) -> None:
        """See :class:`ITCPTransport`."""
        self.disconnecting = True
        if self.stream is not None:
            self.stream.abort()

    # Not of TCP, as with Twisted's UNIX sockets, which are ITCPTransports as well.

    def getPeer(self) -> IAddress:  # type: ignore[override]
        """See :class:`ITransport`."""
        return self._peer

    def getHost(self) -> IAddress:  # type: ignore[override]
        """See :class:`ITransport`."""
        return self._host

    # Nothing of the kind is set on a stream; the link under it has both, always.

    def getTcpNoDelay(self) -> bool:
        """See :class:`ITCPTransport`."""
        return True

    def setTcpNoDelay(self, enabled: bool) -> None:
        """See :class:`ITCPTransport`."""

    def getTcpKeepAlive(self) -> bool:
        """See :class:`ITCPTransport`."""
        return True

    def setTcpKeepAlive(self, enabled: bool) -> None:
        """See :class:`ITCPTransport`."""

    # -- IConsumer, of what is written

    def registerProducer(self, producer: object, streaming: bool) -> None:
        """See :class:`IConsumer`."""
        if self.disconnected:
            cast(IPushProducer, producer).stopProducing()
        else:
            self._feeder.register(producer, streaming)

    def unregisterProducer(self) -> None:
        """See :class:`IConsumer`."""
        self._feeder.unregister()
        self._end_soon()

    def stopConsuming(self) -> None:
        """What Twisted's own transports have as well: no more is taken of the producer."""
        self.unregisterProducer()
        self.loseConnection()

    # -- IPushProducer, of what is read

    def pauseProducing(self) -> None:
        """See :class:`IPushProducer`."""
        self._paused = True
        if self.stream is not None:
            self.stream.pause()

    def resumeProducing(self) -> None:
        """See :class:`IPushProducer`."""
        if not self.disconnecting:
            self._paused = False
            if self._reading is None:
                self._reading = self._clock.callLater(0, self._read_on)

    def _read_on(self) -> None:
        self._reading = None
        if self.stream is not None and not self._paused:
            self.stream.resume()

    def stopProducing(self) -> None:
        """See :class:`IPushProducer`."""
        self.loseConnection()

    # -- StreamUser

    def accepted(self) -> None:
        """See :class:`~p2phole.session.interfaces.StreamUser`."""
        self.connected = True
        self._made()
        if self.protocol is not None:
            self._safely(partial(self.protocol.makeConnection, self))

    def received(self, data: bytes) -> None:
        """See :class:`~p2phole.session.interfaces.StreamUser`."""
        try:
            self.protocol.dataReceived(data)  # type: ignore[union-attr]
        except Exception:
            self._fail()

    def finished(self) -> None:
        """See :class:`~p2phole.session.interfaces.StreamUser`."""
        half = IHalfCloseableProtocol(self.protocol, None)
        if half is not None:
            self._safely(half.readConnectionLost)
            return
        # What is written arrives, other than with TCP; what is still to be produced does not.
        self.disconnecting = True
        self._feeder.stop()
        if self.stream is not None:
            self.stream.close()

    def pause(self) -> None:
        """See :class:`~p2phole.session.interfaces.StreamUser`."""
        self._feeder.pause()

    def resume(self) -> None:
        """See :class:`~p2phole.session.interfaces.StreamUser`."""
        self._feeder.resume()
        self._end_soon()

    def taken(self, count: int) -> None:
        """See :class:`~p2phole.session.interfaces.StreamUser`."""

    def ended(self, error: P2pholeError | None) -> None:
        """See :class:`~p2phole.session.interfaces.StreamUser`."""
        self.disconnected = True
        # Protocols do not expect it from within a call of their own.
        self._clock.callLater(0, self._lose, error)

    def _lose(self, error: P2pholeError | None) -> None:
        self._feeder.stop()
        if self.connected:
            self.connected = False
            self._tell_lost(error)
        else:
            self._failed(error)
        self._gone()

    def _tell_lost(self, error: P2pholeError | None) -> None:
        if self.protocol is not None:
            try:
                self.protocol.connectionLost(self.failure or Failure(self._reason(error)))
            except Exception:
                _log.failure("A protocol on a stream failed while it was told of its end.")

    def _reason(self, error: P2pholeError | None) -> Exception:
        # Who has closed and sent everything is done, as with TCP, though the other side then breaks it off.
        done = (
            isinstance(error, Aborted) and self.disconnecting and self.stream is not None and self.stream.sent_all
        )
        if error is None or done:
            return ConnectionDone()
        return ConnectionAborted(str(error)) if isinstance(error, GivenUp) else ConnectionLost(str(error))

    def _safely(self, call: Callable[[], None]) -> None:
        """A protocol that fails loses its own stream, and nobody else's."""
        try:
            call()
        except Exception:
            self._fail()

    def _fail(self) -> None:
        _log.failure("A protocol on a stream failed, and loses it.")
        self.failure = Failure()
        if self.stream is not None:
            self.stream.abort("what serves it failed")
