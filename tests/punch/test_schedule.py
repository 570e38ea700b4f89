"""When a SYN may leave."""

from ipaddress import ip_address

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from p2phole.punch.schedule import (
    AT_ONCE,
    IN_ALL,
    LONGEST,
    PATIENT,
    PER_SECOND,
    SHORTEST,
    Redial,
    SynBudget,
)

HERE, THERE = ip_address("192.0.2.1"), ip_address("2001:db8::1")


class RedialTests(SynchronousTestCase):
    def test_at_once_then_after_a_random_pause(self) -> None:
        for fraction, pause in ((0.0, SHORTEST), (0.999999, LONGEST)):
            redial = Redial(lambda fraction=fraction: fraction, eager=True)
            self.assertEqual([redial.pause() for _ in range(AT_ONCE)], [0.0] * AT_ONCE)
            self.assertAlmostEqual(redial.pause(), pause, places=5)

    def test_the_pause_is_random_each_time(self) -> None:
        fractions = iter([0.1, 0.7, 0.4])
        redial = Redial(lambda: next(fractions), eager=True)
        pauses = [redial.pause() for _ in range(AT_ONCE + 3)][AT_ONCE:]
        self.assertEqual(len(set(pauses)), 3)

    def test_patient_where_no_router_is(self) -> None:
        redial = Redial(lambda: 0.5, eager=False)
        pauses = [redial.pause() for _ in range(7)]
        self.assertEqual(pauses, [PATIENT * factor for factor in (1, 2, 4, 8, 16, 16, 16)])


class SynBudgetTests(SynchronousTestCase):
    def test_thirty_a_second(self) -> None:
        budget = SynBudget()
        for _ in range(PER_SECOND):
            self.assertEqual(budget.wait(HERE, 5.0), 0.0)
            budget.spend(HERE, 5.0)
        self.assertEqual(budget.wait(HERE, 5.25), 0.75)
        self.assertEqual(budget.wait(HERE, 6.0), 0.0)

    def test_addresses_are_apart(self) -> None:
        budget = SynBudget()
        for _ in range(IN_ALL):
            budget.spend(HERE, 5.0)
        self.assertIsNone(budget.wait(HERE, 5.0))
        self.assertEqual(budget.wait(THERE, 5.0), 0.0)

    @given(st.lists(st.tuples(st.booleans(), st.floats(0, 0.2), st.booleans()), max_size=200))
    @settings(deadline=None, max_examples=150)
    def test_never_more(self, steps: list[tuple[bool, float, bool]]) -> None:
        budget, now = SynBudget(), 1000.0
        sent: dict[object, list[float]] = {HERE: [], THERE: []}
        for is_here, pause, obeys_the_wait in steps:
            now += pause
            ip = HERE if is_here else THERE
            wait = budget.wait(ip, now)
            if wait is None:
                self.assertEqual(len(sent[ip]), 60)
                continue
            self.assertGreaterEqual(wait, 0.0)
            self.assertLessEqual(wait, 1.0)
            if wait and obeys_the_wait:
                now += wait
                self.assertEqual(budget.wait(ip, now), 0.0)
            elif wait:
                continue
            budget.spend(ip, now)
            sent[ip].append(now)
            recent = [time for time in sent[ip] if time > now - 1.0]
            self.assertLessEqual(len(recent), 30)
            self.assertLessEqual(len(sent[ip]), 60)

    def test_as_much_as_is_allowed(self) -> None:
        budget, now, sent = SynBudget(), 0.0, 0
        while (wait := budget.wait(HERE, now)) is not None:
            now += wait
            budget.spend(HERE, now)
            sent += 1
        self.assertEqual((sent, now), (60, 1.0))

    def test_the_kernels_repeats_are_reckoned_with(self) -> None:
        budget = SynBudget()
        budget.spend(HERE, 0.0, 5.0)
        self.assertAlmostEqual(budget.patience(HERE), 54 - 0.1)
        budget.unused(HERE, 3)
        self.assertAlmostEqual(budget.patience(HERE), 57 - 0.1)
        for _ in range(56):
            budget.spend(HERE, 0.0)
        # One is left, and it must not be repeated.
        self.assertEqual(int(budget.patience(HERE)), 0)
        budget.spend(HERE, 0.0, budget.patience(HERE))
        self.assertIsNone(budget.wait(HERE, 100.0))
