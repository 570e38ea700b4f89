"""The broker's side of a connection: lines in, lines out; the machine decides."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from automat import NoTransition
from twisted.internet.interfaces import (
    IConsumer,
    IDelayedCall,
    IPushProducer,
    ITCPTransport,
)
from twisted.internet.protocol import connectionDone
from twisted.protocols.basic import LineReceiver
from twisted.python.failure import Failure
from zope.interface import implementer

from p2phole.addresses import Endpoint
from p2phole.broker.admission import check
from p2phole.broker.dialback import dial_back
from p2phole.broker.limits import Traffic, address_group
from p2phole.broker.session import Peer, session
from p2phole.keepalive import keep_alive
from p2phole.wire.codec import BadLine, decode_to_broker, encode
from p2phole.wire.messages import (
    MAX_LINE,
    DialBack,
    DialledBack,
    Error,
    Hello,
    Letter,
    Pong,
    Register,
    Request,
    ToBroker,
    ToPeer,
    Update,
)

UNREGISTERED_SECONDS = 30.0
"""Time for a connection to register."""
LINGER_SECONDS = 2.0
"""Time for a refused peer to read why."""
LINES_A_TURN = 16
"""Lines of one connection that are taken in one turn of the reactor: many connections that have much to say at
once must not keep a newcomer waiting."""
STALLED_SECONDS = 10.0
"""Time for which more than 64 KiB may wait to be read: a newcomer to a large room gets more than that at
once, but whoever is slower can't be introduced in time and holds our memory."""
MOST_WAITING = 4 * 1024 * 1024
"""Bytes that may be added to what waits in that time."""

if TYPE_CHECKING:
    from p2phole.broker.factory import Broker


