"""This machine's own addresses."""

from ipaddress import ip_address, ip_network

import ifaddr
from twisted.trial.unittest import SynchronousTestCase

from p2phole.addresses import InterfaceAddress
from p2phole.punch.interfaces import interface_addresses


class InterfaceTests(SynchronousTestCase):
    def test_every_address_in_an_order_that_does_not_change(self) -> None:
        def adapter(*ips: tuple[object, int]) -> ifaddr.Adapter:
            return ifaddr.Adapter("eth0", "eth0", [ifaddr.IP(ip, bits, "eth0") for ip, bits in ips])  # type: ignore

        adapters = [
            adapter((("fe80::1", 0, 2), 64), ("192.168.1.7", 24)),
            adapter(("127.0.0.1", 8), (("::1", 0, 0), 128)),
            adapter(("192.168.1.7", 24), ("10.0.0.1", 32)),
        ]
        expected = tuple(
            InterfaceAddress(ip_address(ip), ip_network(network))
            for ip, network in (
                ("10.0.0.1", "10.0.0.1/32"),
                ("127.0.0.1", "127.0.0.0/8"),
                ("192.168.1.7", "192.168.1.0/24"),
                ("::1", "::1/128"),
                ("fe80::1", "fe80::/64"),
            )
        )
        for order in (adapters, adapters[::-1]):
            self.patch(ifaddr, "get_adapters", lambda order=order: order)
            self.assertEqual(interface_addresses(), expected)

    def test_of_this_machine(self) -> None:
        self.assertEqual(interface_addresses(), interface_addresses())
