"""The broker's side of a connection."""

import json
import socket
from collections.abc import Callable
from ipaddress import ip_address

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.address import IPv4Address, IPv6Address, UNIXAddress
from twisted.internet.error import ConnectionDone
from twisted.internet.task import Clock
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from p2phole.addresses import Endpoint, IPAddress
from p2phole.broker import protocol as module
from p2phole.broker.codes import LIFE_SECONDS
from p2phole.broker.factory import Broker
from p2phole.broker.line import Announcement
from p2phole.broker.protocol import (
    LINES_A_TURN,
    LINGER_SECONDS,
    STALLED_SECONDS,
    UNREGISTERED_SECONDS,
    BrokerProtocol,
)
from p2phole.wire.codec import BadLine, decode_to_peer, encode
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
    ToPeer,
    Update,
    Welcome,
)
from tests import strategies
from tests.broker.shared import make_broker
from tests.broker.test_session import register
from tests.doubles import HERE, THERE, Wire

SECOND = "198.51.100.2"
HELLO = encode(Hello(2, "test")) + b"\n"


def lines(*messages: Message) -> bytes:
    return b"".join(encode(message) + b"\n" for message in messages)


class Peer:
    """A peer's end of its connection to the broker under test."""

    def __init__(self, broker: Broker, clock: Clock, address: object = THERE, host: object = HERE) -> None:
        self.wire = Wire(clock, host=host, peer=address)
        self.protocol = broker.buildProtocol(address)  # type: ignore[arg-type]
        self.wire.attach(self.protocol)

    def say(self, data: bytes, size: int = 0) -> None:
        self.wire.receive(data, size)

    def heard(self) -> list[ToPeer]:
        """What the broker said since the last time."""
        taken = self.wire.taken()
        assert taken == b"" or taken.endswith(b"\n")
        return [decode_to_peer(line) for line in taken.split(b"\n")[:-1]]

    def join(self, number: int) -> "Peer":
        self.say(HELLO)
        self.say(lines(register(number)))
        return self


class BrokerTestCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.broker = make_broker(self.clock, prove=self.prove, announcement=Announcement(9001, SECOND))
        self.believed = True
        self.dialled: list[tuple[Endpoint, IPAddress, str]] = []
        self.patch(module, "dial_back", self.dial_back)

    def prove(self, message: Register, nonce: str) -> None:
        if not self.believed:
            raise BadLine("possession", f"not for {nonce}")

    def dial_back(
        self, reactor: object, peer: Endpoint, local: IPAddress, second: str, told: Callable[[str, str], None]
    ) -> None:
        """In place of the network; ``told`` is the test's to call."""
        self.assertIs(reactor, self.clock)
        self.dialled.append((peer, local, second))
        self.told = told

    def connect(self, address: object = THERE, host: object = HERE) -> Peer:
        return Peer(self.broker, self.clock, address, host)

    def error(self, data: bytes, size: int = 0) -> Error:
        """The one error that this brings about, and the close."""
        peer = self.connect()
        peer.say(data, size)
        *others, error = peer.heard()
        self.assertNotIn(Error, [type(message) for message in others])
        assert isinstance(error, Error), error
        self.assertTrue(peer.wire.disconnecting)
        self.assertFalse(peer.wire.aborted)
        self.clock.pump([0, LINGER_SECONDS, UNREGISTERED_SECONDS])
        self.assertEqual((peer.heard(), peer.wire.connected), ([], False))
        self.assertEqual(self.clock.getDelayedCalls(), [])
        return error


