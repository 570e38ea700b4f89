"""What the peers of one process share."""

from __future__ import annotations

import gc
import weakref

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from p2phole.peer.process import shared


class ProcessTests(SynchronousTestCase):
    def test_one_for_each_reactor(self) -> None:
        here, there = Clock(), Clock()
        one = shared(here)
        self.assertIs(shared(here), one)
        self.assertIs(shared(here).ledger, one.ledger)
        self.assertIsNot(shared(there), one)

    def test_it_lives_as_long_as_it_is_used(self) -> None:
        one = shared(Clock())
        self.assertTrue(one.gate.enter())
        self.assertFalse(shared(one.reactor).gate.enter())
        left = weakref.ref(one)
        del one
        gc.collect()
        self.assertIsNone(left())
