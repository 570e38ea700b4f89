from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from p2phole.bucket import Bucket, Rate


class BucketTests(SynchronousTestCase):
    def test_a_burst_and_then_the_rate(self) -> None:
        bucket = Bucket(Rate(burst=3, per_second=2))
        self.assertEqual([bucket.take(100.0) for _ in range(4)], [0.0, 0.0, 0.0, 0.5])
        self.assertEqual([bucket.take(100.5), bucket.take(100.5)], [0.0, 0.5])
        self.assertFalse(bucket.full(101.9))
        self.assertTrue(bucket.full(102.0))

    def test_a_large_request_is_owed(self) -> None:
        bucket = Bucket(Rate(burst=2, per_second=1))
        self.assertEqual(bucket.take(0.0, 10), 0.0)
        self.assertEqual(bucket.take(0.0), 9.0)

    @given(st.lists(st.floats(0, 5), max_size=60))
    def test_never_more_than_it_says(self, pauses: list[float]) -> None:
        bucket, now, granted = Bucket(Rate(burst=4, per_second=1)), 0.0, []
        for pause in pauses:
            now += pause
            if not bucket.take(now):
                granted.append(now)
        for first in granted:
            within = [each for each in granted if first <= each <= first + 3]
            self.assertLessEqual(len(within), 4 + 3 + 1)
