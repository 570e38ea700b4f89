"""Times in words."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from p2phole.use.times import duration, round_trip


class TimesTests(SynchronousTestCase):
    def test_round_trips(self) -> None:
        for seconds, text in ((0.0002, "<1 ms"), (0.001, "1 ms"), (0.2, "200 ms"), (1.25, "1.2 s")):
            self.assertEqual(round_trip(seconds), text)

    def test_durations(self) -> None:
        for seconds, text in ((-5, "0 s"), (119.9, "119 s"), (120, "2 min"), (7200, "2 h"), (200_000, "2 d")):
            self.assertEqual(duration(seconds), text)
