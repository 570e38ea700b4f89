"""SHA-256 of the beginning of a file."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from typing import Protocol as Interface

SLICE = 1024 * 1024
"""Bytes between two looks at whether to stop."""


class Digest(Interface):
    """As :mod:`hashlib` has it: one that can go on."""

    def update(self, data: bytes | memoryview, /) -> None:
        """Add bytes."""

    def digest(self) -> bytes:
        """Of all so far."""

    def copy(self) -> Digest:
        """One that goes on by itself."""


def digest_of(fd: int, size: int, stopped: Callable[[], bool]) -> Digest | None:
    """Of so many bytes, from the beginning; the descriptor stands behind them then.  None: there are fewer, or
    it was stopped.  Blocks.  Raises :class:`OSError`."""
    found = hashlib.sha256()
    os.lseek(fd, 0, os.SEEK_SET)
    while size:
        data = os.read(fd, min(size, SLICE))
        if not data or stopped():
            return None
        found.update(data)
        size -= len(data)
    return found
