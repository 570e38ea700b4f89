"""Sends what is small in this turn of the reactor, where Twisted would wait for the socket to be writable first.

That saves a turn, and a quarter of what a small message costs and of its delay.  In bulk there is nothing to be
saved, and pieces of some kilobytes written one by one would be more work for both sides.
"""

from __future__ import annotations

from functools import partial
from typing import Any

from twisted.internet.tcp import Connection
from zope.interface import directlyProvides, providedBy

SMALL = 4096
"""Bytes that are sent at once, if nothing is before them."""


def write(transport: Any, data: bytes) -> None:
    """As ``transport.write(data)``."""
    if (
        len(data) <= SMALL
        and isinstance(transport, Connection)
        and transport.connected
        and not (transport.disconnecting or transport.dataBuffer or transport._tempDataLen)
    ):
        sent = transport.writeSomeData(data)
        # What is wrong with the socket, the reactor finds out as well.
        if isinstance(sent, int) and sent > 0:
            data = data[sent:]
    if data:
        transport.write(data)


class Prompt:
    """A transport that writes so, for a protocol that knows nothing of it."""

    def __init__(self, transport: Any) -> None:
        self.write = partial(write, transport)
        self._transport = transport
        directlyProvides(self, providedBy(transport))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)
