"""PCP's bytes and times."""

from __future__ import annotations

import contextlib
from ipaddress import IPv4Address, IPv6Address

from hypothesis import example, given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from p2phole.punch.portmap import pcp
from p2phole.punch.portmap.grant import BadAnswer, Epoch
from p2phole.punch.portmap.pcp import Announcement, Mapping, Refusal, decode

OWN = IPv4Address("192.168.1.10")
NONCE = b"n" * 12
MAPPED = "00000000000000000000ffff"
# From miniupnpd 2.3.1.
GRANTED = "028100000000025800000001" + "00" * 12 + NONCE.hex() + "060000000fa00fa0" + MAPPED + "c0000101"
REFUSED = "028100080000001e00000001" + "00" * 12 + NONCE.hex() + "060000000fa00fa0" + MAPPED + "cb007101"


class CodecTests(SynchronousTestCase):
    def test_announce(self) -> None:
        self.assertEqual(pcp.announce_request(OWN).hex(), "0200000000000000" + MAPPED + "c0a8010a")

    def test_map(self) -> None:
        request = pcp.map_request(OWN, NONCE, 4000, 4001, 600)
        header = "0201000000000258" + MAPPED + "c0a8010a"
        self.assertEqual(request.hex(), header + NONCE.hex() + "060000000fa00fa1" + MAPPED + "00000000")
        again = pcp.map_request(OWN, NONCE, 4000, 4001, 600, IPv4Address("192.0.1.1"))
        self.assertEqual(again.hex()[-8:], "c0000101")

    def test_granted(self) -> None:
        expected = Mapping(1, NONCE, 4000, IPv4Address("192.0.1.1"), 4000, 600)
        self.assertEqual(decode(bytes.fromhex(GRANTED)), expected)
        # With options behind, which nobody asked for.
        self.assertEqual(decode(bytes.fromhex(GRANTED + "80000000")), expected)

    def test_refused(self) -> None:
        self.assertEqual(decode(bytes.fromhex(REFUSED)), Refusal(1, 8, NONCE))
        self.assertEqual(decode(bytes.fromhex("02810004" + "00" * 20)), Refusal(1, 4))
        self.assertIn("no more ports", Refusal(1, 8).why)
        self.assertIn("99", Refusal(1, 99).why)

    def test_a_gateway_that_speaks_natpmp_only(self) -> None:
        self.assertEqual(decode(bytes.fromhex("0081000100000007")), Refusal(1, 1))

    def test_announcement(self) -> None:
        self.assertEqual(decode(bytes.fromhex("028000000000000000000009" + "00" * 12)), Announcement(9))

    def test_ipv6_outside(self) -> None:
        data = bytes.fromhex(GRANTED)[:-16] + IPv6Address("2001:db8::1").packed
        answer = decode(data)
        assert isinstance(answer, Mapping)
        self.assertEqual(answer.ip, IPv6Address("2001:db8::1"))

    def test_no_answers(self) -> None:
        granted = bytes.fromhex(GRANTED)
        udp = granted[:36] + b"\x11" + granted[37:]
        request = pcp.map_request(OWN, NONCE, 4000, 0, 600)
        for data in (b"", granted[:3], granted[:56], granted + b"x", granted + bytes(1100), request, udp):
            self.assertRaises(BadAnswer, decode, data)

    @given(st.binary(max_size=1200))
    @example(b"\x02\x81\x00\x00" + bytes(20))
    def test_any_bytes(self, data: bytes) -> None:
        with contextlib.suppress(BadAnswer):
            decode(data)

    @given(st.sampled_from([0, 1, 2, 3]), st.integers(0, 255), st.integers(0, 255), st.binary(max_size=80))
    def test_nearly_answers(self, version: int, opcode: int, code: int, rest: bytes) -> None:
        with contextlib.suppress(BadAnswer):
            decode(bytes((version, opcode, 0, code)) + rest)


class TimeTests(SynchronousTestCase):
    def test_waits(self) -> None:
        for random, first, second in ((0.5, 3.0, 6.0), (0.0, 2.7, 5.13), (0.999999, 3.3, 6.93)):
            waits = pcp.waits(lambda random=random: random)  # type: ignore[misc]
            self.assertAlmostEqual(next(waits), first, 3)
            self.assertAlmostEqual(next(waits), second, 3)

    def test_waits_are_bounded(self) -> None:
        waits = pcp.waits(lambda: 0.999)
        self.assertLess(max(next(waits) for _ in range(30)), 1024 * 1.1)

    def test_has_forgotten(self) -> None:
        before = Epoch(1000, 50.0)
        for seconds, gateway, forgotten in (
            (0, 1000, False),
            (0, 999, False),
            (0, 998, True),
            (80, 1080, False),
            (80, 1073, False),
            (80, 1072, True),
            (80, 1087, False),
            (80, 1088, True),  # too fast: it has been set, so it does not say what it should
            (80, 3, True),
        ):
            self.assertEqual(pcp.has_forgotten(before, Epoch(gateway, 50.0 + seconds)), forgotten, gateway)
