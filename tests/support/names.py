"""Name resolution on the memory network."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.interfaces import (
    IAddress,
    IHostnameResolver,
    IHostResolution,
    IReactorTime,
    IResolutionReceiver,
)
from zope.interface import implementer


@implementer(IHostResolution)
class Resolution:
    """A question under way."""

    def __init__(self, name: str) -> None:
        self.name = name

    def cancel(self) -> None:
        raise NotImplementedError("Twisted's own resolver can't either")


@implementer(IHostnameResolver)
class Resolver:
    """
    Answers in this instant, but never before `resolveHostName` returns, as Twisted's, which asks in a thread.

    :param lookup: gives the addresses of a name or a literal; none means that there is no such name.
    """

    def __init__(self, reactor: IReactorTime, lookup: Callable[[str], Sequence[str]]) -> None:
        self._reactor = reactor
        self._lookup = lookup

    def resolveHostName(
        self,
        resolutionReceiver: IResolutionReceiver,
        hostName: str,
        portNumber: int = 0,
        addressTypes: Sequence[type[IAddress]] | None = None,
        transportSemantics: str = "TCP",
    ) -> IHostResolution:
        def answer() -> None:
            for text in self._lookup(hostName):
                kind = IPv6Address if ":" in text else IPv4Address
                if addressTypes is None or kind in addressTypes:
                    resolutionReceiver.addressResolved(kind("TCP", text, portNumber))
            resolutionReceiver.resolutionComplete()

        resolution = Resolution(hostName)
        resolutionReceiver.resolutionBegan(resolution)
        self._reactor.callLater(0, answer)
        return resolution
