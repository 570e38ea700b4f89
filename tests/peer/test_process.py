"""What the peers of one process share."""

from __future__ import annotations

import gc

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from p2phole.peer import process
from p2phole.peer.process import shared


class ProcessTests(SynchronousTestCase):
    def test_one_for_each_reactor(self) -> None:
        here, there = Clock(), Clock()
        one = shared(here)
        self.assertIs(shared(here), one)
        self.assertIs(shared(here).ledger, one.ledger)
        self.assertIsNot(shared(there), one)

    def test_it_lives_as_long_as_it_is_used(self) -> None:
        before = len(process._by_reactor)
        one = shared(Clock())
        self.assertTrue(one.gate.enter())
        self.assertFalse(shared(one.reactor).gate.enter())
        del one
        gc.collect()
        self.assertEqual(len(process._by_reactor), before)
