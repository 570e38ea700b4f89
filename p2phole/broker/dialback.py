"""Connecting to a peer from endpoints that it has never contacted, to see what its NAT or firewall lets in.

Only ever to the endpoint from which that very peer is connected, so nobody else can be made a target.
"""

from __future__ import annotations

import errno
import socket
import sys
from collections.abc import Callable
from ipaddress import ip_address
from typing import Any

from twisted.internet.error import ConnectionRefusedError, TCPTimedOutError, TimeoutError
from twisted.internet.interfaces import IAddress, IConnector
from twisted.internet.protocol import ClientFactory, Protocol
from twisted.python.failure import Failure

from p2phole.addresses import Endpoint, IPAddress

SECONDS = 0.4
"""How long an answer is waited for: a NAT's answer takes a round trip, and no answer is one too."""


# <linux/in.h> IP_RECVERR, <linux/in6.h> IPV6_RECVERR; <linux/errqueue.h> SO_EE_ORIGIN_ICMP and _ICMP6.
_KEEP_ERRORS = ((socket.IPPROTO_IP, 11), (socket.IPPROTO_IPV6, 25))
_FROM_ICMP = (2, 3)


class _Look(ClientFactory):
    """One connection, closed with RST as soon as it stands."""

    noisy = False

    def __init__(self, told: Callable[[str], None]) -> None:
        self._told = told
        self._errors: socket.socket | None = None

    def watch(self, connector: IConnector) -> None:
        """Have the kernel keep what it is told: an ICMP port unreachable also reads as a refusal (Linux)."""
        transport: Any = getattr(connector, "transport", None)
        try:
            handle = transport.getHandle()
        except AttributeError:
            return  # it could not be bound: there is no socket
        if not isinstance(handle, socket.socket) or sys.platform != "linux":
            return
        for level, option in _KEEP_ERRORS:
            try:
                handle.setsockopt(level, option, 1)
            except OSError:
                pass  # the other family's
        # Twisted closes its descriptor before it tells of the failure.
        self._errors = handle.dup()

    def _was_icmp(self) -> bool:
        errors, self._errors = self._errors, None
        if errors is None:
            return False
        with errors:
            try:
                _, ancillary, _, _ = errors.recvmsg(1, 512, socket.MSG_ERRQUEUE)
            except OSError:
                return False
        # struct sock_extended_err: errno, 32 bits; origin, 8 bits.
        return any(len(data) > 4 and data[4] in _FROM_ICMP for _, _, data in ancillary)

    def _close(self) -> None:
        if self._errors is not None:
            self._errors.close()
            self._errors = None

    def buildProtocol(self, addr: IAddress | None) -> Protocol:
        look = Protocol()
        look.connectionMade = lambda: self._accepted(look)  # type: ignore[method-assign]
        return look

    def _accepted(self, look: Protocol) -> None:
        transport: Any = look.transport
        transport.abortConnection()
        self._close()
        self._told("accepted")

    def clientConnectionFailed(self, connector: IConnector, reason: Failure) -> None:
        number = getattr(reason.value, "osError", None)
        if reason.check(ConnectionRefusedError):
            self._told("icmp" if self._was_icmp() else "reset")
        elif reason.check(TimeoutError, TCPTimedOutError):
            self._told("silent")
        elif number in (errno.EHOSTUNREACH, errno.ENETUNREACH, errno.EPERM, errno.EACCES):
            self._told("icmp")
        # Else it is our own side that could not dial, which tells nothing of the peer's.
        self._close()


def dial_back(
    reactor: Any, peer: Endpoint, local: IPAddress, second: str, told: Callable[[str, str], None]
) -> None:
    """Dial ``peer`` from a new port of ``local``, the address that it knows, and from one of ``second``.

    ``told`` hears the origin (``port``, ``address``) and the outcome
    (:class:`~p2phole.wire.messages.DialledBack`) of each within :data:`SECONDS`.
    """
    origins = {"port": str(local)}
    if second and ip_address(second).version == peer.ip.version and ip_address(second) != local:
        origins["address"] = second
    for origin, source in origins.items():

        def outcome(word: str, origin: str = origin) -> None:
            told(origin, word)

        look = _Look(outcome)
        look.watch(reactor.connectTCP(peer.host, peer.port, look, timeout=SECONDS, bindAddress=(source, 0)))
