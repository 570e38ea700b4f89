"""One local TCP port for the broker connection, the acceptor and every outgoing connection.

A NAT that maps independently of the endpoint (RFC 4787 REQ-1, RFC 5382 REQ-1) shows one outside
port for one local port: what the broker saw is then where others can reach us.  This is the only
module that binds.  It stands on ``makeBinding`` with both flags on all of the sockets; with
``SO_REUSEADDR`` alone Linux refuses to dial from a port that listens.  Tried on Linux; on macOS
the same flags should do, on Windows Twisted does not set them on a listening port: both untried.
"""

from __future__ import annotations

import socket
from collections.abc import Callable
from typing import Protocol as Interface
from typing import cast

from twisted.internet.error import CannotListenError
from twisted.internet.interfaces import IConnector, IListeningPort, IProtocolFactory
from twisted.internet.protocol import ClientFactory, ServerFactory
from twisted.internet.tcp import makeBinding

from p2phole.addresses import Endpoint
from p2phole.errors import PortTaken

BACKLOG = 256


class BindingReactor(Interface):
    """What Twisted's TCP reactors do with a binding; ``IReactorTCP2`` declares it, but none provides it."""

    def listenTCP(
        self, port: object, factory: IProtocolFactory, backlog: int = ..., interface: str = ...
    ) -> IListeningPort:
        """See ``IReactorTCP2``."""

    def connectTCP(
        self, host: str, port: int, factory: object, timeout: float = ..., bindAddress: object = ...
    ) -> IConnector:
        """See ``IReactorTCP2``."""


class SharedPort:
    """The port, listened on for IPv4 and IPv6 by one factory, and dialled from.

    ``port``: 0 to let the system pick.  Raises :class:`PortTaken`.
    """

    def __init__(
        self,
        reactor: object,
        port: int,
        factory: ServerFactory,
        check_free: Callable[[int], None] | None = None,
    ) -> None:
        self._reactor = cast(BindingReactor, reactor)
        self._factory = factory
        self._is_named = port != 0
        if port:
            (check_free or require_free)(port)
        self._listening = self._listen(port)
        self.port = _number(self._listening)

    def _listen(self, port: int) -> IListeningPort:
        try:
            # "::" takes IPv4 as well (IPV6_V6ONLY is off by default).
            return self._listen_on("::", port)
        except CannotListenError:
            # IPv6 may be switched off in this kernel; or the port is taken, which the second try tells.
            try:
                return self._listen_on("0.0.0.0", port)
            except CannotListenError as error:
                raise _taken(port, error.socketError) from None

    def _listen_on(self, interface: str, port: int) -> IListeningPort:
        binding = makeBinding(interface, port, reuseAddress=True, reusePort=True)
        return self._reactor.listenTCP(binding, self._factory, backlog=BACKLOG, interface=interface)

    def move(self) -> bool:
        """Take another port, and let go of this one; its connections live on.  False: not where somebody has named
        the port, or where there is no other one."""
        if self._is_named:
            return False
        before = self._listening
        try:
            self._listening = self._listen(0)
        except PortTaken:
            return False
        self.port = _number(self._listening)
        before.stopListening()
        return True

    @property
    def binding(self) -> object:
        """What an endpoint takes as its ``bindAddress`` in order to dial from this port."""
        return makeBinding("", self.port, reuseAddress=True, reusePort=True)

    def dial(self, endpoint: Endpoint, factory: ClientFactory, timeout: float) -> IConnector:
        """Send a SYN from this port; ``timeout`` in seconds ends the wait for an answer."""
        return self._reactor.connectTCP(
            endpoint.host, endpoint.port, factory, timeout=timeout, bindAddress=self.binding
        )

    @property
    def fresh(self) -> FreshPorts:
        """Dials from other ports, a new one each time."""
        return FreshPorts(self._reactor)

    def close(self) -> object:
        """Stop listening; a Deferred or None."""
        return self._listening.stopListening()


class FreshPorts:
    """Dials, each time from a port of the system's choice: a NAT has not mapped it yet."""

    def __init__(self, reactor: BindingReactor) -> None:
        self._reactor = reactor

    def dial(self, endpoint: Endpoint, factory: ClientFactory, timeout: float) -> IConnector:
        """As :meth:`SharedPort.dial`."""
        return self._reactor.connectTCP(endpoint.host, endpoint.port, factory, timeout=timeout)


def require_free(port: int) -> None:
    """Raise :class:`PortTaken` if another program listens on the port.

    With ``SO_REUSEPORT`` a second program of the same user would share the port unnoticed and take
    half of its connections; without the flag the kernel says so.
    """
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as trial:
        # The flag that Twisted's own listening ports have: connections in TIME_WAIT do not count.
        trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            trial.bind(("", port))
            trial.listen(1)
        except OSError as error:
            raise _taken(port, error) from None


def _number(listening: IListeningPort) -> int:
    return int(getattr(listening.getHost(), "port", 0))


def _taken(port: int, error: OSError) -> PortTaken:
    return PortTaken(port=port, why=(error.strerror or str(error)).lower())
