"""The first 40 bytes in each direction of a direct connection: which pair it belongs to.  Pure.

A dialler sends its preface at once; an acceptor only after it has read a valid one, so that a
scanner sees nothing, no certificate either.
"""

from __future__ import annotations

from p2phole.errors import RemoteProtocolError

MAGIC = b"p2phole\x01"
SIZE = len(MAGIC) + 32


class NotAPreface(RemoteProtocolError):
    """What came first on the direct port is not of this protocol."""


def build(tag: bytes) -> bytes:
    """The preface with this tag (32 bytes)."""
    return MAGIC + tag


class PrefaceReader:
    """Takes what arrives in any chunks; never holds more than one preface and one chunk."""

    def __init__(self) -> None:
        self._buffer = b""

    def feed(self, data: bytes) -> tuple[bytes, bytes] | None:
        """The tag and what came behind it, or None while it is not there whole.

        Raises :class:`NotAPreface` at the first byte that is wrong.
        """
        self._buffer += data
        head = self._buffer[: len(MAGIC)]
        if head != MAGIC[: len(head)]:
            raise NotAPreface()
        if len(self._buffer) < SIZE:
            return None
        return self._buffer[len(MAGIC) : SIZE], self._buffer[SIZE:]
