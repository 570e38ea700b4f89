"""Which endpoints are told, and which may be dialled."""

from ipaddress import IPv4Address, IPv6Address, ip_address, ip_interface

from hypothesis import example, given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from p2phole.addresses import Candidate, Endpoint, InterfaceAddress, IPAddress
from p2phole.punch.candidates import MOST_DIALLED, Surroundings, forbidden, gather, to_dial
from tests import strategies


def interface(text: str) -> InterfaceAddress:
    found = ip_interface(text)
    return InterfaceAddress(found.ip, found.network)


def at(text: str) -> Endpoint:
    return Endpoint.parse(text)


HOME = Surroundings(
    (interface("127.0.0.1/8"), interface("192.168.1.7/24"), interface("::1/128"), interface("2001:db8:1::7/64")),
    4000,
    ip_address("198.51.100.1"),
    at("203.0.113.5:4000"),
)
"""Behind a router, the broker somewhere on the internet."""
LOOPBACK = Surroundings(HOME.interfaces, 4000, ip_address("127.0.0.1"), at("127.0.0.1:4000"))
OFFICE = Surroundings(HOME.interfaces, 4000, ip_address("192.168.1.1"), at("192.168.1.7:4000"))
"""The broker on this very network."""
THEIRS = at("198.51.100.77:5000")


class GatherTests(SynchronousTestCase):
    def test_own_addresses_and_how_they_are_seen(self) -> None:
        self.assertEqual(
            gather(HOME, (at("203.0.113.5:4001"),)),
            (
                Candidate("host", at("192.168.1.7:4000")),
                Candidate("host", at("[2001:db8:1::7]:4000")),
                Candidate("srflx", at("203.0.113.5:4000")),
                Candidate("srflx", at("203.0.113.5:4001")),
            ),
        )

    def test_without_a_router_each_endpoint_once(self) -> None:
        here = Surroundings((interface("203.0.113.5/24"),), 4000, HOME.broker, HOME.observed)
        self.assertEqual(gather(here, (HOME.observed,)), (Candidate("host", HOME.observed),))

    def test_loopback_only_with_a_broker_on_loopback(self) -> None:
        found = {str(candidate.endpoint) for candidate in gather(LOOPBACK)}
        self.assertEqual(found & {"127.0.0.1:4000", "[::1]:4000"}, {"127.0.0.1:4000", "[::1]:4000"})

    def test_link_local_is_not_told(self) -> None:
        here = Surroundings(
            (interface("fe80::1/64"), interface("169.254.9.9/16")), 4000, HOME.broker, HOME.observed
        )
        self.assertEqual(gather(here), (Candidate("srflx", HOME.observed),))


class ForbiddenTests(SynchronousTestCase):
    def assertAllowed(self, text: str, here: Surroundings = HOME, theirs: Endpoint = THEIRS, **more: bool) -> None:
        self.assertIsNone(forbidden(at(text), theirs, here, **more), text)

    def assertForbidden(
        self, why: str, text: str, here: Surroundings = HOME, theirs: Endpoint = THEIRS, **more: bool
    ) -> None:
        self.assertIn(why, forbidden(at(text), theirs, here, **more) or "allowed", text)

    def test_public(self) -> None:
        for text in ("192.0.2.1:1024", "8.8.8.8:53000", "198.18.0.1:5000", "[2001:db8::9]:5000"):
            self.assertAllowed(text)

    def test_not_one_machine(self) -> None:
        for text in (
            "0.0.0.0:5000",
            "0.1.2.3:5000",
            "224.0.0.1:5000",
            "255.255.255.255:5000",
            "240.1.1.1:5000",
            "[::]:5000",
            "[ff02::1]:5000",
            "[64:ff9b::224.0.0.1]:5000",
            "[2002:ffff:ffff::1]:5000",
            "192.168.1.255:5000",
            "[64:ff9b::192.168.1.255]:5000",
        ):
            self.assertForbidden("one machine", text)
            self.assertForbidden("one machine", text, proven=True, theirs=at(text))

    def test_broadcast_of_a_network_that_has_none(self) -> None:
        here = Surroundings((interface("192.0.2.0/31"),), 4000, HOME.broker, HOME.observed)
        self.assertAllowed("192.0.2.1:5000", here)

    def test_loopback(self) -> None:
        for text in (
            "127.0.0.1:5000",
            "127.9.9.9:5000",
            "[::1]:5000",
            "[64:ff9b::127.0.0.1]:5000",
            "[2002:7f00:1::]:5000",
        ):
            self.assertForbidden("loopback", text)
            self.assertForbidden("loopback", text, OFFICE, proven=True)
            self.assertAllowed(text, LOOPBACK)

    def test_low_ports(self) -> None:
        for port in (1, 22, 1023):
            self.assertForbidden("below 1024", f"192.0.2.1:{port}")
            self.assertForbidden("below 1024", f"192.0.2.1:{port}", proven=True)
            self.assertAllowed(f"192.0.2.1:{port}", theirs=at(f"192.0.2.1:{port}"))
        self.assertForbidden("below 1024", "192.0.2.1:22", theirs=at("192.0.2.1:23"))

    def test_itself(self) -> None:
        for text in (
            "203.0.113.5:4000",
            "192.168.1.7:4000",
            "[2001:db8:1::7]:4000",
            "[64:ff9b::203.0.113.5]:4000",
        ):
            self.assertForbidden("itself", text, proven=True)
        self.assertForbidden("itself", "127.0.0.1:4000", LOOPBACK)
        # Another peer on this machine, or behind the same router.
        self.assertAllowed("127.0.0.1:4001", LOOPBACK)
        self.assertAllowed("203.0.113.5:4001")
        self.assertAllowed("192.168.1.7:4001", theirs=at("203.0.113.5:4001"))

    def test_private(self) -> None:
        for text in (
            "10.0.0.1:5000",
            "172.16.0.1:5000",
            "192.168.1.9:5000",
            "100.64.0.1:5000",
            "169.254.1.1:5000",
            "[fc00::1]:5000",
            "[fe80::1]:5000",
            "[64:ff9b::10.0.0.1]:5000",
            "[2002:a00:1::]:5000",
        ):
            self.assertForbidden("private", text)
            self.assertAllowed(text, proven=True)
            self.assertAllowed(text, theirs=at("203.0.113.5:9999"))

    def test_private_on_the_brokers_network(self) -> None:
        self.assertAllowed("192.168.1.9:5000", OFFICE, at("192.168.1.9:5000"))
        self.assertForbidden("private", "192.168.2.9:5000", OFFICE)
        self.assertForbidden("private", "10.0.0.1:5000", OFFICE)
        # A private network like the broker's, but not the one it is on.
        elsewhere = Surroundings(HOME.interfaces, 4000, ip_address("192.168.2.1"), at("192.168.2.7:4000"))
        self.assertForbidden("private", "192.168.1.9:5000", elsewhere)
        self.assertForbidden("private", "192.168.2.9:5000", elsewhere)

    def test_private_although_the_broker_saw_it_there(self) -> None:
        self.assertForbidden("private", "10.0.0.1:5000", theirs=at("10.0.0.1:5000"))


