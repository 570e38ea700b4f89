"""Connecting to a peer from endpoints that it has never contacted, to see what its NAT or firewall lets in.

Only ever to the endpoint from which that very peer is connected, so nobody else can be made a target.
"""

from __future__ import annotations

import errno
from collections.abc import Callable
from ipaddress import ip_address
from typing import Any

from twisted.internet.error import ConnectionRefusedError, TCPTimedOutError, TimeoutError
from twisted.internet.interfaces import IAddress, IConnector
from twisted.internet.protocol import ClientFactory, Protocol
from twisted.python.failure import Failure

from p2phole.addresses import Endpoint, IPAddress

SECONDS = 0.5
"""How long an answer is waited for: a NAT's answer takes a round trip, and no answer is one too."""


class _Look(ClientFactory):
    """One connection, closed with RST as soon as it stands."""

    noisy = False

    def __init__(self, told: Callable[[str], None]) -> None:
        self._told = told

    def buildProtocol(self, addr: IAddress | None) -> Protocol:
        look = Protocol()
        look.connectionMade = lambda: self._accepted(look)  # type: ignore[method-assign]
        return look

    def _accepted(self, look: Protocol) -> None:
        transport: Any = look.transport
        transport.abortConnection()
        self._told("accepted")

    def clientConnectionFailed(self, connector: IConnector, reason: Failure) -> None:
        number = getattr(reason.value, "osError", None)
        if reason.check(ConnectionRefusedError):
            self._told("reset")
        elif reason.check(TimeoutError, TCPTimedOutError):
            self._told("silent")
        elif number in (errno.EHOSTUNREACH, errno.ENETUNREACH, errno.EPERM, errno.EACCES):
            self._told("icmp")
        # Else it is our own side that could not dial, which tells nothing of the peer's.


def dial_back(
    reactor: Any, peer: Endpoint, local: IPAddress, second: str, told: Callable[[str, str], None]
) -> None:
    """Dial ``peer`` from a new port of ``local``, the address that it knows, and from one of ``second``.

    ``told`` hears the origin (``port``, ``address``) and the outcome
    (:class:`~p2phole.wire.messages.DialledBack`) of each within half a second.
    """
    origins = {"port": str(local)}
    if second and ip_address(second).version == peer.ip.version and ip_address(second) != local:
        origins["address"] = second
    for origin, source in origins.items():

        def outcome(word: str, origin: str = origin) -> None:
            told(origin, word)

        reactor.connectTCP(peer.host, peer.port, _Look(outcome), timeout=SECONDS, bindAddress=(source, 0))
