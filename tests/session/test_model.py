"""Whatever happens to the links: what comes out of every stream is what went in, once, in order."""

from __future__ import annotations

import random
from dataclasses import dataclass, field

from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from p2phole.session.errors import Aborted, GivenUp
from p2phole.session.pool import Pools
from tests.session.sides import Cable, End, Side, flush, pair


@dataclass
class Sent:
    """What went into a stream at one end, and what was done there."""

    end: End
    data: bytearray = field(default_factory=bytearray)
    finished: bool = False
    closed: bool = False
    aborted: bool = False

    def is_whole(self, other: Sent) -> bool:
        """Whether all that went in here has to come out at the other end."""
        return not (self.aborted or other.aborted or other.closed)


class TwoSides(RuleBasedStateMachine):
    """Streams opened, written, paused, finished, closed and aborted at both sides, over links that are cut at any
    byte; a new link may be there before the old one has ended."""

    def __init__(self) -> None:
        super().__init__()
        self.clock = Clock()
        self.pools = Pools()
        self.sides = Side(self.clock, "one", True, self.pools), Side(self.clock, "two", False, self.pools)
        self.mine: tuple[list[Sent], list[Sent]] = ([], [])
        self.theirs: tuple[list[Sent], list[Sent]] = ([], [])
        self.cables = [Cable(*self.sides)]
        self.count = 0

    @rule(side=st.integers(0, 1))
    def open(self, side: int) -> None:
        if len(self.mine[side]) < 3:
            self.count += 1
            self.mine[side].append(Sent(self.sides[side].open(b"%d" % self.count)))

    @rule(
        side=st.integers(0, 1),
        index=st.integers(0, 2),
        size=st.sampled_from([1, 100, 5000, 65_519, 65_520, 70_000, 200_000]),
        answer=st.booleans(),
    )
    def write(self, side: int, index: int, size: int, answer: bool) -> None:
        sent = self.pick(side, index, answer)
        if sent is not None and not sent.finished and not sent.end.stream.over:
            self.count += 1
            data = random.Random(self.count).randbytes(size)
            sent.data += data
            sent.end.stream.write(data)

    @rule(side=st.integers(0, 1), index=st.integers(0, 2), answer=st.booleans())
    def finish(self, side: int, index: int, answer: bool) -> None:
        sent = self.pick(side, index, answer)
        if sent is not None:
            sent.finished = True
            sent.end.stream.finish()

    @rule(side=st.integers(0, 1), index=st.integers(0, 2), answer=st.booleans(), aborts=st.booleans())
    def end(self, side: int, index: int, answer: bool, aborts: bool) -> None:
        sent = self.pick(side, index, answer)
        if sent is not None and not sent.end.stream.over:
            sent.finished = sent.closed = True
            sent.aborted |= aborts
            if aborts:
                sent.end.stream.abort()
            else:
                sent.end.stream.close()

    @rule(side=st.integers(0, 1), index=st.integers(0, 2), answer=st.booleans(), reads=st.booleans())
    def read(self, side: int, index: int, answer: bool, reads: bool) -> None:
        sent = self.pick(side, index, answer)
        if sent is not None and reads:
            sent.end.stream.resume()
        elif sent is not None:
            sent.end.stream.pause()

    def pick(self, side: int, index: int, answer: bool) -> Sent | None:
        self.meet()
        sents = (self.theirs if answer else self.mine)[side]
        return sents[index] if index < len(sents) else None

    def meet(self) -> None:
        """Ends that the other side has opened since the last time."""
        for side in (0, 1):
            for end in self.sides[side].ends[len(self.theirs[side]) :]:
                self.theirs[side].append(Sent(end))

    def pairs(self) -> list[tuple[Sent, Sent]]:
        """Both ends of each stream of which both sides know; one that was aborted early nobody else may know."""
        self.meet()
        found = []
        for side in (0, 1):
            theirs = {sent.end.stream.argument: sent for sent in self.theirs[1 - side]}
            assert len(theirs) == len(self.theirs[1 - side])
            for sent in self.mine[side]:
                other = theirs.pop(sent.end.stream.argument, None)
                if other is not None:
                    found += [(sent, other), (other, sent)]
            assert not theirs
        return found

    @precondition(lambda self: len(self.cables) < 3)
    @rule(room=st.sampled_from([None, 1, 100_000]))
    def link(self, room: int | None) -> None:
        self.cables.append(Cable(*self.sides, room=room))

    @precondition(lambda self: self.cables)
    @rule(which=st.integers(0, 2), to=st.integers(0, 1), share=st.sampled_from([0.1, 0.5, 0.99, 1, 1, 1]))
    def deliver(self, which: int, to: int, share: float) -> None:
        cable = self.cables[which % len(self.cables)]
        cable.deliver(to, round(len(cable.plugs[1 - to].pipe) * share))

    @precondition(lambda self: self.cables)
    @rule(which=st.integers(0, 2))
    def settle(self, which: int) -> None:
        self.cables[which % len(self.cables)].settle()

    @precondition(lambda self: self.cables)
    @rule(which=st.integers(0, 2), end=st.sampled_from([(0,), (1,), (0, 1)]))
    def cut(self, which: int, end: tuple[int, ...]) -> None:
        """One side may notice later than the other; what is under way to either is lost."""
        cable = self.cables.pop(which % len(self.cables))
        cable.cut(*end)
        for other in {0, 1} - set(end):
            # It hears nothing any more; sooner or later it notices.
            self.clock.callLater(1.0, cable.cut, other)

    @rule(seconds=st.sampled_from([0.0, 0.02, 1.0]))
    def wait(self, seconds: float) -> None:
        self.clock.advance(seconds)

    @invariant()
    def a_beginning_of_what_went_in(self) -> None:
        for sent, other in self.pairs():
            assert sent.data.startswith(other.end.got)
            if not other.closed:
                assert sent.end.consumed <= len(other.end.got)
        for each in self.sides:
            assert each.error is None

    def teardown(self) -> None:
        for cable in self.cables:
            cable.cut()
        self.clock.advance(1)
        last = Cable(*self.sides)
        for _ in range(100):
            flush(self.clock, last)
            self.meet()
            everything = [*self.mine[0], *self.mine[1], *self.theirs[0], *self.theirs[1]]
            for sent in everything:
                sent.end.stream.resume()
                sent.end.stream.finish()
            if all(sent.end.stream.over for sent in everything):
                break
        self.a_beginning_of_what_went_in()
        for sent, other in self.pairs():
            if sent.is_whole(other):
                assert other.end.got == sent.data
                assert sent.end.consumed == len(sent.data) or sent.closed
            if not (sent.closed or other.closed):
                assert sent.end.error is None
            assert not sent.aborted or isinstance(sent.end.error, GivenUp)
        for sent in everything:
            assert sent.end.told[-1] == "ended"
        flush(self.clock, last)
        assert self.pools.kept.used == self.pools.unread.used == 0
        for each in self.sides:
            assert len(each.session._table) == each.session._table._grown == 0
            each.session.say_bye()
        last.cut()
        assert self.clock.getDelayedCalls() == []


