"""What the observations tell about the NAT."""

from __future__ import annotations

from ipaddress import ip_address
from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from p2phole.addresses import Endpoint
from p2phole.behaviour import ADDRESS, ALLOCATIONS, ANSWERS, FILTERINGS, INDEPENDENT, MAPPINGS, PORT, Behaviour
from p2phole.punch.mapping import FIRST, LARGEST_STEP, Observation, find, step_of
from tests import strategies

LOCAL = Endpoint.parse("192.168.1.7:4000")
OWN = [LOCAL.ip]
SEEN = "203.0.113.5:"


def found(
    *observations: tuple[str, str], local: Endpoint = LOCAL, ports: list[int] | None = None, **dialled_back: str
) -> Behaviour:
    """Each observation: by the broker's first or second address and port (a1, a2, b1, b2), as what."""
    numbers = {"1": 9000, "2": 9001}
    hosts = {"a": "198.51.100.1", "b": "198.51.100.2"}
    seen = [
        Observation(Endpoint.parse(f"{hosts[by[0]]}:{numbers[by[1]]}"), Endpoint.parse(as_what), local.port)
        for by, as_what in observations
    ]
    return find(local, OWN, seen, dialled_back, ports or [item.observed.port for item in seen])


class MappingTests(SynchronousTestCase):
    def test_nothing_seen(self) -> None:
        self.assertEqual(found(), Behaviour())
        self.assertEqual(found(("a1", "[2001:db8::1]:4000")), Behaviour())

    def test_no_nat(self) -> None:
        seen = ("a1", str(LOCAL)), ("a2", str(LOCAL))
        self.assertEqual(found(*seen), Behaviour("none", "unknown", "preserved", "unknown"))
        self.assertEqual(found(("a1", "192.168.1.7:4001")).mapping, "unknown")

    def test_one_address_of_the_broker_does_not_suffice(self) -> None:
        for port, allocation in (("4000", "preserved"), ("7000", "unknown")):
            behaviour = found(("a1", SEEN + port), ("a2", SEEN + port))
            self.assertEqual((behaviour.mapping, behaviour.allocation), ("unknown", allocation))

    def test_endpoint_independent(self) -> None:
        for port in ("4000", "7000"):
            seen = SEEN + port
            self.assertEqual(found(("a1", seen), ("a2", seen), ("b1", seen), ("b2", seen)).mapping, INDEPENDENT)

    def test_address_dependent(self) -> None:
        seen = ("a1", SEEN + "7000"), ("a2", SEEN + "7000"), ("b1", SEEN + "7001"), ("b2", SEEN + "7001")
        self.assertEqual(found(*seen).mapping, ADDRESS)
        # Two ports of one address suffice to show that the port does not count.
        self.assertEqual(found(*seen[:3]).mapping, ADDRESS)
        self.assertEqual(found(seen[0], seen[2]).mapping, "unknown")

    def test_address_and_port_dependent(self) -> None:
        self.assertEqual(found(("a1", SEEN + "7000"), ("a2", SEEN + "7001")).mapping, PORT)


class AllocationTests(SynchronousTestCase):
    def test_allocation(self) -> None:
        for ports, allocation in (
            ((4000, 4000, 4000), "preserved"),
            ((7000,), "unknown"),
            ((7000, 7000), "unknown"),
            ((7000, 7001), "sequential"),
            ((7000, 7008), "sequential"),
            ((7000, 7009), "random"),
            ((7001, 7000), "random"),
            ((7000, 7001, 7002), "sequential"),
            ((7000, 7002, 7010), "sequential"),
            ((7000, 7001, 7010), "random"),
            ((7002, 7001, 7000), "random"),
            ((7000, 31999, 12000, 60001), "random"),
        ):
            seen = [(by, SEEN + str(port)) for by, port in zip(("a1", "a2", "b1", "b2"), ports, strict=False)]
            self.assertEqual(found(*seen).allocation, allocation, ports)

    def test_ports_of_other_local_ports_count(self) -> None:
        seen = ("a1", SEEN + "7000"), ("a2", SEEN + "7001")
        self.assertEqual(found(*seen, ports=[7000, 7001, 7002]).allocation, "sequential")
        self.assertEqual(found(*seen, ports=[7000, 7001, 9000]).allocation, "random")

    def test_what_our_own_dialling_has_taken_meanwhile_is_no_jump(self) -> None:
        """Only the first ports count: later there may be many between two looks."""
        seen = ("a1", SEEN + "7000"), ("a2", SEEN + "7001")
        self.assertEqual(found(*seen, ports=[7000, 7001, 7002, 7100, 7300]).allocation, "sequential")

    def test_a_pool_of_addresses(self) -> None:
        """Port after port, but the address can't be told: as good as random."""
        behaviour = found(("a1", SEEN + "7000"), ("a2", "203.0.113.6:7001"))
        self.assertEqual((behaviour.mapping, behaviour.allocation), (PORT, "random"))

    def test_step(self) -> None:
        for ports, step in (
            ((), 0),
            ((7000,), 0),
            ((7000, 7000), 0),
            ((7000, 7001), 1),
            ((7000, 7002), 1),  # seen once: another client may have taken the one between
            ((7000, 7002, 7004), 2),
            ((7000, 7000, 7002, 7004, 7004), 2),
            ((7000, 7002, 7003), 1),
            ((7000, 7003, 7005), 1),
            ((7000, 7004, 7008), 4),
            ((7000, 7008, 7016), 8),
            ((7000, 7009), 0),
            ((7000, 6999), 0),
            ((65534, 65535, 1024), 0),
        ):
            self.assertEqual(step_of(ports), step, ports)

    @given(st.integers(1, 2), st.integers(1024, 60000), st.lists(st.integers(0, 3), min_size=2, max_size=2))
    @settings(deadline=None)
    def test_a_step_that_is_told_misses_nothing_that_others_leave(
        self, step: int, first: int, taken: list[int]
    ) -> None:
        """Whatever other clients take between our looks: counting by the step, one gets to each of our ports."""
        ports = [first]
        for others in taken:
            ports.append(ports[-1] + step * (others + 1))
        told = step_of(ports)
        self.assertGreater(told, 0)
        if taken[0] != taken[1] or not any(taken):
            self.assertTrue(all((port - first) % told == 0 for port in ports), (ports, told))


