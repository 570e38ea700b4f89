"""Captures: packets recorded by the core process into memory that it shares with whoever reads them."""

from __future__ import annotations

import os
import struct
from collections.abc import Callable, Iterator
from typing import NamedTuple

from tests.natlab.packets import TcpSegment, tcp_segment

# What became of a packet at the core, or which way it passed a host's interface.
FORWARDED = "forwarded"
LOST = "lost"
UNREACHABLE = "unreachable"
LINK_DOWN = "link down"
SENT = "sent"
RECEIVED = "received"
_FATES = (FORWARDED, LOST, UNREACHABLE, LINK_DOWN, SENT, RECEIVED)

_HEADER = struct.Struct("=dIBBB")


class Packet(NamedTuple):
    """One recorded IP packet.

    ``time``: seconds since the epoch, when it reached the core (before the link's delay) or the interface.
    ``sender`` and ``receiver``: names of sites, empty where there is none (an unknown destination); in a
    host's capture the host's name is on its side and the other one is empty.
    ``fate``: one of the constants above.
    """

    time: float
    sender: str
    receiver: str
    fate: str
    raw: bytes


def write_packet(descriptor: int, packet: Packet) -> None:
    """Append one record."""
    sender, receiver = packet.sender.encode(), packet.receiver.encode()
    fate = _FATES.index(packet.fate)
    header = _HEADER.pack(packet.time, len(packet.raw), len(sender), len(receiver), fate)
    os.write(descriptor, header + sender + receiver + packet.raw)


def read_packets(descriptor: int) -> Iterator[Packet]:
    """All records so far. The descriptor's position is the writer's, so it is left alone."""
    data = os.pread(descriptor, os.fstat(descriptor).st_size, 0)
    position = 0
    while position + _HEADER.size <= len(data):
        time, length, senders, receivers, fate = _HEADER.unpack_from(data, position)
        names = position + _HEADER.size
        start = names + senders + receivers
        if start + length > len(data):
            return  # It is being written.
        yield Packet(
            time,
            data[names : names + senders].decode(),
            data[names + senders : start].decode(),
            _FATES[fate],
            data[start : start + length],
        )
        position = start + length


class Capture:
    """What passed while it was open; readable meanwhile and afterwards. Made by ``Laboratory.capture``."""

    def __init__(self, descriptor: int, synchronise: Callable[[], None]) -> None:
        self._descriptor: int | None = descriptor
        self._synchronise = synchronise
        self._packets: list[Packet] = []

    def packets(self) -> list[Packet]:
        """Every packet recorded, in order; includes all that was sent before this call."""
        if self._descriptor is not None:
            self._synchronise()
            self._packets = list(read_packets(self._descriptor))
        return self._packets

    def tcp(self, sender: str | None = None, receiver: str | None = None) -> list[TcpSegment]:
        """The TCP segments among them, whatever their fate; optionally only those of these sites."""
        found = (
            tcp_segment(packet.time, packet.raw)
            for packet in self.packets()
            if sender in (None, packet.sender) and receiver in (None, packet.receiver)
        )
        return [segment for segment in found if segment is not None]

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write a pcap file (link type: raw IP) for tcpdump or Wireshark."""
        with open(path, "wb") as stream:
            stream.write(struct.pack("=IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 0x40000, 101))
            for packet in self.packets():
                seconds, size = int(packet.time), len(packet.raw)
                microseconds = int((packet.time - seconds) * 1e6)
                stream.write(struct.pack("=IIII", seconds, microseconds, size, size) + packet.raw)

    def finish(self) -> None:
        """Keep what there is and let go of the shared memory."""
        if self._descriptor is not None:
            try:
                self.packets()
            finally:
                os.close(self._descriptor)
                self._descriptor = None