def oracle(endpoint: Endpoint, theirs: Endpoint, here: Surroundings, proven: bool) -> bool:
    """CONTRACT.md, "What never happens", from its words: whether this may be dialled.

    "IPv4-mapped, NAT64 and 6to4 addresses are judged by the address inside."
    """
    ip = inside(endpoint.ip)
    number = int(ip)
    local = (ip.version == 4 and number >> 24 == 127) or (ip.version == 6 and number == 1)
    by_loopback = here.broker == IPv6Address("::1") or str(here.broker).startswith("127.")
    own = [one.ip for one in here.interfaces]
    if ip.version == 4:
        octets = number.to_bytes(4, "big")
        unspecified = octets[0] == 0
        multicast = 224 <= octets[0] < 240
        broadcast = octets[0] >= 240 or any(
            one.network.version == 4
            and one.network.prefixlen < 31
            and number == int(one.network.network_address) | (1 << 32 - one.network.prefixlen) - 1
            for one in here.interfaces
        )
        private = (
            octets[0] == 10
            or (octets[0] == 172 and 16 <= octets[1] < 32)
            or octets[:2] in (b"\xc0\xa8", b"\xa9\xfe")
            or (octets[0] == 100 and 64 <= octets[1] < 128)
        )
    else:
        unspecified, broadcast = number == 0, False
        multicast = number >> 120 == 0xFF
        private = number >> 121 == 0xFC >> 1 or number >> 118 in (0xFE80 >> 6, 0xFEC0 >> 6)
    if unspecified or multicast or broadcast:
        return False
    if local and not by_loopback:
        return False
    if endpoint.port < 1024 and endpoint != theirs:
        return False
    if here.observed.port == endpoint.port and here.observed.ip in (ip, endpoint.ip):
        return False
    if endpoint.port == here.port and (local or ip in own or endpoint.ip in own):
        return False
    brokers_network = any(
        endpoint.ip in one.network and here.broker in one.network
        for one in here.interfaces
        if one.network.version == endpoint.ip.version == here.broker.version and not one.ip.is_loopback
    )
    return not private or proven or theirs.ip == here.observed.ip or brokers_network


def inside(ip: IPAddress) -> IPAddress:
    """The IPv4 address that an IPv6 one carries, by its bytes."""
    if isinstance(ip, IPv6Address):
        raw = ip.packed
        if raw[:2] == b"\x20\x02":
            return IPv4Address(raw[2:6])
        if raw[:12] in (bytes(10) + b"\xff\xff", bytes.fromhex("0064ff9b") + bytes(8)):
            return IPv4Address(raw[12:])
        if raw[:6] == bytes.fromhex("0064ff9b0001"):
            return IPv4Address(raw[12:])
        if raw[:12] == bytes(12) and int(ip) > 1:
            return IPv4Address(raw[12:])
    return ip


