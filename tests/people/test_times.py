"""Moments in words."""

import os
import time

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from p2phole.people.times import ago, day
from p2phole.secure.people import LATEST


class TimesTests(SynchronousTestCase):
    def test_ago(self) -> None:
        for seconds, words in (
            (-1e9, "just now"),
            (59.9, "just now"),
            (60, "1 min ago"),
            (3599, "59 min ago"),
            (3600, "1 h ago"),
            (47.9 * 3600, "47 h ago"),
            (48 * 3600, "2 d ago"),
            (1_800_000_000, "20833 d ago"),
        ):
            self.assertEqual(ago(seconds), words)

    def test_day(self) -> None:
        self.patch(os, "environ", {**os.environ, "TZ": "UTC"})
        time.tzset()
        self.addCleanup(time.tzset)
        self.assertEqual((day(0), day(86_400 * 365)), ("1970-01-01", "1971-01-01"))

    @given(st.integers(0, LATEST))
    def test_whatever_the_file_may_hold(self, at: int) -> None:
        self.assertRegex(day(at), r"^\d{4}-\d\d-\d\d$")
