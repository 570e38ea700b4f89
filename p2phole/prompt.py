"""Sends what is small in this turn of the reactor, where Twisted would wait for the socket to be writable first.

That saves a turn, a quarter of what a small message costs here and as much of its delay.  In bulk there is nothing to
be saved, and pieces of a few kilobytes written one by one would be more work for both sides.
"""

from __future__ import annotations

from typing import Any

from twisted.internet.tcp import Connection

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
