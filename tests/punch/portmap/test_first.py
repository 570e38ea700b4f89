"""The first of several tries."""

from __future__ import annotations

from twisted.internet.defer import CancelledError, Deferred, fail, succeed
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from p2phole.punch.portmap.first import First, NoneOfThem


class FirstTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.cancelled: list[int] = []
        self.begun: list[Deferred[str]] = []

    def try_three(self) -> Deferred[tuple[int, str]]:
        def begin() -> Deferred[str]:
            number = len(self.begun)
            self.begun.append(Deferred(lambda _: self.cancelled.append(number)))
            return self.begun[-1]

        return First(self.clock, [begin] * 3, 0.5, 3.0).done  # type: ignore[arg-type]

    def over(self) -> None:
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_one_is_enough(self) -> None:
        done = self.try_three()
        self.begun[0].callback("a")
        self.assertEqual(self.successResultOf(done), (0, "a"))
        self.assertEqual(len(self.begun), 1)
        self.over()

    def test_head_starts(self) -> None:
        done = self.try_three()
        for count in (1, 2, 3):
            self.assertEqual(len(self.begun), count)
            self.clock.advance(0.5)
        self.begun[1].callback("b")
        self.assertEqual(self.successResultOf(done), (1, "b"))
        self.assertEqual(self.cancelled, [0, 2])
        self.over()

    def test_the_next_at_once(self) -> None:
        done = self.try_three()
        self.begun[0].errback(ValueError())
        self.begun[1].errback(ValueError())
        self.assertEqual(len(self.begun), 3)
        self.begun[2].errback(ValueError())
        failure = self.failureResultOf(done, NoneOfThem)
        self.assertEqual(len(failure.value.failures), 3)
        self.over()

    def test_an_earlier_one_fails_later(self) -> None:
        done = self.try_three()
        self.clock.advance(0.5)
        self.begun[0].errback(ValueError())
        self.assertEqual(len(self.begun), 2)
        self.clock.advance(0.5)
        self.begun[2].errback(ValueError())
        self.assertNoResult(done)
        self.begun[1].callback("b")
        self.assertEqual(self.successResultOf(done), (1, "b"))
        self.over()

    def test_deadline(self) -> None:
        done = self.try_three()
        self.clock.pump([0.25] * 11)
        self.assertNoResult(done)
        self.clock.advance(0.25)
        failure = self.failureResultOf(done, NoneOfThem)
        self.assertEqual((failure.value.failures, self.cancelled), ((None,) * 3, [0, 1, 2]))
        self.over()

    def test_cancelled(self) -> None:
        done = self.try_three()
        done.cancel()
        self.failureResultOf(done, CancelledError)
        self.assertEqual(self.cancelled, [0])
        self.over()

    def test_at_once(self) -> None:
        tries = [lambda: fail(ValueError()), lambda: succeed("b")]
        done = First(self.clock, tries, 0.5, 3.0).done  # type: ignore[arg-type]
        self.assertEqual(self.successResultOf(done), (1, "b"))
        self.over()
