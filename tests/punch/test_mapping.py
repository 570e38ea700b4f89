"""What the observations tell about the NAT."""

from ipaddress import ip_address
from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from p2phole.addresses import Endpoint
from p2phole.punch.mapping import Finding, Observation, find
from tests import strategies

LOCAL = Endpoint.parse("192.168.1.7:4000")
OWN = [LOCAL.ip]
SEEN = "203.0.113.5:"


def finding(*observations: tuple[str, str], local: Endpoint = LOCAL) -> Finding:
    """Each observation: by the broker's first or second address and port (a1, a2, b1, b2), as what."""
    ports = {"1": 9000, "2": 9001}
    hosts = {"a": "198.51.100.1", "b": "198.51.100.2"}
    found = [
        Observation(Endpoint.parse(f"{hosts[by[0]]}:{ports[by[1]]}"), Endpoint.parse(seen))
        for by, seen in observations
    ]
    return find(local, OWN, found)


class FindTests(SynchronousTestCase):
    def test_nothing_seen(self) -> None:
        self.assertEqual(finding(), Finding("unknown", "unknown"))
        self.assertEqual(finding(("a1", "[2001:db8::1]:4000")), Finding("unknown", "unknown"))

    def test_no_nat(self) -> None:
        self.assertEqual(finding(("a1", str(LOCAL)), ("a2", str(LOCAL))), Finding("none", "preserved"))
        self.assertEqual(finding(("a1", "192.168.1.7:4001")).mapping, "unknown")

    def test_one_address_of_the_broker_does_not_suffice(self) -> None:
        self.assertEqual(finding(("a1", SEEN + "4000"), ("a2", SEEN + "4000")), Finding("unknown", "preserved"))
        self.assertEqual(finding(("a1", SEEN + "7000"), ("a2", SEEN + "7000")), Finding("unknown", "unknown"))

    def test_endpoint_independent(self) -> None:
        for port in ("4000", "7000"):
            seen = SEEN + port
            self.assertEqual(
                finding(("a1", seen), ("a2", seen), ("b1", seen), ("b2", seen)).mapping, "endpoint-independent"
            )

    def test_address_dependent(self) -> None:
        self.assertEqual(
            finding(
                ("a1", SEEN + "7000"), ("a2", SEEN + "7000"), ("b1", SEEN + "7001"), ("b2", SEEN + "7001")
            ).mapping,
            "address-dependent",
        )
        # Only one port of the second address: it may as well be address-and-port-dependent.
        self.assertEqual(
            finding(("a1", SEEN + "7000"), ("a2", SEEN + "7000"), ("b1", SEEN + "7001")).mapping, "unknown"
        )

    def test_address_and_port_dependent(self) -> None:
        self.assertEqual(
            finding(("a1", SEEN + "7000"), ("a2", SEEN + "7001")).mapping, "address-and-port-dependent"
        )

    def test_allocation(self) -> None:
        for ports, allocation in (
            ((4000, 4000, 4000), "preserved"),
            ((7000, 7001), "unknown"),
            ((7000, 7001, 7002), "sequential"),
            ((7000, 7002, 7010), "sequential"),
            ((7000, 7001, 7010), "random"),
            ((7002, 7001, 7000), "random"),
            ((7000, 31999, 12000, 60001), "random"),
            ((4000, 7000, 4000), "unknown"),
        ):
            seen = [(by, SEEN + str(port)) for by, port in zip(("a1", "a2", "b1", "b2"), ports, strict=False)]
            self.assertEqual(finding(*seen).allocation, allocation, ports)

    @given(
        strategies.endpoints,
        st.lists(st.builds(Observation, strategies.endpoints, strategies.endpoints), max_size=6),
    )
    @settings(deadline=None, max_examples=150)
    def test_words_and_their_reasons(self, local: Endpoint, seen: list[Observation]) -> None:
        found = find(local, [ip_address("192.168.1.7")], seen)
        self.assertIn(
            found.mapping,
            (
                "none",
                "endpoint-independent",
                "address-dependent",
                "address-and-port-dependent",
                "unknown",
            ),
        )
        self.assertIn(found.allocation, ("preserved", "sequential", "random", "unknown"))
        relevant = [one for one in seen if one.observed.ip.version == local.ip.version]
        if found.mapping == "endpoint-independent":
            self.assertEqual(len({one.observed for one in relevant}), 1)
            self.assertGreater(len({one.target.ip for one in relevant}), 1)
        if found.allocation == "sequential":
            ports = list(dict.fromkeys(one.observed.port for one in relevant))
            self.assertTrue(all(0 < after - before <= 8 for before, after in pairwise(ports)))
