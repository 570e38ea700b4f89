"""The peer's side of the connection to a broker."""

from __future__ import annotations

import json
import socket

from hypothesis import given, settings
from hypothesis import strategies as st
from OpenSSL import SSL
from service_identity import VerificationError
from twisted.internet.address import IPv6Address
from twisted.internet.error import ConnectionDone, ConnectionLost
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from p2phole.addresses import Endpoint
from p2phole.errors import RemoteProtocolError
from p2phole.peer.broker_protocol import ANSWER_SECONDS, BrokerProtocol
from p2phole.peer.errors import BrokerSaidNo, CertificateRefused, NotBroker
from p2phole.text import harmless
from p2phole.vitals import LOOK
from p2phole.wire.codec import decode_to_broker, encode
from p2phole.wire.messages import (
    Absent,
    DialBack,
    DialledBack,
    Error,
    Hello,
    Introduction,
    Letter,
    Message,
    Ping,
    Pong,
    Register,
    Registered,
    Request,
    Requested,
    ToBroker,
    Update,
    Welcome,
)
from tests import strategies
from tests.broker.test_session import register
from tests.doubles import THERE, Wire

OBSERVED = Endpoint.parse("203.0.113.5:7000")
WELCOME = Welcome(2, "test", OBSERVED, "0" * 32, 9001)
INTRODUCTION = Introduction("bob", "b" * 64, "b" * 32, OBSERVED, (), "0" * 32, 1, 0.1)


class Room:
    """Keeps what it is told."""

    def __init__(self) -> None:
        self.told: list[object] = []

    def registration(self, link: BrokerProtocol, welcome: Welcome) -> Register:
        self.told.append(welcome)
        return register()

    def registered(self, link: BrokerProtocol, message: Registered) -> None:
        self.told.append("registered")

    def letter(self, message: Letter) -> None:
        self.told.append(message)

    def introduced(self, message: Introduction) -> None:
        self.told.append(message)

    def requested(self, message: Requested) -> None:
        self.told.append(message)

    def absent(self, message: Absent) -> None:
        self.told.append(message)

    def dialled_back(self, message: DialledBack) -> None:
        self.told.append(message)

    def unregistered(self, link: BrokerProtocol, reason: str) -> None:
        self.told.append(f"unregistered: {reason}")


def lines(*messages: Message) -> bytes:
    return b"".join(encode(message) + b"\n" for message in messages)


class BrokerProtocolTestCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.room = Room()
        self.protocol = BrokerProtocol(self.clock, self.room)
        self.settled: list[RemoteProtocolError | None] = []
        self.protocol.settled.addCallback(self.settled.append)
        self.wire = Wire(self.clock).attach(self.protocol)

    def hear(self, *messages: Message) -> None:
        self.wire.receive(lines(*messages))

    def said(self) -> list[ToBroker]:
        return [decode_to_broker(line) for line in self.wire.taken().split(b"\n")[:-1]]

    def join(self) -> None:
        self.hear(WELCOME, Registered())
        self.said()
        self.room.told.clear()

    def check_over(self) -> RemoteProtocolError:
        """It has given up, with RST and nothing left; why."""
        self.assertTrue(self.wire.aborted)
        self.clock.advance(0)
        self.assertEqual(self.clock.getDelayedCalls(), [])
        [problem] = self.settled
        assert problem is not None
        return problem


