"""The check itself: a peer that joins, looks and leaves, from its start to the :class:`Findings`.

It is the real peer with a key made for the occasion and nothing on its standard streams.  First it is alone, in a
room whose name nobody can guess; then, where there is somebody to try, in theirs.  Nothing is ever said to
anybody.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.defer import TimeoutError as DeferredTimeout
from twisted.internet.endpoints import HostnameEndpoint
from twisted.internet.error import ConnectError, ConnectingCancelledError, DNSLookupError
from twisted.internet.error import TimeoutError as ConnectTimeout
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.task import deferLater
from twisted.python.failure import Failure

from p2phole import events
from p2phole.addresses import Endpoint
from p2phole.behaviour import UNKNOWN, Behaviour
from p2phole.check.errors import (
    BrokerSilent,
    BrokerUnreachable,
    BrokerWentAway,
    NobodyThere,
    NoOutcome,
    NothingFound,
)
from p2phole.check.findings import Findings, Meeting, has_ipv6
from p2phole.check.log import Log
from p2phole.check.settings import CheckSettings
from p2phole.launch import Bounded
from p2phole.peer.broker_session import Link
from p2phole.peer.errors import NoSuchHost
from p2phole.peer.membership import Membership
from p2phole.peer.people import Strangers
from p2phole.peer.service import PeerService
from p2phole.peer.settings import BrokerAddress, PeerSettings
from p2phole.punch.interfaces import interface_addresses
from p2phole.secure.identity import Credentials
from p2phole.wire.messages import Introduction, Register, Welcome

REACH_SECONDS = 5.0
"""Time to reach the broker at all: three SYNs."""
REGISTER_SECONDS = 4.0
"""Time then to be registered: with the above, an unreachable broker is known within ten seconds."""
DISCOVER_SECONDS = 8.0
"""Time from there to know the NAT: at most four probes of a second each, and the dialling back."""
APPEAR_SECONDS = 30.0
"""Time for the other side to come into the room."""
ATTEMPT_SECONDS = 60.0
"""Time then for all starts of a round: three of 5 s, or one of 11 s, and what is between them."""
LINGER_SECONDS = 1.0
"""How long to stay after the attempt: the other side may be checking as well, and comes to its own result."""


class Place(Membership):
    """Remembers what the broker told of the others' networks, and tells of its own what is ``known`` already, so
    that both sides know each other's before they start."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.networks: dict[str, Behaviour] = {}
        self.known = UNKNOWN

    def registration(self, link: Link, welcome: Welcome) -> Register:
        """See :class:`~p2phole.peer.broker_session.Room`."""
        told, known = super().registration(link, welcome), self.known
        hard = known.is_hard or (known.mapping == "unknown" and told.prepare)
        return replace(told, nat=known, prepare=hard)

    def introduced(self, message: Introduction) -> None:
        """See :class:`~p2phole.peer.broker_session.Room`."""
        self.networks[message.instance] = message.nat
        super().introduced(message)


class Examiner(PeerService):
    """A peer with such a place."""

    membership_type = Place
    membership: Place

    def __init__(self, known: Behaviour, *arguments: Any, **keywords: Any) -> None:
        super().__init__(*arguments, **keywords)
        self.membership.known = known


async def examine(
    reactor: Any, settings: CheckSettings, waiting: Callable[[], None] = lambda: None, **peer: Any
) -> Findings:
    """Find out what there is to find out, and leave nothing behind.

    ``waiting`` is called when everything is known but the other side has not come; ``peer``: what a
    :class:`PeerService` in the tests' memory is given.  Raises :class:`LocalError`, the broker's being
    unreachable within ten seconds.
    """
    await reach(reactor, settings.broker)
    own = peer.get("interfaces", interface_addresses)()
    async with _Peer(reactor, settings, f"check-{secrets.token_hex(16)}", UNKNOWN, peer) as (log, _service):
        found = replace(await _look(log, settings), ipv6=has_ipv6(own))
    if settings.peer is not None:
        # Only now, so that an other side that checks as well is told what was found out here.
        async with _Peer(reactor, settings, settings.room, found.nat, peer) as (log, service):
            found = replace(found, meeting=await _meet(log, service, settings, settings.peer, waiting))
            await deferLater(reactor, LINGER_SECONDS)
    return found


