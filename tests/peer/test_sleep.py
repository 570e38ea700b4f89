"""How sleep is noticed."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from p2phole.peer.sleep import NAP, Sleep, seconds_asleep


class SleepTests(SynchronousTestCase):
    def test_each_sleep_once(self) -> None:
        asleep = [1000.0]
        sleep = Sleep(lambda: asleep[0])
        self.assertEqual(sleep.look(), 0.0)
        asleep[0] += 3600
        self.assertEqual((sleep.look(), sleep.look()), (3600.0, 0.0))

    def test_a_nap_is_nothing(self) -> None:
        asleep = [0.0]
        sleep = Sleep(lambda: asleep[0])
        asleep[0] += NAP / 2
        self.assertEqual(sleep.look(), 0.0)

    def test_this_machine_is_awake(self) -> None:
        before = seconds_asleep()
        self.assertLess(abs(seconds_asleep() - before), NAP)
