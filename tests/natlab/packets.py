"""Just enough of IPv4, IPv6, TCP and ICMP to route packets, to read captures and to refuse a destination."""

from __future__ import annotations

import ipaddress
import struct
from typing import NamedTuple

TCP = 6
_ICMP = 1
_ICMPV6 = 58

_FLAG_LETTERS = ((0x02, "S"), (0x04, "R"), (0x01, "F"), (0x08, "P"), (0x10, "A"), (0x20, "U"))


class TcpSegment(NamedTuple):
    """One TCP segment as a capture shows it. ``time``: seconds since the epoch; ``flags``: letters in the
    order ``SRFPAU`` (``"S"``, ``"SA"``, ``"RA"``, ``"PA"`` ...)."""

    time: float
    src: str
    sport: int
    dst: str
    dport: int
    flags: str
    payload: bytes


def source(packet: bytes) -> bytes:
    """The packed source address; empty if this is no IP packet."""
    if len(packet) >= 20 and packet[0] >> 4 == 4:
        return packet[12:16]
    if len(packet) >= 40 and packet[0] >> 4 == 6:
        return packet[8:24]
    return b""


def destination(packet: bytes) -> bytes:
    """The packed destination address; empty if this is no IP packet."""
    if len(packet) >= 20 and packet[0] >> 4 == 4:
        return packet[16:20]
    if len(packet) >= 40 and packet[0] >> 4 == 6:
        return packet[24:40]
    return b""


def tcp_segment(time: float, packet: bytes) -> TcpSegment | None:
    """The TCP segment in an IP packet; None if it holds none (IPv6 extension headers are not followed)."""
    if len(packet) >= 20 and packet[0] >> 4 == 4:
        start, protocol = (packet[0] & 0x0F) * 4, packet[9]
        end = struct.unpack_from("!H", packet, 2)[0] or len(packet)
    elif len(packet) >= 40 and packet[0] >> 4 == 6:
        start, protocol = 40, packet[6]
        end = 40 + struct.unpack_from("!H", packet, 4)[0]
    else:
        return None
    if protocol != TCP or len(packet) < start + 20:
        return None
    sport, dport = struct.unpack_from("!HH", packet, start)
    offset, bits = (packet[start + 12] >> 4) * 4, packet[start + 13]
    return TcpSegment(
        time,
        str(ipaddress.ip_address(source(packet))),
        sport,
        str(ipaddress.ip_address(destination(packet))),
        dport,
        "".join(letter for bit, letter in _FLAG_LETTERS if bits & bit),
        packet[start + offset : end],
    )


def checksum(data: bytes) -> int:
    """The internet checksum (RFC 1071)."""
    if len(data) % 2:
        data += b"\0"
    total: int = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def echo_request(identifier: int) -> bytes:
    """An ICMP echo request for a raw IPv4 socket."""
    bare = struct.pack("!BBHHH", 8, 0, 0, identifier, 1)
    return struct.pack("!BBHHH", 8, 0, checksum(bare), identifier, 1)


def unreachable(packet: bytes, router: bytes, code: int = 1) -> bytes | None:
    """The ICMP answer to a packet from the packed address ``router`` of its family: "no route to host", or for
    IPv4 unreachable with another ``code``.

    None where none may be sent (RFC 1122 3.2.2: not about ICMP errors, broadcasts or multicast).
    """
    target = destination(packet)
    if not target or ipaddress.ip_address(target).is_multicast or target == b"\xff\xff\xff\xff":
        return None
    if len(target) == 4:
        if packet[9] == _ICMP:
            return None
        quoted = packet[: (packet[0] & 0x0F) * 4 + 8]
        body = struct.pack("!BBHI", 3, code, 0, 0) + quoted
        body = body[:2] + struct.pack("!H", checksum(body)) + body[4:]
        header = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(body), 0, 0, 64, _ICMP, 0) + router + source(packet)
        return header[:10] + struct.pack("!H", checksum(header)) + header[12:] + body
    if packet[6] == _ICMPV6:
        return None
    body = struct.pack("!BBHI", 1, 0, 0, 0) + packet[:1232]
    pseudo = router + source(packet) + struct.pack("!IHBB", len(body), 0, 0, _ICMPV6)
    body = body[:2] + struct.pack("!H", checksum(pseudo + body)) + body[4:]
    return struct.pack("!IHBB", 6 << 28, len(body), _ICMPV6, 64) + router + source(packet) + body
