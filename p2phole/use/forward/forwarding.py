"""Connections forwarded to the others and from them, over their sessions."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.protocol import Factory
from twisted.logger import Logger

from p2phole.errors import LocalError, P2pholeError
from p2phole.peer.use import Host, Idle, Partner
from p2phole.use.forward.dialling import Dialler
from p2phole.use.forward.listening import Listening, listen
from p2phole.use.forward.offering import Offer
from p2phole.use.forward.remote import Asking
from p2phole.use.forward.route import NotForwarded, Route
from p2phole.use.forward.specs import Forward, Plan
from p2phole.use.forward.splice import Splice

_log = Logger()


class Forwarding(Idle):
    """A :class:`~p2phole.peer.use.Use`.  It listens from the start, and as long as the peer runs."""

    def __init__(self, reactor: Any, plan: Plan) -> None:
        self._reactor = reactor
        self._plan = plan
        self._routes: list[Route] = []
        self._listening: list[Listening] = []
        self._starting: Deferred[None] | None = None

    def start(self, host: Host) -> None:
        """See :class:`~p2phole.peer.use.Use`."""
        dialler = Dialler(self._reactor)
        self._offer = Offer(self._reactor, host, dialler, self._plan.allow, self._plan.allow_listen)
        self._asking = Asking(host, dialler, self._plan.remote_forwards)
        self._starting = Deferred.fromCoroutine(self._start(host, self._plan.forwards))

    async def _start(self, host: Host, forwards: Sequence[Forward]) -> None:
        for forward in forwards:
            route = Route(host, forward.target, _told)
            self._routes.append(route)
            factory = Factory.forProtocol(partial(Splice, route, "its client"))
            try:
                listening = await listen(self._reactor, forward.listen, factory)
            except LocalError as error:
                host.fail(error)
                return
            self._listening.append(listening)
            _log.info(
                "Listening on {where}: connections to that go to {target} on the other side.",
                where=str(listening.where),
                target=str(forward.target),
            )

    def met(self, partner: Partner) -> None:
        """See :class:`~p2phole.peer.use.Use`."""
        self._offer.met(partner)
        self._asking.met(partner)
        for route in self._routes:
            route.met(partner)

    def over(self, partner: Partner, error: P2pholeError) -> None:
        """See :class:`~p2phole.peer.use.Use`."""
        for route in self._routes:
            route.over(partner)

    def stop(self) -> Deferred[None]:
        """See :class:`~p2phole.peer.use.Use`: accept no more; the connections end with the sessions."""
        return Deferred.fromCoroutine(self._stop())

    async def _stop(self) -> None:
        if self._starting is not None:
            await self._starting
        for route in self._routes:
            route.stop()
        for listening in self._listening:
            await listening.stop()
        await self._offer.stop()


def _told(error: LocalError | None) -> None:
    """How a connection ended.  One that broke off is its client's affair, who sees it."""
    if isinstance(error, NotForwarded):
        _log.warn("{error}", error=error)
