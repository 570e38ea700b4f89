"""A flood on one link: the others have their turns in between, and memory stays where it is."""

from __future__ import annotations

from p2phole.session.frames import Frame, Kind
from p2phole.session.session import ACK_DELAY
from p2phole.session.turns import MOST_AT_ONCE
from tests.session.test_session import OneSide, shown


class TurnsTests(OneSide):
    def setUp(self) -> None:
        super().setUp()
        self.greeted()

    def offers(self, count: int) -> list[Frame]:
        """Numbered frames that change nothing."""
        return [Frame(Kind.OFFER, 2 + number, b"thing") for number in range(count)]

    def flood(self, *frames: Frame) -> None:
        """They come together, and nobody's turn is over."""
        self.plug.attachment.receive(b"".join(frame.encode() for frame in frames))

    def turn(self) -> None:
        """One turn of a reactor; a clock runs what is added meanwhile in the same one."""
        for call in self.clock.getDelayedCalls():
            if call.getTime() == self.clock.seconds():
                run = call.func
                call.cancel()
                run()

    def test_few_at_once(self) -> None:
        self.receive(*self.offers(MOST_AT_ONCE))
        self.assertEqual((self.session.received, self.plug.paused), (1 + MOST_AT_ONCE, False))

    def test_many_take_turns_and_nothing_more_is_read_meanwhile(self) -> None:
        frames = self.offers(3 * MOST_AT_ONCE)
        self.flood(*frames[:-1])
        for turn in (1, 2):
            self.assertEqual((self.session.received, self.plug.paused), (1 + turn * MOST_AT_ONCE, True))
            if turn == 1:
                # What was read in the same turn comes behind them.
                self.flood(frames[-1])
            self.turn()
        self.assertEqual((self.session.received, self.plug.paused), (1 + len(frames), False))
        self.assertFalse(self.plug.attachment.behind)
        self.clock.advance(ACK_DELAY)
        self.assertEqual(shown(self.plug.frames()), [f"ACK {1 + len(frames)}"])

    def test_the_end_in_between(self) -> None:
        for end in ("lost", "broken", "left"):
            self.setUp()
            frames = self.offers(2 * MOST_AT_ONCE)
            if end == "broken":
                frames[20] = Frame(Kind.OFFER, 7777, b"thing")
            elif end == "left":
                frames[20] = Frame(Kind.BYE)
            self.flood(*frames)
            if end == "lost":
                self.plug.attachment.lost()
            self.clock.advance(0)
            self.assertEqual((self.plug.attachment.behind, self.plug.paused), (False, False))
            self.assertEqual(self.session.received, {"lost": 1 + MOST_AT_ONCE, "broken": 0, "left": 0}[end])
            self.assertEqual(self.side.error is None, end == "lost")
            self.clock.advance(1000)
            self.assertEqual(self.clock.getDelayedCalls(), [])
