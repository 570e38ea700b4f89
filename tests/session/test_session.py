"""Messages between two peers, across the links that come and go."""

from __future__ import annotations

import json
from collections.abc import Callable

from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from p2phole.session import session
from p2phole.session.frames import MOST_PAYLOAD, BadFrame, Frame, FrameReader, Kind
from p2phole.session.session import DEAD, MOST_PENDING, MOST_UNCONSUMED, QUIET, TICK, Session
from tests import strategies


class User:
    """Keeps what it is told; consumes at once, or when the test says so."""

    def __init__(self, clock: Clock, ident: str = "one", patient: bool = False) -> None:
        self.got: list[bytes] = []
        self.delivered: list[bytes] = []
        self.told: list[str] = []
        self.patient = patient
        self.session = Session(clock, ident, self)
        self.written: list[bytes] = []

    def received(self, payload: bytes) -> None:
        self.got.append(payload)
        if not self.patient:
            self.session.consumed()

    def acknowledged(self, payload: bytes) -> None:
        self.delivered.append(payload)

    def drained(self) -> None:
        self.told.append("drained")

    def left(self) -> None:
        self.told.append("left")
        self.session.detach()

    def died(self, why: str) -> None:
        self.told.append(why)
        self.session.detach()

    def undelivered(self, count: int) -> None:
        self.told.append(f"undelivered {count}")

    def attach(self) -> User:
        self.session.attach(self.written.append)
        return self

    def frames(self) -> list[Frame]:
        """What was written since the last time."""
        data = b"".join(self.written)
        self.written.clear()
        return FrameReader().feed(data)


def hello(ident: object = "two", number: int = 0, version: object = 1, **more: object) -> bytes:
    return Frame(Kind.HELLO, number, json.dumps({"version": version, "session": ident, **more}).encode()).encode()


def data(number: int, payload: bytes = b"x") -> bytes:
    return Frame(Kind.DATA, number, payload).encode()


class SessionTestCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.user = User(self.clock)
        self.session = self.user.session

    def greeted(self, **options: bool) -> User:
        self.user.patient = options.get("patient", False)
        self.user.attach()
        self.session.receive(hello())
        self.user.frames()
        return self.user

    def kinds(self) -> list[tuple[Kind, int]]:
        return [(frame.kind, frame.number) for frame in self.user.frames()]

    def refused(self, data: bytes) -> str:
        return str(self.assertRaises(BadFrame, self.session.receive, data))


class PingTests(SessionTestCase):
    def test_one_answer_to_many(self) -> None:
        """Whoever pings and does not read shall not fill our memory."""
        self.greeted()
        count = self.session.receive(b"".join(Frame(Kind.PING, number).encode() for number in range(1, 9)))
        self.assertEqual((count, self.kinds()), (8, [(Kind.PONG, 8)]))
        self.session.receive(data(1))
        self.assertNotIn((Kind.PONG, 8), self.kinds())


