"""The connection to a broker: lines in, lines out, timeouts; the machine decides."""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

from automat import NoTransition
from OpenSSL import SSL
from service_identity import VerificationError
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime, ITCPTransport
from twisted.internet.protocol import connectionDone
from twisted.protocols.basic import LineReceiver
from twisted.python.failure import Failure

from p2phole import __version__
from p2phole.addresses import Endpoint
from p2phole.errors import RemoteProtocolError
from p2phole.keepalive import keep_alive, leave_nothing
from p2phole.peer.broker_session import Room, broker_session
from p2phole.peer.errors import BrokerSaidNo, CertificateRefused, CutOff, NotBroker, Unwanted
from p2phole.text import harmless
from p2phole.vitals import Pulse, vitals
from p2phole.wire.codec import BadLine, decode_to_peer, encode
from p2phole.wire.messages import (
    MAX_LINE,
    PROTOCOL_VERSION,
    Absent,
    DialledBack,
    Error,
    Hello,
    Introduction,
    Letter,
    Ping,
    Pong,
    Registered,
    Requested,
    ToBroker,
    ToPeer,
    Welcome,
)

ANSWER_SECONDS = 10.0
"""Time for a broker to greet, and again to register us."""
LONGEST_RETRY = 600.0
"""Seconds for which a broker can have us wait, whatever it says."""


class BrokerProtocol(LineReceiver):
    """Lines to and from the broker."""

    delimiter = b"\n"
    MAX_LENGTH = MAX_LINE

    def __init__(self, clock: IReactorTime, room: Room) -> None:
        self.settled: Deferred[RemoteProtocolError | None] = Deferred()
        """Fires once: with None when registered, else with why not."""
        self.lost: Callable[[Failure], None] = lambda reason: None
        """Called when the connection is gone."""
        self.not_before = 0.0
        """When the broker may be asked again, by the clock that was given."""
        self._clock = clock
        self._machine = broker_session(self, room)
        self._timer: IDelayedCall | None = None
        self._over = False
        self.was_cut_off = False
        """Whether it has ended because nothing got through."""
        self._pulse = Pulse(clock, lambda: vitals(self.transport), self._cut_off)

    def connectionMade(self) -> None:
        """Greet the broker."""
        transport = cast(ITCPTransport, self.transport)
        transport.setTcpNoDelay(True)
        keep_alive(transport)
        leave_nothing(transport)
        self._pulse.start()
        self.expect_answer()
        self.send(Hello(PROTOCOL_VERSION, f"p2phole {__version__}"))

    @property
    def is_over(self) -> bool:
        """Whether it is of no more use."""
        return self._over

    @property
    def local(self) -> Endpoint:
        """This end of the connection."""
        return _endpoint(cast(ITCPTransport, self.transport).getHost())

    @property
    def remote(self) -> Endpoint:
        """The broker's end of the connection."""
        return _endpoint(cast(ITCPTransport, self.transport).getPeer())

    def lineReceived(self, line: bytes) -> None:
        """One message, or something that is none."""
        if self._over:
            return
        try:
            self._dispatch(decode_to_peer(line))
        except BadLine as problem:
            self._machine.ended(NotBroker(why=f"it sent {problem.detail}"))
        except NoTransition:
            self._machine.ended(NotBroker(why="it sent a message out of turn"))

    def _dispatch(self, message: ToPeer) -> None:
        match message:
            case Welcome():
                self._machine.welcome(message)
            case Registered():
                self._machine.registered(message)
                if not self.settled.called:  # the room may have given the connection up
                    self.settled.callback(None)
            case Introduction():
                self._machine.introduction(message)
            case Requested():
                self._machine.requested(message)
            case Absent():
                self._machine.absent(message)
            case Letter():
                self._machine.letter(message)
            case DialledBack():
                self._machine.dialled_back(message)
            case Ping():
                self.send(Pong(message.number))
            case Error():
                retry = min(message.retry, LONGEST_RETRY)
                self.not_before = self._clock.seconds() + retry
                self._machine.ended(BrokerSaidNo(message.code, harmless(message.detail), retry))

    def lineLengthExceeded(self, line: bytes) -> None:
        """Too much without a newline: not a broker."""
        self._machine.ended(NotBroker(why="it sent a line that never ends"))

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """The broker is gone."""
        self._machine.ended(_explained(reason))
        self.lost(reason)

    def send(self, message: ToBroker) -> None:
        """Write one message."""
        if not self._over:
            cast(ITCPTransport, self.transport).write(encode(message) + self.delimiter)

    # -- for the machine

    def expect_answer(self) -> None:
        """Give up if nothing comes in time."""
        self.expect_nothing()
        self._timer = self._clock.callLater(
            ANSWER_SECONDS, self._machine.ended, NotBroker(why=f"it said nothing for {ANSWER_SECONDS:.0f} s")
        )

    def expect_nothing(self) -> None:
        """No answer is due."""
        timer, self._timer = self._timer, None
        if timer is not None and timer.active():
            timer.cancel()

    def give_up(self, reason: RemoteProtocolError) -> None:
        """Close with RST: a FIN would leave our end of the 4-tuple in TIME_WAIT, and the next connection
        to the broker comes from the same port."""
        self.expect_nothing()
        self._pulse.stop()
        self._over = True
        cast(ITCPTransport, self.transport).abortConnection()
        if not self.settled.called:
            self.settled.callback(reason)

    def press(self) -> None:
        """There is a reason to doubt that anything gets through: what was just sent tells."""
        self._pulse.press()

    def _cut_off(self) -> None:
        self.was_cut_off = True
        self._machine.ended(CutOff(why="nothing gets through to it"))

    def abort(self) -> None:
        """This peer wants the connection no more."""
        self._machine.ended(Unwanted(why="this peer closed the connection"))


def _explained(reason: Failure) -> RemoteProtocolError:
    if reason.check(VerificationError):
        return CertificateRefused(why="it is for another name")
    if reason.check(SSL.Error):
        # Its last argument is a list of (library, function, text), or, of a SysCallError, a text.
        last = (getattr(reason.value, "args", None) or ("",))[-1]
        text = str(last[-1][-1] if last and isinstance(last, list) else last or "no reason given")
        if "certificate verify failed" in text:
            return CertificateRefused(why="it is signed by nobody known here, or out of date")
        return NotBroker(why=f"TLS failed: {text}")
    return NotBroker(why="it closed the connection")


def _endpoint(address: object) -> Endpoint:
    return Endpoint.make(str(getattr(address, "host", "")), int(getattr(address, "port", 0)))
