"""Twisted endpoints over p2phole: any Twisted protocol on a direct connection through NATs.

The classes that the strings ``p2p:…`` of ``clientFromString`` and ``serverFromString`` stand for; see
``docs/endpoints.md``.  What protocols get of ``transport.getPeer()`` and ``getHost()`` is a :class:`PeerAddress`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from twisted.internet.defer import Deferred

from p2phole.endpoints.client import CallingEndpoint
from p2phole.endpoints.errors import CannotConnect, CannotListen, NotReached, NotServed
from p2phole.endpoints.options import TIMEOUT, peer_settings, purpose, read_string, whom_to_call
from p2phole.endpoints.server import AnsweringEndpoint
from p2phole.endpoints.shared import Key, Peers
from p2phole.peer.settings import PeerSettings
from p2phole.session.peer_address import PeerAddress

__all__ = [
    "CannotConnect",
    "CannotListen",
    "NotReached",
    "NotServed",
    "P2PClientEndpoint",
    "P2PServerEndpoint",
    "PeerAddress",
    "leave_unused",
    "peer_settings",
]

_peers = Peers()


class P2PClientEndpoint(CallingEndpoint):
    """Connects to the one called ``name``; None: to the only one that its settings let it meet.

    ``settings``: see :func:`peer_settings`.  ``service``: what the other side's endpoint has, too; ``timeout``: in
    seconds.  Raises :class:`ValueError`.
    """

    def __init__(
        self,
        reactor: Any,
        name: str | None,
        settings: PeerSettings,
        service: str = "",
        timeout: float = TIMEOUT,
    ) -> None:
        board = partial(_peers.board, Key(reactor, False, settings))
        super().__init__(board, whom_to_call(name, settings), purpose(service), timeout)


class P2PServerEndpoint(AnsweringEndpoint):
    """Takes connections.  ``settings``: see :func:`peer_settings`; ``service``: tells several endpoints of one
    peer apart, as ports do.  Raises :class:`ValueError`."""

    def __init__(self, reactor: Any, settings: PeerSettings, service: str = "") -> None:
        super().__init__(partial(_peers.board, Key(reactor, True, settings)), settings.name, purpose(service))


def leave_unused(reactor: Any) -> Deferred[None]:
    """Have the peers by which nobody connects at the moment leave their rooms, and wait for it; else they stay for
    a minute, in case that somebody does.  For tests, and before a process is idle for long."""
    return Deferred.fromCoroutine(_peers.leave_unused(reactor))


def client_from_string(reactor: Any, arguments: Sequence[str], options: Mapping[str, str]) -> P2PClientEndpoint:
    """What ``clientFromString`` gives for ``p2p:…``.  Raises :class:`ValueError`."""
    name, settings, service, timeout = read_string(arguments, options, client=True)
    return P2PClientEndpoint(reactor, name, settings, service, timeout)


def server_from_string(reactor: Any, arguments: Sequence[str], options: Mapping[str, str]) -> P2PServerEndpoint:
    """What ``serverFromString`` gives for ``p2p:…``.  Raises :class:`ValueError`."""
    _, settings, service, _ = read_string(arguments, options, client=False)
    return P2PServerEndpoint(reactor, settings, service)
