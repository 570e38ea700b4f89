"""Sends in this turn of the reactor what Twisted keeps for the next one, and takes more at a time.

What is small waits for nothing: that saves two turns, and a third of what a small message costs and of its
delay.  In bulk there is nothing to be saved by sending at once, but by fewer and larger pieces.
"""

from __future__ import annotations

from contextlib import suppress
from typing import Any

from OpenSSL.SSL import Error
from twisted.internet.tcp import Connection
from twisted.protocols.tls import TLSMemoryBIOFactory, TLSMemoryBIOProtocol
from zope.interface import directlyProvides, providedBy

SMALL = 4096
"""Bytes that are sent at once, if nothing is before them."""
WAITING = 64 * 1024
"""Bytes that may wait for the socket until a producer has to."""
READ = 120 * 1024
"""Bytes that are read at a time below TLS.  A full frame is 64 KiB and what TLS adds to it: with Twisted's 64 KiB
each takes two turns.  From 128 KiB on glibc has every piece from the system anew, page by page (mallopt(3))."""


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
    """A transport that writes so and reads a lot at a time, for a protocol that knows nothing of it."""

    def __init__(self, transport: Any) -> None:
        self._transport = transport
        transport.bufferSize = READ
        directlyProvides(self, providedBy(transport))

    def write(self, data: bytes) -> None:
        """See :class:`ITransport`."""
        # Twisted goes by one size for what is read and for what waits.
        self._transport.bufferSize = WAITING
        write(self._transport, data)
        self._transport.bufferSize = READ

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)


class PromptTLS(TLSMemoryBIOProtocol):
    """TLS that encrypts what is written at once and in one piece, for a protocol that gathers what is small.

    Twisted's gathers until the next turn, and encrypts and passes on 16 KiB at a time.
    """

    transport: Any

    def makeConnection(self, transport: Any) -> None:
        """See :class:`IProtocol`."""
        super().makeConnection(Prompt(transport))  # type: ignore[no-untyped-call]

    def write(self, data: bytes) -> None:
        """See :class:`ITransport`."""
        if self._appSendBuffer and not self.disconnecting:
            self._bufferedWrite(data)  # type: ignore[no-untyped-call]  # the handshake is not quite over
            return
        connection: Any = self._tlsConnection
        sent = 0
        if data and self.connected and not self.disconnecting:
            with suppress(Error):  # it waits for the handshake, or TLS is over: the other way finds out as well
                sent = connection.send(data)
                # A record of 16 KiB is 22 bytes longer than what is in it; a few of TLS' own may be before it.
                self.transport.write(connection.bio_read(sent + sent // 256 + SMALL))
        if sent < len(data):
            super().write(data[sent:])  # type: ignore[no-untyped-call]


class PromptTLSFactory(TLSMemoryBIOFactory):
    """Makes them."""

    protocol = PromptTLS
