"""Changing the addresses and ports of IPv4 packets, with their checksums, and the answers of a NAT itself.

Checksums are adjusted, not computed anew (RFC 1624): what arrived broken stays broken. An endpoint is a packed
address and a port; an ICMP echo has its identifier where TCP has ports.
"""

from __future__ import annotations

import struct
from typing import NamedTuple

from tests.natlab.packets import TCP, checksum

ICMP = 1
ECHO_REPLY = 0
UNREACHABLE = 3
ECHO_REQUEST = 8

FIN, SYN, RST, ACK = 0x01, 0x02, 0x04, 0x10

Endpoint = tuple[bytes, int]


class Ipv4(NamedTuple):
    """The parts of a packet that a NAT looks at. ``kind``: TCP flags, or the ICMP type."""

    start: int
    protocol: int
    source: Endpoint
    destination: Endpoint
    kind: int


def parse(packet: bytes) -> Ipv4 | None:
    """None for what no NAT of this laboratory translates: other protocols, later fragments, cut off packets."""
    if len(packet) < 28 or packet[0] >> 4 != 4:
        return None
    start, protocol = (packet[0] & 0x0F) * 4, packet[9]
    if struct.unpack_from("!H", packet, 6)[0] & 0x1FFF or len(packet) < start + 8:
        return None
    if protocol == TCP and len(packet) >= start + 20:
        sport, dport = struct.unpack_from("!HH", packet, start)
        kind = packet[start + 13]
    elif protocol == ICMP:
        sport = dport = struct.unpack_from("!H", packet, start + 4)[0]
        kind = packet[start]
    else:
        return None
    return Ipv4(start, protocol, (packet[12:16], sport), (packet[16:20], dport), kind)


def rewrite(packet: bytes, source: Endpoint | None = None, destination: Endpoint | None = None) -> bytes:
    """The packet with another source, destination or both. For an ICMP echo a port is its identifier."""
    start, protocol = (packet[0] & 0x0F) * 4, packet[9]
    changed = bytearray(packet)
    for at, endpoint in ((12, source), (16, destination)):
        if endpoint is None:
            continue
        _replace(changed, at, endpoint[0], [10, start + 16] if protocol == TCP else [10])
        port = struct.pack("!H", endpoint[1])
        if protocol == TCP:
            _replace(changed, start + (at - 12) // 2, port, [start + 16])
        elif packet[start] in (ECHO_REPLY, ECHO_REQUEST):
            _replace(changed, start + 4, port, [start + 2])
    return bytes(changed)


def rewrite_error(packet: bytes, inside: Endpoint) -> bytes:
    """An ICMP error for ``inside``: the packet that it quotes was sent by ``inside`` too (RFC 5508 REQ-4)."""
    start = (packet[0] & 0x0F) * 4
    quoted = start + 8
    ports = quoted + (packet[quoted] & 0x0F) * 4
    changed = bytearray(rewrite(packet, destination=(inside[0], 0)))
    # The quoted header's own checksum balances its address: of both the error's checksum notices nothing.
    _replace(changed, quoted + 12, inside[0], [quoted + 10])
    _replace(changed, ports, struct.pack("!H", inside[1]), [start + 2])
    return bytes(changed)


def quoted(packet: bytes) -> Ipv4 | None:
    """What an ICMP error is about, if that was TCP. Of it only addresses and ports need to be there."""
    inner = packet[(packet[0] & 0x0F) * 4 + 8 :]
    if len(inner) < 28 or inner[0] >> 4 != 4 or inner[9] != TCP:
        return None
    start = (inner[0] & 0x0F) * 4
    if len(inner) < start + 4:
        return None
    sport, dport = struct.unpack_from("!HH", inner, start)
    return Ipv4(start, TCP, (inner[12:16], sport), (inner[16:20], dport), 0)


def reset(packet: bytes) -> bytes:
    """The RST that a TCP without such a connection answers (RFC 9293 3.10.7.1)."""
    start = (packet[0] & 0x0F) * 4
    sport, dport, sequence, acknowledged = struct.unpack_from("!HHII", packet, start)
    flags = packet[start + 13]
    if flags & ACK:
        fields = (dport, sport, acknowledged, 0, 0x50, RST)
    else:
        total = struct.unpack_from("!H", packet, 2)[0]
        length = total - start - (packet[start + 12] >> 4) * 4
        length += bool(flags & SYN) + bool(flags & FIN)
        fields = (dport, sport, 0, (sequence + length) & 0xFFFFFFFF, 0x50, RST | ACK)
    segment = struct.pack("!HHIIBBHHH", *fields, 0, 0, 0)
    pseudo = packet[16:20] + packet[12:16] + struct.pack("!BBH", 0, TCP, len(segment))
    segment = segment[:16] + struct.pack("!H", checksum(pseudo + segment)) + segment[18:]
    header = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(segment), 0, 0x4000, 64, TCP, 0)
    header += packet[16:20] + packet[12:16]
    return header[:10] + struct.pack("!H", checksum(header)) + header[12:] + segment


def echo_reply(packet: bytes) -> bytes:
    """The answer to an ICMP echo request."""
    start = (packet[0] & 0x0F) * 4
    changed = bytearray(packet)
    changed[12:16], changed[16:20] = packet[16:20], packet[12:16]
    _replace(changed, start, bytes([ECHO_REPLY, 0]), [start + 2])
    return bytes(changed)


def _replace(packet: bytearray, at: int, new: bytes, checksums: list[int]) -> None:
    """Put ``new`` (whole 16-bit words) at an even place, and adjust the checksums at these other places."""
    words = f"!{len(new) // 2}H"
    difference = sum(struct.unpack(words, new)) - sum(struct.unpack_from(words, packet, at))
    packet[at : at + len(new)] = new
    for place in checksums:
        # RFC 1624, equation 3: ~(~HC + ~m + m'), where ~m is 0xFFFF - m, and that is -m here (mod 0xFFFF).
        total = 0xFFFF - struct.unpack_from("!H", packet, place)[0] + 0xFFFF * (len(new) // 2) + difference
        while total >> 16:
            total = (total & 0xFFFF) + (total >> 16)
        struct.pack_into("!H", packet, place, 0xFFFF - total)