class GreetingTests(SessionTestCase):
    def test_first_on_the_link(self) -> None:
        self.session.send(b"early")
        [frame] = self.user.attach().frames()
        greeting = json.loads(frame.payload)
        self.assertEqual((frame.kind, frame.number), (Kind.HELLO, 0))
        self.assertEqual((greeting["version"], greeting["session"]), (1, "one"))

    def test_nothing_is_sent_before_the_other_side_has_greeted(self) -> None:
        self.user.attach()
        self.session.send(b"early")
        self.assertEqual(self.kinds(), [(Kind.HELLO, 0)])
        self.session.receive(hello())
        self.assertEqual(self.kinds(), [(Kind.DATA, 1)])

    def test_it_must_come_first_and_once(self) -> None:
        for frame in (data(1), Frame(Kind.ACK, 0).encode(), Frame(Kind.PING).encode(), Frame(Kind.BYE).encode()):
            self.setUp()
            self.user.attach()
            self.assertIn("did not greet", self.refused(frame))
        self.greeted()
        self.assertIn("greeted twice", self.refused(hello()))

    def test_no_greeting(self) -> None:
        for payload in (
            b"",
            b"\xff",
            b"null",
            b"[]",
            b"1",
            b'"version session"',
            b"{}",
            b'{"version":1}',
            b'{"session":"x"}',
            b'{"version":1,"session":null}',
            b'{"version":1,"session":["x"]}',
            b'{"version":1,"session":NaN}',
            b'{"version":1,"session":"' + b"x" * 65 + b'"}',
            b'{"version":' + b"9" * 5000 + b',"session":"x"}',
            b"[" * 60_000,
        ):
            self.setUp()
            self.user.attach()
            self.assertIn("makes no sense", self.refused(Frame(Kind.HELLO, 0, payload).encode()))

    def test_another_version_says_which_side_to_update(self) -> None:
        for version, side in ((2, "this"), (0, "the other"), ("x", "the other"), (None, "the other")):
            self.setUp()
            self.user.attach()
            self.assertIn(f"update {side} side", self.refused(hello(version=version)))

    def test_it_acknowledges(self) -> None:
        self.greeted()
        for payload in (b"a", b"b", b"c"):
            self.session.send(payload)
        self.session.detach()
        self.user.attach()
        self.user.frames()
        self.session.receive(hello(number=2, counted="one"))
        self.assertEqual((self.user.delivered, self.kinds()), ([b"a", b"b"], [(Kind.DATA, 3)]))

    def test_more_than_was_sent(self) -> None:
        self.greeted()
        self.session.detach()
        self.user.attach()
        self.assertIn("never sent", self.refused(hello(number=1, counted="one")))


class MessageTests(SessionTestCase):
    def test_one_acknowledgement_for_all_that_came_together(self) -> None:
        self.greeted()
        self.session.receive(data(1, b"a") + data(2, b"b") + data(3, b"c"))
        self.assertEqual((self.user.got, self.kinds()), ([b"a", b"b", b"c"], [(Kind.ACK, 3)]))

    def test_acknowledged_only_when_consumed(self) -> None:
        self.greeted(patient=True)
        self.session.receive(data(1) + data(2))
        self.assertEqual(self.kinds(), [])
        self.session.consumed()
        self.assertEqual(self.kinds(), [(Kind.ACK, 1)])
        self.session.consumed()
        self.session.consumed()
        self.assertEqual(self.kinds(), [(Kind.ACK, 2)])

    def test_consumed_while_there_is_no_link(self) -> None:
        self.greeted(patient=True)
        self.session.receive(data(1) + data(2))
        self.session.detach()
        self.session.consumed()
        self.assertEqual([(frame.kind, frame.number) for frame in self.user.attach().frames()], [(Kind.HELLO, 1)])
        # Between the greetings, and what comes again is not told again.
        self.session.consumed()
        self.assertEqual(self.kinds(), [])
        self.session.receive(hello() + data(2))
        self.assertEqual((len(self.user.got), self.kinds()), (2, [(Kind.ACK, 2)]))

    def test_one_is_missing(self) -> None:
        self.greeted()
        self.assertIn("a message is missing", self.refused(data(2)))
        self.assertEqual(self.user.got, [])

    def test_acknowledgement_of_what_was_never_sent(self) -> None:
        self.greeted()
        self.session.send(b"a")
        self.assertIn("never sent", self.refused(Frame(Kind.ACK, 2).encode()))
        self.setUp()
        self.greeted()
        self.session.send(b"a")
        self.session.receive(Frame(Kind.ACK, 1).encode())
        self.assertIn("never sent", self.refused(Frame(Kind.ACK, 0).encode()))

    def test_full_and_drained(self) -> None:
        self.greeted()
        while not self.session.full:
            self.session.send(bytes(60_000))
        count = len(self.user.frames())
        self.assertLess(abs(count * 60_000 - MOST_PENDING), 120_000)
        self.session.receive(Frame(Kind.ACK, 1).encode())
        self.assertEqual((self.session.full, self.user.told), (False, ["drained"]))
        self.session.receive(Frame(Kind.ACK, count).encode())
        self.assertEqual(self.user.told, ["drained"])

    def test_empty_messages_fill_it_too(self) -> None:
        self.patch(session, "MOST_PENDING", 16_000)
        self.greeted()
        for _ in range(1000):
            self.session.send(b"")
        self.assertTrue(self.session.full)

    def test_what_is_held_for_the_other_side_is_bounded(self) -> None:
        # An honest other side may send some more than it fills before it waits.
        self.assertGreater(MOST_UNCONSUMED, MOST_PENDING + 2 * MOST_PAYLOAD)
        self.patch(session, "MOST_UNCONSUMED", 160_000)
        for size in (10_000, 0):
            self.setUp()
            self.greeted(patient=True)
            most = 160_000 // (size + 16)
            for number in range(1, most + 1):
                self.session.receive(data(number, bytes(size)))
            self.assertIn("more than is held for it", self.refused(data(most + 1, bytes(size))))

    def test_too_large_a_message(self) -> None:
        self.greeted()
        self.session.send(bytes(MOST_PAYLOAD))
        self.assertRaises(ValueError, self.session.send, bytes(MOST_PAYLOAD + 1))
        # And it has left nothing behind.
        self.session.send(b"next")
        self.assertEqual(self.kinds(), [(Kind.DATA, 1), (Kind.DATA, 2)])

    def test_sent_while_it_is_told_of_an_acknowledgement(self) -> None:
        self.greeted()
        self.session.send(b"a")
        self.user.acknowledged = lambda payload: self.session.send(b"again")  # type: ignore[method-assign]
        self.session.receive(Frame(Kind.ACK, 1).encode())
        self.assertEqual(self.kinds(), [(Kind.DATA, 1), (Kind.DATA, 2)])


