"""This machine's own addresses, asked of the system (``ifaddr``)."""

from __future__ import annotations

from ipaddress import ip_address, ip_interface

import ifaddr

from p2phole.addresses import InterfaceAddress


def interface_addresses() -> tuple[InterfaceAddress, ...]:
    """Every address of every interface that is up, loopback too, in an order that does not change."""
    found = set()
    for adapter in ifaddr.get_adapters():
        for entry in adapter.ips:
            # IPv6 comes as address, flow and scope.
            text = entry.ip if isinstance(entry.ip, str) else entry.ip[0]
            network = ip_interface(f"{text}/{entry.network_prefix}").network
            found.add(InterfaceAddress(ip_address(text), network))
    return tuple(sorted(found, key=lambda own: (own.ip.version, int(own.ip))))
