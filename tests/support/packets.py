"""What travels on the memory network: endpoints, packets, and the records that tests read."""

from __future__ import annotations

import functools
import socket
from dataclasses import dataclass
from typing import NamedTuple

FIN, SYN, RST, ACK, ICMP = 1, 2, 4, 16, 256
"""Flags of a packet; the first four are the bits of RFC 9293 section 3.1."""

_FLAG_NAMES = {
    SYN: "SYN",
    SYN | ACK: "SYN-ACK",
    ACK: "ACK",
    FIN | ACK: "FIN-ACK",
    RST: "RST",
    RST | ACK: "RST-ACK",
    ICMP: "ICMP",
}


class Endpoint(NamedTuple):
    """An address in its canonical text and a port; IPv4-mapped IPv6 never appears here."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


class Packet(NamedTuple):
    """
    A TCP segment, or an ICMP error about one.

    An ICMP error is modelled as coming from the endpoint that can't be reached, with the errno in `seq`: so
    it takes the way back through the NATs that answers to the quoted segment would take.
    """

    source: Endpoint
    destination: Endpoint
    flags: int
    seq: int = 0
    ack: int = 0
    window: int = 0
    payload: bytes = b""
    sender: str = ""
    """The host, or the router for what it answers itself, that made the packet."""
    sent: tuple[Endpoint, Endpoint] | None = None
    """Source and destination as the sender wrote them, before any translation."""

    @property
    def flag_name(self) -> str:
        return _FLAG_NAMES[self.flags]


@dataclass(frozen=True, slots=True)
class Record:
    """One packet as it entered a network: the core, or a private one that it never leaves."""

    time: float
    """Simulated seconds."""
    network: str
    """`core`, the router whose inside it is, or the host for its loopback."""
    sender: str
    """Name of the host or router that made it."""
    source: Endpoint
    destination: Endpoint
    sent_source: Endpoint
    """As the sender wrote it, before translation."""
    sent_destination: Endpoint
    flags: str
    """`SYN`, `SYN-ACK`, `ACK`, `FIN-ACK`, `RST`, `RST-ACK` or `ICMP`."""
    length: int
    """Bytes of payload."""

    def __str__(self) -> str:
        return (
            f"{self.time:.4f} {self.network}: {self.sender} {self.source} > {self.destination}"
            f" {self.flags} {self.length}"
        )


@functools.lru_cache(maxsize=4096)
def canonical(host: str) -> str:
    """The one text form of an address literal, IPv4 for an IPv4-mapped one; `OSError` for anything else."""
    if ":" not in host:
        return socket.inet_ntop(socket.AF_INET, socket.inet_pton(socket.AF_INET, host))
    packed = socket.inet_pton(socket.AF_INET6, host.partition("%")[0])
    if packed.startswith(bytes(10) + b"\xff\xff"):
        return socket.inet_ntop(socket.AF_INET, packed[12:])
    return socket.inet_ntop(socket.AF_INET6, packed)


def is_loopback(host: str) -> bool:
    return host == "::1" or host.startswith("127.")


def reset_for(packet: Packet) -> Packet:
    """The RST that answers a packet for which there is no connection (RFC 9293 section 3.10.7.1)."""
    if packet.flags & ACK:
        return Packet(packet.destination, packet.source, RST, seq=packet.ack)
    length = len(packet.payload) + bool(packet.flags & SYN) + bool(packet.flags & FIN)
    return Packet(packet.destination, packet.source, RST | ACK, ack=packet.seq + length)