class LeavingTests(SessionTestCase):
    def test_bye(self) -> None:
        self.greeted()
        self.session.say_bye()
        self.assertEqual(self.kinds(), [(Kind.BYE, 0)])
        self.session.receive(Frame(Kind.BYE).encode())
        self.assertEqual(self.user.told, ["left"])

    def test_what_comes_behind_a_goodbye_is_not_read(self) -> None:
        self.greeted()
        self.session.receive(Frame(Kind.BYE).encode() + Frame(Kind.ACK, 0).encode() + data(1))
        self.assertEqual((self.user.told, self.user.got), (["left"], []))

    def test_without_a_link(self) -> None:
        self.session.say_bye()
        self.session.detach()
        self.assertEqual(self.user.written, [])


class ForgottenTests(SessionTestCase):
    """The other side has another session: it had forgotten this one."""

    def again(self, **more: object) -> None:
        self.session.detach()
        self.user.attach()
        self.user.frames()
        self.session.receive(hello("three", **more))

    def test_what_may_not_have_arrived_is_told_and_not_sent_again(self) -> None:
        self.greeted()
        self.session.send(b"a")
        self.session.send(b"b")
        self.again()
        self.assertEqual((self.user.told, self.kinds()), (["undelivered 2"], []))
        self.session.send(b"c")
        self.assertEqual(self.kinds(), [(Kind.DATA, 1)])
        self.session.receive(data(1, b"new"))
        self.assertEqual(self.user.got, [b"new"])

    def test_nothing_is_lost_where_nothing_was_under_way(self) -> None:
        self.greeted()
        self.again()
        self.assertEqual(self.user.told, [])

    def test_full_and_no_longer(self) -> None:
        self.greeted()
        while not self.session.full:
            self.session.send(bytes(60_000))
        self.again()
        self.assertEqual((self.session.full, self.user.told[-1]), (False, "drained"))

    def test_what_is_consumed_late_belongs_to_the_old_one(self) -> None:
        self.greeted(patient=True)
        self.session.receive(data(1, b"old") + data(2, b"old too"))
        self.again()
        self.session.receive(data(1, b"new"))
        self.user.frames()
        self.session.consumed()
        self.session.consumed()
        self.assertEqual(self.kinds(), [])
        self.session.consumed()
        self.assertEqual(self.kinds(), [(Kind.ACK, 1)])

    def test_the_first_greeting_of_the_one_that_remembers(self) -> None:
        # It counts what it has of our former session, which is nothing of this one.
        one, two = User(self.clock, "one"), User(self.clock, "two")
        meet(one, two)
        one.session.send(b"a")
        two.session.send(b"b")
        exchange(one, two)
        fresh = User(self.clock, "two again")
        meet(one, fresh)
        self.assertEqual(one.told + fresh.told, [])
        one.session.send(b"c")
        fresh.session.send(b"d")
        exchange(one, fresh)
        self.assertEqual((one.got, fresh.got), ([b"b", b"d"], [b"c"]))
        self.assertEqual((one.delivered, fresh.delivered), ([b"a", b"c"], [b"d"]))


