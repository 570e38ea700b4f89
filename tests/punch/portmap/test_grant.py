"""What of a router's claims is believed."""

from __future__ import annotations

from ipaddress import ip_address

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from p2phole.addresses import Candidate, Endpoint
from p2phole.punch.portmap.grant import LONGEST_LEASE, BadAnswer, Grant, doubt, grant, told
from tests.strategies import addresses, endpoints

OBSERVED = Endpoint.parse("192.0.1.1:61234")


class GrantTests(SynchronousTestCase):
    def test_granted(self) -> None:
        self.assertEqual(grant(ip_address("192.0.1.1"), 4000, 600), Grant(Endpoint.parse("192.0.1.1:4000"), 600))

    def test_a_long_lease_is_not_relied_on(self) -> None:
        self.assertEqual(grant(ip_address("192.0.1.1"), 4000, 2**32 - 1).seconds, LONGEST_LEASE)

    def test_nonsense(self) -> None:
        for ip in ("0.0.0.0", "127.0.0.1", "224.0.0.1", "255.255.255.255", "::", "::1", "::ffff:127.0.0.1"):
            self.assertRaises(BadAnswer, grant, ip_address(ip), 4000, 600)
        for port, seconds in ((0, 600), (65536, 600), (-1, 600), (4000, 0), (4000, 29)):
            self.assertRaises(BadAnswer, grant, ip_address("192.0.1.1"), port, seconds)

    @given(addresses, st.integers(), st.integers())
    def test_only_our_own_error(self, ip: object, port: int, seconds: int) -> None:
        try:
            found = grant(ip, port, seconds)  # type: ignore[arg-type]
        except BadAnswer:
            return
        Endpoint.parse(str(found.external))


class DoubtTests(SynchronousTestCase):
    def test_told(self) -> None:
        claimed = Endpoint.parse("192.0.1.1:4000")
        self.assertIsNone(doubt(claimed, OBSERVED))
        self.assertEqual(told(claimed, OBSERVED), (Candidate("mapped", claimed),))

    def test_another_nat_is_between(self) -> None:
        for text in ("10.0.0.2:4000", "100.64.3.3:4000", "192.0.1.2:4000"):
            claimed = Endpoint.parse(text)
            self.assertIn("another NAT", doubt(claimed, OBSERVED) or "")
            self.assertEqual(told(claimed, OBSERVED), ())

    def test_a_port_that_nobody_dials(self) -> None:
        self.assertIn("below 1024", doubt(Endpoint.parse("192.0.1.1:443"), OBSERVED) or "")

    def test_nothing_to_tell(self) -> None:
        self.assertEqual(told(None, OBSERVED), ())

    @given(endpoints, endpoints)
    def test_never_a_third_party(self, claimed: Endpoint, observed: Endpoint) -> None:
        for candidate in told(claimed, observed):
            self.assertEqual(candidate.endpoint.ip, observed.ip)
