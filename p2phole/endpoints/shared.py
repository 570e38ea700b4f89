"""The peers that the endpoints of a process share: one for all endpoints that connect with the same settings, one
for all that listen, each as long as it is needed.

Endpoints of one kind share theirs, since each is a member of the room with connections to all others.  Those that
connect have another one than those that listen: so a process may connect to itself.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from twisted.application.service import IService
from twisted.internet.defer import Deferred, maybeDeferred, succeed
from twisted.internet.interfaces import IDelayedCall, IReactorCore
from twisted.logger import Logger
from twisted.python.failure import Failure

from p2phole.endpoints.switchboard import Switchboard
from p2phole.errors import LocalError
from p2phole.peer.settings import PeerSettings

IDLE = 60.0
"""Seconds for which a peer by which nobody connects any more stays in its room: the next connection may be due."""
STOP_SECONDS = 5.0
"""How long a peer may take to leave."""

_log = Logger()

MakePeer = Callable[[Any, PeerSettings, Callable[[LocalError], None], Switchboard], IService]
"""Makes the service of a peer, with the switchboard as its only use and as the sink of its events."""


def make_peer(
    reactor: Any, settings: PeerSettings, fail: Callable[[LocalError], None], board: Switchboard
) -> IService:
    """The real one."""
    # Imported when it is wanted: most programs have a string parsed long before, and some never connect.
    from p2phole.peer.service import PeerService
    from p2phole.peer.status_use import Status

    return PeerService(reactor, settings, fail, [board, Status(reactor, "endpoint", settings)], sink=board)


@dataclass(frozen=True)
class Key:
    """Which endpoints share a peer.  ``reactor``: by identity."""

    reactor: Any
    listens: bool
    settings: PeerSettings


class Peers:
    """Those of one process."""

    def __init__(self, make: MakePeer = make_peer) -> None:
        self.make = make
        self.running: dict[Key, _Shared] = {}
        self.leaving: dict[Key, Deferred[None]] = {}

    def board(self, key: Key) -> Switchboard:
        """That of the peer for this, held once."""
        shared = self.running.get(key)
        if shared is None:
            shared = self.running[key] = _Shared(self, key)
            leaving = self.leaving.get(key)
            if leaving is None:
                shared.start()
            else:  # with a port that it was told to have
                leaving.addCallback(lambda _: shared.start())
        shared.hold()
        return shared.board

    async def leave_unused(self, reactor: Any) -> None:
        """Have those peers leave that nothing needs at the moment, and wait until they have, and all others that
        are leaving."""
        for key, shared in tuple(self.running.items()):
            if key.reactor is reactor and not shared.board.users:
                shared.stop()
        for key, leaving in tuple(self.leaving.items()):
            if key.reactor is reactor:
                await after(leaving)


class _Shared:
    """One peer, as long as it is needed."""

    def __init__(self, peers: Peers, key: Key) -> None:
        self.board = Switchboard(key.reactor)
        self.board.unused = self._unused
        self._peers = peers
        self._key = key
        self._service: IService | None = None
        self._trigger: Any = None
        self._idle: IDelayedCall | None = None
        self._stopped = False

    def hold(self) -> None:
        """There is somebody more who needs it."""
        self.board.hold()
        if self._idle is not None:
            self._idle.cancel()
            self._idle = None

    def start(self) -> None:
        """Go to the broker."""
        if self._stopped:
            return
        reactor, settings = self._key.reactor, self._key.settings
        if IReactorCore.providedBy(reactor):
            self._trigger = reactor.addSystemEventTrigger("before", "shutdown", self._shut_down)
        try:
            self._service = self._peers.make(reactor, settings, self._failed, self.board)
            self._service.privilegedStartService()
            self._service.startService()
        except LocalError as error:
            self._service = None
            self._failed(error)

    def _failed(self, error: LocalError) -> None:
        # The next one who needs a peer gets another one, and may have more luck.
        self.stop()
        self.board.give_up(error)

    def _unused(self) -> Deferred[None]:
        if self._key.listens or self._stopped:
            return self.stop()
        self._idle = self._key.reactor.callLater(IDLE, self.stop)
        return succeed(None)

    def stop(self) -> Deferred[None]:
        """Leave; fires when that is done."""
        if not self._stopped:
            self._stopped = True
            self._leave()
        leaving = self._peers.leaving.get(self._key)
        return succeed(None) if leaving is None else after(leaving)

    def _leave(self) -> None:
        if self._idle is not None and self._idle.active():
            self._idle.cancel()
        if self._peers.running.get(self._key) is self:
            del self._peers.running[self._key]
        if self._trigger is not None:
            self._key.reactor.removeSystemEventTrigger(self._trigger)
            self._trigger = None
        if self._service is not None:
            left: Deferred[None] = maybeDeferred(self._service.stopService)
            left.addTimeout(STOP_SECONDS, self._key.reactor)
            left.addErrback(_not_in_order)
            self._peers.leaving[self._key] = left
            left.addCallback(self._has_left)

    def _has_left(self, result: object) -> None:
        del self._peers.leaving[self._key]

    def _shut_down(self) -> Deferred[None]:
        self._trigger = None
        return self.stop()


def _not_in_order(failure: Failure) -> None:
    _log.warn("A peer of this process did not leave in order: {why}", why=failure.getErrorMessage())


def after(first: Deferred[None]) -> Deferred[None]:
    """Fires when that one has, which is left alone whatever becomes of this one."""
    then: Deferred[None] = Deferred()

    def fire(result: None) -> None:
        if not then.called:
            then.callback(None)

    first.addCallback(fire)
    return then
