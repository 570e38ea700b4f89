"""A socket and a stream joined: bytes, ends and hold-ups of either are passed on to the other."""

from __future__ import annotations

from typing import Any
from typing import Protocol as Interface

from twisted.internet.address import UNIXAddress
from twisted.internet.interfaces import IHalfCloseableProtocol, IPushProducer
from twisted.internet.protocol import Protocol, connectionDone
from twisted.python.failure import Failure
from zope.interface import implementer

from p2phole import prompt
from p2phole.errors import P2pholeError
from p2phole.session.frames import MOST_PAYLOAD
from p2phole.session.streams import Stream


class SpliceUser(Interface):
    """Whom a splice tells."""

    def made(self, splice: Splice) -> None:
        """The socket is connected; nothing of it is read before there is a stream."""

    def accepted(self, splice: Splice) -> None:
        """The other side has taken the stream."""

    def ended(self, splice: Splice, error: P2pholeError | None) -> None:
        """The stream is over (None: in good order).  After an error :meth:`Splice.drop` is due, or another
        stream; where the socket broke first, there is nothing left to drop."""


class Nobody:
    """A splice's user that has nothing to do."""

    def made(self, splice: Splice) -> None:
        """See :class:`SpliceUser`."""

    def accepted(self, splice: Splice) -> None:
        """See :class:`SpliceUser`."""

    def ended(self, splice: Splice, error: P2pholeError | None) -> None:
        """See :class:`SpliceUser`."""
        if error is not None:
            splice.drop()


@implementer(IHalfCloseableProtocol, IPushProducer)
class Splice(Protocol):
    """The protocol of the socket, and the user of the stream (a
    :class:`~p2phole.session.interfaces.StreamUser`).

    Half-close passes through both ways.  A stream that breaks off resets the socket; a socket that breaks
    breaks off the stream.  ``name``: what the socket is, for the other side's user.
    """

    transport: Any = None

    def __init__(self, user: SpliceUser, name: str) -> None:
        self.untouched = True
        """Whether nothing of the socket has been read: it may still go to another stream."""
        self._user = user
        self._name = name
        self._stream: Stream | None = None
        self._read_over = self._write_over = self._lost = False

    # -- what its owner does

    def join(self, stream: Stream, hold: bool = False) -> None:
        """Read the socket into this stream, whose user this is; ``hold``: once it is accepted."""
        self._stream = stream
        if not (hold or stream.over or self._lost):
            self.transport.resumeProducing()

    def take(self, stream: Stream) -> None:
        """Accept a stream that the other side has opened."""
        self._stream = stream
        stream.accept(self)
        if not (stream.over or self._lost):
            self.transport.resumeProducing()

    def drop(self) -> None:
        """Reset the socket."""
        if self.transport is not None and not self._lost:
            self.transport.abortConnection()

    # -- the socket

    def connectionMade(self) -> None:
        """See :class:`Protocol`."""
        # As much as fits into a frame: what is read at once then needs no second one.
        self.transport.bufferSize = MOST_PAYLOAD
        if not isinstance(self.transport.getHost(), UNIXAddress):
            self.transport.setTcpNoDelay(True)
        self.transport.registerProducer(self, True)
        self.transport.pauseProducing()
        self._user.made(self)

    def dataReceived(self, data: bytes) -> None:
        """See :class:`Protocol`."""
        self.untouched = False
        assert self._stream is not None  # it is not read before
        self._stream.write(data)

    def readConnectionLost(self) -> None:
        """See :class:`IHalfCloseableProtocol`."""
        self.untouched = False
        self._read_over = True
        if self._stream is not None:
            self._stream.finish()
        self._close()

    def writeConnectionLost(self) -> None:
        """See :class:`IHalfCloseableProtocol`."""
        self._write_over = True
        self._close()

    def _close(self) -> None:
        if self._read_over and self._write_over:
            self.transport.loseConnection()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """See :class:`Protocol`."""
        self._lost = True
        stream = self._stream
        if stream is not None and not (self._read_over and self._write_over):
            stream.abort(f"{self._name} broke it off")

    # -- the socket's producer: who writes to it

    def pauseProducing(self) -> None:
        """See :class:`IPushProducer`."""
        if self._stream is not None:
            self._stream.pause()

    def resumeProducing(self) -> None:
        """See :class:`IPushProducer`."""
        if self._stream is not None:
            self._stream.resume()

    def stopProducing(self) -> None:
        """See :class:`IPushProducer`: the socket tells its protocol as well."""

    # -- the stream

    def accepted(self) -> None:
        """See :class:`~p2phole.session.interfaces.StreamUser`."""
        self._user.accepted(self)
        if self.untouched and not self._lost:
            self.transport.resumeProducing()

    def received(self, data: bytes) -> None:
        """See :class:`~p2phole.session.interfaces.StreamUser`."""
        prompt.write(self.transport, data)

    def finished(self) -> None:
        """See :class:`~p2phole.session.interfaces.StreamUser`."""
        self.transport.unregisterProducer()
        self.transport.loseWriteConnection()

    def pause(self) -> None:
        """See :class:`~p2phole.session.interfaces.StreamUser`."""
        self.transport.pauseProducing()

    def resume(self) -> None:
        """See :class:`~p2phole.session.interfaces.StreamUser`."""
        if not (self._lost or self._read_over):
            self.transport.resumeProducing()

    def taken(self, count: int) -> None:
        """See :class:`~p2phole.session.interfaces.StreamUser`."""

    def ended(self, error: P2pholeError | None) -> None:
        """See :class:`~p2phole.session.interfaces.StreamUser`."""
        self._user.ended(self, error)
