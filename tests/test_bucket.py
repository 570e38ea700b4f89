"""So many at once, and so many a second after that."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from p2phole.bucket import Bucket, Rate


class BucketTests(SynchronousTestCase):
    def test_a_burst_and_then_the_rate(self) -> None:
        bucket = Bucket(Rate(5, 2))
        self.assertEqual([bucket.take(100.0) for _ in range(5)], [0.0] * 5)
        self.assertAlmostEqual(bucket.take(100.0), 0.5)
        self.assertAlmostEqual(bucket.take(100.3), 0.2)
        self.assertEqual(bucket.take(100.5), 0.0)
        self.assertAlmostEqual(bucket.take(100.5), 0.5)
        self.assertFalse(bucket.full(102.9))
        self.assertTrue(bucket.full(103.01))

    def test_what_was_not_used(self) -> None:
        bucket = Bucket(Rate(2, 1))
        for _ in range(9):
            self.assertEqual(bucket.take(100.0), 0.0)
            bucket.give_back()
        self.assertEqual([bucket.take(100.0) for _ in range(3)], [0.0, 0.0, 1.0])

    def test_the_wait_that_it_tells_is_enough(self) -> None:
        bucket, now = Bucket(Rate(3, 0.7)), 0.0
        for cost in (1, 2, 3, 1, 1, 10, 1, 1, 1, 4):
            if wait := bucket.take(now, cost):
                self.assertGreater(bucket.take(now + wait * 0.9), 0.0)
                now += wait
                self.assertEqual(bucket.take(now, cost), 0.0)

    def test_what_is_larger_than_the_burst_passes_and_is_paid_for(self) -> None:
        bucket = Bucket(Rate(10, 1))
        self.assertEqual(bucket.take(0, 500), 0.0)
        self.assertAlmostEqual(bucket.take(0, 1), 491.0)
        self.assertEqual(bucket.take(491, 1), 0.0)

    @given(st.lists(st.tuples(st.floats(0, 5), st.integers(1, 9)), max_size=60))
    @settings(deadline=None)
    def test_never_more_than_it_may(self, steps: list[tuple[float, int]]) -> None:
        """In any stretch of time: the burst, the rate, and the last one's own."""
        bucket, now, taken = Bucket(Rate(6, 2)), 1000.0, []
        for pause, cost in steps:
            now += pause
            if not bucket.take(now, cost):
                taken.append((now, cost))
        for first in range(len(taken)):
            for last in range(first, len(taken)):
                had = sum(cost for _, cost in taken[first:last])
                self.assertLessEqual(had, 6 - 1 + 2 * (taken[last][0] - taken[first][0]) + 8 + 1e-3)
