"""A member that is authenticated and breaks every rule: its session ends with a named error, and nobody else's."""

from __future__ import annotations

import random
import tracemalloc

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from p2phole.session.frames import (
    CREDIT,
    MOST_ARGUMENT,
    MOST_PAYLOAD,
    MOST_PURPOSES,
    BadFrame,
    Frame,
    FrameReader,
    Kind,
)
from p2phole.session.halves import INITIAL_WINDOW, MOST_WINDOW, Flow
from p2phole.session.kept import MOST_KEPT, RESERVE
from p2phole.session.session import ACK_DELAY
from p2phole.session.table import MOST_STREAMS
from tests import strategies
from tests.session.sides import End, Side, flush, hello, pair
from tests.session.test_frames import frames
from tests.session.test_session import OneSide


def credit(number: int, stream: int, consumed: int, limit: int) -> Frame:
    return Frame(Kind.CREDIT, number, CREDIT.pack(consumed, limit), stream)


class RuleTests(OneSide):
    """One rule each."""

    def setUp(self) -> None:
        super().setUp()
        self.greeted()
        self.number = 1

    def frame(self, kind: Kind, stream: int = 0, payload: bytes = b"", flags: int = 0) -> Frame:
        self.number += 1
        return Frame(kind, self.number, payload, stream, flags)

    def mine(self) -> End:
        """A stream of ours that the other side has taken, number 1."""
        end = self.side.open()
        self.receive(self.frame(Kind.ACCEPT, 1))
        return end

    def theirs(self) -> End:
        """A stream of the other side, number 2."""
        self.receive(self.frame(Kind.OPEN, 2, b"thing"))
        return self.side.ends[-1]

    def test_what_was_not_offered(self) -> None:
        self.assertIn("opened secrets, which was not offered", self.refused(self.frame(Kind.OPEN, 2, b"secrets")))

    def test_a_purpose_that_is_none(self) -> None:
        for purpose in (b"../../.ssh/authorized_keys", b"\x1b[2J", b"\n", b"\xff"):
            self.setUp()
            self.assertIn("purpose that makes no sense", self.refused(self.frame(Kind.OPEN, 2, purpose)))

    def test_numbers_of_streams(self) -> None:
        for number in (1, 3, 4, 2**32 - 2):
            self.setUp()
            self.assertIn("not the next one", self.refused(self.frame(Kind.OPEN, number, b"thing")))
        self.setUp()
        self.theirs()
        self.assertIn("not the next one", self.refused(self.frame(Kind.OPEN, 2, b"thing")))

    def test_a_number_that_is_used_again(self) -> None:
        self.theirs().stream.abort()
        self.receive(self.frame(Kind.RESET, 2))
        self.assertIn("not the next one", self.refused(self.frame(Kind.OPEN, 2, b"thing")))

    def test_more_streams_than_there_may_be(self) -> None:
        for number in range(MOST_STREAMS):
            self.receive(self.frame(Kind.OPEN, 2 + 2 * number, b"thing"))
        self.assertIsNone(self.side.error)
        more = self.frame(Kind.OPEN, 2 + 2 * MOST_STREAMS, b"thing")
        self.assertIn("opened more than 1024 streams", self.refused(more))

    def test_streams_that_are_not_there(self) -> None:
        for kind in (Kind.ACCEPT, Kind.DATA, Kind.CREDIT, Kind.FINISH, Kind.TAKEN, Kind.RESET):
            payload = {Kind.DATA: b"x", Kind.CREDIT: CREDIT.pack(0, 0)}.get(kind, b"")
            for number in (1, 2, 2**32 - 1):
                self.setUp()
                told = self.refused(self.frame(kind, number, payload))
                self.assertIn(f"a {kind.name} on a stream that is not there", told)

    def test_before_it_has_offered_anything(self) -> None:
        OneSide.setUp(self)
        self.receive(hello())
        self.assertIn("without an offer", self.refused(Frame(Kind.OPEN, 1, b"thing", 2)))

    def test_data_before_the_stream_is_taken(self) -> None:
        self.side.open()
        for kind, payload in ((Kind.DATA, b"x"), (Kind.FINISH, b"")):
            self.setUp()
            self.side.open()
            self.refused(self.frame(kind, 1, payload))

    def test_taken_twice(self) -> None:
        self.mine()
        self.assertIn("a ACCEPT out of turn", self.refused(self.frame(Kind.ACCEPT, 1)))
        self.setUp()
        self.theirs()
        self.assertIn("a ACCEPT out of turn", self.refused(self.frame(Kind.ACCEPT, 2)))

    def test_more_than_it_had_credit_for(self) -> None:
        self.theirs().stream.pause()
        self.receive(self.frame(Kind.DATA, 2, bytes(INITIAL_WINDOW)))
        self.assertIsNone(self.side.error)
        self.assertIn("more data than it had credit for", self.refused(self.frame(Kind.DATA, 2, b"x")))

    def test_behind_its_finish(self) -> None:
        for kind, payload in ((Kind.DATA, b"x"), (Kind.FINISH, b"")):
            self.setUp()
            self.theirs()
            self.receive(self.frame(Kind.FINISH, 2))
            self.refused(self.frame(kind, 2, payload))

    def test_behind_its_reset(self) -> None:
        self.theirs()
        self.receive(self.frame(Kind.RESET, 2))
        self.assertIn("not there", self.refused(self.frame(Kind.DATA, 2, b"x")))
        self.setUp()
        self.theirs()
        self.plug.attachment.block()
        self.receive(self.frame(Kind.RESET, 2))
        self.assertIn("behind a RESET", self.refused(self.frame(Kind.RESET, 2)))

    def test_taken_what_was_not_finished(self) -> None:
        self.mine()
        self.assertIn("a TAKEN out of turn", self.refused(self.frame(Kind.TAKEN, 1)))

    def test_windows(self) -> None:
        for limit in (2**63, 2**64 - 1, MOST_WINDOW + 1, INITIAL_WINDOW - 1, 0):
            self.setUp()
            self.mine()
            self.number += 1
            self.assertIn("a window of", self.refused(credit(self.number, 1, 0, limit)))
        self.setUp()
        self.mine()
        self.number += 1
        self.receive(credit(self.number, 1, 0, MOST_WINDOW))
        self.assertIsNone(self.side.error)

    def test_consumed_what_was_never_sent(self) -> None:
        for consumed in (6, 2**64 - 1):
            self.setUp()
            self.mine().stream.write(b"12345")
            self.number += 1
            told = self.refused(credit(self.number, 1, consumed, consumed + INITIAL_WINDOW & 2**64 - 1))
            self.assertIn("consumed what was never sent", told)

    def test_a_flood_of_credit(self) -> None:
        end = self.mine()
        end.stream.write(b"12345")
        self.number += 1
        self.receive(credit(self.number, 1, 5, INITIAL_WINDOW + 5))
        for again in ((5, INITIAL_WINDOW + 5), (5, INITIAL_WINDOW + 6), (4, INITIAL_WINDOW + 5)):
            flow = Flow(carried=5, consumed=5, limit=INITIAL_WINDOW + 5, open=True)
            self.assertRaises(BadFrame, flow.allow, *again)
        self.number += 1
        self.assertIn("worth nothing", self.refused(credit(self.number, 1, 5, INITIAL_WINDOW + 5)))

    def test_a_flood_of_pings(self) -> None:
        for number in range(20):
            self.receive(Frame(Kind.PING, number))
            self.assertIsNone(self.side.error)
        self.assertIn("pings without end", self.refused(Frame(Kind.PING, 20)))

    def test_pings_of_one_that_does_not_read(self) -> None:
        self.plug.attachment.block()
        self.receive(*(Frame(Kind.PING, number) for number in range(15)))
        self.plug.attachment.unblock()
        pongs = [frame for frame in self.plug.frames() if frame.kind is Kind.PONG]
        self.assertEqual([frame.number for frame in pongs], [14])

    def test_offers_that_make_no_sense(self) -> None:
        many = b"\n".join(b"p%d" % number for number in range(MOST_PURPOSES + 1))
        for payload in (b"a\na", many, b"thing\n", b"Thing"):
            self.setUp()
            self.assertIn("makes no sense", self.refused(self.frame(Kind.OFFER, 0, payload)))

    def test_an_argument_that_is_too_long(self) -> None:
        argument = bytes(MOST_ARGUMENT + 1)
        self.assertIn("too long", self.refused(self.frame(Kind.OPEN, 2, b"thing\n" + argument)))

    def test_credit_for_what_is_not_open(self) -> None:
        self.side.open().stream.write(b"x")
        self.theirs()
        self.number += 1
        self.side.answer = lambda stream, end: None
        self.receive(Frame(Kind.OPEN, self.number, b"thing", 4))
        self.number += 1
        # Nothing can be sent on a stream of the other side that was not taken yet.
        told = self.refused(credit(self.number, 4, 0, 10 * INITIAL_WINDOW))
        self.assertIn("credit for a stream that is not open", told)

    def test_what_is_no_longer_offered_is_no_offence(self) -> None:
        self.session.withdraw("thing")
        self.receive(self.frame(Kind.OPEN, 2, b"thing"))
        self.assertIsNone(self.side.error)
        self.assertEqual([frame.kind for frame in self.plug.frames()][-1], Kind.RESET)

    def test_the_smallest_pieces_of_what_nobody_reads(self) -> None:
        """A piece of two bytes takes forty times as many."""
        end = self.theirs()
        end.stream.pause()
        data = b""
        for _ in range(INITIAL_WINDOW // 2):
            data += self.frame(Kind.DATA, 2, b"ab").encode()
        tracemalloc.start()
        self.addCleanup(tracemalloc.stop)
        for at in range(0, len(data), 1000):
            self.receive(data[at : at + 1000])
        self.assertLess(tracemalloc.get_traced_memory()[0], 3 * INITIAL_WINDOW)
        end.stream.resume()
        self.assertEqual(end.got, b"ab" * (INITIAL_WINDOW // 2))

    def test_opened_and_reset_without_end(self) -> None:
        """Nothing stays behind, and it costs nobody else a turn."""
        for round in range(100):
            frames = []
            for number in range(100):
                stream = 2 + 2 * (100 * round + number)
                frames += [self.frame(Kind.OPEN, stream, b"thing"), self.frame(Kind.RESET, stream)]
            self.receive(*frames)
            self.side.ends.clear()
            sent = [frame.number for frame in self.plug.frames() if frame.kind is Kind.RESET]
            self.receive(Frame(Kind.ACK, max(sent)))
        self.assertIsNone(self.side.error)
        self.assertEqual((len(self.session._table), self.side.pools.kept.used), (0, 0))

    def test_never_acknowledges_and_lets_us_answer(self) -> None:
        """What we have to say to it is bounded as well: then nothing is said any more."""
        self.side.answer = lambda stream, end: stream.abort("x" * 500)
        for number in range(20_000):
            self.receive(self.frame(Kind.OPEN, 2 + 2 * number, b"thing"), self.frame(Kind.RESET, 2 + 2 * number))
            if self.side.error is not None:
                break
        self.assertLess(self.side.pools.kept.used, MOST_KEPT + RESERVE + 2 * MOST_PAYLOAD)
        self.assertIn("more than 1024 streams", str(self.side.error))
        self.assertEqual(self.side.pools.kept.used, 0)

    def test_nothing_is_done_any_more(self) -> None:
        end, there = self.mine(), self.theirs()
        self.refused(Frame(Kind.OFFER, 99))
        for each in (end, there):
            self.assertIsInstance(each.error, BadFrame)
        self.plug.frames()
        self.receive(Frame(Kind.PING, 1), self.frame(Kind.OPEN, 4, b"thing"))
        self.clock.advance(1000)
        end.stream.write(b"x")
        self.assertEqual((self.plug.frames(), len(self.side.ends)), ([], 1))
        self.assertEqual(self.clock.getDelayedCalls(), [])


class AnythingTests(SynchronousTestCase):
    """Any frames in any order, with numbers that pass for new ones."""

    @given(st.lists(st.one_of(frames(), st.none()), max_size=25), strategies.cuts, st.integers(0, 2**32))
    @settings(deadline=None, max_examples=200)
    def test_any_frames(self, found: list[Frame | None], at: list[int], seed: int) -> None:
        chance = random.Random(seed)
        case = OneSide()
        case.setUp()
        side, plug = case.side, case.plug
        side.open().stream.write(b"abc")
        case.greeted()
        number, data = 1, b""
        for each in found:
            kind = each.kind if each is not None else chance.choice(list(Kind))
            payload = each.payload if each is not None else b""
            if kind.name in ("HELLO", "ACK", "PING", "PONG", "BYE"):
                data += Frame(kind, chance.randrange(4), payload or b"{}" * (kind is Kind.HELLO)).encode()
                continue
            number += 1
            stream = 0 if kind is Kind.OFFER else chance.choice([1, 1, 2, 2, 4])
            payload = {
                Kind.OPEN: b"thing",
                Kind.OFFER: b"thing",
                Kind.DATA: payload or b"x",
                Kind.CREDIT: CREDIT.pack(chance.randrange(4), chance.choice([INITIAL_WINDOW, 200_000, 2**63])),
            }.get(kind, b"")
            data += Frame(kind, number, payload[:MOST_PAYLOAD], stream).encode()
        for chunk in strategies.cut(data, at):
            case.receive(chunk)
        case.clock.advance(ACK_DELAY)
        FrameReader().feed(plug.take(len(plug.pipe)))
        if side.error is not None:
            str(side.error).encode()
            self.assertEqual((side.pools.kept.used, side.pools.unread.used), (0, 0))
            self.assertEqual(case.clock.getDelayedCalls(), [])

    @given(st.lists(st.binary(max_size=60), max_size=8))
    @settings(deadline=None, max_examples=100)
    def test_any_bytes(self, pieces: list[bytes]) -> None:
        case = OneSide()
        case.setUp()
        case.greeted()
        for piece in pieces:
            case.receive(piece)


class NeighbourTests(SynchronousTestCase):
    def test_nothing_else_suffers(self) -> None:
        case = OneSide()
        case.setUp()
        case.greeted()
        clock = case.clock
        alice, bob = Side(clock, "a", True, case.side.pools), Side(clock, "b", False, case.side.pools)
        del alice, bob
        one, two, cable = pair(clock, pools=case.side.pools)
        end = one.open()
        case.receive(b"GET / HTTP/1.1\r\n\r\n")
        self.assertIsInstance(case.side.error, BadFrame)
        end.stream.write(bytes(300_000))
        for _ in range(4):
            flush(clock, cable)
        self.assertEqual((len(two.ends[0].got), one.error, two.error), (300_000, None, None))
