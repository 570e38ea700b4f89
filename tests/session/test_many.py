"""Many streams: in bounded memory, and none of them in the way of another."""

from __future__ import annotations

import gc
import tracemalloc

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from p2phole.session.frames import MOST_PAYLOAD
from p2phole.session.kept import MOST_KEPT, OVERHEAD, RESERVE
from tests.session.sides import End, flush, pair

MIB = 1024 * 1024


class ManyTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.one, self.two, self.cable = pair(self.clock, room=200_000)

    def settle(self) -> None:
        flush(self.clock, self.cable)

    def test_a_thousand_opened_used_and_closed(self) -> None:
        ends = [self.one.open() for _ in range(1000)]
        tracemalloc.start()
        self.addCleanup(tracemalloc.stop)
        for _ in range(3):
            for end in ends:
                end.stream.write(bytes(10_000))
            self.settle()
        self.assertEqual({len(end.got) for end in self.two.ends}, {30_000})
        held = sum(len(end.got) for end in self.two.ends)  # by the tests
        self.assertLess(tracemalloc.get_traced_memory()[1] - held, 50 * MIB)
        for end in [*ends, *self.two.ends]:
            end.stream.finish()
        self.settle()
        self.assertEqual({(end.told[-1], end.error) for end in ends}, {("ended", None)})
        self.assertEqual((len(self.one.session._table), len(self.two.session._table)), (0, 0))

    def test_one_after_the_other_leave_nothing_behind(self) -> None:
        def some(count: int) -> None:
            for _ in range(count):
                end = self.one.open()
                end.stream.write(b"x")
                end.stream.finish()
                self.cable.settle()
                self.two.ends.pop().stream.finish()
                self.cable.settle()
                self.assertEqual((end.told[-1], end.error), ("ended", None))

        some(300)
        tracemalloc.start()
        self.addCleanup(tracemalloc.stop)
        some(100)
        self.settle()
        gc.collect()
        before = tracemalloc.get_traced_memory()[0]
        some(2000)
        self.settle()
        gc.collect()
        self.assertLess(tracemalloc.get_traced_memory()[0] - before, 100_000)

    def test_a_thousand_that_nobody_reads(self) -> None:
        """What is promised: a window each where they come in, a queue for all of them where they leave."""
        self.two.answer = lambda stream, end: (stream.accept(end), stream.pause())[0]
        ends = [self.one.open() for _ in range(1000)]
        for end in ends:
            for _ in range(3):
                if end.told[-1:] != ["pause"]:
                    end.stream.write(bytes(MOST_PAYLOAD))
        for _ in range(3):
            self.settle()
            self.assertLessEqual(self.one.pools.kept.used, MOST_KEPT + RESERVE + OVERHEAD + MOST_PAYLOAD)
        self.assertLessEqual(self.two.pools.unread.used, 1000 * MOST_PAYLOAD)
        self.assertEqual((self.one.error, self.two.error), (None, None))
        # And there is always room for one that is read.
        self.two.answer = lambda stream, end: stream.accept(end)
        busy = self.one.open()
        busy.stream.write(bytes(3 * MIB))
        for _ in range(10):
            self.settle()
        self.assertEqual(len(self.two.ends[-1].got), 3 * MIB)

    def test_one_that_stalls_among_fifty(self) -> None:
        """The same bytes, in the same number of turns, with it and without."""

        def turns(stalled: bool) -> int:
            self.setUp()
            if stalled:
                self.two.answer = lambda stream, end: (stream.accept(end), stream.pause())[0]
                end = self.one.open()
                end.stream.write(bytes(5 * MIB))
                self.settle()
                self.two.answer = lambda stream, end: stream.accept(end)
            busy = [Busy(20) for _ in range(50)]
            for each in busy:
                each.stream = self.one.session.open("thing", each)
                each.resume()
            count = 0
            while any(each.chunks or each.stream.has_more for each in busy):
                self.assertLess(count, 5000)
                self.cable.deliver(1)
                self.cable.deliver(0)
                self.clock.advance(0.001)
                count += 1
            self.settle()
            self.assertEqual({len(end.got) for end in self.two.ends[-50:]}, {20 * 65_536})
            return count

        without = turns(False)
        self.assertLessEqual(turns(True), without * 1.1)


class Busy(End):
    """Writes so many chunks as it may."""

    def __init__(self, chunks: int) -> None:
        super().__init__()
        self.chunks = chunks
        self.may = True

    def pause(self) -> None:
        self.may = False

    def resume(self) -> None:
        self.may = True
        while self.chunks and self.may:
            self.chunks -= 1
            self.stream.write(bytes(65_536))
