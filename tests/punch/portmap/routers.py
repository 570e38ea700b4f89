"""Gateways in memory that do as the RFCs say, and can be told not to."""

from __future__ import annotations

import struct
from ipaddress import IPv4Address

from tests.punch.portmap.lan import Lan

OUTSIDE = IPv4Address("192.0.1.1")


class PcpRouter:
    """PCP.  ``code``: of every answer to MAP; ``first_port``: where it maps, if not as asked."""

    def __init__(self, lan: Lan) -> None:
        self.lan = lan
        self.ip = OUTSIDE
        self.code = self.first_port = 0
        self.lease = 600
        self.mappings: dict[int, tuple[int, bytes]] = {}
        self.started = lan.seconds() - 1000
        lan.gateway = self.answer

    def reboot(self) -> None:
        """Forget everything."""
        self.started = self.lan.seconds()
        self.mappings = {}

    def answer(self, data: bytes) -> list[bytes]:
        """To one request."""
        epoch = int(self.lan.seconds() - self.started)
        if data[0] != 2:
            return [struct.pack("!BBBBII12x", 2, data[1] | 0x80, 0, 1, 0, epoch)]
        _, opcode, _, seconds = struct.unpack_from("!BBHI", data)
        if opcode == 0:
            return [struct.pack("!BBBBII12x", 2, 0x80, 0, 0, 0, epoch)]
        nonce, protocol, internal, external = struct.unpack_from("!12sB3xHH", data, 24)
        external = self.first_port or external or internal
        if seconds and not self.code:
            seconds = self.lease
            self.mappings[internal] = external, nonce
        elif not self.code:
            self.mappings.pop(internal, None)
        header = struct.pack("!BBBBII12x", 2, 0x81, 0, self.code, seconds, epoch)
        outside = bytes(10) + b"\xff\xff" + self.ip.packed
        return [header + struct.pack("!12sB3xHH", nonce, protocol, internal, external) + outside]


class NatPmpRouter:
    """NAT-PMP.  ``codes``: the results by opcode; ``first_port``: where it maps, if not as asked; -1: at 0."""

    def __init__(self, lan: Lan) -> None:
        self.lan = lan
        self.ip = OUTSIDE
        self.codes: dict[int, int] = {}
        self.first_port = 0
        self.mappings: dict[int, int] = {}
        self.started = lan.seconds() - 1000
        lan.gateway = self.answer

    def reboot(self) -> None:
        """Forget everything."""
        self.started = self.lan.seconds()
        self.mappings = {}

    def answer(self, data: bytes) -> list[bytes]:
        """To one request."""
        epoch = int(self.lan.seconds() - self.started)
        if data[0] != 0:
            return [struct.pack("!BBHI", 0, data[1] | 0x80, 1, epoch)]
        head = struct.pack("!BBHI", 0, data[1] | 0x80, self.codes.get(data[1], 0), epoch)
        if data[1] == 0:
            return [head + self.ip.packed]
        internal, external, seconds = struct.unpack_from("!HHI", data, 4)
        if seconds:
            external = max(0, self.first_port or external or internal)
            self.mappings[internal] = external
        else:
            self.mappings.pop(internal, None)
            external = 0
        return [head + struct.pack("!HHI", internal, external, seconds)]