class _Peer:
    """A running peer in one room, stopped at the end."""

    def __init__(
        self, reactor: Any, settings: CheckSettings, room: str, known: Behaviour, peer: Mapping[str, Any]
    ) -> None:
        self._log = Log(reactor)
        self._service = Examiner(
            known,
            reactor,
            PeerSettings(
                broker=settings.broker,
                name=settings.name,
                key_file=Path(os.devnull),  # never read: see the credentials
                room=room,
                port=settings.port,
            ),
            self._log.fail,
            [],  # nothing is read, and nothing that anybody says is shown
            sink=self._log,
            credentials=Credentials.of(Ed25519PrivateKey.generate()),
            people=Strangers(),
            **peer,
        )
        self._bounded = Bounded(self._service, reactor)

    async def __aenter__(self) -> tuple[Log, Examiner]:
        self._bounded.privilegedStartService()
        self._bounded.startService()
        return self._log, self._service

    async def __aexit__(self, *reason: object) -> None:
        await self._bounded.stopService()


async def reach(reactor: Any, broker: BrokerAddress) -> None:
    """Raise :class:`LocalError` if nothing listens there: a peer would go on trying for ever."""
    factory = Factory.forProtocol(Protocol)
    factory.noisy = False
    endpoint = HostnameEndpoint(reactor, broker.host, broker.port, REACH_SECONDS)
    connecting: Deferred[Any] = endpoint.connect(factory)
    # The endpoint's own timeout does not count the time that it takes to look up the name; and it has a word
    # of its own for being cancelled.
    connecting.addErrback(_cancelled).addTimeout(REACH_SECONDS, reactor)
    try:
        protocol = await connecting
    except (DeferredTimeout, ConnectTimeout):
        raise BrokerUnreachable(broker=broker, why=f"no answer within {REACH_SECONDS:.0f} s") from None
    except (DNSLookupError, ValueError):
        raise NoSuchHost(host=broker.host) from None
    except ConnectError as problem:
        number = problem.osError
        why = os.strerror(number).lower() if isinstance(number, int) else str(problem).rstrip(".")
        raise BrokerUnreachable(broker=broker, why=why) from None
    protocol.transport.abortConnection()


def _cancelled(failure: Failure) -> Failure:
    return Failure(CancelledError()) if failure.check(ConnectingCancelledError) else failure


async def _look(log: Log, settings: CheckSettings) -> Findings:
    broker = settings.broker
    registered = await log.until(
        lambda: log.first(events.Registered),
        REGISTER_SECONDS,
        _silent(broker),
    )

    def nat() -> events.Nat | None:
        _stop_without(log, broker)
        return log.first(events.Nat)

    found = await log.until(nat, DISCOVER_SECONDS, NothingFound(seconds=DISCOVER_SECONDS))
    return Findings(
        broker=str(broker),
        local=Endpoint.parse(registered.local),
        observed=Endpoint.parse(registered.observed),
        nat=Behaviour(found.mapping, found.filtering, found.allocation, found.unsolicited),
    )


async def _meet(
    log: Log, service: Examiner, settings: CheckSettings, name: str, waiting: Callable[[], None]
) -> Meeting:
    def introduced() -> events.Introduced | None:
        found = log.first(events.Introduced, peer=name)
        if found is None:
            _stop_without(log, settings.broker)
        return found

    def outcome() -> events.Connected | events.Failed | None:
        # Of two that have one name the first that is connected counts; that comes long before one fails.
        connected = log.first(events.Connected, peer=name)
        return connected if connected is not None else log.first(events.Failed, peer=name)

    absent = NobodyThere(peer=name, room=settings.room, seconds=APPEAR_SECONDS)
    await log.until(lambda: log.first(events.Registered), REGISTER_SECONDS, _silent(settings.broker))
    if introduced() is None:
        waiting()
    await log.until(introduced, APPEAR_SECONDS, absent)
    came: events.Connected | events.Failed = await log.until(
        outcome, ATTEMPT_SECONDS, NoOutcome(peer=name, seconds=ATTEMPT_SECONDS)
    )
    theirs = service.membership.networks.get(came.instance, UNKNOWN)
    if isinstance(came, events.Connected):
        return Meeting(name, theirs, came.candidate, came.remote, came.seconds)
    return Meeting(name, theirs, reason=came.reason)


def _silent(broker: BrokerAddress) -> BrokerSilent:
    return BrokerSilent(broker=broker, seconds=REGISTER_SECONDS)


def _stop_without(log: Log, broker: BrokerAddress) -> None:
    lost = log.first(events.BrokerLost)
    if lost is not None:
        raise BrokerWentAway(broker=broker, why=lost.reason)