def meet(one: User, two: User) -> None:
    for user in (one, two):
        user.session.detach()
        user.written.clear()
        user.attach()
    exchange(one, two)


def exchange(one: User, two: User) -> None:
    while one.written or two.written:
        for sender, receiver in ((one, two), (two, one)):
            while sender.written:
                receiver.session.receive(sender.written.pop(0))


class KeepAliveTests(SessionTestCase):
    def test_a_quiet_link_is_pinged(self) -> None:
        self.greeted()
        for _ in range(int(QUIET / TICK)):
            self.clock.advance(TICK)
        self.assertEqual(self.kinds(), [(Kind.PING, 0)])

    def test_pong(self) -> None:
        self.greeted()
        self.session.receive(Frame(Kind.PING, 77).encode())
        self.assertEqual(self.kinds(), [(Kind.PONG, 77)])
        self.session.receive(Frame(Kind.PONG, 77).encode())
        self.assertEqual(self.kinds(), [])

    def test_dead_within_a_minute(self) -> None:
        self.greeted()
        seconds = 0
        while not self.user.told:
            self.clock.advance(1)
            seconds += 1
        self.assertTrue(DEAD <= seconds < 60)
        self.assertEqual(self.user.told, [f"nothing came from the other side for {seconds} s"])
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_alive_while_something_comes(self) -> None:
        one, two = User(self.clock, "one"), User(self.clock, "two")
        meet(one, two)
        for _ in range(600):
            self.clock.advance(1)
            exchange(one, two)
        self.assertEqual(one.told + two.told, [])

    def test_a_link_that_never_greets_dies_too(self) -> None:
        self.user.attach()
        self.clock.pump([TICK] * 4)
        self.assertEqual(len(self.user.told), 1)

    def test_no_clock_is_kept_without_a_link(self) -> None:
        self.greeted()
        self.user.attach()
        self.session.detach()
        self.session.detach()
        self.assertEqual(self.clock.getDelayedCalls(), [])


class AnythingTests(SessionTestCase):
    PIECES = st.one_of(
        st.binary(max_size=40),
        st.builds(
            lambda kind, number, payload: Frame(kind, number, payload).encode(),
            st.sampled_from(Kind),
            st.one_of(st.integers(0, 3), st.integers(0, 2**64 - 1)),
            st.binary(max_size=20),
        ),
        st.sampled_from([hello(), hello(number=1), hello("three"), data(1), data(2), data(3)]),
        strategies.json_values.map(lambda value: hello(value)),
        strategies.json_values.map(lambda value: Frame(Kind.HELLO, 0, json.dumps(value).encode()).encode()),
    )

    @given(st.lists(PIECES, max_size=8), strategies.cuts, st.booleans(), st.booleans())
    @settings(deadline=None, max_examples=200)
    def test_any_bytes(self, pieces: list[bytes], at: list[int], greets: bool, patient: bool) -> None:
        self.setUp()
        self.user.patient = patient
        self.session.send(b"a")
        self.user.attach()
        try:
            for chunk in strategies.cut(hello() * greets + b"".join(pieces), at):
                self.session.receive(chunk)
        except BadFrame as error:
            str(error).encode()
        self.session.detach()
        self.assertLessEqual(len(self.user.delivered), 1)
        self.assertEqual(self.clock.getDelayedCalls(), [])


