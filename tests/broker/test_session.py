"""One peer's connection to the broker, as a machine."""

from dataclasses import replace

from automat import NoTransition
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from p2phole.addresses import Candidate, Endpoint
from p2phole.behaviour import PORT, UNKNOWN, Behaviour
from p2phole.broker.line import Announcement
from p2phole.broker.session import SAMPLES, STALE, Peer, Session, session
from p2phole.wire.codec import BadLine
from p2phole.wire.messages import (
    DialBack,
    Error,
    Hello,
    Introduction,
    Letter,
    Ping,
    Pong,
    Possession,
    Register,
    Registered,
    Request,
    Requested,
    ToPeer,
    Update,
    Welcome,
)
from tests.broker.shared import make_broker

OBSERVED = Endpoint.parse("192.0.2.1:4000")
HELLO = Hello(2, "test")
NONCE = "5" * 32
GARBAGE = BadLine("bad-json", "no JSON")
LETTER = Letter(f"{2:08x}" * 4, (b"t" * 16).hex(), "aGk=")
HARD = Behaviour(PORT, PORT, "random", "silent")


def register(number: int = 1, **other: object) -> Register:
    values = {
        "name": f"name {number}",
        "room": "lobby",
        "fingerprint": f"{number:064x}",
        "instance": f"{number:08x}" * 4,
        "candidates": (),
        "possession": Possession("0" * 64, f"{number:032x}", "broker.example:9000", "0" * 128),
    }
    return Register(**{**values, **other})  # type: ignore[arg-type]


class Sent:
    """A line that keeps what is said."""

    observed = OBSERVED

    def __init__(self) -> None:
        self.messages: list[ToPeer] = []
        self.closed = 0
        self.dialled_back = 0

    def send(self, message: ToPeer) -> None:
        self.messages.append(message)

    def close(self) -> None:
        self.closed += 1

    def dial_back(self) -> None:
        self.dialled_back += 1


class SessionTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.broker = make_broker(self.clock, prove=self.prove)
        self.asked: list[tuple[Register, str]] = []
        self.refusal: BadLine | None = None

    def prove(self, message: Register, nonce: str) -> None:
        """Believe it, or not."""
        self.asked.append((message, nonce))
        if self.refusal is not None:
            raise self.refusal

    def connect(self) -> tuple[Session, Sent, Peer]:
        line = Sent()
        announcement, shared = Announcement(9001, "192.0.2.9"), self.broker
        peer = Peer(line, shared.introductions, shared.admission, announcement, NONCE, self.clock.seconds)
        return session(peer), line, peer

    def member(self, number: int, round_trip: float = 0.0, **other: object) -> tuple[Session, Sent, Peer]:
        machine, line, peer = self.connect()
        machine.hello(HELLO)
        self.clock.advance(round_trip)
        machine.register(register(number, **other))
        return machine, line, peer

    def test_welcome(self) -> None:
        machine, line, _ = self.connect()
        self.assertEqual(line.messages, [])
        machine.hello(HELLO)
        [welcome] = line.messages
        assert isinstance(welcome, Welcome)
        self.assertEqual((welcome.version, welcome.observed), (2, OBSERVED))
        self.assertEqual(welcome.nonce, NONCE)
        self.assertEqual((welcome.probe_port, welcome.probe_address), (9001, "192.0.2.9"))

    def test_who_is_not_admitted(self) -> None:
        """It hears why, and nobody hears of it."""
        _, other, _ = self.member(2)
        other.messages.clear()
        self.refusal = BadLine("possession", "not yours")
        machine, line, _ = self.member(1)
        self.assertEqual(line.messages[1:], [Error("possession", "not yours")])
        self.assertEqual((line.closed, other.messages), (1, []))
        self.assertEqual(self.asked[-1], (register(1), NONCE))
        machine.lost()
        self.assertEqual(other.messages, [])

    def test_a_letter(self) -> None:
        machine, line, _ = self.member(1)
        _, other, _ = self.member(2)
        machine.letter(LETTER)
        self.assertEqual(other.messages[-1], Letter(f"{1:08x}" * 4, LETTER.token, "aGk=", f"{1:064x}"))
        before = len(line.messages)
        machine.letter(replace(LETTER, token="0" * 32))
        self.assertEqual((len(line.messages), line.closed), (before, 0))

    def test_registration_comes_before_introductions(self) -> None:
        self.member(1)
        _, line, _ = self.member(2)
        self.assertEqual([type(message) for message in line.messages], [Welcome, Registered, Ping, Introduction])

    def test_round_trip_is_from_the_welcome_to_the_registration(self) -> None:
        _, _, peer = self.member(1, 0.125)
        self.assertEqual(peer.round_trip, 0.125)

    def test_the_shortest_round_trip_counts(self) -> None:
        machine, line, peer = self.member(1, 0.5)
        ping = line.messages[-1]
        assert isinstance(ping, Ping)
        self.clock.advance(0.05)
        machine.pong(Pong(ping.number))
        self.assertAlmostEqual(peer.round_trip, 0.05)

    def test_old_round_trips_are_forgotten(self) -> None:
        machine, line, peer = self.member(1, 0.01)
        for _ in range(SAMPLES):
            peer.ping()
            ping = line.messages[-1]
            assert isinstance(ping, Ping)
            self.clock.advance(0.3)
            machine.pong(Pong(ping.number))
        self.assertAlmostEqual(peer.round_trip, 0.3)

    def test_only_the_answer_to_the_last_question_counts_and_once(self) -> None:
        machine, line, peer = self.member(1, 0.5)
        ping = line.messages[-1]
        assert isinstance(ping, Ping)
        for number in (ping.number - 1, ping.number + 1, 2**31 - 1):
            machine.pong(Pong(number))
        self.assertEqual(peer.round_trip, 0.5)
        self.clock.advance(0.2)
        machine.pong(Pong(ping.number))
        self.assertAlmostEqual(peer.round_trip, 0.2)
        # Were it counted again, a peer could pass for one that is far away,
        self.clock.advance(5)
        for _ in range(SAMPLES):
            machine.pong(Pong(ping.number))
        self.assertAlmostEqual(peer.round_trip, 0.2)
        # and were a number known before, for one that is near.
        peer.ping()
        machine.pong(Pong(ping.number))
        self.assertAlmostEqual(peer.round_trip, 0.2)

    def test_a_stale_round_trip_is_measured_anew_behind_an_introduction(self) -> None:
        _, line, _ = self.member(1)
        line.messages.clear()
        self.clock.advance(STALE + 1)
        self.member(2)
        self.member(3)
        self.assertEqual([type(message) for message in line.messages], [Introduction, Ping, Introduction])

    def test_request_brings_the_candidates_up_to_date(self) -> None:
        first, _, _ = self.member(1)
        second, line, _ = self.member(2)
        candidate = Candidate("host", Endpoint.parse("10.0.0.1:4000"))
        first.request(Request(f"{2:08x}" * 4, (candidate,)))
        self.assertEqual(line.messages[-1], Requested(f"{1:08x}" * 4, f"{1:064x}"))
        second.request(Request(f"{1:08x}" * 4, ()))
        introduction = line.messages[-1]
        assert isinstance(introduction, Introduction)
        self.assertEqual(introduction.candidates, (candidate,))

    def test_what_a_member_says_of_itself_is_replaced(self) -> None:
        first, _, peer = self.member(1, nat=HARD, prepare=True)
        self.assertEqual((peer.profile.nat, peer.profile.prepare), (HARD, True))
        candidate = Candidate("predicted", Endpoint.parse("203.0.113.5:7001"))
        first.update(Update((candidate,), Behaviour("none"), False))
        profile = peer.profile
        self.assertEqual((profile.candidates, profile.nat.mapping, profile.prepare), ((candidate,), "none", False))
        # It need not prepare any more: the next one is introduced at once, with the new finding.
        _, line, _ = self.member(2)
        introduction = line.messages[-1]
        assert isinstance(introduction, Introduction)
        self.assertEqual((introduction.candidates, introduction.nat), ((candidate,), Behaviour("none")))
        first.request(Request(f"{9:08x}" * 4, (), HARD, True))
        self.assertEqual((profile.candidates, profile.nat, profile.prepare), ((), HARD, True))
        # And what is left out is unknown again, not what it was.
        first.update(Update(()))
        self.assertEqual((profile.nat, profile.prepare), (UNKNOWN, False))

    def test_an_update_alone_tells_nobody(self) -> None:
        first, line, _ = self.member(1)
        _, other, _ = self.member(2)
        before = len(line.messages), len(other.messages)
        first.update(Update((), HARD, True))
        self.assertEqual((len(line.messages), len(other.messages)), before)

    def test_a_member_that_wants_to_prepare(self) -> None:
        self.member(1)
        machine, line, _ = self.member(2, prepare=True)
        self.assertEqual(line.messages[-1], Requested(f"{1:08x}" * 4, f"{1:064x}"))
        machine.request(Request(f"{1:08x}" * 4, (), HARD, True))
        self.assertIsInstance(line.messages[-1], Introduction)

    def test_dialled_back_once(self) -> None:
        """For each connection; another one may ask again."""
        for _ in range(2):
            machine, line, _ = self.member(1)
            for _ in range(5):
                machine.dial_back(DialBack())
            self.assertEqual(line.dialled_back, 1)

    def test_the_same_member_again(self) -> None:
        _, old, _ = self.member(1)
        _, new, _ = self.member(1)
        error = old.messages[-1]
        assert isinstance(error, Error)
        self.assertEqual((error.code, old.closed, new.closed), ("replaced", 1, 0))

    def test_who_is_lost_is_introduced_to_nobody(self) -> None:
        machine, _, _ = self.member(1)
        machine.lost()
        _, other, _ = self.member(2)
        self.assertEqual(type(other.messages[-1]), Ping)

    def test_garbage(self) -> None:
        for stage in range(3):
            machine, line, _ = self.connect() if stage < 2 else self.member(1)
            if stage == 1:
                machine.hello(HELLO)
            machine.garbage(GARBAGE)
            self.assertEqual((line.messages[-1], line.closed), (Error("bad-json", "no JSON"), 1))
            machine.lost()
        _, line, _ = self.member(2)
        self.assertEqual(type(line.messages[-1]), Ping)

    def test_out_of_turn(self) -> None:
        machine, _, _ = self.connect()
        self.assertRaises(NoTransition, machine.register, register())
        self.assertRaises(NoTransition, machine.request, Request("0" * 32, ()))
        self.assertRaises(NoTransition, machine.pong, Pong(0))
        self.assertRaises(NoTransition, machine.update, Update(()))
        self.assertRaises(NoTransition, machine.dial_back, DialBack())
        self.assertRaises(NoTransition, machine.letter, LETTER)
        machine.hello(HELLO)
        self.assertRaises(NoTransition, machine.hello, HELLO)
        self.assertRaises(NoTransition, machine.pong, Pong(0))
        self.assertRaises(NoTransition, machine.update, Update(()))
        self.assertRaises(NoTransition, machine.dial_back, DialBack())
        self.assertRaises(NoTransition, machine.letter, LETTER)
        machine.register(register())
        self.assertRaises(NoTransition, machine.hello, HELLO)
        self.assertRaises(NoTransition, machine.register, register())

    def test_every_input_is_known_to_the_test(self) -> None:
        names = {name for name in vars(Session) if not name.startswith("_")}
        self.assertEqual(names, {*self.INPUTS, "replaced"})

    INPUTS = ("hello", "register", "update", "request", "letter", "dial_back", "pong", "garbage", "lost")

    @given(st.lists(st.tuples(st.integers(0, 2), st.sampled_from(INPUTS)), max_size=30))
    @settings(deadline=None, max_examples=150)
    def test_any_order(self, steps: list[tuple[int, str]]) -> None:
        self.setUp()
        connections = [self.connect() for _ in range(3)]
        arguments = {
            "hello": (HELLO,),
            "update": (Update((), HARD, True),),
            "letter": (LETTER,),
            "dial_back": (DialBack(),),
            "request": (Request(f"{2:08x}" * 4, ()),),
            "pong": (Pong(1),),
            "garbage": (GARBAGE,),
        }
        for number, name in steps:
            machine, line, _ = connections[number]
            # Two of the three are the same member, so that one replaces the other.
            given_ = (register(number % 2),) if name == "register" else arguments.get(name, ())
            over, dialled = line.closed, line.dialled_back
            try:
                getattr(machine, name)(*given_)
            except NoTransition:
                pass
            self.assertLessEqual(line.closed, 1)
            self.assertLessEqual(line.dialled_back, 1)
            if over:
                self.assertEqual(type(line.messages[-1]), Error)
                self.assertEqual(line.dialled_back, dialled)
        for machine, line, _ in connections:
            machine.lost()
            said = len(line.messages)
            self.member(7)
            self.assertEqual(len(line.messages), said)
