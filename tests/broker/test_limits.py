"""How much of the broker anybody may take."""

from ipaddress import ip_address

from hypothesis import given
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from p2phole.broker.limits import (
    BURST_SECONDS,
    IN_ALL,
    Allowance,
    Buckets,
    Limits,
    Traffic,
    address_group,
    over,
)
from p2phole.broker.settings import LimitSettings
from p2phole.bucket import Rate
from p2phole.wire.codec import BadLine, encode
from p2phole.wire.messages import Error
from tests import strategies


class AddressTests(SynchronousTestCase):
    def same(self, one: str, two: str) -> bool:
        return address_group(ip_address(one)) == address_group(ip_address(two))

    def test_what_counts_as_one_address(self) -> None:
        for one, two in (
            ("2001:db8:1:2::1", "2001:db8:1:2:ffff:ffff:ffff:ffff"),
            ("192.0.2.1", "::ffff:192.0.2.1"),
            ("192.0.2.1", "64:ff9b::192.0.2.1"),
            ("192.0.2.1", "2002:c000:201:7::9"),
        ):
            self.assertTrue(self.same(one, two), (one, two))
        for one, two in (
            ("192.0.2.1", "192.0.2.2"),
            ("2001:db8:1:2::1", "2001:db8:1:3::1"),
            ("64:ff9b::192.0.2.1", "64:ff9b::192.0.2.2"),
            ("::ffff:192.0.2.1", "::ffff:192.0.2.2"),
            ("::1", "192.0.2.1"),
        ):
            self.assertFalse(self.same(one, two), (one, two))

    @given(strategies.addresses)
    def test_short(self, ip: object) -> None:
        self.assertIn(len(address_group(ip)), (4, 8))  # type: ignore[arg-type]


class BucketsTests(SynchronousTestCase):
    def test_apart(self) -> None:
        buckets = Buckets(Rate(1, 1))
        self.assertEqual([buckets.take(name, 0.0) for name in "abab"], [0.0, 0.0, 1.0, 1.0])

    def test_those_that_are_full_again_are_forgotten(self) -> None:
        buckets, now = Buckets(Rate(2, 1)), 0.0
        for number in range(10_000):
            now += 1.0
            buckets.take(number, now)
            self.assertLessEqual(len(buckets), 64)

    def test_bounded_and_the_latest_are_kept(self) -> None:
        buckets = Buckets(Rate(1, 0.001), 1000)
        for number in range(20_000):
            self.assertEqual(buckets.take(number, 0.0), 0.0)
            self.assertLessEqual(len(buckets), 1000)
        self.assertTrue(all(buckets.take(number, 0.0) for number in range(19_600, 20_000)))


class AllowanceTests(SynchronousTestCase):
    def test_one_address_and_all(self) -> None:
        allowance, taken = Allowance("tries", 6), 0
        for number in range(IN_ALL + 2):
            address = number.to_bytes(4, "big")
            for _ in range(8):
                try:
                    allowance.by_address(address, 0.0)
                except BadLine as problem:
                    self.assertEqual((problem.code, problem.retry >= 1), ("limit", True))
                    self.assertIn("tries", problem.detail)
                else:
                    taken += 1
        self.assertEqual(taken, 6 * IN_ALL)

    def test_a_key_wherever_it_is(self) -> None:
        allowance = Allowance("tries", 6)
        for _ in range(6):
            allowance.by_key("a" * 64, 0.0)
        problem = self.assertRaises(BadLine, allowance.by_key, "a" * 64, 0.0)
        self.assertEqual(problem.retry, 10.0)
        allowance.by_key("b" * 64, 0.0)
        allowance.by_key("a" * 64, 10.0)


class TrafficTests(SynchronousTestCase):
    def test_lines_and_bytes(self) -> None:
        traffic = Traffic(LimitSettings(line_rate=2, byte_rate=100))
        for _ in range(int(2 * BURST_SECONDS)):
            traffic.line(0.0)
        self.assertIn("lines", self.assertRaises(BadLine, traffic.line, 0.0).detail)
        traffic.line(0.5)
        for _ in range(int(BURST_SECONDS)):
            traffic.data(100, 0.0)
        problem = self.assertRaises(BadLine, traffic.data, 1, 0.0)
        self.assertEqual((problem.code, problem.retry), ("limit", 1.0))


class LimitsTests(SynchronousTestCase):
    def limits(self, **limits: int) -> Limits:
        return Limits(LimitSettings(**limits), Clock().seconds)

    def test_connections(self) -> None:
        limits = self.limits(max_connections=5, max_per_address=2)
        for address in (b"a", b"a", b"b", None):
            limits.check_connection(address)
            limits.connected(address)
        self.assertIn("address", self.assertRaises(BadLine, limits.check_connection, b"a").detail)
        limits.check_connection(b"b")
        limits.connected(b"c")
        for address in (b"b", None):
            self.assertIn("broker", self.assertRaises(BadLine, limits.check_connection, address).detail)
        limits.disconnected(b"a")
        limits.check_connection(b"a")
        for address in (b"a", b"b", b"c", None):
            limits.disconnected(address)
        self.assertEqual((limits._connections, limits._here), (0, {}))

    def test_what_the_system_bears(self) -> None:
        limits = self.limits()
        limits.bear(1)
        limits.connected(b"a")
        self.assertRaises(BadLine, limits.check_connection, b"b")

    def test_rooms(self) -> None:
        limits = self.limits(max_room_members=3)
        limits.check_room(2, 0)
        self.assertIn("full", self.assertRaises(BadLine, limits.check_room, 3, 0).detail)

    def test_the_share_of_a_key(self) -> None:
        """Several peers of a home or a server, but never a large room's every place."""
        for members, share in ((512, 64), (100, 12), (64, 8), (20, 8), (8, 8), (2, 2)):
            limits = self.limits(max_room_members=members)
            limits.check_room(share - 1, share - 1)
            problem = self.assertRaises(BadLine, limits.check_room, share, share)
            self.assertEqual((problem.code, problem.retry > 0), ("limit", True))
            if members > share:
                self.assertIn("key", problem.detail)
                limits.check_room(members - 1, share - 1)

    def test_a_network_of_many_is_admitted(self) -> None:
        """What a company behind one address, or a class in one room, needs by default."""
        limits = self.limits()
        for number in range(1000):
            limits.check_connection(b"a")
            limits.connected(b"a")
            limits.registrations.by_address(b"a", 0.0)
            if number < 300:
                limits.check_room(number, 0)
                limits.introductions.by_address(b"a", 0.0, number)

    def test_an_error_says_when_to_come_back(self) -> None:
        for seconds, retry in ((0.0001, 1.0), (1.0, 1.0), (59.2, 60.0)):
            problem = over("too much", seconds)
            self.assertEqual((problem.code, problem.retry), ("limit", retry))
            encode(Error(problem.code, problem.detail, problem.retry))
