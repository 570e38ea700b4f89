"""The bytes and the times of NAT-PMP, version 0 (RFC 6886), as far as one TCP mapping needs them.  Pure."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import IPv4Address

from p2phole.punch.portmap.grant import BadAnswer, Epoch

VERSION = 0
ADDRESS = 0
"""Opcode: the external address (3.2)."""
MAP_TCP = 2
"""Opcode: a mapping of a TCP port (3.3)."""

_FIRST_WAIT, _TRIES = 0.25, 9
_ANSWER = 0x80
_RESULTS = {
    1: "it speaks another version",
    2: "it is not allowed",
    3: "it has no address outside",
    4: "it has no more ports",
    5: "it does not know the request",
}


@dataclass(frozen=True, slots=True)
class Address:
    """The gateway's external address.  ``epoch``: seconds since it lost its mappings last."""

    epoch: int
    ip: IPv4Address


@dataclass(frozen=True, slots=True)
class Mapping:
    """A mapping of ``internal`` for so many seconds; 0: it is deleted."""

    epoch: int
    internal: int
    external: int
    seconds: int


@dataclass(frozen=True, slots=True)
class Refusal:
    """The request with this opcode is refused; ``code``: the result code (3.5)."""

    opcode: int
    code: int

    @property
    def why(self) -> str:
        """In words."""
        return _RESULTS.get(self.code, f"result code {self.code}")


def address_request() -> bytes:
    """Ask for the external address (3.2)."""
    return bytes((VERSION, ADDRESS))


def map_request(port: int, wanted: int, seconds: int) -> bytes:
    """Ask for a mapping of the TCP port, outside best at ``wanted`` (0: at any) (3.3).

    ``seconds`` 0 deletes it (3.4); then ``wanted`` has to be 0 too.
    """
    return struct.pack("!BBHHHI", VERSION, MAP_TCP, 0, port, wanted, seconds)


def decode(data: bytes) -> Address | Mapping | Refusal:
    """Read an answer.  Raises :class:`BadAnswer`, and nothing else, whatever the bytes."""
    if len(data) < 4:
        raise BadAnswer(why=f"{len(data)} bytes are too few")
    version, opcode, code = struct.unpack_from("!BBH", data)
    if not opcode & _ANSWER:
        raise BadAnswer(why="it is a request")
    opcode &= ~_ANSWER
    # A gateway of another version says so in its own version's form (RFC 6887 9, appendix A).
    if version != VERSION:
        return Refusal(opcode, 1)
    if code:
        return Refusal(opcode, code)
    if opcode == ADDRESS and len(data) >= 12:
        epoch, packed = struct.unpack_from("!I4s", data, 4)
        return Address(epoch, IPv4Address(packed))
    if opcode == MAP_TCP and len(data) >= 16:
        return Mapping(*struct.unpack_from("!IHHI", data, 4))
    raise BadAnswer(why=f"{len(data)} bytes for opcode {opcode}")


def waits() -> Iterator[float]:
    """Seconds to wait for an answer after each sending: nine times, each twice as long (3.1)."""
    return (_FIRST_WAIT * 2**number for number in range(_TRIES))


def has_forgotten(before: Epoch, now: Epoch) -> bool:
    """Whether the gateway has lost its mappings in between: its clock has come less far than 7/8 of ours,
    two seconds allowed for (3.6)."""
    return now.gateway < before.gateway + (now.here - before.here) * 7 / 8 - 2
