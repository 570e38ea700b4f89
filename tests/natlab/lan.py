"""The inside of a site that has a router: a bridge in the router's namespace and hosts on its ports."""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence

from tests.natlab.namespace import Host, LaboratoryError
from tests.natlab.sites import Site, add

_LAN = "lan"
FIRST_HOST = 10
"""The last number of the first host's address."""


def private(site: Site, lan: str | None) -> ipaddress.IPv4Network:
    """The private network that a profile asks for; by default one that no other site has."""
    network = ipaddress.IPv4Network(lan or f"192.168.{site.number}.0/24")
    if network.prefixlen != 24:
        raise LaboratoryError(f"{site.name}: a LAN is a /24, not {network}")
    return network


def bridge(gateways: Sequence[str]) -> list[str]:
    """Lines for a router: its side of the LAN, with these addresses (and their prefix lengths)."""
    return [
        # With snooping and no querier, multicast (IPv6 neighbours) would depend on timing.
        f"link add name {_LAN} type bridge mcast_snooping 0",
        *(add(gateway, _LAN) for gateway in gateways),
        f"link set {_LAN} up",
    ]


def join(
    site: Site,
    name: str,
    addresses: Sequence[str],
    gateways: Sequence[str],
    routes: Sequence[str] = (),
    isolated: bool = False,
    moved: Host | None = None,
) -> Host:
    """A host in the LAN of a site whose router is there.

    ``addresses`` with their prefix lengths; ``gateways``: one for each family; ``routes``: more lines for the
    router; ``isolated``: it and other isolated ones do not see each other, as in a guests' Wi-Fi;
    ``moved``: the host, where it is one that has been elsewhere.
    """
    router = site.router
    assert router is not None
    number = site.built
    host = site.new_host(name, [address.partition("/")[0] for address in addresses], moved)
    port = f"port{number}"
    router.configure(
        [
            f"link add name {port} type veth peer name eth0 netns {host.path}",
            f"link set {port} up master {_LAN}",
            *([f"link set {port} type bridge_slave isolated on"] if isolated else []),
            *routes,
        ]
    )
    host.configure(
        [
            "link set lo up",
            "link set eth0 up",
            *_addressed(addresses, gateways),
        ]
    )
    host.settle("eth0")
    router.settle(port, _LAN)
    return host


def _addressed(addresses: Sequence[str], gateways: Sequence[str]) -> list[str]:
    """Lines for a host. "onlink": the gateway need not be in the network of the host's own address."""
    return [
        *(add(address, "eth0") for address in addresses),
        *(f"route add default via {gateway} dev eth0 onlink" for gateway in gateways),
    ]


def unplug(host: Host) -> None:
    """Pull the cable: no device, no addresses. Its sockets stay and what they send goes nowhere, unanswered."""
    host.configure(["link delete eth0"])
    host.site.hosts.remove(host)


def readdress(host: Host, address: str) -> None:
    """Another IPv4 address of the same /24 instead of the one it has, as from a new DHCP lease."""
    network = ipaddress.IPv4Interface(f"{host.address}/24").network
    if ipaddress.IPv4Address(address) not in network:
        raise LaboratoryError(f"{host.name}: {address} is not in {network}")
    # The default route goes with the last address that the gateway's network was known by.
    host.configure(
        [
            f"address delete {host.address}/24 dev eth0",
            *_addressed([f"{address}/24"], [str(network[1])]),
        ]
    )
    host.addresses = [address]
