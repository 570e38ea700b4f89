"""The records of a stream of files: a kind, a length, and so many bytes.  Pure.

All but DATA are short and come whole.  DATA is handed on in the pieces in which it comes, so nothing of a
file is ever gathered.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator
from enum import IntEnum
from typing import Any

from p2phole.use.files.errors import BadOffer

HEADER = struct.Struct("!BI")
"""Kind, and bytes that follow."""
MOST_RECORD = 65_536
"""Bytes of a record other than DATA."""
PIECE = 65_515
"""Bytes of a DATA record, at the most, and of a file that are read at a time: with its header the payload of one
full frame of the session."""
BEGIN = struct.Struct("!IQ")
"""Of FILE: which entry, and from which byte on."""
SAME = struct.Struct("!I32s")
"""Of SAME: which entry, and its digest."""
DIGEST_SIZE = 32
"""Bytes of a SHA-256."""


class Kind(IntEnum):
    """What a record is."""

    OFFER = 1
    """Sender: what there is in all, or a text (JSON)."""
    ENTRIES = 2
    """Sender: some of the entries (JSON)."""
    LISTED = 3
    """Sender: those were all entries."""
    PLAN = 4
    """Receiver: which of the entries it has in part, or has already, or does not want (JSON)."""
    ACCEPT = 5
    """Receiver: send."""
    FILE = 6
    """Sender: the data of this entry follows, from there on."""
    DATA = 7
    """Sender: so many bytes of it."""
    END = 8
    """Sender: that was all of it, and its digest."""
    FAILED = 9
    """Sender: this entry can't be sent, and why (entry, text)."""
    SAME = 10
    """Sender: the receiver has this one already."""
    DONE = 11
    """Sender: that is all."""
    RESULT = 12
    """Receiver: how many entries have arrived and were verified, and what has not (JSON)."""


AT = struct.Struct("!I")
"""Of FAILED: which entry; a text follows."""

_SIZES = {
    Kind.LISTED: 0,
    Kind.ACCEPT: 0,
    Kind.FILE: BEGIN.size,
    Kind.END: DIGEST_SIZE,
    Kind.SAME: SAME.size,
    Kind.DONE: 0,
}
"""Of those that have always the same."""


def record(kind: Kind, payload: bytes = b"") -> bytes:
    """One record.  Raises :class:`ValueError` where it is too long."""
    if len(payload) > (PIECE if kind is Kind.DATA else MOST_RECORD):
        raise ValueError(f"a record of {len(payload)} bytes")
    return HEADER.pack(kind, len(payload)) + payload


def as_json(value: object) -> bytes:
    """The JSON of a record."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()


def from_json(payload: bytes) -> Any:
    """What the JSON of a record says.  Raises :class:`BadOffer`."""
    try:
        return json.loads(payload.decode())
    except (ValueError, RecursionError):
        raise BadOffer(why="what should be JSON is not") from None


class RecordReader:
    """Takes bytes as they come."""

    def __init__(self) -> None:
        self._head = bytearray()
        self._kind: Kind | None = None
        self._left = 0
        self._payload = bytearray()

    def feed(self, data: bytes) -> Iterator[tuple[Kind, bytes | memoryview]]:
        """The records in it, DATA in pieces.  To be read to its end before the next call.

        Raises :class:`BadOffer`.
        """
        view = memoryview(data)
        at = 0
        while at < len(view) or (self._kind is not None and not self._left):
            if self._kind is None:
                missing = HEADER.size - len(self._head)
                self._head += view[at : at + missing]
                at += missing
                if len(self._head) == HEADER.size:
                    self._begin()
                continue
            kind, part = self._kind, view[at : at + self._left]
            at += len(part)
            self._left -= len(part)
            if not self._left:
                self._kind = None
            if kind is Kind.DATA:
                yield kind, part
                continue
            self._payload += part
            if self._kind is None:
                payload, self._payload = bytes(self._payload), bytearray()
                yield kind, payload

    def _begin(self) -> None:
        value, size = HEADER.unpack(self._head)
        self._head.clear()
        try:
            kind = Kind(value)
        except ValueError:
            raise BadOffer(why=f"a record of kind {value}") from None
        if size > (PIECE if kind is Kind.DATA else MOST_RECORD) or size != _SIZES.get(kind, size):
            raise BadOffer(why=f"a record of {size} bytes")
        if kind is Kind.DATA and not size:
            raise BadOffer(why="a record of no data")
        self._kind, self._left = kind, size
