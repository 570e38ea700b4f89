"""What was written on a stream and not sent yet.  Pure."""

from __future__ import annotations

from collections import deque


class Waiting:
    """Bytes in the order in which they were written; taken out in any sizes, not copied."""

    __slots__ = ("_chunks", "size")

    def __init__(self) -> None:
        self.size = 0
        self._chunks: deque[bytes | memoryview] = deque()

    def add(self, data: bytes) -> None:
        """At the end."""
        self._chunks.append(data)
        self.size += len(data)

    def take(self, size: int) -> tuple[bytes | memoryview, ...]:
        """So many bytes from the front; there must be as many."""
        self.size -= size
        pieces = []
        while size:
            chunk = self._chunks.popleft()
            if len(chunk) > size:
                view = memoryview(chunk)
                self._chunks.appendleft(view[size:])
                chunk = view[:size]
            pieces.append(chunk)
            size -= len(chunk)
        return tuple(pieces)

    def clear(self) -> None:
        """Throw it all away."""
        self._chunks.clear()
        self.size = 0
