"""A reactor for real descriptors that turns when the test says so, and ways to make them."""

from __future__ import annotations

import os
import select
from typing import Any

from twisted.internet.interfaces import IReactorFDSet
from zope.interface import implementer


@implementer(IReactorFDSet)
class Watching:
    """Files count as ready, as for every reactor."""

    def __init__(self) -> None:
        self.readers: set[Any] = set()
        self.writers: set[Any] = set()

    def addReader(self, reader: Any) -> None:
        assert reader.fileno() >= 0
        self.readers.add(reader)

    def addWriter(self, writer: Any) -> None:
        assert writer.fileno() >= 0
        self.writers.add(writer)

    def removeReader(self, reader: Any) -> None:
        self.readers.discard(reader)

    def removeWriter(self, writer: Any) -> None:
        self.writers.discard(writer)

    def removeAll(self) -> list[Any]:
        raise NotImplementedError

    def getReaders(self) -> list[Any]:
        return list(self.readers)

    def getWriters(self) -> list[Any]:
        return list(self.writers)

    def turn(self) -> bool:
        """One look at all of them; whether anything was ready."""
        reads, writes, _ = select.select(list(self.readers), list(self.writers), [], 0)
        for reader in reads:
            if reader in self.readers:
                reader.doRead()
        for writer in writes:
            if writer in self.writers:
                writer.doWrite()
        return bool(reads or writes)


def wait_for(descriptor: int) -> None:
    """Until it can be read: what is written to a terminal, a thread of the kernel takes to its other side."""
    assert select.select([descriptor], [], [], 60)[0]


def drain(descriptor: int) -> bytes:
    """What can be read without waiting."""
    data = b""
    while select.select([descriptor], [], [], 0)[0]:
        piece = os.read(descriptor, 1 << 20)
        if not piece:
            break
        data += piece
    return data