@implementer(IPushProducer)
class BrokerProtocol(LineReceiver):
    """One peer's connection."""

    delimiter = b"\n"
    MAX_LENGTH = MAX_LINE

    def __init__(self, broker: Broker, address: bytes | None) -> None:
        """``address``: whose connections it counts among; None: a proxy will tell."""
        self._broker = broker
        self._address = address
        self._traffic = Traffic(broker.limits.settings)
        self._timer: IDelayedCall | None = None
        self._stalled: IDelayedCall | None = None
        self._waiting = 0
        self._lines = 0
        self._closing = False
        nonce = broker.entropy().hex()
        self._machine = session(
            Peer(self, broker.introductions, broker.admission, broker.announcement, nonce, broker.clock.seconds)
        )

    @property
    def observed(self) -> Endpoint:
        """The peer's endpoint as it is seen here; behind a proxy, the one that the proxy names."""
        try:
            return endpoint_of(cast(ITCPTransport, self.transport).getPeer())
        except ValueError:
            raise BadLine("bad-message", "the proxy names no address of the peer") from None

    @property
    def _seen(self) -> Endpoint | None:
        try:
            return self.observed
        except BadLine:
            return None

    # -- the line

    def connectionMade(self) -> None:
        """Say nothing: the peer speaks first."""
        transport = cast(ITCPTransport, self.transport)
        transport.setTcpNoDelay(True)
        keep_alive(transport)
        # Pauses us when what we wrote is not read.
        cast(IConsumer, transport).registerProducer(self, True)
        self._timer = self._broker.clock.callLater(UNREGISTERED_SECONDS, self._too_slow)
        self._broker.limits.connected(self._address)

    def dataReceived(self, data: bytes) -> None:
        """Some bytes; those of a proxy about the peer have gone before."""
        if self._closing:
            return
        try:
            if self._address is None:
                self._count(address_group(self.observed.ip))
            self._traffic.data(len(data), self._broker.clock.seconds())
        except BadLine as problem:
            self._machine.garbage(problem)
            return
        super().dataReceived(data)  # type: ignore[no-untyped-call]

    def _count(self, address: bytes) -> None:
        limits = self._broker.limits
        limits.disconnected(None)
        try:
            limits.check_connection(address)
            self._address = address
        finally:
            limits.connected(self._address)

    def lineReceived(self, line: bytes) -> None:
        """One message, or something that is none."""
        if self._closing:
            return
        self._lines += 1
        if self._lines == LINES_A_TURN:
            self._let_others_go()
        try:
            self._traffic.line(self._broker.clock.seconds())
            message = decode_to_broker(line.removesuffix(b"\r"))
            check(message)
            self._dispatch(message)
        except BadLine as problem:
            self._machine.garbage(problem)
        except NoTransition:
            self._machine.garbage(BadLine("order", "a message that is not allowed now"))

    def _let_others_go(self) -> None:
        self.paused = True  # LineReceiver keeps what is behind this line
        cast(IPushProducer, self.transport).pauseProducing()
        self._broker.clock.callLater(0, self._go_on)

    def _go_on(self) -> None:
        self._lines, self.paused = 0, False
        if not self._closing:
            cast(IPushProducer, self.transport).resumeProducing()
            super().dataReceived(b"")  # type: ignore[no-untyped-call]

    def _dispatch(self, message: ToBroker) -> None:
        match message:
            case Hello():
                self._machine.hello(message)
            case Register():
                self._machine.register(message)
                if not self._closing:
                    self._stop_timer()
            case Update():
                self._machine.update(message)
            case Request():
                self._machine.request(message)
            case Letter():
                self._machine.letter(message)
            case DialBack():
                self._machine.dial_back(message)
            case Pong():
                self._machine.pong(message)

    def lineLengthExceeded(self, line: bytes) -> None:
        """Too much without a newline."""
        if not self._closing:
            self._machine.garbage(BadLine("too-long", f"a line over {MAX_LINE} bytes"))

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """The peer is gone."""
        self._stop_timer()
        self.resumeProducing()
        self._closing = True
        self._broker.limits.disconnected(self._address)
        self._machine.lost()

    def _too_slow(self) -> None:
        self._timer = None
        self._machine.garbage(BadLine("timeout", f"no registration within {UNREGISTERED_SECONDS:.0f} s"))

    def _stop_timer(self) -> None:
        timer, self._timer = self._timer, None
        if timer is not None and timer.active():
            timer.cancel()

    # -- for the machine

    def send(self, message: ToPeer) -> None:
        """Write one message."""
        if not self._closing:
            if isinstance(message, Error):
                self._broker.journal.refused(message, self._seen)
            line = encode(message) + self.delimiter
            if self._stalled is not None:
                self._waiting += len(line)
                if self._waiting > MOST_WAITING:
                    self._cut_off()
            cast(ITCPTransport, self.transport).write(line)

    def close(self) -> None:
        """Close once the peer has read what was written, or will not."""
        self._stop_timer()
        self._closing = True
        transport = cast(ITCPTransport, self.transport)
        cast(IConsumer, transport).unregisterProducer()
        transport.loseConnection()
        self._timer = self._broker.clock.callLater(LINGER_SECONDS, transport.abortConnection)

    def dial_back(self) -> None:
        """See :class:`~p2phole.broker.session.Line`."""
        broker = self._broker
        try:
            local = endpoint_of(cast(ITCPTransport, self.transport).getHost()).ip
        except ValueError:
            return  # a proxy may name an end that is none
        dial_back(
            broker.clock,
            self.observed,
            local,
            broker.announcement.probe_address,
            lambda origin, outcome: self.send(DialledBack(origin, outcome)),
        )

    # -- as a producer of lines

    def pauseProducing(self) -> None:
        """More waits to be read than the transport likes."""
        if self._stalled is None and not self._closing:
            self._waiting = 0
            self._stalled = self._broker.clock.callLater(STALLED_SECONDS, self._cut_off)

    def resumeProducing(self) -> None:
        """All of it has left."""
        stalled, self._stalled = self._stalled, None
        if stalled is not None and stalled.active():
            stalled.cancel()

    def stopProducing(self) -> None:
        """See :class:`IPushProducer`."""

    def _cut_off(self) -> None:
        self._closing = True
        cast(ITCPTransport, self.transport).abortConnection()


def endpoint_of(address: object) -> Endpoint:
    """As a transport names it.  Raises :class:`ValueError` for a Unix socket and the like."""
    return Endpoint.make(str(getattr(address, "host", "")), int(getattr(address, "port", 0)))
