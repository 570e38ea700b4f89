"""Messages over a session."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from p2phole.session import messages
from p2phole.session.frames import BadFrame
from p2phole.session.messages import MOST_MESSAGE, MOST_PENDING, MOST_UNCONSUMED, PURPOSE, WINDOW, Messages
from tests import strategies
from tests.session.sides import Cable, Side, flush


class User:
    """Consumes at once, or when the test says so."""

    def __init__(self, side: Side, patient: bool = False) -> None:
        self.got: list[bytes] = []
        self.delivered: list[bytes] = []
        self.told: list[str] = []
        self.patient = patient
        self.messages = Messages(self)
        self.messages.use(side.session)

    def received(self, payload: bytes) -> None:
        self.got.append(payload)
        if not self.patient:
            self.messages.consumed()

    def acknowledged(self, payload: bytes) -> None:
        self.delivered.append(payload)

    def drained(self) -> None:
        self.told.append("drained")

    def undelivered(self, count: int) -> None:
        self.told.append(f"undelivered {count}")


class MessagesTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.sides = Side(self.clock, "one", True), Side(self.clock, "two", False)
        self.one, self.two = User(self.sides[0]), User(self.sides[1])
        self.cable = Cable(*self.sides)
        self.cable.settle()

    def settle(self) -> None:
        flush(self.clock, self.cable)

    @given(
        st.lists(st.one_of(st.binary(max_size=20), st.sampled_from([b"", bytes(MOST_MESSAGE)])), max_size=12),
        strategies.cuts,
    )
    @settings(deadline=None, max_examples=60)
    def test_both_ways_in_any_chunks(self, texts: list[bytes], at: list[int]) -> None:
        self.setUp()
        for text in texts:
            self.one.messages.send(text)
            self.two.messages.send(text)
        for size in at:
            self.cable.deliver(1, size)
            self.cable.deliver(0, size)
        self.settle()
        for user in (self.one, self.two):
            self.assertEqual((user.got, user.delivered), (texts, texts))

    def test_waiting_for_a_link(self) -> None:
        self.cable.cut()
        for number in range(50):
            self.one.messages.send(b"%d" % number)
        self.cable = Cable(*self.sides)
        self.settle()
        self.assertEqual(self.two.got, [b"%d" % number for number in range(50)])

    def test_delivered_when_consumed(self) -> None:
        self.two.patient = True
        for text in (b"a", b"b", b""):
            self.one.messages.send(text)
        self.settle()
        self.assertEqual((self.two.got, self.one.delivered), ([b"a", b"b", b""], []))
        self.two.messages.consumed()
        self.settle()
        self.assertEqual(self.one.delivered, [b"a"])
        self.two.messages.consumed()
        self.two.messages.consumed()
        self.two.messages.consumed()
        self.settle()
        self.assertEqual(self.one.delivered, [b"a", b"b", b""])

    def test_who_does_not_keep_up_holds_back_the_other_side(self) -> None:
        self.two.patient = True
        sent = 0
        while not self.one.messages.full:
            self.one.messages.send(bytes(60_000))
            sent += 1
            self.settle()
        self.assertLess(abs(sent * 60_000 - MOST_PENDING), 120_000)
        self.assertLessEqual(sum(map(len, self.two.got)), WINDOW)
        self.assertLessEqual(self.sides[1].pools.unread.used, WINDOW)
        for _ in range(sent):
            self.two.messages.consumed()
            self.settle()
        self.assertEqual((len(self.one.delivered), self.one.told), (sent, ["drained"]))
        self.assertFalse(self.one.messages.full)

    def test_no_more_are_read_than_may_wait(self) -> None:
        """Small ones cost more than their bytes: the window alone would let in hundreds of thousands."""
        self.two.patient = True
        texts = [b"%d" % number for number in range(30_000)]
        for text in texts:
            self.one.messages.send(text)
        self.settle()
        # A frame is handled as a whole.
        self.assertLess(len(self.two.got), MOST_UNCONSUMED + MOST_MESSAGE // 5)
        while len(self.two.messages._unconsumed):
            self.two.messages.consumed()
            if not len(self.two.messages._unconsumed) % 400:
                self.settle()
        self.assertEqual(self.two.got, texts)
        self.settle()
        self.assertEqual(self.one.delivered, texts)

    def test_empty_ones_fill_it_too(self) -> None:
        self.patch(messages, "MOST_PENDING", 4000)
        self.cable.cut()
        for _ in range(1000):
            self.assertFalse(self.one.messages.full)
            self.one.messages.send(b"")
        self.assertTrue(self.one.messages.full)

    def test_too_large_a_message(self) -> None:
        self.assertRaises(ValueError, self.one.messages.send, bytes(MOST_MESSAGE + 1))
        self.one.messages.send(b"next")
        self.settle()
        self.assertEqual(self.two.got, [b"next"])

    def test_the_other_side_was_started_anew(self) -> None:
        self.two.patient = True
        self.one.messages.send(b"a")
        self.two.messages.send(b"old")
        self.settle()
        self.one.messages.send(b"b")
        self.cable.cut()
        anew = Side(self.clock, "three", False)
        user = User(anew)
        self.cable = Cable(self.sides[0], anew)
        self.settle()
        self.assertEqual(self.one.told, ["undelivered 2"])
        self.one.messages.send(b"c")
        user.messages.send(b"new")
        self.settle()
        self.assertEqual((user.got, self.one.delivered, self.one.got), ([b"c"], [b"c"], [b"old", b"new"]))

    def test_what_is_consumed_late_belongs_to_the_old_one(self) -> None:
        self.one.patient = True
        self.two.messages.send(b"old")
        self.settle()
        self.cable.cut()
        anew = Side(self.clock, "three", False)
        user = User(anew)
        self.cable = Cable(self.sides[0], anew)
        user.messages.send(b"new")
        self.settle()
        self.one.messages.consumed()
        self.settle()
        self.assertEqual(user.delivered, [])
        self.one.messages.consumed()
        self.settle()
        self.assertEqual(user.delivered, [b"new"])

    def test_over_the_next_session(self) -> None:
        self.one.messages.send(b"lost")
        self.sides[0].session.end(BadFrame(why="x"))
        self.assertEqual(self.one.told, ["undelivered 1"])
        sides = Side(self.clock, "four", True), Side(self.clock, "five", False)
        two = User(sides[1])
        self.one.messages.use(sides[0].session)
        self.cable = Cable(*sides)
        self.one.messages.send(b"again")
        self.settle()
        self.assertEqual(two.got, [b"again"])

    def test_a_side_that_takes_none(self) -> None:
        sides = Side(self.clock, "six", True), Side(self.clock, "seven", False)
        one = User(sides[0])
        self.cable = Cable(*sides)
        one.messages.send(b"waits")
        self.settle()
        one.messages.send(b"refused")
        self.assertEqual(one.told, ["undelivered 1", "undelivered 1"])

    def test_hostile_ones(self) -> None:
        for data in (b"\xff\xff\xff\xff", (MOST_MESSAGE + 1).to_bytes(4, "big")):
            self.setUp()
            end = self.sides[0].open(purpose=PURPOSE)
            end.stream.write(data)
            self.settle()
            self.assertIn("a message of", str(self.sides[1].error))
            self.assertEqual(self.two.got, [])
        self.setUp()
        for _ in range(2):
            end = self.sides[0].open(purpose=PURPOSE)
            end.stream.write(bytes(4))
        self.settle()
        self.assertIn("there is one already", str(end.error))
        self.assertEqual((self.two.got, self.sides[1].error), ([b""], None))

    def test_a_hostile_one_that_was_held(self) -> None:
        end = self.sides[1].open(purpose=PURPOSE)
        self.settle()
        self.one.messages.hold(True)
        end.stream.write(b"\xff\xff\xff\xff")
        self.settle()
        self.assertIsNone(self.sides[0].error)
        self.one.messages.hold(False)
        self.assertIn("a message of 4294967295 bytes", str(self.sides[0].error))

    def test_an_answer_on_the_stream(self) -> None:
        """Nothing comes back on a stream of messages."""
        self.sides[1].session.withdraw(PURPOSE)
        self.sides[1].session.offer(PURPOSE, self.sides[1].opened)
        self.one.messages.send(b"x")
        self.settle()
        self.sides[1].ends[-1].stream.write(b"y")
        self.settle()
        self.assertIn("answered on a stream of messages", str(self.sides[0].error))

    def test_a_stream_that_the_other_side_finishes(self) -> None:
        self.one.messages.send(b"x")
        self.settle()
        self.one.messages._out.stream.finish()
        self.settle()
        self.one.messages.send(b"y")
        self.settle()
        self.assertEqual((self.two.got, self.one.delivered), ([b"x", b"y"], [b"x", b"y"]))