class Side:
    """One end of the model: a session, and what is under way to it."""

    def __init__(self, clock: Clock, name: str, patient: bool) -> None:
        self.user = User(clock, name, patient)
        self.sent: list[bytes] = []
        self.pipe = b""
        self.unconsumed = 0
        self.linked = False
        whole: Callable[[bytes], None] = self.user.received

        def received(payload: bytes) -> None:
            self.unconsumed += patient
            whole(payload)

        self.user.received = received  # type: ignore[method-assign]


class TwoSessions(RuleBasedStateMachine):
    """Whatever happens to the links: every message once, in order, and told as delivered only when it is."""

    def __init__(self) -> None:
        super().__init__()
        self.clock = Clock()
        self.sides = Side(self.clock, "one", False), Side(self.clock, "two", True)
        self.count = 0

    def other(self, side: int) -> Side:
        return self.sides[1 - side]

    @rule(side=st.integers(0, 1), size=st.sampled_from([0, 0, 1, 2000]))
    def send(self, side: int, size: int) -> None:
        self.count += 1
        payload = b"%d" % self.count + bytes(size)
        self.sides[side].sent.append(payload)
        self.sides[side].user.session.send(payload)

    @precondition(lambda self: not any(side.linked for side in self.sides))
    @rule()
    def link(self) -> None:
        for number, side in enumerate(self.sides):
            other = self.other(number)
            other.pipe = b""
            side.linked = True

            def write(data: bytes, other: Side = other) -> None:
                other.pipe += data

            side.user.session.attach(write)

    @rule(side=st.integers(0, 1), share=st.floats(0, 1))
    def deliver(self, side: int, share: float) -> None:
        it = self.sides[side]
        if it.linked:
            size = round(len(it.pipe) * share)
            chunk, it.pipe = it.pipe[:size], it.pipe[size:]
            it.user.session.receive(chunk)

    @rule(side=st.integers(0, 1))
    def cut(self, side: int) -> None:
        # One side notices first; what was under way to it is lost.
        it = self.sides[side]
        it.user.session.detach()
        it.linked, it.pipe = False, b""

    @precondition(lambda self: self.sides[1].unconsumed > 0)
    @rule()
    def consume(self) -> None:
        self.sides[1].unconsumed -= 1
        self.sides[1].user.session.consumed()

    @rule(seconds=st.floats(0, 15))
    def wait(self, seconds: float) -> None:
        self.clock.advance(seconds)
        for side in self.sides:
            if side.user.told:
                side.linked = False
                side.user.told.clear()

    @invariant()
    def in_order_and_once(self) -> None:
        for number, side in enumerate(self.sides):
            other = self.other(number)
            assert side.user.got == other.sent[: len(side.user.got)]
            consumed = len(side.user.got) - side.unconsumed
            assert other.user.delivered == other.sent[: len(other.user.delivered)]
            assert len(other.user.delivered) <= consumed

    def teardown(self) -> None:
        for number in (0, 1):
            self.cut(number)
        self.link()
        for _ in range(6):
            self.deliver(0, 1)
            self.deliver(1, 1)
            while self.sides[1].unconsumed:
                self.consume()
        self.in_order_and_once()
        for number, side in enumerate(self.sides):
            assert side.user.delivered == side.sent == self.other(number).user.got
            side.user.session.detach()
        assert self.clock.getDelayedCalls() == []


class ModelTests(SynchronousTestCase):
    def test_two_sessions(self) -> None:
        run_state_machine_as_test(
            TwoSessions, settings=settings(deadline=None, max_examples=80, stateful_step_count=40)
        )
