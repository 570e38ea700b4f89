"""Endpoints and candidates, and what kind of address an address is.  Pure.

``ipaddress.is_private`` and ``is_global`` decide nothing here: they call the documentation and
benchmark ranges private and change between Python versions.  The kinds are those of RFC 1918,
RFC 4193, RFC 6598 and link-local, and an IPv6 address that carries an IPv4 one (mapped, NAT64,
6to4) is judged by the address inside.
"""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

IPAddress = IPv4Address | IPv6Address
IPNetwork = IPv4Network | IPv6Network

_PRIVATE: tuple[IPNetwork, ...] = tuple(
    ip_network(text)
    for text in (
        "10.0.0.0/8",
        "172.16.0.0/12",
        "192.168.0.0/16",  # RFC 1918
        "100.64.0.0/10",  # RFC 6598: between a carrier's NAT and the home
        "169.254.0.0/16",  # RFC 3927 link-local
        "fc00::/7",  # RFC 4193
        "fe80::/10",  # RFC 4291 link-local
        "fec0::/10",  # RFC 3879: site-local, deprecated, but still not the internet
    )
)
_NEVER: tuple[IPNetwork, ...] = tuple(
    ip_network(text)
    for text in (
        "0.0.0.0/8",  # RFC 1122: this host, also reached by connect() as loopback
        "224.0.0.0/4",
        "240.0.0.0/4",  # reserved, with the limited broadcast address
        "::/128",
        "ff00::/8",
    )
)
_LOOPBACK: tuple[IPNetwork, ...] = (ip_network("127.0.0.0/8"), ip_network("::1/128"))
_IPV4_IN_LOW_BITS: tuple[IPv6Network, ...] = tuple(
    IPv6Network(text)
    for text in (
        "::ffff:0:0/96",  # RFC 4291 2.5.5.2, mapped
        "64:ff9b::/96",  # RFC 6052, NAT64
        "64:ff9b:1::/48",  # RFC 8215, NAT64 of a network's own
        "::/96",  # RFC 4291 2.5.5.1, compatible, deprecated
    )
)
_SIX_TO_FOUR = IPv6Network("2002::/16")  # RFC 3056


def unmap(ip: IPAddress) -> IPAddress:
    """The IPv4 address inside ``::ffff:a.b.c.d``, as a socket that listens on ``::`` shows it; else ``ip``."""
    if isinstance(ip, IPv6Address) and ip.ipv4_mapped is not None:
        return ip.ipv4_mapped
    return ip


def judged(ip: IPAddress) -> IPAddress:
    """The address by which ``ip`` is judged: the IPv4 one inside, where there is one."""
    if isinstance(ip, IPv6Address):
        if ip in _SIX_TO_FOUR:
            return IPv4Address((int(ip) >> 80) & 0xFFFFFFFF)
        if int(ip) > 1 and any(ip in network for network in _IPV4_IN_LOW_BITS):
            return IPv4Address(int(ip) & 0xFFFFFFFF)
    return ip


def _within(ip: IPAddress, networks: tuple[IPNetwork, ...]) -> bool:
    return any(ip in network for network in networks if network.version == ip.version)


def is_private(ip: IPAddress) -> bool:
    """Whether the address, or the one inside, belongs to a network of its own."""
    return _within(judged(ip), _PRIVATE)


def is_loopback(ip: IPAddress) -> bool:
    """Whether the address, or the one inside, is this machine's loopback."""
    return _within(judged(ip), _LOOPBACK)


def is_undiallable(ip: IPAddress) -> bool:
    """Whether no connection may ever go there: unspecified, multicast, reserved, broadcast."""
    return _within(judged(ip), _NEVER)


@dataclass(frozen=True, slots=True)
class Endpoint:
    """An address and a TCP port, 1 to 65535; written ``ip:port``, IPv6 as ``[ip]:port``."""

    ip: IPAddress
    port: int

    @classmethod
    def parse(cls, text: str) -> Endpoint:
        """Read the written form.  Raises :class:`ValueError` with a sentence."""
        host, colon, port = text.rpartition(":")
        bracketed = host.startswith("[") and host.endswith("]")
        if bracketed:
            host = host[1:-1]
        if not colon or "%" in host or bracketed != (":" in host):
            raise ValueError(f"{text!r} is not an address and a port")
        return cls.make(host, int(port) if port.isascii() and port.isdigit() and len(port) < 6 else -1)

    @classmethod
    def make(cls, host: str, port: int) -> Endpoint:
        """From what a socket says, a scope dropped and a mapped address unmapped."""
        try:
            ip = ip_address(host.partition("%")[0])
        except ValueError:
            raise ValueError(f"{host!r} is not an address") from None
        if not 0 < port < 65536:
            raise ValueError(f"the port with {host} is not between 1 and 65535")
        return cls(unmap(ip), port)

    @property
    def host(self) -> str:
        """The address as text, as ``connectTCP`` takes it."""
        return str(self.ip)

    def __str__(self) -> str:
        return f"[{self.ip}]:{self.port}" if self.ip.version == 6 else f"{self.ip}:{self.port}"


KINDS = ("host", "mapped", "srflx", "predicted")


@dataclass(frozen=True, slots=True)
class Candidate:
    """Where a member may be reached (RFC 8445 5.1.1).

    ``kind``: ``host`` (an address of its own), ``mapped`` (opened for it at its router), ``srflx`` (as
    somebody outside saw it) or ``predicted`` (the outside port that its NAT will take next).
    """

    kind: str
    endpoint: Endpoint


@dataclass(frozen=True, slots=True)
class InterfaceAddress:
    """An address of this machine's own and the network that is on that link."""

    ip: IPAddress
    network: IPNetwork
