"""The default gateway, from the kernel's table."""

from __future__ import annotations

import sys
from ipaddress import IPv4Address
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from p2phole.punch.portmap.gateway import default_gateways, parse_routes

HEADER = "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT\n"


def word(text: str) -> str:
    """As the kernel writes it: the 32-bit word in the machine's own order."""
    return f"{int.from_bytes(IPv4Address(text).packed, sys.byteorder):08X}"


def line(device: str, destination: str, gateway: str, mask: str, flags: str = "0003", metric: int = 0) -> str:
    fields = (device, word(destination), word(gateway), flags, "0", "0", str(metric), word(mask), "0", "0", "0")
    return "\t".join(fields) + "\n"


class RouteTests(SynchronousTestCase):
    def test_a_home(self) -> None:
        text = HEADER + line("eth0", "0.0.0.0", "192.168.1.1", "0.0.0.0")
        text += line("eth0", "192.168.1.0", "0.0.0.0", "255.255.255.0", "0001")
        self.assertEqual(parse_routes(text), (IPv4Address("192.168.1.1"),))

    def test_by_metric(self) -> None:
        text = HEADER + line("wlan0", "0.0.0.0", "192.168.2.1", "0.0.0.0", metric=600)
        text += line("eth0", "0.0.0.0", "192.168.1.1", "0.0.0.0", metric=100)
        text += line("eth0", "0.0.0.0", "192.168.1.1", "0.0.0.0", metric=700)
        self.assertEqual(parse_routes(text), (IPv4Address("192.168.1.1"), IPv4Address("192.168.2.1")))

    def test_what_is_none(self) -> None:
        text = HEADER + line("tun0", "0.0.0.0", "10.8.0.1", "128.0.0.0")  # 0/1, as a VPN has it
        text += line("tun0", "0.0.0.0", "0.0.0.0", "0.0.0.0", "0001")  # no gateway
        text += line("eth0", "0.0.0.0", "192.168.1.1", "0.0.0.0", "0002")  # not up
        text += "short\tline\n\nx x x x x x x x x\n"
        self.assertEqual(parse_routes(text), ())

    @given(st.text(max_size=200), st.text("0123456789ABCDEFx \t\n-", max_size=200))
    def test_any_text(self, one: str, two: str) -> None:
        parse_routes(one)
        parse_routes(HEADER + two)

    def test_this_machine(self) -> None:
        self.assertIsInstance(default_gateways(), tuple)

    def test_no_such_table(self) -> None:
        self.assertEqual(default_gateways(Path("/nonexistent/route")), ())