class ConversationTests(BrokerProtocolTestCase):
    def test_from_hello_to_the_room(self) -> None:
        [hello] = self.said()
        assert isinstance(hello, Hello)
        self.assertEqual((hello.version, self.settled), (2, []))
        self.hear(WELCOME)
        self.assertEqual(self.said(), [register()])
        self.hear(Registered())
        self.assertEqual((self.room.told, self.settled), ([WELCOME, "registered"], [None]))
        [pulse] = self.clock.getDelayedCalls()
        self.assertLessEqual(pulse.getTime() - self.clock.seconds(), LOOK)

    def test_in_single_bytes(self) -> None:
        self.wire.receive(lines(WELCOME, Registered(), INTRODUCTION), 1)
        self.assertEqual(self.room.told, [WELCOME, "registered", INTRODUCTION])

    def test_what_a_member_is_told(self) -> None:
        self.join()
        told = [INTRODUCTION, Requested("b" * 32), Absent("b" * 32), DialledBack("port", "reset")]
        self.hear(*told)
        self.assertEqual(self.room.told, told)

    def test_what_a_member_says(self) -> None:
        self.join()
        says = [DialBack(), Update(()), Request("b" * 32, ())]
        for message in says:
            self.protocol.send(message)
        self.assertEqual(self.said(), says)

    def test_pings_are_answered_at_once_and_always(self) -> None:
        self.said()
        self.hear(Ping(1))
        self.assertEqual(self.said(), [Pong(1)])
        self.join()
        self.hear(Ping(2))
        self.assertEqual(self.said(), [Pong(2)])

    def test_where_the_ends_are(self) -> None:
        self.assertEqual(
            (str(self.protocol.local), str(self.protocol.remote)), ("10.0.0.1:4000", "192.0.2.7:5000")
        )
        wire = Wire(self.clock, IPv6Address("TCP", "::ffff:10.0.0.1", 4000), THERE)
        protocol = BrokerProtocol(self.clock, self.room)
        wire.attach(protocol)
        self.assertEqual(str(protocol.local), "10.0.0.1:4000")
        protocol.abort()

    def test_keep_alive(self) -> None:
        self.assertEqual((self.wire.no_delay, self.wire.keep_alive), (True, True))
        self.assertIn((socket.IPPROTO_TCP, socket.TCP_KEEPIDLE), self.wire.socket.options)

    def test_a_quiet_broker_is_fine(self) -> None:
        self.join()
        self.clock.advance(86_400)
        self.assertFalse(self.wire.disconnecting)


class EndTests(BrokerProtocolTestCase):
    def test_lost_before_it_was_registered(self) -> None:
        self.wire.lose(ConnectionDone())
        [problem] = self.settled
        self.assertIsInstance(problem, NotBroker)
        self.assertEqual((str(problem), self.room.told), ("it closed the connection.", []))
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_lost_later(self) -> None:
        self.join()
        self.wire.lose(ConnectionLost())
        self.assertEqual(self.room.told, ["unregistered: it closed the connection"])
        self.assertEqual(self.settled, [None])
        self.protocol.send(Request("b" * 32, ()))

    def test_dropped_by_us(self) -> None:
        self.join()
        self.protocol.abort()
        self.protocol.abort()
        self.assertTrue(self.wire.aborted)
        self.clock.advance(0)
        self.assertEqual(self.room.told, ["unregistered: this peer closed the connection"])

    def test_dropped_by_the_room_as_it_is_registered(self) -> None:
        self.room.registered = lambda link, message: link.abort()  # type: ignore[method-assign]
        self.hear(WELCOME, Registered())
        self.assertEqual((len(self.settled), self.wire.aborted), (1, True))

    def test_slow(self) -> None:
        for heard in ((), (WELCOME,)):
            self.setUp()
            self.clock.advance(ANSWER_SECONDS - 1)
            self.hear(*heard)
            self.clock.advance(ANSWER_SECONDS - 1 if heard else 0)
            self.assertFalse(self.wire.disconnecting)
            self.clock.advance(1)
            self.assertIn("said nothing for 10 s", str(self.check_over()))

    def test_it_says_no(self) -> None:
        self.hear(Error("version", "update \x1b[2Jthe peer"))
        problem = self.check_over()
        assert isinstance(problem, BrokerSaidNo)
        self.assertEqual((problem.code, str(problem)), ("version", r"update \x1b[2Jthe peer."))

    def test_it_says_no_later(self) -> None:
        self.join()
        self.hear(Error("replaced", "somebody else"))
        self.assertEqual(self.room.told, ["unregistered: somebody else"])
        self.assertTrue(self.wire.aborted)

    def test_not_a_broker(self) -> None:
        for data, why in (
            (b"HTTP/1.1 400 Bad Request\r\n\r\n", "it sent a line that is not JSON"),
            (b"\x15\x03\x01\x00\x02\x02\x32\n", "it sent a line that is not JSON"),
            (b"x" * 5000, "a line that never ends"),
            (b"{}\n", "unknown type"),
            (lines(Registered()), "out of turn"),
            (lines(INTRODUCTION), "out of turn"),
            (lines(WELCOME, WELCOME), "out of turn"),
            (lines(DialledBack("port", "reset")), "out of turn"),
            (lines(WELCOME, DialledBack("port", "reset")), "out of turn"),
            (b'{"type":"dialledback","origin":"port","outcome":"maybe"}\n', "not one of"),
            (b'{"type":"dialback"}\n', "unknown type"),
            (b'{"type":"hello","version":2,"software":""}\n', "unknown type"),
        ):
            self.setUp()
            self.wire.receive(data)
            problem = self.check_over()
            self.assertIsInstance(problem, NotBroker)
            self.assertIn(why, str(problem))

    def test_a_gigabyte_without_a_newline(self) -> None:
        for _ in range(100):
            self.wire.receive(b"x" * 65_536)
        self.check_over()

    def test_nothing_is_heard_behind_the_end(self) -> None:
        self.wire.receive(b"x\n" + lines(WELCOME, Registered()))
        self.protocol.lineReceived(encode(WELCOME))
        self.protocol.lineLengthExceeded(b"")
        self.assertEqual((self.room.told, len(self.settled)), ([], 1))


