"""Streams between two sessions: opening, credit, half-close, and the ways to end."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from p2phole.session.errors import Aborted, GivenUp, NotOffered, Refused
from p2phole.session.frames import MOST_PAYLOAD, WAITING, Frame, Kind
from p2phole.session.halves import INITIAL_WINDOW
from p2phole.session.incoming import LARGEST_WINDOW
from p2phole.session.streams import Stream
from p2phole.session.table import MOST_GROWN, MOST_STREAMS
from p2phole.session.waiting import Waiting
from tests.session.sides import End, Side, flush, pair


class StreamTestCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.one, self.two, self.cable = pair(self.clock)

    def opened(self) -> tuple[End, End]:
        """A stream that is open, at both ends."""
        end = self.one.open()
        self.cable.settle()
        return end, self.two.ends[-1]

    def settle(self) -> None:
        flush(self.clock, self.cable)

    def nothing_left(self) -> None:
        self.settle()
        for side in (self.one, self.two):
            self.assertIsNone(side.error)
            self.assertEqual((len(side.session._table), side.session._table._grown), (0, 0))
            self.assertEqual((side.pools.kept.used, side.pools.unread.used), (0, 0))


class OpeningTests(StreamTestCase):
    def test_by_either_side(self) -> None:
        for side, other in ((self.one, self.two), (self.two, self.one)):
            end = side.open(b"to there\n\xff")
            self.cable.settle()
            stream = other.ends[-1].stream
            self.assertEqual((stream.purpose, stream.argument), ("thing", b"to there\n\xff"))
            self.assertEqual(end.told, ["accepted"])

    def test_what_is_written_at_once_does_not_wait_for_the_answer(self) -> None:
        end = self.one.open()
        end.stream.write(b"at once")
        self.cable.deliver(1)
        self.assertEqual((bytes(self.two.ends[0].got), end.told), (b"at once", []))

    def test_taken_and_broken_off_in_one_moment_is_not_refused(self) -> None:
        def answer(stream: Stream, end: End) -> None:
            stream.accept(end)
            stream.abort("the disk is full")

        self.two.answer = answer
        end = self.one.open()
        self.cable.settle()
        self.assertEqual(end.told, ["accepted", "ended"])
        self.assertIsInstance(end.error, Aborted)
        self.nothing_left()

    def test_not_offered(self) -> None:
        end = self.one.open(purpose="other")
        self.assertIsInstance(end.error, NotOffered)
        self.assertIn("does not offer other", str(end.error))
        end.stream.write(b"x")
        self.nothing_left()

    def test_offered_later_and_no_longer(self) -> None:
        self.two.session.offer("other", self.two.opened)
        self.cable.settle()
        self.one.open(purpose="other")
        self.cable.settle()
        self.assertEqual(len(self.two.ends), 1)
        self.two.session.withdraw("other")
        crossing = self.one.open(purpose="other")
        self.cable.settle()
        self.assertIsInstance(crossing.error, Refused)
        self.assertIn("no longer offered", str(crossing.error))
        self.assertIsInstance(self.one.open(purpose="other").error, NotOffered)
        self.assertEqual((self.one.error, self.two.error), (None, None))

    def test_refused(self) -> None:
        self.two.answer = lambda stream, end: stream.abort("not today\x1b[2J")
        end = self.one.open()
        end.stream.write(b"x")
        self.settle()
        self.assertIsInstance(end.error, Refused)
        self.assertIn("not today", str(end.error))
        self.assertNotIn("\x1b", str(end.error))
        self.nothing_left()

    def test_accepted_later(self) -> None:
        waiting: list[tuple[Stream, End]] = []
        self.two.answer = lambda stream, end: waiting.append((stream, end))
        end = self.one.open()
        end.stream.write(b"patience")
        end.stream.finish()
        self.settle()
        self.assertEqual(end.told, [])
        [(stream, there)] = waiting
        stream.accept(there)
        self.settle()
        self.assertEqual((bytes(there.got), there.told, end.told), (b"patience", ["finished"], ["accepted"]))
        self.assertRaises(ValueError, stream.accept, there)

    def test_accepted_too_late(self) -> None:
        waiting: list[tuple[Stream, End]] = []
        self.two.answer = lambda stream, end: waiting.append((stream, end))
        end = self.one.open()
        self.cable.settle()
        end.stream.abort("changed my mind")
        self.settle()
        [(stream, there)] = waiting
        stream.accept(there)
        self.assertEqual(there.told, ["ended"])
        self.assertIn("changed my mind", str(there.error))
        self.nothing_left()

    def test_broken_off_before_there_was_a_link(self) -> None:
        side = Side(self.clock, "x", True)
        end = side.open()
        end.stream.write(b"x")
        end.stream.abort()
        self.assertIsInstance(end.error, GivenUp)
        self.assertEqual(len(side.session._table._wanted), 0)

    def test_more_than_there_may_be_wait_for_the_others(self) -> None:
        ends = [self.one.open() for _ in range(MOST_STREAMS + 3)]
        self.settle()
        self.assertEqual((len(self.two.ends), self.two.error), (MOST_STREAMS, None))
        for end in ends[:2]:
            end.stream.abort()
        self.settle()
        self.assertEqual((len(self.two.ends), self.two.error), (MOST_STREAMS + 2, None))

    def test_arguments_that_are_none(self) -> None:
        self.assertRaises(ValueError, self.one.open, bytes(4097))
        self.assertRaises(ValueError, self.one.open, b"", "No Purpose")
        self.assertRaises(ValueError, self.one.session.offer, "No Purpose", self.one.opened)


class EndTests(StreamTestCase):
    def test_half_close(self) -> None:
        here, there = self.opened()
        here.stream.write(b"all that I have")
        here.stream.finish()
        here.stream.write(b"too late")
        self.settle()
        self.assertEqual((bytes(there.got), there.told), (b"all that I have", ["finished"]))
        self.assertEqual((here.told, here.consumed), (["accepted"], 15))
        there.stream.write(b"and still an answer")
        self.settle()
        there.stream.finish()
        self.settle()
        self.assertEqual(bytes(here.got), b"and still an answer")
        self.assertEqual((here.told, here.error), (["accepted", "finished", "ended"], None))
        self.assertEqual((there.told, there.error), (["finished", "ended"], None))
        self.nothing_left()

    def test_both_finish_at_once(self) -> None:
        here, there = self.opened()
        here.stream.finish()
        there.stream.finish()
        self.settle()
        self.assertEqual((here.told[-1], here.error, there.told[-1], there.error), ("ended", None, "ended", None))
        self.nothing_left()

    def test_in_good_order_means_consumed(self) -> None:
        here, there = self.opened()
        there.stream.pause()
        here.stream.write(b"x")
        here.stream.finish()
        there.stream.finish()
        self.settle()
        self.assertEqual((there.told, here.told), ([], ["accepted", "finished"]))
        there.stream.resume()
        self.settle()
        self.assertEqual((there.told, here.told[-1]), (["finished", "ended"], "ended"))
        self.nothing_left()

    def test_close(self) -> None:
        """What was written arrives, and what the other side goes on to write is for nobody."""
        here, there = self.opened()
        there.stream.pause()
        here.stream.write(b"the last of it")
        here.stream.close()
        there.stream.write(bytes(200_000))
        self.settle()
        self.assertEqual((here.told, bytes(here.got)), (["accepted"], b""))
        there.stream.resume()
        self.settle()
        self.assertEqual((bytes(there.got), here.told[-1], here.error), (b"the last of it", "ended", None))
        self.assertEqual((bytes(here.got), there.told), (b"", ["pause", "resume", "finished"]))
        there.stream.write(b"is anybody there?")
        self.settle()
        self.assertIsInstance(there.error, Aborted)
        self.assertIn("nobody reads any more", str(there.error))
        self.nothing_left()

    def test_closed_by_both(self) -> None:
        here, there = self.opened()
        here.stream.write(b"x")
        here.stream.close()
        there.stream.write(b"y")
        there.stream.close()
        self.settle()
        self.assertEqual((here.error, there.error, here.told[-1], there.told[-1]), (None, None, "ended", "ended"))
        self.nothing_left()

    def test_abort(self) -> None:
        here, there = self.opened()
        there.stream.pause()
        here.stream.write(bytes(30_000))
        self.cable.settle()
        here.stream.write(b"never sent" * 10_000)
        here.stream.abort("the disk is full")
        self.assertIsInstance(here.error, GivenUp)
        self.settle()
        self.assertEqual(str(there.error), "The other side broke off thing: the disk is full.")
        self.assertEqual(bytes(there.got), b"")
        self.nothing_left()

    def test_aborted_by_both_at_once(self) -> None:
        here, there = self.opened()
        here.stream.write(b"x")
        here.stream.abort()
        there.stream.write(b"y")
        there.stream.abort()
        self.settle()
        self.assertIsInstance(there.error, GivenUp)
        self.nothing_left()

    def test_aborted_at_any_moment(self) -> None:
        def step(number: int, here: End, there: End) -> None:
            [
                lambda: here.stream.write(b"x" * 70_000),
                lambda: there.stream.write(b"y"),
                lambda: here.stream.finish(),
                lambda: there.stream.close(),
                lambda: None,
            ][number]()

        for at in range(6):
            for settled in (0, 1):
                for who in (0, 1):
                    here, there = self.opened()
                    for number in range(at):
                        if number < 5:
                            step(number, here, there)
                        if settled:
                            self.settle()
                    (here, there)[who].stream.abort()
                    self.settle()
                    self.assertEqual((here.told[-1], there.told[-1]), ("ended", "ended"))
                    self.nothing_left()

    def test_one_that_is_over_stays_so(self) -> None:
        here, there = self.opened()
        here.stream.abort()
        self.settle()
        for end in (here, there):
            end.stream.write(b"x")
            end.stream.finish()
            end.stream.close()
            end.stream.abort()
            end.stream.pause()
            end.stream.resume()
            end.stream.consumed(7)
        self.nothing_left()

    def test_opened_again_when_told_of_the_end(self) -> None:
        here, there = self.opened()
        here.when_ended = lambda: self.one.open().stream.write(b"again")
        there.stream.abort()
        self.settle()
        self.assertEqual(bytes(self.two.ends[-1].got), b"again")


class CreditTests(StreamTestCase):
    def test_who_does_not_read_holds_one_window(self) -> None:
        here, there = self.opened()
        there.stream.pause()
        here.stream.write(bytes(1_000_000))
        self.settle()
        self.assertEqual(self.two.pools.unread.used, INITIAL_WINDOW)
        self.assertEqual((here.told[-1], here.stream.has_more), ("pause", True))
        self.assertEqual((bytes(there.got), here.consumed), (b"", 0))
        there.stream.resume()
        for _ in range(5):
            self.settle()
        self.assertEqual((len(there.got), here.told[-1]), (1_000_000, "resume"))
        self.assertEqual(self.two.pools.unread.used, 0)

    def test_a_window_grows_only_for_who_reads(self) -> None:
        here, there = self.opened()
        here.stream.write(bytes(8_000_000))
        trips = 0
        while here.stream.has_more:
            self.settle()
            trips += 1
        self.assertLess(trips, 8)
        self.assertEqual(there.stream._in._window, LARGEST_WINDOW)
        there.stream.pause()
        here.stream.write(bytes(8_000_000))
        for _ in range(8):
            self.settle()
        self.assertLessEqual(self.two.pools.unread.used, LARGEST_WINDOW)
        here.stream.abort()
        self.nothing_left()

    def test_windows_of_a_session_grow_so_far(self) -> None:
        for _ in range(20):
            here, there = self.opened()
            here.stream.write(bytes(6_000_000))
            for _ in range(8):
                self.settle()
            self.assertEqual(len(there.got), 6_000_000)
            self.assertLessEqual(self.two.session._table._grown, MOST_GROWN)

    def test_consumed_when_it_says_so(self) -> None:
        self.two.answer = lambda stream, end: stream.accept(end, 4 * INITIAL_WINDOW, explicit=True)
        here, there = self.opened()
        here.stream.write(b"12345")
        self.settle()
        self.assertEqual((here.consumed, bytes(there.got)), (0, b"12345"))
        there.stream.consumed(3)
        self.settle()
        self.assertEqual(here.consumed, 3)
        there.stream.consumed(99)
        self.settle()
        self.assertEqual(here.consumed, 5)
        here.stream.write(bytes(500_000))
        self.settle()
        self.assertEqual(len(there.got), 5 + 4 * INITIAL_WINDOW)

    def test_full_frames_where_there_is_enough(self) -> None:
        here, _ = self.opened()
        self.cable.plugs[0].frames()
        for _ in range(4):
            here.stream.write(bytes(65_536))
        here.stream.write(bytes(3_000_000))
        sizes = [len(frame.payload) for frame in self.cable.plugs[0].frames() if frame.kind is Kind.DATA]
        self.assertEqual(sizes, [MOST_PAYLOAD])  # and then there is no credit
        sizes.clear()
        # As much as the other side has ever had credit for, and a producer's chunks of 64 KiB.
        here.stream._out.credit(0, 40 * MOST_PAYLOAD)
        sizes = [len(frame.payload) for frame in self.cable.plugs[0].frames()]
        self.assertEqual(sizes, [MOST_PAYLOAD] * 39)

    def test_who_has_more_and_no_credit_says_so(self) -> None:
        for size, flag in ((INITIAL_WINDOW, 0), (INITIAL_WINDOW + 1, WAITING), (100, 0)):
            here, _ = self.opened()
            self.cable.settle()
            here.stream.write(bytes(size))
            [frame] = [each for each in self.cable.plugs[0].frames() if each.kind is Kind.DATA]
            self.assertEqual(frame.flags, flag)
            self.setUp()

    def test_one_stream_in_turn_with_the_others(self) -> None:
        ends = [self.opened()[0] for _ in range(3)]
        self.cable.plugs[0].attachment.block()
        for end in ends:
            end.stream.write(bytes(60_000))
        ends[0].stream.write(bytes(60_000))
        self.cable.plugs[0].attachment.unblock()
        frames: list[Frame] = [each for each in self.cable.plugs[0].frames() if each.kind is Kind.DATA]
        self.assertEqual([each.stream for each in frames], [1, 3, 5])


class WaitingTests(SynchronousTestCase):
    @given(st.lists(st.binary(min_size=1, max_size=20), max_size=8), st.lists(st.integers(1, 30), max_size=12))
    @settings(deadline=None, max_examples=100)
    def test_in_any_sizes(self, chunks: list[bytes], sizes: list[int]) -> None:
        waiting, whole, taken = Waiting(), b"".join(chunks), b""
        for chunk in chunks:
            waiting.add(chunk)
        for size in sizes:
            taken += b"".join(waiting.take(min(size, waiting.size)))
            self.assertEqual(waiting.size, len(whole) - len(taken))
        self.assertEqual(taken, whole[: sum(sizes)])
