"""The frames of a session between two peers.  Pure.

A frame is a header of 16 bytes and a payload, 65,536 bytes together at the most, so that a full
one is exactly four TLS records.  Header, in network order::

    length - 1   16 bits   of the whole frame, header included
    kind          8 bits
    flags         8 bits   WAITING, of DATA only
    stream       32 bits   0 where the frame is about the whole session
    number       64 bits   of a numbered kind: 1, 2, 3 ... over the whole session

:data:`SHAPES` says what each kind looks like.  Whatever looks otherwise breaks the session, and is told
by its header: nothing of it is waited for.
"""

from __future__ import annotations

import re
import struct
from dataclasses import dataclass
from enum import IntEnum

from p2phole.errors import RemoteProtocolError

VERSION = 2
HEADER = struct.Struct("!HBBIQ")
MOST = 65_536
"""Bytes in a frame, header included."""
MOST_PAYLOAD = MOST - HEADER.size
MOST_PURPOSES = 256
"""Purposes that one side offers."""
MOST_ARGUMENT = 4096
"""Bytes that go with an OPEN."""
MOST_WHY = 512
"""Bytes in a RESET."""
WAITING = 1
"""Flag of DATA: there is more, and no credit for it."""
CREDIT = struct.Struct("!QQ")
"""Bytes of the stream that were consumed, and how many may have been sent: both from its beginning."""
_PURPOSE = re.compile(r"[a-z][a-z0-9.-]{0,63}")


class Kind(IntEnum):
    """What a frame is; ``number`` of those that are not numbered themselves is named in brackets."""

    HELLO = 1
    """First on every connection (number of the last numbered frame that came in this session)."""
    DATA = 2
    """Bytes of a stream."""
    ACK = 3
    """Every numbered frame up to there has come (number of the last one)."""
    PING = 4
    """Answered by PONG with the same number (any)."""
    PONG = 5
    """The answer to PING (the same)."""
    BYE = 6
    """This side is leaving; the other one closes (0)."""
    OFFER = 7
    """What the other side may open streams for, from now on; the first numbered frame of a session."""
    OPEN = 8
    """A new stream, for a purpose that was offered."""
    ACCEPT = 9
    """The stream is taken; only now its other direction may be used."""
    CREDIT = 10
    """How much of a stream was consumed, and how much may be sent."""
    FINISH = 11
    """This side sends no more on the stream."""
    TAKEN = 12
    """Everything up to the FINISH was consumed."""
    RESET = 13
    """This side neither sends nor reads any more on the stream; answered by RESET."""


class BadFrame(RemoteProtocolError):
    """The other peer broke the protocol of the direct connection: {why}."""


@dataclass(frozen=True, slots=True)
class Shape:
    """What a kind looks like: whether it is numbered, on a stream, and how many bytes of payload it has."""

    numbered: bool
    on_stream: bool
    least: int = 0
    most: int = 0
    flags: int = 0


SHAPES = {
    Kind.HELLO: Shape(False, False, 2, 4096),
    Kind.DATA: Shape(True, True, 1, MOST_PAYLOAD, WAITING),
    Kind.ACK: Shape(False, False),
    Kind.PING: Shape(False, False),
    Kind.PONG: Shape(False, False),
    Kind.BYE: Shape(False, False),
    Kind.OFFER: Shape(True, False, 0, MOST_PURPOSES * 65),
    Kind.OPEN: Shape(True, True, 1, 64 + 1 + MOST_ARGUMENT),
    Kind.ACCEPT: Shape(True, True),
    Kind.CREDIT: Shape(True, True, CREDIT.size, CREDIT.size),
    Kind.FINISH: Shape(True, True),
    Kind.TAKEN: Shape(True, True),
    Kind.RESET: Shape(True, True, 0, MOST_WHY),
}


@dataclass(frozen=True, slots=True)
class Frame:
    """One frame; see :class:`Kind` for what ``number`` means."""

    kind: Kind
    number: int = 0
    payload: bytes = b""
    stream: int = 0
    flags: int = 0

    def encode(self) -> bytes:
        """Header and payload in one piece."""
        return encode(self.kind, self.flags, self.stream, self.number, (self.payload,))


