"""Listens where it was told to: on an address, on all of them, or on a Unix socket."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Sequence
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.endpoints import UNIXClientEndpoint
from twisted.internet.error import CannotListenError, ConnectError, ConnectionRefusedError
from twisted.internet.interfaces import IListeningPort, IProtocolFactory
from twisted.internet.protocol import Factory, Protocol

from p2phole.errors import EndpointUnusable, LocalError, PortTaken
from p2phole.use.forward.dialling import look_up
from p2phole.use.forward.specs import ANY, LOCALHOST, Address, SocketPath, Target

BACKLOG = 1024
"""Connections that may wait to be accepted: of many at once Twisted's 50 would cost the rest a second."""
TRIES = 10
"""So many ports are tried where any will do, until one is free both for IPv4 and for IPv6."""
_NO_IPV6 = (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT)
"""What the kernel says where IPv6 is switched off."""


class Listening:
    """What is listened on; ``where``: as it was asked for, with the port that the system has picked."""

    def __init__(self, where: Target, ports: Sequence[IListeningPort]) -> None:
        self.where = where
        self._ports = ports

    async def stop(self) -> None:
        """Accept no more; connections that are there live on."""
        ports, self._ports = self._ports, ()
        for port in ports:
            if isinstance(self.where, SocketPath) and not os.path.lexists(self.where.path):
                # Somebody has removed it: Twisted would fail over that, and never have stopped.
                open(self.where.path, "x").close()
            stopped: object = port.stopListening()
            if isinstance(stopped, Deferred):
                await stopped


async def listen(reactor: Any, where: Target, factory: IProtocolFactory) -> Listening:
    """Listen.  Raises :class:`PortTaken` and :class:`EndpointUnusable`."""
    if isinstance(where, SocketPath):
        await _clear_away(reactor, where)
        return _on_path(reactor, where, factory)
    hosts: Sequence[str]
    if where.host == ANY:
        hosts = ("::",)  # takes IPv4 as well
    elif where.host == LOCALHOST:
        hosts = ("127.0.0.1", "::1")
    elif not (hosts := await look_up(reactor, where.host)):
        raise EndpointUnusable(endpoint=where, why="there is no host of that name")
    tries = 1 if where.port else TRIES
    while True:
        tries -= 1
        try:
            return _on_hosts(reactor, where, hosts, factory)
        except CannotListenError as error:
            number = getattr(error.socketError, "errno", None)
            if hosts == ("::",) and number in _NO_IPV6:
                hosts, tries = ("0.0.0.0",), tries + 1
            elif not tries or number != errno.EADDRINUSE:
                raise _told(where, error) from None


def _on_hosts(reactor: Any, where: Address, hosts: Sequence[str], factory: IProtocolFactory) -> Listening:
    ports: list[IListeningPort] = []
    number = where.port
    for host in hosts:
        try:
            port = reactor.listenTCP(number, factory, backlog=BACKLOG, interface=host)
        except CannotListenError as error:
            if host == "::1" and ports and getattr(error.socketError, "errno", None) in _NO_IPV6:
                continue
            for port in ports:
                port.stopListening()
            raise
        ports.append(port)
        number = port.getHost().port
    return Listening(Address(where.host, number), ports)


def _on_path(reactor: Any, where: SocketPath, factory: IProtocolFactory) -> Listening:
    # Nobody else may connect in the moment before the mode is set, either.
    before = os.umask(0o177)
    try:
        return Listening(where, [reactor.listenUNIX(where.path, factory, backlog=BACKLOG, mode=0o600)])
    except CannotListenError as error:
        raise _told(where, error) from None
    finally:
        os.umask(before)


async def _clear_away(reactor: Any, where: SocketPath) -> None:
    """Remove a socket of this user's on which nobody listens any more, as a killed process leaves it."""
    try:
        found = os.lstat(where.path)
    except OSError:
        return
    if not stat.S_ISSOCK(found.st_mode) or found.st_uid != os.geteuid():
        return
    try:
        listener = await UNIXClientEndpoint(reactor, where.path).connect(Factory.forProtocol(Protocol))
    except ConnectionRefusedError:
        os.unlink(where.path)
    except ConnectError:
        pass
    else:
        listener.transport.abortConnection()


def _told(where: Target, error: CannotListenError) -> LocalError:
    why = getattr(error.socketError, "strerror", None) or str(error.socketError)
    if isinstance(where, Address) and getattr(error.socketError, "errno", None) == errno.EADDRINUSE:
        return PortTaken(port=where.port, why=why.lower())
    return EndpointUnusable(endpoint=where, why=why.lower())
