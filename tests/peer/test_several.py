"""Several uses of one peer."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from p2phole.peer.several import Several
from p2phole.peer.use import Idle, Partner
from p2phole.session.errors import Forgotten


class Noting(Idle):
    """Notes what it is told; ``fails`` at each of it."""

    def __init__(self, fails: bool = False) -> None:
        self.fails = fails
        self.told: list[str] = []
        self.stopping: Deferred[None] = Deferred()

    def met(self, partner: Partner) -> None:
        """See Use."""
        self.told.append("met")
        if self.fails:
            raise RuntimeError("a defect")

    def stop(self) -> Deferred[None] | None:
        """See Use."""
        return self.stopping


class SeveralTests(SynchronousTestCase):
    def test_one_that_fails_keeps_nobody_from_being_told(self) -> None:
        partner: Any = object()
        first, second = Noting(fails=True), Noting()
        several = Several([first, second])
        several.met(partner)
        several.linked(partner)
        several.unlinked(partner)
        several.over(partner, Forgotten())
        self.assertEqual((first.told, second.told), (["met"], ["met"]))
        self.assertEqual(len(self.flushLoggedErrors(RuntimeError)), 1)

    def test_all_are_waited_for(self) -> None:
        first, second = Noting(), Noting()
        stopped = Several([first, Idle(), second]).stop()
        assert stopped is not None
        first.stopping.callback(None)
        self.assertNoResult(stopped)
        second.stopping.errback(RuntimeError("it could not stop in order"))
        self.assertIsNone(self.successResultOf(stopped))

    def test_nothing_to_wait_for(self) -> None:
        self.assertIsNone(Several([Idle()]).stop())
