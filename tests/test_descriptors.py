"""How many sockets this process may have."""

from __future__ import annotations

import os
import resource

from twisted.trial.unittest import SynchronousTestCase

from p2phole import descriptors
from p2phole.descriptors import RESERVE, raise_descriptor_limit, spare_descriptors


class Limits:
    """In place of the module ``resource``."""

    RLIMIT_NOFILE = resource.RLIMIT_NOFILE
    RLIM_INFINITY = resource.RLIM_INFINITY

    def __init__(self, soft: int, hard: int, refuse: bool = False) -> None:
        self.limits = soft, hard
        self.refuse = refuse

    def getrlimit(self, which: int) -> tuple[int, int]:
        assert which == self.RLIMIT_NOFILE
        return self.limits

    def setrlimit(self, which: int, limits: tuple[int, int]) -> None:
        assert which == self.RLIMIT_NOFILE
        if self.refuse:
            raise ValueError("not allowed to raise maximum limit")
        self.limits = limits


class RaiseTests(SynchronousTestCase):
    def test_to_the_hard_limit(self) -> None:
        limits = Limits(1024, 4096)
        self.patch(descriptors, "resource", limits)
        raise_descriptor_limit()
        self.assertEqual(limits.limits, (4096, 4096))

    def test_where_that_is_not_allowed(self) -> None:
        limits = Limits(1024, 4096, refuse=True)
        self.patch(descriptors, "resource", limits)
        raise_descriptor_limit()
        self.assertEqual(limits.limits, (1024, 4096))

    def test_where_there_are_no_limits(self) -> None:
        self.patch(descriptors, "resource", None)
        raise_descriptor_limit()
        self.assertEqual(spare_descriptors(256), 256)


class SpareTests(SynchronousTestCase):
    def spare(self, soft: int, most: int = 256) -> int:
        self.patch(descriptors, "resource", Limits(soft, soft))
        return spare_descriptors(most)

    def test_some_are_left_over(self) -> None:
        used = len(os.listdir("/proc/self/fd"))
        self.assertEqual(self.spare(65_536), 256)
        self.assertTrue(0 <= self.spare(used + RESERVE + 100) <= 101)
        self.assertEqual(self.spare(used), 0)
        self.assertEqual(self.spare(0), 0)

    def test_no_limit_at_all(self) -> None:
        self.assertEqual(self.spare(resource.RLIM_INFINITY), 256)

    def test_where_nobody_tells_how_many_are_used(self) -> None:
        def listdir(path: str) -> list[str]:
            raise FileNotFoundError(path)

        self.patch(os, "listdir", listdir)
        self.assertEqual(self.spare(100), 256)
