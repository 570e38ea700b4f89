"""When a SYN may leave."""

from ipaddress import ip_address

from twisted.trial.unittest import SynchronousTestCase

from p2phole.punch.ledger import PER_SECOND, SECOND, SynLedger
from p2phole.punch.schedule import AT_ONCE, IN_ALL, LONGEST, PATIENT, SHORTEST, Redial, SynBudget

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
    def test_so_many_in_all(self) -> None:
        ledger = SynLedger()
        budget, now, sent = SynBudget(ledger), 0.0, 0
        while (wait := budget.wait(HERE, now)) is not None:
            now += wait
            if not wait:
                budget.spend(HERE, now)
                sent += 1
        self.assertEqual((sent, round(now, 3)), (IN_ALL, SECOND))
        self.assertEqual(budget.wait(THERE, now + 1), 0.0)
        # The next round may send more, when the ledger lets it.
        self.assertIsNone(budget.wait(HERE, now + 100))
        self.assertEqual(SynBudget(ledger).wait(HERE, now + 100), 0.0)

    def test_what_others_of_the_process_send_delays(self) -> None:
        ledger = SynLedger()
        first, second = SynBudget(ledger), SynBudget(ledger)
        for _ in range(PER_SECOND):
            first.spend(HERE, 5.0)
        self.assertAlmostEqual(second.wait(HERE, 5.25) or 0.0, SECOND - 0.25)

    def test_what_has_not_left_is_not_counted(self) -> None:
        ledger = SynLedger()
        budget = SynBudget(ledger)
        for _ in range(IN_ALL * 2):
            budget.unspend(HERE, budget.spend(HERE, 5.0))
        self.assertEqual((budget.wait(HERE, 5.0), len(ledger)), (0.0, 0))