def encode(kind: Kind, flags: int, stream: int, number: int, pieces: tuple[bytes | memoryview, ...] = ()) -> bytes:
    """A frame whose payload is in ``pieces``; joined here, since what is written apart makes TLS records apart."""
    size = HEADER.size
    for piece in pieces:
        size += len(piece)
    if size > MOST:
        raise ValueError(f"a frame of {size} bytes")
    return b"".join((HEADER.pack(size - 1, kind, flags, stream, number), *pieces))


class FrameReader:
    """Takes what arrives in any chunks; holds less than one frame and one chunk."""

    def __init__(self) -> None:
        self._head = b""
        self._frame: tuple[Kind, int, int, int] | None = None
        self._parts: list[bytes] = []
        self._missing = 0
        """Bytes of the payload that have still to come."""

    def feed(self, data: bytes) -> list[Frame]:
        """The frames that are whole by now.  Raises :class:`BadFrame`; then the link is to be closed."""
        frames: list[Frame] = []
        at, end = 0, len(data)
        if end < self._missing:
            # The middle of a large frame: most of what comes in bulk, a TLS record at a time.
            self._parts.append(data)
            self._missing -= end
            return frames
        while True:
            if self._frame is None:
                if self._head or end - at < HEADER.size:
                    size = HEADER.size - len(self._head)
                    self._head += data[at : at + size]
                    at += size
                    if len(self._head) < HEADER.size:
                        return frames
                    self._frame, self._missing = _header(self._head, 0)
                    self._head = b""
                else:
                    self._frame, self._missing = _header(data, at)
                    at += HEADER.size
            piece = data[at : at + self._missing]
            at += len(piece)
            self._missing -= len(piece)
            if self._missing:
                self._parts.append(piece)
                return frames
            if self._parts:
                self._parts.append(piece)
                piece = b"".join(self._parts)
                self._parts.clear()
            kind, flags, stream, number = self._frame
            self._frame = None
            frames.append(Frame(kind, number, piece, stream, flags))


_KNOWN = {int(kind): (kind, shape) for kind, shape in SHAPES.items()}


def _header(data: bytes, at: int) -> tuple[tuple[Kind, int, int, int], int]:
    """Kind, flags, stream and number, and the size of the payload."""
    length, value, flags, stream, number = HEADER.unpack_from(data, at)
    known = _KNOWN.get(value)
    if known is None:
        raise BadFrame(why=f"a frame of the unknown kind {value}; it may run a newer version")
    kind, shape = known
    size = length + 1 - HEADER.size
    fits = shape.least <= size <= shape.most and not flags & ~shape.flags
    if not fits or bool(stream) != shape.on_stream or (shape.numbered and not number):
        raise BadFrame(why=f"the header of a {kind.name} that makes no sense")
    return (kind, flags, stream, number), size


def check_purpose(purpose: str) -> str:
    """What streams can be for: 1 to 64 of ``a-z 0-9 . -``, a letter first.  Raises :class:`ValueError`."""
    if not _PURPOSE.fullmatch(purpose):
        raise ValueError(f"{purpose!r} is no purpose: 1 to 64 of a-z 0-9 . -, a letter first")
    return purpose


def offer(purposes: list[str]) -> bytes:
    """The payload of an OFFER."""
    return "\n".join(purposes).encode()


def read_offer(payload: bytes) -> frozenset[str]:
    """The purposes in an OFFER.  Raises :class:`BadFrame`."""
    purposes = [_purpose(name) for name in payload.split(b"\n")] if payload else []
    if len(set(purposes)) != len(purposes) or len(purposes) > MOST_PURPOSES:
        raise BadFrame(why="an offer that makes no sense")
    return frozenset(purposes)


def read_opening(payload: bytes) -> tuple[str, bytes]:
    """Purpose and argument in an OPEN.  Raises :class:`BadFrame`."""
    purpose, _, argument = payload.partition(b"\n")
    if len(argument) > MOST_ARGUMENT:
        raise BadFrame(why="an argument that is too long")
    return _purpose(purpose), argument


def _purpose(name: bytes) -> str:
    try:
        return check_purpose(name.decode("ascii"))
    except ValueError:
        raise BadFrame(why="a purpose that makes no sense") from None