class ConnectionTests(BrokerTestCase):
    def test_silent_until_spoken_to(self) -> None:
        peer = self.connect()
        self.assertEqual(peer.heard(), [])
        peer.say(HELLO)
        [welcome] = peer.heard()
        assert isinstance(welcome, Welcome)
        self.assertEqual((str(welcome.observed), welcome.probe_port), ("192.0.2.7:5000", 9001))

    def test_ipv4_behind_ipv6(self) -> None:
        for address, observed in (
            (IPv6Address("TCP", "::ffff:192.0.2.7", 5), "192.0.2.7:5"),
            (IPv6Address("TCP", "2001:db8::7", 5), "[2001:db8::7]:5"),
            (IPv6Address("TCP", "fe80::7%eth0", 5), "[fe80::7]:5"),
            (IPv4Address("TCP", "192.0.2.7", 5), "192.0.2.7:5"),
        ):
            peer = self.connect(address)
            peer.say(HELLO)
            [welcome] = peer.heard()
            assert isinstance(welcome, Welcome)
            self.assertEqual(str(welcome.observed), observed)

    def test_who_has_no_address_and_port_is_not_served(self) -> None:
        self.assertIsNone(self.broker.buildProtocol(UNIXAddress("/run/broker")))
        self.assertIsNone(self.broker.buildProtocol(None))

    def test_a_dead_peer_is_noticed_by_the_kernel_within_a_minute(self) -> None:
        wire = self.connect().wire
        self.assertEqual((wire.no_delay, wire.keep_alive), (True, True))
        options = wire.socket.options
        probing = options[socket.IPPROTO_TCP, socket.TCP_KEEPIDLE] + (
            options[socket.IPPROTO_TCP, socket.TCP_KEEPINTVL] * options[socket.IPPROTO_TCP, socket.TCP_KEEPCNT]
        )
        self.assertLess(probing, 60)
        self.assertLess(options[socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT], 60_000)

    def test_from_hello_to_an_introduction(self) -> None:
        first, second = self.connect().join(1), self.connect().join(2)
        self.assertEqual([type(one) for one in first.heard()], [Welcome, Registered, Ping, Introduction])
        self.assertEqual([type(one) for one in second.heard()], [Welcome, Registered, Ping, Introduction])
        first.say(lines(Pong(1), Request("00000002" * 4, ())))
        self.assertEqual(second.heard(), [Requested("00000001" * 4, f"{1:064x}")])

    def test_a_letter(self) -> None:
        first, second = self.connect().join(1), self.connect().join(2)
        token = (b"t" * 16).hex()
        second.heard()
        first.say(lines(Letter("00000002" * 4, token, "aGVsbG8=")))
        self.assertEqual(second.heard(), [Letter("00000001" * 4, token, "aGVsbG8=", f"{1:064x}")])

    def test_in_any_chunks_and_with_carriage_returns(self) -> None:
        for size in (1, 2, 7):
            peer = self.connect()
            peer.say((HELLO + lines(register(1))).replace(b"\n", b"\r\n"), size)
            self.assertEqual([type(one) for one in peer.heard()], [Welcome, Registered, Ping])
            peer.wire.loseConnection()
            self.clock.advance(0)

    def test_who_goes_is_gone(self) -> None:
        first = self.connect().join(1)
        first.wire.loseConnection()
        self.clock.advance(0)
        second = self.connect().join(2)
        self.assertEqual([type(one) for one in second.heard()], [Welcome, Registered, Ping])

    def test_the_same_peer_by_another_connection(self) -> None:
        old = self.connect().join(1)
        new = self.connect().join(1)
        error = old.heard()[-1]
        assert isinstance(error, Error)
        self.assertEqual((error.code, old.wire.disconnecting), ("replaced", True))
        self.clock.advance(LINGER_SECONDS)
        other = self.connect().join(2)
        self.assertEqual(type(new.heard()[-1]), Introduction)
        self.assertEqual(len([one for one in other.heard() if isinstance(one, Introduction)]), 1)


class DialBackTests(BrokerTestCase):
    def test_to_the_endpoint_of_the_connection_from_the_address_that_it_knows(self) -> None:
        for address, host, dialled in (
            (THERE, HERE, ("192.0.2.7:5000", "10.0.0.1")),
            (
                IPv6Address("TCP", "::ffff:192.0.2.7", 5),
                IPv6Address("TCP", "::ffff:10.0.0.1", 9000),
                ("192.0.2.7:5", "10.0.0.1"),
            ),
            (
                IPv6Address("TCP", "2001:db8::7", 5),
                IPv6Address("TCP", "2001:db8::1", 9),
                ("[2001:db8::7]:5", "2001:db8::1"),
            ),
        ):
            peer = self.connect(address, host).join(1)
            peer.say(lines(DialBack()))
            endpoint, local = dialled
            self.assertEqual(self.dialled[-1], (Endpoint.parse(endpoint), ip_address(local), SECOND))
        self.assertEqual(len(self.dialled), 3)

    def test_what_came_of_it_is_told(self) -> None:
        peer, other = self.connect().join(1), self.connect().join(2)
        peer.heard()
        other.heard()
        peer.say(lines(DialBack(), DialBack()))
        self.assertEqual((len(self.dialled), peer.heard()), (1, []))
        self.told("port", "reset")
        self.told("address", "silent")
        self.assertEqual(peer.heard(), [DialledBack("port", "reset"), DialledBack("address", "silent")])
        self.assertEqual(other.heard(), [])

    def test_the_peer_is_gone_meanwhile(self) -> None:
        peer = self.connect().join(1)
        peer.say(lines(DialBack()))
        peer.heard()
        peer.wire.loseConnection()
        self.clock.advance(0)
        self.told("port", "silent")
        self.assertEqual(peer.heard(), [])

    def test_an_end_that_is_no_address_is_not_dialled_from(self) -> None:
        """As a proxy may name it."""
        for host in (IPv4Address("TCP", "10.0.0.1", 0), IPv4Address("TCP", "", 9000), UNIXAddress("/run/x"), None):
            peer = self.connect(host=host).join(1)
            peer.heard()
            peer.say(lines(DialBack(), Pong(1)))
            self.assertEqual(peer.heard(), [])
            self.assertFalse(peer.wire.disconnecting)


