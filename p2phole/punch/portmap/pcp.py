"""The bytes and the times of PCP, version 2 (RFC 6887), with the opcodes MAP and ANNOUNCE.  Pure."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address

from p2phole.addresses import IPAddress, unmap
from p2phole.punch.portmap.grant import BadAnswer, Epoch

VERSION = 2
ANNOUNCE = 0
"""Opcode: no more than a look at the gateway's clock (14.1)."""
MAP = 1
"""Opcode: a mapping (11)."""
NONCE_BYTES = 12
LARGEST = 1100

_TCP = 6
_ANSWER = 0x80
_HEADER, _MAP = 24, 36
_FIRST_WAIT, _LONGEST_WAIT = 3.0, 1024.0
_UNSUPPORTED_VERSION = 1
_RESULTS = {
    1: "it speaks another version",
    2: "it is not allowed, or the port is somebody else's",
    3: "it takes the request for malformed",
    4: "it does not know the request",
    5: "it does not know an option",
    6: "it takes an option for malformed",
    7: "its network is down",
    8: "it has no more ports, or cannot map now",
    9: "it maps no TCP",
    10: "this machine has too many mappings",
    11: "it cannot provide that port",
    12: "there is a NAT before it",
    13: "too many peers",
}


@dataclass(frozen=True, slots=True)
class Mapping:
    """A mapping of ``internal`` for so many seconds; 0: it is deleted.  ``epoch``: seconds since the
    gateway lost its mappings last."""

    epoch: int
    nonce: bytes
    internal: int
    ip: IPAddress
    external: int
    seconds: int


@dataclass(frozen=True, slots=True)
class Announcement:
    """The gateway is there."""

    epoch: int


@dataclass(frozen=True, slots=True)
class Refusal:
    """The request with this opcode and nonce is refused; ``nonce`` is None where the answer has none,
    as that of a gateway that knows neither version nor opcode."""

    opcode: int
    code: int
    nonce: bytes | None = None

    @property
    def why(self) -> str:
        """In words (7.4)."""
        return _RESULTS.get(self.code, f"result code {self.code}")


def announce_request(own: IPv4Address) -> bytes:
    """Ask for the gateway's clock (14.1.1); ``own``: the address that the request is sent from."""
    return _header(ANNOUNCE, own, 0)


def map_request(
    own: IPv4Address, nonce: bytes, port: int, wanted: int, seconds: int, ip: IPv4Address | None = None
) -> bytes:
    """Ask for a mapping of the TCP port, outside best at ``ip`` and ``wanted`` (0: at any) (11.1).

    ``nonce``: 12 bytes, the same for renewal and deletion; ``seconds`` 0 deletes it (15.1).
    """
    outside = _packed(ip or IPv4Address(0))
    return _header(MAP, own, seconds) + struct.pack("!12sB3xHH16s", nonce, _TCP, port, wanted, outside)


def _header(opcode: int, own: IPv4Address, seconds: int) -> bytes:
    return struct.pack("!BBHI16s", VERSION, opcode, 0, seconds, _packed(own))


def _packed(ip: IPv4Address) -> bytes:
    """IPv4-mapped, also where it is 0.0.0.0: any IPv4 address (5)."""
    return IPv6Address(0xFFFF << 32 | int(ip)).packed


def decode(data: bytes) -> Mapping | Announcement | Refusal:
    """Read an answer.  Raises :class:`BadAnswer`, and nothing else, whatever the bytes (8.3)."""
    if len(data) < 4:
        raise BadAnswer(why=f"{len(data)} bytes are too few")
    version, opcode, _, code = struct.unpack_from("!BBBB", data)
    if not opcode & _ANSWER:
        raise BadAnswer(why="it is a request")
    opcode &= ~_ANSWER
    # NAT-PMP (version 0, appendix A) and others answer in a form of their own; only the version counts (9).
    if version != VERSION:
        return Refusal(opcode, _UNSUPPORTED_VERSION)
    if len(data) < _HEADER or len(data) > LARGEST or len(data) % 4:
        raise BadAnswer(why=f"{len(data)} bytes cannot be PCP")
    seconds, epoch = struct.unpack_from("!II", data, 4)
    if opcode == MAP and len(data) >= _HEADER + _MAP:
        nonce, protocol, internal, external, packed = struct.unpack_from("!12sB3xHH16s", data, _HEADER)
        if code:
            return Refusal(opcode, code, nonce)
        if protocol != _TCP:
            raise BadAnswer(why=f"a mapping of protocol {protocol}")
        return Mapping(epoch, nonce, internal, unmap(IPv6Address(packed)), external, seconds)
    if code:
        return Refusal(opcode, code)
    if opcode == ANNOUNCE:
        return Announcement(epoch)
    raise BadAnswer(why=f"{len(data)} bytes for opcode {opcode}")


def waits(random: Callable[[], float]) -> Iterator[float]:
    """Seconds to wait for an answer after each sending: 3 s, doubling to 1024 s, each changed by up to a
    tenth (8.1.1).  ``random``: uniform in [0, 1)."""
    wait = _FIRST_WAIT * (1 + _tenth(random))
    while True:
        yield wait
        wait = min(_LONGEST_WAIT * (1 + _tenth(random)), wait * (2 + _tenth(random)))


def _tenth(random: Callable[[], float]) -> float:
    return random() * 0.2 - 0.1


def has_forgotten(before: Epoch, now: Epoch) -> bool:
    """Whether the gateway has lost its mappings in between: its clock went back, or the two clocks have
    come apart by more than a sixteenth, two seconds allowed for (8.5)."""
    if now.gateway < before.gateway - 1:
        return True
    here, there = now.here - before.here, now.gateway - before.gateway
    return here + 2 < there - there / 16 or there + 2 < here - here / 16