class ModelTests(SynchronousTestCase):
    def test_two_sides(self) -> None:
        run_state_machine_as_test(
            TwoSides, settings=settings(deadline=None, max_examples=200, stateful_step_count=50)
        )


class EveryPointTests(SynchronousTestCase):
    """A whole conversation, cut once at each of its bytes in turn."""

    def conversation(self, cut: int | None, overlap: bool = False, size: int = 7) -> int:
        """Some streams both ways; the first link ends when so many bytes have arrived, of both directions.
        ``overlap``: while the other side of a newer one greets, what is under way still arrives."""
        clock = Clock()
        one, two = Side(clock, "one", True), Side(clock, "two", False)
        ends = [one.open(b"a"), one.open(b"b"), two.open(b"c")]
        for number, end in enumerate(ends):
            end.stream.write(b"%d to you" % number)
            end.stream.write(b"%d and more" % number)
            end.stream.finish()
        closes, breaks = one.open(b"closes"), two.open(b"breaks")
        closes.stream.write(b"said, and nothing heard")
        closes.stream.close()
        breaks.stream.write(b"cut short")
        for side in (one, two):
            side.answer = lambda stream, end: (stream.accept(end), stream.write(b"back"), stream.finish())[0]
        cable, arrived = Cable(one, two), 0
        left = 2**40 if cut is None else cut
        for turn in range(170):
            for to in (0, 1):
                count = cable.deliver(to, min(left, size))
                arrived += count
                left -= count
            if not left:
                left = 2**40
                if not overlap:
                    cable.cut(arrived % 2)
                again = Cable(one, two)
                if overlap:
                    again.deliver(arrived % 2, 20)
                    cable.settle()
                    again.deliver(1 - arrived % 2)
                cable.cut()
                cable = again
            if turn == 40:
                breaks.stream.abort("enough")
            clock.advance(0.01)
        what = f"cut after {cut} bytes"
        there = {end.stream.argument: end for side in (one, two) for end in side.ends}
        for number, name in enumerate((b"a", b"b", b"c")):
            self.assertEqual(there[name].got, b"%d to you%d and more" % (number, number), what)
            self.assertEqual(ends[number].got, b"back", what)
        self.assertEqual((there[b"closes"].got, closes.got), (b"said, and nothing heard", b""), what)
        self.assertTrue(b"cut short".startswith(there[b"breaks"].got), what)
        self.assertEqual((type(breaks.error), type(there[b"breaks"].error)), (GivenUp, Aborted), what)
        self.assertEqual([end.error for end in (*ends, closes, there[b"a"], there[b"b"])], [None] * 6, what)
        self.assertEqual({end.told[-1] for end in (*ends, closes, breaks, *there.values())}, {"ended"}, what)
        self.assertEqual((one.error, two.error, len(there)), (None, None, 5), what)
        return arrived

    def test_at_every_byte(self) -> None:
        total = self.conversation(None)
        self.assertGreater(total, 500)
        for cut in range(1, total):
            self.conversation(cut)
        for cut in range(1, total, 3):
            self.conversation(cut, overlap=True, size=7 if cut % 2 else 400)


class BulkTests(SynchronousTestCase):
    @given(st.lists(st.integers(1, 400_000), min_size=1, max_size=12), st.sampled_from([65_536, 300_000]))
    @settings(deadline=None, max_examples=25)
    def test_cut_in_the_middle_of_megabytes(self, cuts: list[int], room: int) -> None:
        clock = Clock()
        one, two, cable = pair(clock, room)
        end = one.open()
        data = random.Random(len(cuts)).randbytes(3_000_000)
        end.stream.write(data)
        for cut in cuts:
            left = cut
            for _ in range(50):
                left -= cable.deliver(1, left)
                cable.deliver(0)
                if not left:
                    break
            newer = Cable(one, two, room)
            cable.cut()
            cable = newer
        end.stream.finish()
        for _ in range(300):
            flush(clock, cable)
            for each in two.ends:
                each.stream.finish()
            if end.stream.over:
                break
        self.assertEqual(bytes(two.ends[0].got), data)
        self.assertEqual((end.error, end.told[-1]), (None, "ended"))
