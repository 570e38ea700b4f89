"""The frames of a session between two peers.  Pure.

A frame is a header of 16 bytes and a payload, 65,536 bytes together at the most, so that a full
one is exactly four TLS records.  Header, in network order::

    length - 1   16 bits   of the whole frame, header included
    kind          8 bits
    flags         8 bits   0
    stream       32 bits   0 is the stream of messages
    number       64 bits   what it numbers depends on the kind

Kinds not listed here are for streams still to come, and break the session until then.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from enum import IntEnum

from p2phole.errors import RemoteProtocolError

VERSION = 1
HEADER = struct.Struct("!HBBIQ")
MOST = 65_536
"""Bytes in a frame, header included."""
MOST_PAYLOAD = MOST - HEADER.size
MESSAGES = 0
"""The stream of messages."""


class Kind(IntEnum):
    """What a frame is; ``number`` is named in brackets."""

    HELLO = 1
    """First on every connection (number of the last DATA frame consumed in this session)."""
    DATA = 2
    """Numbered over the whole session, from 1 (its number)."""
    ACK = 3
    """Everything up to there has reached the user (number of the last such DATA frame)."""
    PING = 4
    """Answered by PONG with the same number (any)."""
    PONG = 5
    """The answer to PING (the same)."""
    BYE = 6
    """This side is leaving; the other one closes (0)."""


class BadFrame(RemoteProtocolError):
    """The other peer broke the protocol of the direct connection: {why}."""


@dataclass(frozen=True, slots=True)
class Frame:
    """One frame; see :class:`Kind` for what ``number`` means."""

    kind: Kind
    number: int = 0
    payload: bytes = b""
    stream: int = MESSAGES

    def encode(self) -> bytes:
        """Header and payload in one piece."""
        size = HEADER.size + len(self.payload)
        if size > MOST:
            raise ValueError(f"a frame of {size} bytes")
        return HEADER.pack(size - 1, self.kind, 0, self.stream, self.number) + self.payload


class FrameReader:
    """Takes what arrives in any chunks; holds less than one frame and one chunk."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes) -> list[Frame]:
        """The frames that are whole by now.  Raises :class:`BadFrame`; then the link is to be closed."""
        self._buffer += data
        frames = []
        at = 0
        while len(self._buffer) - at >= HEADER.size:
            length, kind, flags, stream, number = HEADER.unpack_from(self._buffer, at)
            size = length + 1
            if size < HEADER.size or flags or stream != MESSAGES:
                raise BadFrame(why="a frame header that makes no sense")
            try:
                known = Kind(kind)
            except ValueError:
                raise BadFrame(why=f"a frame of the unknown kind {kind}; it may run a newer version") from None
            if len(self._buffer) - at < size:
                break
            frames.append(Frame(known, number, bytes(self._buffer[at + HEADER.size : at + size]), stream))
            at += size
        del self._buffer[:at]
        return frames
