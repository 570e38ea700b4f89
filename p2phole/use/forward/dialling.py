"""Connects to what the other side may reach; names are looked up here, and nowhere else."""

from __future__ import annotations

import errno
import os
from collections.abc import Sequence
from functools import partial
from typing import Any

from twisted.internet.abstract import isIPAddress, isIPv6Address
from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import TCP4ClientEndpoint, TCP6ClientEndpoint, UNIXClientEndpoint
from twisted.internet.error import ConnectError
from twisted.internet.error import TimeoutError as NoAnswer
from twisted.internet.interfaces import (
    IAddress,
    IHostResolution,
    IProtocolFactory,
    IResolutionReceiver,
    IStreamClientEndpoint,
)
from twisted.internet.protocol import Factory
from zope.interface import implementer

from p2phole.errors import P2pholeError
from p2phole.session.streams import Stream
from p2phole.use.forward.specs import SocketPath, Target
from p2phole.use.forward.splice import Nobody, Splice

PATIENCE = 20.0
"""Seconds that one address has to answer."""
MOST_DIALLING = 1024
"""Connections that are being made at one time."""

_WORDS = {
    errno.ECONNREFUSED: "nothing listens there",
    errno.ENOENT: "there is no such socket",
}


class Unreachable(P2pholeError):
    """{target} cannot be reached: {why}."""


@implementer(IResolutionReceiver)
class _Found:
    """The addresses of a name, once all are known."""

    def __init__(self) -> None:
        self.addresses: list[IAddress] = []
        self.all: Deferred[list[IAddress]] = Deferred()

    def resolutionBegan(self, resolutionInProgress: IHostResolution) -> None:
        """See :class:`IResolutionReceiver`."""

    def addressResolved(self, address: IAddress) -> None:
        """See :class:`IResolutionReceiver`."""
        self.addresses.append(address)

    def resolutionComplete(self) -> None:
        """See :class:`IResolutionReceiver`."""
        self.all.callback(self.addresses)


async def look_up(reactor: Any, host: str) -> Sequence[str]:
    """The addresses of a host, in the order in which the system would have them tried."""
    if isIPAddress(host) or isIPv6Address(host):
        return (host,)
    found = _Found()
    reactor.nameResolver.resolveHostName(found, host)
    addresses = await found.all
    return [each.host for each in addresses if isinstance(each, IPv4Address | IPv6Address)]


async def dial(reactor: Any, target: Target, factory: IProtocolFactory) -> Any:
    """Connect; the protocol that the factory has built.  Raises :class:`Unreachable`.

    One address after the other, the next one as soon as one refuses (:class:`HostnameEndpoint` would wait for
    0.3 s before 127.0.0.1 where nothing listens on ::1).
    """
    endpoints: list[IStreamClientEndpoint]
    if isinstance(target, SocketPath):
        endpoints = [UNIXClientEndpoint(reactor, target.path, timeout=PATIENCE)]
    else:
        endpoints = [
            (TCP6ClientEndpoint if ":" in host else TCP4ClientEndpoint)(reactor, host, target.port, PATIENCE)
            for host in await look_up(reactor, target.host)
        ]
    why = "there is no host of that name"
    for endpoint in endpoints:
        try:
            return await endpoint.connect(factory)
        except NoAnswer:
            why = f"it did not answer for {PATIENCE:.0f} s"
        except ConnectError as error:
            number = error.osError
            why = _WORDS.get(number) or (os.strerror(number).lower() if isinstance(number, int) else str(error))
    raise Unreachable(target=target, why=why)


class Dialler:
    """Joins streams to connections that it makes for them."""

    def __init__(self, reactor: Any) -> None:
        self._reactor = reactor
        self._dialling = 0

    def connect(self, stream: Stream, target: Target) -> None:
        """Connect to the target, and accept the stream for that; or decline it, and say why."""
        # One that is broken off meanwhile makes room for another one on its session, and not here.
        if self._dialling >= MOST_DIALLING:
            stream.abort("too many connections are being made here")
        else:
            Deferred.fromCoroutine(self._connect(stream, target))

    async def _connect(self, stream: Stream, target: Target) -> None:
        self._dialling += 1
        try:
            factory = Factory.forProtocol(partial(Splice, Nobody(), str(target)))
            splice: Splice = await dial(self._reactor, target, factory)
        except Unreachable as error:
            stream.abort(str(error))
        else:
            splice.take(stream)
        finally:
            self._dialling -= 1
