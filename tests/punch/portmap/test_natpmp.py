"""NAT-PMP's bytes and times."""

from __future__ import annotations

import contextlib
from ipaddress import IPv4Address

from hypothesis import example, given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from p2phole.punch.portmap import natpmp
from p2phole.punch.portmap.grant import BadAnswer, Epoch
from p2phole.punch.portmap.natpmp import Address, Mapping, Refusal, decode


class CodecTests(SynchronousTestCase):
    def test_requests(self) -> None:
        self.assertEqual(natpmp.address_request().hex(), "0000")
        self.assertEqual(natpmp.map_request(4000, 4001, 600).hex(), "000200000fa00fa100000258")

    def test_address(self) -> None:
        self.assertEqual(decode(bytes.fromhex("0080000000000007c0000101")), Address(7, IPv4Address("192.0.1.1")))

    def test_mapping(self) -> None:
        self.assertEqual(decode(bytes.fromhex("00820000000000070fa00fa100000258")), Mapping(7, 4000, 4001, 600))

    def test_refusals(self) -> None:
        # As miniupnpd answers where it has no public address.
        self.assertEqual(decode(bytes.fromhex("008000030000000100000000")), Refusal(0, 3))
        self.assertEqual(decode(bytes.fromhex("0082000200000001")), Refusal(2, 2))
        self.assertIn("not allowed", Refusal(2, 2).why)
        self.assertIn("99", Refusal(2, 99).why)

    def test_a_gateway_that_speaks_pcp_only(self) -> None:
        self.assertEqual(decode(bytes.fromhex("02800001") + bytes(20)), Refusal(0, 1))

    def test_no_answers(self) -> None:
        for text in ("", "00", "0000", "00020000000000070fa00fa100000258", "00810000" + "00" * 12, "00820000" * 3):
            self.assertRaises(BadAnswer, decode, bytes.fromhex(text))

    @given(st.binary(max_size=64))
    @example(b"\x00\x80\x00\x00" + bytes(7))
    def test_any_bytes(self, data: bytes) -> None:
        with contextlib.suppress(BadAnswer):
            decode(data)

    @given(st.integers(0, 0xFFFF), st.integers(0, 0xFFFF), st.integers(0, 2**32 - 1), st.integers(0, 2**32 - 1))
    def test_round_trip(self, internal: int, external: int, seconds: int, epoch: int) -> None:
        request = natpmp.map_request(internal, external, seconds)
        answer = b"\x00\x82\x00\x00" + epoch.to_bytes(4, "big") + request[4:]
        self.assertEqual(decode(answer), Mapping(epoch, internal, external, seconds))


class TimeTests(SynchronousTestCase):
    def test_waits(self) -> None:
        """250 ms, doubling, nine times: the last answer is waited for as long as 64 seconds."""
        waits = list(natpmp.waits())
        self.assertEqual((waits[:3], len(waits), waits[-1]), ([0.25, 0.5, 1.0], 9, 64.0))

    def test_has_forgotten(self) -> None:
        before = Epoch(1000, 50.0)
        for seconds, gateway, forgotten in (
            (0, 1000, False),
            (0, 997, True),
            (80, 1080, False),
            (80, 1068, False),  # 7/8, and two seconds
            (80, 1067, True),
            (80, 3, True),
            (80, 5000, False),  # RFC 6886 minds only clocks that are slow
        ):
            self.assertEqual(natpmp.has_forgotten(before, Epoch(gateway, 50.0 + seconds)), forgotten, gateway)
