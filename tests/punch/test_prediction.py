"""What to dial, given how both NATs behave."""

from __future__ import annotations

from itertools import product

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from p2phole.addresses import KINDS, Candidate, Endpoint
from p2phole.behaviour import ADDRESS, ALLOCATIONS, FILTERINGS, INDEPENDENT, MAPPINGS, PORT, Behaviour
from p2phole.punch.prediction import (
    PREDICTED,
    calls_for_many_ports,
    calls_for_many_tries,
    is_random,
    order,
    predicted,
    takes_long,
)
from tests import strategies

LATEST = Endpoint.parse("203.0.113.5:7000")
EVERY = [Behaviour(*words) for words in product(MAPPINGS, FILTERINGS, ALLOCATIONS)]
PAIRS = list(product(EVERY, EVERY))


class PredictedTests(SynchronousTestCase):
    def ports(self, latest: int, step: int) -> list[int]:
        return [one.endpoint.port for one in predicted(Endpoint(LATEST.ip, latest), step)]

    def test_the_next_ones_in_order(self) -> None:
        self.assertEqual(self.ports(7000, 1), list(range(7001, 7009)))
        self.assertEqual(self.ports(7000, 2), list(range(7002, 7017, 2)))
        self.assertEqual({(one.kind, one.endpoint.ip) for one in predicted(LATEST, 1)}, {("predicted", LATEST.ip)})

    def test_where_it_can_not_be_told(self) -> None:
        self.assertEqual(predicted(LATEST, 0), ())

    def test_at_the_ends(self) -> None:
        self.assertEqual(self.ports(65532, 1), [65533, 65534, 65535])
        self.assertEqual(self.ports(65535, 1), [])
        self.assertEqual(self.ports(1020, 1), [1024, 1025, 1026, 1027, 1028])

    @given(strategies.endpoints, st.integers(0, 8))
    @settings(deadline=None)
    def test_any(self, latest: Endpoint, step: int) -> None:
        found = predicted(latest, step)
        self.assertLessEqual(len(found), PREDICTED)
        self.assertEqual(len(set(found)), len(found))
        for one in found:
            self.assertTrue(1024 <= one.endpoint.port <= 65535)
            self.assertEqual(one.endpoint.ip, latest.ip)


class OrderTests(SynchronousTestCase):
    def test_what_the_broker_saw_comes_last_behind_what_was_predicted(self) -> None:
        kinds = [one.kind for one in order([Candidate(kind, LATEST) for kind in KINDS])]
        self.assertEqual(kinds, ["host", "mapped", "predicted", "srflx"])

    def test_without_predictions_it_stays(self) -> None:
        given_ = [Candidate(kind, LATEST) for kind in ("srflx", "host", "mapped")]
        self.assertEqual(order(given_), tuple(given_))

    @given(strategies.many_candidates)
    @settings(deadline=None)
    def test_nothing_is_lost_and_the_rest_stays_in_order(self, candidates: tuple[Candidate, ...]) -> None:
        found = order(candidates)
        self.assertEqual(sorted(map(str, found)), sorted(map(str, candidates)))
        for kind in ("predicted", "srflx"):
            self.assertEqual(
                [one for one in found if one.kind == kind], [one for one in candidates if one.kind == kind]
            )


class TechniqueTests(SynchronousTestCase):
    """Which of the two does what; the words of one side are those that the other side reads."""

    RANDOM = Behaviour(PORT, PORT, "random", "silent")
    HOME = Behaviour(INDEPENDENT, PORT, "preserved", "silent")

    def test_birthday(self) -> None:
        self.assertTrue(calls_for_many_ports(self.RANDOM, self.HOME))
        self.assertTrue(calls_for_many_tries(self.HOME, self.RANDOM))
        self.assertFalse(calls_for_many_tries(self.RANDOM, self.HOME))
        self.assertFalse(calls_for_many_ports(self.HOME, self.RANDOM))

    def test_not_where_the_other_side_lets_in(self) -> None:
        for filtering in ("none", INDEPENDENT, ADDRESS):
            loose = Behaviour(INDEPENDENT, filtering, "preserved")
            self.assertFalse(calls_for_many_ports(self.RANDOM, loose))
            self.assertFalse(calls_for_many_tries(loose, self.RANDOM))

    def test_a_firewall_without_nat_tries_too(self) -> None:
        self.assertTrue(calls_for_many_tries(Behaviour("none", PORT, "preserved"), self.RANDOM))

    def test_never_both_on_one_side_nor_where_both_are_hard(self) -> None:
        for mine, theirs in PAIRS:
            ports, tries = calls_for_many_ports(mine, theirs), calls_for_many_tries(mine, theirs)
            self.assertFalse(ports and tries)
            if mine.is_hard and theirs.is_hard:
                self.assertFalse(ports or tries)

    def test_only_if_ones_own_discovery_calls_for_it(self) -> None:
        """Whatever the other side claims: who knows nothing of its own NAT sends nothing."""
        for mine, theirs in PAIRS:
            if mine.mapping in ("none", INDEPENDENT, "unknown"):
                self.assertFalse(calls_for_many_ports(mine, theirs))
                if mine.filtering != PORT:
                    self.assertFalse(calls_for_many_tries(mine, theirs))
            elif not is_random(mine):
                self.assertFalse(calls_for_many_ports(mine, theirs) or calls_for_many_tries(mine, theirs))

    def test_both_wait_as_long(self) -> None:
        for mine, theirs in PAIRS:
            long = takes_long(mine, theirs)
            self.assertEqual(long, takes_long(theirs, mine))
            if calls_for_many_ports(mine, theirs) or calls_for_many_tries(mine, theirs):
                self.assertTrue(long)