class FilteringTests(SynchronousTestCase):
    def test_by_what_was_let_in(self) -> None:
        for outcomes, filtering, unsolicited in (
            ({}, "unknown", "unknown"),
            ({"port": "silent"}, PORT, "silent"),
            ({"port": "reset"}, PORT, "reset"),
            ({"port": "icmp"}, PORT, "icmp"),
            # With one address it can't be told whether others are let in too.
            ({"port": "accepted"}, "unknown", "unknown"),
            ({"port": "accepted", "address": "silent"}, ADDRESS, "silent"),
            ({"port": "accepted", "address": "reset"}, ADDRESS, "reset"),
            ({"port": "accepted", "address": "accepted"}, INDEPENDENT, "unknown"),
            ({"port": "silent", "address": "reset"}, PORT, "silent"),
            ({"address": "accepted"}, INDEPENDENT, "unknown"),
            ({"address": "silent"}, "unknown", "silent"),
        ):
            behaviour = found(("a1", SEEN + "4000"), **outcomes)
            self.assertEqual((behaviour.filtering, behaviour.unsolicited), (filtering, unsolicited), outcomes)

    def test_without_nat(self) -> None:
        """Independent of the endpoint is no filter there; anything else is a firewall."""
        for outcomes, filtering in (
            ({"port": "accepted", "address": "accepted"}, "none"),
            ({"port": "accepted", "address": "reset"}, ADDRESS),
            ({"port": "silent"}, PORT),
            ({}, "unknown"),
        ):
            behaviour = found(("a1", str(LOCAL)), **outcomes)
            self.assertEqual((behaviour.mapping, behaviour.filtering), ("none", filtering))

    def test_found_even_where_nothing_was_seen(self) -> None:
        self.assertEqual(found(port="reset"), Behaviour("unknown", PORT, "unknown", "reset"))


class AnythingTests(SynchronousTestCase):
    OUTCOMES = st.dictionaries(
        st.sampled_from(["port", "address"]), st.sampled_from(["accepted", "reset", "icmp", "silent"])
    )

    @given(
        strategies.endpoints,
        st.lists(st.builds(Observation, strategies.endpoints, strategies.endpoints), max_size=6),
        OUTCOMES,
    )
    @settings(deadline=None, max_examples=150)
    def test_words_and_their_reasons(
        self, local: Endpoint, seen: list[Observation], outcomes: dict[str, str]
    ) -> None:
        relevant = [one for one in seen if one.observed.ip.version == local.ip.version]
        ports = [one.observed.port for one in relevant]
        behaviour = find(local, [ip_address("192.168.1.7")], seen, outcomes, ports)
        self.assertIn(behaviour.mapping, MAPPINGS)
        self.assertIn(behaviour.filtering, FILTERINGS)
        self.assertIn(behaviour.allocation, ALLOCATIONS)
        self.assertIn(behaviour.unsolicited, ANSWERS)
        if behaviour.mapping == INDEPENDENT:
            self.assertEqual(len({one.observed for one in relevant}), 1)
            self.assertGreater(len({one.target.ip for one in relevant}), 1)
        if behaviour.is_hard:
            self.assertGreater(len({one.observed for one in relevant}), 1)
        if behaviour.allocation == "sequential":
            first = list(dict.fromkeys(ports))[:FIRST]
            self.assertTrue(all(0 < after - before <= LARGEST_STEP for before, after in pairwise(first)))
        if behaviour.filtering in ("none", INDEPENDENT):
            self.assertEqual(outcomes["address"], "accepted")
