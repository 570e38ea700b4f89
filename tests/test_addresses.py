"""Endpoints, and what kind of address an address is."""

from ipaddress import ip_address

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from p2phole.addresses import Endpoint, is_loopback, is_private, is_undiallable, judged, unmap
from tests import strategies


class EndpointTests(SynchronousTestCase):
    def test_written_form(self) -> None:
        for text in ("192.0.2.1:1", "[2001:db8::1]:65535", "[::]:9000"):
            self.assertEqual(str(Endpoint.parse(text)), text)
        self.assertEqual(Endpoint.parse("192.0.2.1:9000").host, "192.0.2.1")

    def test_not_an_endpoint(self) -> None:
        for text in (
            "",
            ":",
            "192.0.2.1",
            "192.0.2.1:",
            ":80",
            "192.0.2.1:0",
            "192.0.2.1:65536",
            "192.0.2.1:999999",
            "192.0.2.1:-1",
            "192.0.2.1:+1",
            "192.0.2.1: 1",
            "192.0.2.1:\u0661",
            "192.0.2.1:\u00b2",
            "192.0.2.01:80",
            "[192.0.2.1]:80",
            "2001:db8::1:80",
            "[2001:db8::1]80",
            "[2001:db8::1:80",
            "[fe80::1%eth0]:80",
            "broker.example:80",
            "3221225985:80",
        ):
            error = self.assertRaises(ValueError, Endpoint.parse, text)
            self.assertRegex(str(error), "is not an address|not between 1 and 65535")

    def test_as_a_socket_says_it(self) -> None:
        self.assertEqual(Endpoint.make("::ffff:192.0.2.1", 5), Endpoint.parse("192.0.2.1:5"))
        self.assertEqual(Endpoint.make("fe80::1%eth0", 5), Endpoint.parse("[fe80::1]:5"))
        for host, port in (("", 5), ("x", 5), ("192.0.2.1", 0), ("192.0.2.1", 65536)):
            self.assertRaises(ValueError, Endpoint.make, host, port)

    @given(strategies.endpoints)
    @settings(deadline=None)
    def test_parse_reads_what_str_writes(self, endpoint: Endpoint) -> None:
        self.assertEqual(Endpoint.parse(str(endpoint)), endpoint)

    @given(st.text())
    @settings(deadline=None)
    def test_any_text(self, text: str) -> None:
        try:
            Endpoint.parse(text)
        except ValueError:
            pass


class KindTests(SynchronousTestCase):
    def kinds(self, text: str) -> str:
        ip = ip_address(text)
        found = [is_private(ip) and "private", is_loopback(ip) and "loopback", is_undiallable(ip) and "never"]
        return " ".join(kind for kind in found if kind) or "public"

    def test_own_networks(self) -> None:
        for first, last in (
            ("10.0.0.0", "10.255.255.255"),
            ("172.16.0.0", "172.31.255.255"),
            ("192.168.0.0", "192.168.255.255"),
            ("100.64.0.0", "100.127.255.255"),
            ("169.254.0.0", "169.254.255.255"),
            ("fc00::", "fdff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"),
            ("fe80::", "febf:ffff:ffff:ffff:ffff:ffff:ffff:ffff"),
        ):
            self.assertEqual((self.kinds(first), self.kinds(last)), ("private", "private"))
            for beside in (ip_address(first) - 1, ip_address(last) + 1):
                self.assertNotEqual(self.kinds(str(beside)), "never private", beside)
        for beside in ("9.255.255.255", "11.0.0.0", "172.15.255.255", "172.32.0.0", "192.167.255.255"):
            self.assertEqual(self.kinds(beside), "public")
        for beside in ("192.169.0.0", "100.63.255.255", "100.128.0.0", "fbff::", "fe00::"):
            self.assertEqual(self.kinds(beside), "public")

    def test_documentation_and_benchmarks_are_public(self) -> None:
        for text in ("192.0.2.1", "198.51.100.1", "203.0.113.1", "198.18.0.1", "198.19.255.255", "2001:db8::1"):
            self.assertEqual(self.kinds(text), "public")

    def test_never(self) -> None:
        for text in (
            "0.0.0.0",
            "0.1.2.3",
            "224.0.0.1",
            "239.9.9.9",
            "240.0.0.1",
            "255.255.255.255",
            "::",
            "ff02::1",
        ):
            self.assertEqual(self.kinds(text), "never")

    def test_loopback(self) -> None:
        for text in ("127.0.0.1", "127.255.255.255", "::1"):
            self.assertEqual(self.kinds(text), "loopback")

    def test_by_the_address_inside(self) -> None:
        for inside, kind in {
            "10.1.2.3": "private",
            "127.0.0.1": "loopback",
            "224.0.0.1": "never",
            "0.0.0.0": "never",
            "192.0.2.1": "public",
        }.items():
            number = int(ip_address(inside))
            for outer in (
                f"::ffff:{inside}",
                f"64:ff9b::{inside}",
                f"64:ff9b:1::{inside}",
                f"2002:{number >> 16:x}:{number & 0xFFFF:x}::1",
            ):
                self.assertEqual(self.kinds(outer), kind, outer)
                self.assertEqual(judged(ip_address(outer)), ip_address(inside))

    def test_unmap(self) -> None:
        self.assertEqual(unmap(ip_address("::ffff:192.0.2.1")), ip_address("192.0.2.1"))
        for text in ("192.0.2.1", "64:ff9b::192.0.2.1", "::1"):
            self.assertEqual(unmap(ip_address(text)), ip_address(text))
