"""Rates, and figures in words."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from p2phole.use.files.pace import WINDOW, Pace, in_bytes, in_numbers, in_time, named


class PaceTests(SynchronousTestCase):
    def test_rate(self) -> None:
        pace = Pace()
        self.assertEqual((pace.rate, pace.left(5)), (None, None))
        pace.add(0, 1000)
        pace.add(0.5, 2000)
        self.assertIsNone(pace.rate)
        pace.add(2, 3000)
        self.assertEqual((pace.rate, pace.left(5000)), (1000, 5))

    def test_only_the_last_seconds_count(self) -> None:
        pace = Pace()
        for second in range(100):
            pace.add(second, second * (1 if second < 50 else 100))
        self.assertEqual(pace.rate, 100)
        for second in range(100, 100 + int(WINDOW) + 1):
            pace.add(second, 9900)
        self.assertEqual((pace.rate, pace.left(5)), (0, None))

    def test_it_begins_anew(self) -> None:
        pace = Pace()
        pace.add(0, 10_000)
        pace.add(1, 10)
        pace.add(3, 30)
        self.assertEqual(pace.rate, 10)
        pace.forget()
        self.assertIsNone(pace.rate)


class WordTests(SynchronousTestCase):
    def test_bytes(self) -> None:
        for size, text in (
            (0, "0 bytes"),
            (999, "999 bytes"),
            (1000, "1 kB"),
            (12_345, "12.3 kB"),
            (99_960, "100 kB"),
            (999_600, "1 MB"),
            (300_000_000, "300 MB"),
            (1.5e9, "1.5 GB"),
            (5e15, "5000 TB"),
        ):
            self.assertEqual(in_bytes(size), text)

    def test_times(self) -> None:
        for seconds, text in ((0.2, "0:00"), (12, "0:12"), (59.6, "1:00"), (3723, "1:02:03"), (1e9, "long")):
            self.assertEqual(in_time(seconds), text)

    def test_numbers(self) -> None:
        self.assertEqual(in_numbers(1, 0, 5), "1 file, 5 bytes")
        self.assertEqual(in_numbers(1234, 1, 5_000), "1,234 files in 1 folder, 5 kB")
        self.assertEqual(named(("a", "b", "c")), "a, b, c")
        self.assertEqual(named(tuple("abcde")), "a, b, c and 2 more")