class CertificateTests(BrokerProtocolTestCase):
    def explained(self, why: Exception) -> RemoteProtocolError | None:
        self.setUp()
        self.wire.lose(why)
        return self.settled[0]

    def test_why_tls_failed(self) -> None:
        for why, kind, words in (
            (VerificationError(errors=[]), CertificateRefused, "another name"),
            (SSL.Error([("SSL routines", "", "certificate verify failed")]), CertificateRefused, "nobody known"),
            (SSL.Error([("SSL routines", "", "wrong version number")]), NotBroker, "wrong version number"),
            (SSL.Error([]), NotBroker, "no reason"),
            (SSL.Error(), NotBroker, "no reason"),
            (SSL.ZeroReturnError(), NotBroker, "no reason"),
            (SSL.SysCallError(-1, "Unexpected EOF"), NotBroker, "Unexpected EOF"),
        ):
            problem = self.explained(why)
            self.assertIsInstance(problem, kind)
            self.assertIn(words, str(problem))


class AnythingTests(BrokerProtocolTestCase):
    PIECES = st.one_of(
        st.sampled_from(
            [WELCOME, Registered(), INTRODUCTION, Ping(1), Absent("0" * 32), DialledBack("port", "reset")]
        ).map(lines),
        strategies.to_peer.map(lambda message: try_line(message)),
        st.binary(max_size=40),
        strategies.json_values.map(lambda value: json.dumps(value).encode() + b"\n"),
        st.integers(1000, 9000).map(lambda size: b"y" * size),
    )

    @given(st.lists(PIECES, max_size=8), strategies.cuts, st.booleans())
    @settings(deadline=None, max_examples=200)
    def test_any_bytes_in_any_chunks(self, pieces: list[bytes], at: list[int], joined: bool) -> None:
        self.setUp()
        if joined:
            self.join()
        for chunk in strategies.cut(b"".join(pieces), at):
            self.wire.receive(chunk)
        self.said()
        self.wire.loseConnection()
        self.clock.pump([0, ANSWER_SECONDS])
        self.assertEqual(len(self.settled), 1)
        for problem in self.settled:
            self.assertEqual(harmless(str(problem)), str(problem))
        unregistered = [one for one in self.room.told if str(one).startswith("unregistered")]
        self.assertEqual(len(unregistered), int(self.settled == [None]))
        self.assertEqual(self.clock.getDelayedCalls(), [])


def try_line(message: Message) -> bytes:
    try:
        return lines(message)
    except RemoteProtocolError:
        return b"\n"