brokers = st.sampled_from(["198.51.100.1", "192.168.1.1", "127.0.0.1", "::1", "2001:db8:1::1", "10.0.0.1"])
places = st.builds(
    Surroundings,
    st.lists(
        st.sampled_from(
            [
                "127.0.0.1/8",
                "192.168.1.7/24",
                "10.1.2.3/8",
                "::1/128",
                "2001:db8:1::7/64",
                "fc00::7/64",
                "192.0.2.0/31",
            ]
        ).map(interface)
    ).map(tuple),
    st.sampled_from([4000, 1023, 65535]),
    brokers.map(ip_address),
    st.one_of(strategies.endpoints, st.just(at("203.0.113.5:4000"))),
)


class OracleTests(SynchronousTestCase):
    @given(strategies.endpoints, strategies.endpoints, places, st.booleans(), st.sampled_from("dots"))
    @example(at("10.0.0.1:5000"), at("203.0.113.5:1"), HOME, False, "d")
    @settings(deadline=None, max_examples=500)
    def test_as_the_contract_says(
        self, endpoint: Endpoint, theirs: Endpoint, here: Surroundings, proven: bool, alike: str
    ) -> None:
        if alike == "o":
            theirs = Endpoint(here.observed.ip, theirs.port)
        elif alike == "t":
            theirs = endpoint
        elif alike == "s" and here.interfaces:
            endpoint = Endpoint(here.interfaces[0].ip, here.port)
        found = forbidden(endpoint, theirs, here, proven)
        self.assertEqual(found is None, oracle(endpoint, theirs, here, proven), found)

    @given(strategies.many_candidates, strategies.endpoints, places, st.booleans())
    @settings(deadline=None, max_examples=200)
    def test_only_what_is_allowed_is_dialled(
        self, candidates: tuple[Candidate, ...], theirs: Endpoint, here: Surroundings, proven: bool
    ) -> None:
        found = to_dial(candidates, theirs, here, proven)
        self.assertLessEqual(len(found), MOST_DIALLED)
        self.assertEqual(len({one.endpoint for one in found}), len(found))
        for one in found:
            by_itself = proven and one.kind in ("host", "mapped")
            self.assertTrue(oracle(one.endpoint, theirs, here, by_itself))
            self.assertIn(one, (*candidates, Candidate("srflx", theirs)))
        if oracle(theirs, theirs, here, False):
            self.assertIn(theirs, [one.endpoint for one in found])


class RankTests(SynchronousTestCase):
    def test_what_the_broker_says_is_not_what_a_proven_peer_says(self) -> None:
        inside = at("192.168.7.7:5000")
        for kind, dialled in (("host", True), ("mapped", True), ("srflx", False), ("predicted", False)):
            found = to_dial((Candidate(kind, inside),), THEIRS, HOME, proven=True)
            self.assertEqual(Candidate(kind, inside) in found, dialled, kind)
        self.assertEqual(to_dial((), at("192.168.7.7:80"), HOME, proven=True), ())

    def test_host_first_and_ipv6_first_among_equals(self) -> None:
        four, six = at("192.0.2.1:5000"), at("[2001:db8::1]:5000")
        given_ = (Candidate("srflx", at("192.0.2.9:5000")), Candidate("host", four), Candidate("host", six))
        self.assertEqual(
            to_dial(given_, at("192.0.2.9:5000"), HOME),
            (Candidate("host", six), Candidate("host", four), Candidate("srflx", at("192.0.2.9:5000"))),
        )

    def test_the_observed_endpoint_is_not_crowded_out(self) -> None:
        claims = tuple(Candidate("host", at(f"192.0.2.{number}:5000")) for number in range(1, 17))
        found = to_dial(claims, THEIRS, HOME)
        self.assertEqual((len(found), found[-1]), (MOST_DIALLED, Candidate("srflx", THEIRS)))
        # Not by mapped ports either, which in turn are not by hosts.
        ports = tuple(Candidate("mapped", at(f"203.0.113.9:{port}")) for port in range(5000, 5020))
        found = to_dial((*claims, *ports), THEIRS, HOME)
        self.assertEqual(found, (*ports[: MOST_DIALLED - 1], Candidate("srflx", THEIRS)))
        found = to_dial((*claims, ports[0]), THEIRS, HOME)
        self.assertEqual(found[-2:], (ports[0], Candidate("srflx", THEIRS)))

    def test_each_endpoint_once_as_what_it_was_named_first(self) -> None:
        self.assertEqual(to_dial((Candidate("host", THEIRS),), THEIRS, HOME), (Candidate("host", THEIRS),))

    def test_nothing(self) -> None:
        self.assertEqual(to_dial((Candidate("host", at("10.0.0.1:5000")),), at("10.0.0.1:5000"), HOME), ())
