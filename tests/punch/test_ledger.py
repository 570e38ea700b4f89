"""What a process sends at the most, whatever it is asked."""

from __future__ import annotations

from bisect import bisect_left
from ipaddress import ip_address

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from p2phole.addresses import IPAddress
from p2phole.punch.ledger import (
    ALL_PER_SECOND,
    MINUTE,
    MOST_ADDRESSES,
    PER_MINUTE,
    PER_SECOND,
    SECOND,
    SHORTEST_WAIT,
    SynLedger,
)

HERE, THERE = ip_address("192.0.2.1"), ip_address("2001:db8::1")


def busiest(times: list[float], seconds: float) -> int:
    """The most of them in any such span."""
    times = sorted(times)
    return max((bisect_left(times, at + seconds) - number for number, at in enumerate(times)), default=0)


class LedgerTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.ledger = SynLedger()

    def spend(self, count: int, ip: IPAddress = HERE, now: float = 5.0) -> None:
        for _ in range(count):
            self.assertEqual(self.ledger.wait(ip, now), 0.0)
            self.ledger.spend(ip, now)

    def test_thirty_a_second_and_sixty_a_minute(self) -> None:
        self.spend(PER_SECOND)
        self.assertAlmostEqual(self.ledger.wait(HERE, 5.25), SECOND - 0.25)
        self.assertEqual(self.ledger.wait(THERE, 5.25), 0.0)
        self.spend(PER_MINUTE - PER_SECOND, now=7.0)
        self.assertAlmostEqual(self.ledger.wait(HERE, 25.0), MINUTE - 20.0)
        self.spend(PER_SECOND, now=5.001 + MINUTE)

    def test_the_minute_begins_anew_with_a_proof_and_the_second_does_not(self) -> None:
        for now in (5.0, 9.0):
            self.spend(PER_SECOND, THERE, now)
        self.ledger.proven(THERE, 9.0)
        self.assertAlmostEqual(self.ledger.wait(THERE, 9.25), SECOND - 0.25)
        for now in (11.0, 13.0):
            self.spend(PER_SECOND, THERE, now)
        self.assertAlmostEqual(self.ledger.wait(THERE, 15.0), MINUTE - 4.0)

    def test_a_proof_is_for_its_address_and_forgotten_with_it(self) -> None:
        for ip in (HERE, THERE):
            self.spend(PER_SECOND, ip, 5.0)
            self.spend(PER_SECOND, ip, 7.0)
        self.ledger.proven(THERE, 7.5)
        self.assertAlmostEqual(self.ledger.wait(HERE, 15.0), MINUTE - 10.0)
        self.assertEqual(self.ledger.wait(THERE, 15.0), 0.0)
        self.ledger.wait(HERE, 15.0 + MINUTE)
        self.assertEqual((len(self.ledger), self.ledger._proven), (0, {}))
        self.ledger.proven(THERE, 15.0 + MINUTE)
        self.assertEqual(self.ledger._proven, {})

    def test_two_hundred_a_second_in_all(self) -> None:
        for number in range(ALL_PER_SECOND):
            self.spend(1, ip_address(number))
        self.assertAlmostEqual(self.ledger.wait(HERE, 5.5), SECOND - 0.5)
        self.spend(1, now=5.001 + SECOND)

    def test_nobody_comes_back_at_once(self) -> None:
        self.spend(PER_SECOND)
        self.assertEqual(self.ledger.wait(HERE, 5.0 + SECOND - 0.001), SHORTEST_WAIT)

    def test_one_that_leaves_later_counts_until_then(self) -> None:
        for _ in range(PER_SECOND):
            self.ledger.spend(HERE, 5.0, 5.5)
        self.assertAlmostEqual(self.ledger.wait(HERE, 5.0), SECOND + 0.5)

    def test_memory(self) -> None:
        """Addresses are forgotten after a minute; until then there is a bound, and who waits gets through."""
        now = 5.0
        for number in range(MOST_ADDRESSES):
            while self.ledger.wait(ip_address(number), now):
                now += 0.1
            self.spend(1, ip_address(number), now)
        self.assertEqual(len(self.ledger), MOST_ADDRESSES)
        now += 2.0
        wait = self.ledger.wait(HERE, now)
        self.assertAlmostEqual(wait, 5.0 + MINUTE - now)
        self.assertEqual(self.ledger.wait(ip_address(1), now), 0.0)
        self.spend(1, HERE, now + wait + 0.001)
        self.ledger.wait(THERE, now + 2 * MINUTE)
        self.assertEqual(len(self.ledger), 0)

    ASK = st.tuples(
        st.integers(0, 12),  # which address: the first ones often
        st.floats(0, 3),  # how long after the one before
        st.integers(1, 45),  # how many at once
        st.floats(0, 1.2),  # a repeat of the kernel's may leave so much later
        st.floats(0, 1),  # when it really does, between the two
        st.booleans(),  # whether it has left at all
    )

    @given(st.lists(ASK, max_size=120))
    @settings(deadline=None, max_examples=200)
    def test_any_asks(self, asks: list[tuple[int, float, int, float, float, bool]]) -> None:
        ledger, now = SynLedger(), 1000.0
        sent: dict[int, list[float]] = {}
        for number, pause, count, late, fraction, leaves in asks:
            now += pause if pause > 0.5 else pause / 100
            for _ in range(count):
                wait = ledger.wait(ip_address(max(0, number - 6)), now)
                self.assertTrue(wait == 0.0 or SHORTEST_WAIT <= wait <= MINUTE + 2.4)
                if wait:
                    continue
                ip = ip_address(max(0, number - 6))
                stamp = ledger.spend(ip, now, now + late)
                if leaves:
                    sent.setdefault(int(ip), []).append(now + late * fraction)
                else:
                    ledger.unspend(ip, stamp)
        for times in sent.values():
            self.assertLessEqual(busiest(times, 1.0), PER_SECOND)
            self.assertLessEqual(busiest(times, 60.0), PER_MINUTE)
        self.assertLessEqual(busiest([at for times in sent.values() for at in times], 1.0), ALL_PER_SECOND)

    def test_the_measure(self) -> None:
        self.assertEqual(busiest([3.0, 1.0, 1.5, 2.1, 1.9], 1.0), 3)
        self.assertEqual(busiest([1.0, 2.0], 1.0), 1)