class BadInputTests(BrokerTestCase):
    def test_not_of_this_protocol(self) -> None:
        for data, code in (
            (b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", "bad-json"),
            (b"\n", "bad-json"),
            (b"\xff\xfe\n", "bad-json"),
            (b"[" * 4000 + b"\n", "bad-json"),
            (b"null\n", "bad-message"),
            (b'{"type":"x"}\n', "unknown-type"),
            (b'{"type":"hello"}\n', "bad-message"),
            (b'{"type":"hello","version":"1","software":""}\n', "bad-message"),
            (b"x" * 4097 + b"\n", "too-long"),
            (b"x" * 100_000, "too-long"),
            (b'{"type":"hello","version":3,"software":""}\n', "version"),
            (b'{"type":"hello","version":0,"software":""}\n', "version"),
            (HELLO + HELLO, "order"),
            (lines(register()), "order"),
            (HELLO + lines(Pong(1)), "order"),
            (HELLO + lines(Request("0" * 32, ())), "order"),
            (HELLO + lines(register(), register()), "order"),
            (lines(DialBack()), "order"),
            (HELLO + lines(DialBack()), "order"),
            (HELLO + lines(Update(())), "order"),
            (HELLO + lines(Letter("0" * 32, "0" * 32, "")), "order"),
            (HELLO + lines(register()) + b'{"type":"update","candidates":[],"nat":[]}\n', "bad-message"),
            (HELLO + lines(register()) + lines(DialledBack("port", "reset")), "unknown-type"),
            (HELLO + lines(register(name="a\x1bb")), "bad-name"),
            (HELLO + lines(register(name="\u202e")), "bad-name"),
            (HELLO + lines(register(room="x" * 65)), "bad-name"),
        ):
            for size in (0, 1000):
                self.assertEqual(self.error(data, size).code, code, data[:60])

    def test_a_key_that_is_not_proven(self) -> None:
        self.believed = False
        nonces = {self.error(HELLO + lines(register())).detail for _ in range(3)}
        self.assertEqual(nonces, {f"not for {number:032x}" for number in (1, 2, 3)})

    def test_nothing_is_read_behind_an_error(self) -> None:
        self.error(b"x\n" + HELLO + lines(register(1)))
        peer = self.connect()
        peer.say(b"x\n")
        peer.heard()
        peer.say(HELLO + lines(register(1)) + b"x" * 10_000)
        self.assertEqual(peer.heard(), [])

    def test_a_line_of_exactly_4096_bytes(self) -> None:
        peer = self.connect()
        peer.say(HELLO[:-1].ljust(4096) + b"\n")
        self.assertEqual([type(one) for one in peer.heard()], [Welcome])

    def test_slow_ones(self) -> None:
        for said in (b"", HELLO, b"x"):
            peer = self.connect()
            peer.say(said)
            self.clock.advance(UNREGISTERED_SECONDS - 0.1)
            self.assertFalse(peer.wire.disconnecting)
            self.clock.advance(0.1)
            error = peer.heard()[-1]
            assert isinstance(error, Error)
            self.assertEqual(error.code, "timeout")
            self.clock.pump([0, LINGER_SECONDS])
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_a_member_has_all_the_time(self) -> None:
        peer = self.connect().join(1)
        self.clock.advance(86_400)
        self.assertFalse(peer.wire.disconnecting)

    def test_who_does_not_take_the_close_is_aborted(self) -> None:
        peer = self.connect()
        peer.wire.loseConnection = lambda: None  # type: ignore[method-assign]
        peer.say(b"x\n")
        self.clock.advance(LINGER_SECONDS)
        self.assertTrue(peer.wire.aborted)

    def test_who_does_not_read_is_closed_and_harms_nobody(self) -> None:
        first, second, third = (self.connect().join(number) for number in (1, 2, 3))
        for peer in (first, second, third):
            peer.heard()
        self.assertIs(first.wire.producer, first.protocol)
        first.protocol.pauseProducing()
        second.say(lines(Request("00000001" * 4, ())))
        self.clock.advance(STALLED_SECONDS)
        self.assertTrue(first.wire.aborted)
        self.assertEqual(first.heard(), [])
        fourth = self.connect().join(4)
        told = [one.name for one in fourth.heard() if isinstance(one, Introduction)]
        self.assertEqual(told, ["name 2", "name 3"])
        self.assertEqual(type(second.heard()[-1]), Introduction)

    def test_who_reads_in_time_is_left_alone(self) -> None:
        peer = self.connect().join(1)
        for _ in range(2):
            peer.protocol.pauseProducing()
            self.clock.advance(STALLED_SECONDS - 1)
            peer.protocol.resumeProducing()
            self.clock.advance(STALLED_SECONDS)
        self.assertFalse(peer.wire.disconnecting)

    def test_what_waits_for_a_slow_reader_is_bounded(self) -> None:
        self.patch(module, "MOST_WAITING", 4000)
        slow, other = self.connect().join(1), self.connect().join(2)
        slow.protocol.pauseProducing()
        for _ in range(20):
            other.say(lines(Request("00000001" * 4, ())))
            slow.say(lines(Request("00000002" * 4, ())))
        self.assertTrue(slow.wire.aborted)
        self.assertFalse(other.wire.disconnecting)

    def test_a_reader_that_is_stuck_while_it_is_replaced(self) -> None:
        old = self.connect().join(1)
        old.protocol.pauseProducing()
        new = self.connect().join(1)
        self.clock.pump([0, LINGER_SECONDS])
        self.assertFalse(new.wire.disconnecting)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_complaints_are_no_terminal_codes(self) -> None:
        error = self.error(b'{"type":"\\u001b[2J\\u202e"}\n')
        self.assertNotRegex(error.detail, "[\x00-\x1f\u202e]")


class TurnTests(BrokerTestCase):
    def test_who_has_much_to_say_lets_others_go_first(self) -> None:
        peer = self.connect().join(1)
        peer.heard()
        other = self.connect()
        # A ping would be answered; a wish for somebody who is not there is, too.
        peer.say(b"".join(lines(Request(f"{number:032x}", ())) for number in range(LINES_A_TURN * 2 + 1)))
        first = [one for one in peer.heard() if isinstance(one, Absent)]
        self.assertLessEqual(len(first), LINES_A_TURN)
        other.say(HELLO)
        self.assertEqual([type(one) for one in other.heard()], [Welcome])
        self.clock.pump([0, 0])
        rest = [one for one in peer.heard() if isinstance(one, Absent)]
        self.assertEqual([int(one.instance, 16) for one in first + rest], list(range(LINES_A_TURN * 2 + 1)))

    def test_gone_before_its_turn_comes(self) -> None:
        peer = self.connect().join(1)
        peer.say(b"".join(lines(Request(f"{number:032x}", ())) for number in range(LINES_A_TURN * 2)))
        peer.protocol.connectionLost(Failure(ConnectionDone()))
        self.clock.pump([0, 0])
        self.assertEqual(self.flushLoggedErrors(), [])


class AnythingTests(BrokerTestCase):
    PIECES = st.one_of(
        st.sampled_from([HELLO, lines(register(1)), lines(register(2)), lines(Pong(1)), b"\n", b"{}\n"]),
        strategies.to_broker.map(lambda message: json_line(message)),
        st.binary(max_size=40),
        strategies.json_values.map(lambda value: json.dumps(value).encode() + b"\n"),
        st.integers(1000, 9000).map(lambda size: b"y" * size),
    )

    @given(st.lists(PIECES, max_size=8), strategies.cuts)
    @settings(deadline=None, max_examples=250)
    def test_any_bytes_in_any_chunks(self, pieces: list[bytes], at: list[int]) -> None:
        self.setUp()
        bystander = self.connect().join(1)
        bystander.heard()
        peer = self.connect()
        said: list[ToPeer] = []
        for chunk in strategies.cut(HELLO * (len(pieces) % 2) + b"".join(pieces), at):
            peer.say(chunk)
            said += peer.heard()
        kinds = [type(message) for message in said]
        self.assertEqual(Error in kinds, peer.wire.disconnecting)
        self.assertEqual(kinds.count(Error), int(kinds[-1:] == [Error]))
        replaced = [one for one in bystander.heard() if isinstance(one, Error)]
        if replaced:
            # Only by a registration under its own name, which is what it should be.
            self.assertEqual((replaced[0].code, kinds.count(Registered)), ("replaced", 1))
        else:
            self.assertFalse(bystander.wire.disconnecting)
            bystander.say(lines(Pong(1)))
            newcomer = self.connect().join(3)
            told = [one.name for one in newcomer.heard() if isinstance(one, Introduction)]
            self.assertIn("name 1", told)
            self.assertEqual(type(bystander.heard()[-1]), Introduction)
        # It may have asked for the number of a code room.
        self.clock.pump([0, UNREGISTERED_SECONDS, LINGER_SECONDS, LIFE_SECONDS, LINGER_SECONDS, 0])
        self.assertEqual(self.clock.getDelayedCalls(), [])


def json_line(message: Message) -> bytes:
    try:
        return encode(message) + b"\n"
    except ValueError:
        return b"\n"


class ProducerTests(BrokerTestCase):
    def test_a_producer_of_lines_is_never_resumed(self) -> None:
        made = self.connect().protocol
        assert isinstance(made, BrokerProtocol)
        made.resumeProducing()
        made.stopProducing()
