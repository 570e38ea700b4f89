"""The peer as a service: one port, one broker, and an encounter for each other member of the room."""

from __future__ import annotations

import random
import secrets
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from twisted.application.service import IService, Service
from twisted.internet.defer import Deferred, ensureDeferred, succeed
from twisted.internet.task import LoopingCall, deferLater
from twisted.logger import Logger

from p2phole import events
from p2phole.addresses import Candidate, Endpoint, InterfaceAddress, is_loopback, is_private
from p2phole.behaviour import PORT, UNKNOWN, Behaviour
from p2phole.descriptors import raise_descriptor_limit
from p2phole.errors import LocalError
from p2phole.peer.acceptor import Acceptor
from p2phole.peer.broker_link import BrokerLink
from p2phole.peer.broker_protocol import BrokerProtocol
from p2phole.peer.console import Console
from p2phole.peer.encounter import Encounter, shown_name
from p2phole.peer.observer import Observer
from p2phole.peer.settings import PeerSettings
from p2phole.punch.birthday import Gate
from p2phole.punch.candidates import Surroundings, gather
from p2phole.punch.interfaces import interface_addresses
from p2phole.punch.ledger import SynLedger
from p2phole.punch.portmap.grant import doubt, told
from p2phole.punch.portmap.mapper import PortMapper
from p2phole.punch.prediction import is_sequential
from p2phole.punch.shared_port import SharedPort
from p2phole.secure.identity import Credentials, load_or_make
from p2phole.secure.roles import Identity
from p2phole.secure.tls import rehearse
from p2phole.session.frames import MOST_PAYLOAD
from p2phole.text import harmless
from p2phole.wire.messages import (
    LINKED_PREFIX,
    MAX_CANDIDATES,
    MAX_LINKED,
    Absent,
    DialBack,
    DialledBack,
    Introduction,
    Register,
    Request,
    Requested,
    Update,
    Welcome,
)

WATCH_SECONDS = 5.0
"""Seconds between looks at this machine's addresses."""
FORGET_SECONDS = 600.0
"""How long the session with a member that is gone is kept."""
GOODBYE_SECONDS = 0.5
"""Time for the others to close their end when this peer leaves."""

_log = Logger()


class PeerService(Service):
    """One peer.  What is not given in the tests' memory is the real thing: interfaces, console, randomness."""

    def __init__(
        self,
        reactor: Any,
        settings: PeerSettings,
        fail: Callable[[LocalError], None],
        *,
        interfaces: Callable[[], tuple[InterfaceAddress, ...]] = interface_addresses,
        console: Callable[[int, Callable[[str], None]], Console] = Console,
        sink: events.EventSink | None = None,
        credentials: Credentials | None = None,
        instance: str | None = None,
        random: Callable[[], float] = random.random,
    ) -> None:
        self.clock = reactor
        self.events = sink if sink is not None else events.NullSink()
        self.random = random
        self._reactor = reactor
        self._settings = settings
        self._fail = fail
        self._interfaces = interfaces
        self._own_addresses: tuple[InterfaceAddress, ...] = ()
        self._console = console(MOST_PAYLOAD, self._typed)
        self._given = (sink, credentials, instance)
        self._encounters: dict[Identity, Encounter] = {}
        self._link: BrokerProtocol | None = None
        self._observer: Observer | None = None
        self._since = 0.0
        self._lost: tuple[str, float] | None = None
        self._warned = False
        self._discovered: Deferred[None] = Deferred()
        self.gate = Gate(reactor)
        self.ledger = SynLedger()
        self._mapper: PortMapper | None = None
        self._claimed: Endpoint | None = None
        """What the router says that it has mapped for this peer."""
        self._watch = LoopingCall(self._look_around)
        self._watch.clock = reactor

    # -- start and stop

    def privilegedStartService(self) -> None:
        """Key, events file and port.  Raises :class:`LocalError`."""
        raise_descriptor_limit()
        sink, credentials, instance = self._given
        if sink is None and self._settings.events is not None:
            self.events = events.open_sink(self._settings.events, time.time)
        self.credentials = credentials or load_or_make(self._settings.key_file)
        self.mine = Identity(self.credentials.fingerprint, instance or secrets.token_hex(16))
        self.acceptor = Acceptor(self.clock)
        self.port = SharedPort(self._reactor, self._settings.port, self.acceptor)
        self._broker = BrokerLink(
            self._reactor, self._settings.broker, self.port.binding, self, self.random, self._fail
        )

    def startService(self) -> None:
        """Go to the broker."""
        Service.startService(self)
        self._own_addresses = self._interfaces()
        self._console.start(self._reactor)
        self._broker.start()
        if self._settings.map_port:
            self._mapper = PortMapper(self._reactor, self.port.port, self._map_changed)
            self._mapper.start()
        rehearse(self.credentials)
        self._watch.start(WATCH_SECONDS, now=False)

    def stopService(self) -> Deferred[None]:
        """Say goodbye and let go of everything, in half a second; in one where a port was mapped."""
        Service.stopService(self)
        return Deferred.fromCoroutine(self._stop())

    async def _stop(self) -> None:
        if self._watch.running:
            self._watch.stop()
        self._console.stop()
        unmapped = self._mapper.stop() if self._mapper is not None else succeed(None)
        encounters = tuple(self._encounters.values())
        for encounter in encounters:
            encounter.stop()
        if any(encounter.link for encounter in encounters):
            # Whoever reads our goodbye closes with RST, so that nothing of ours is left in TIME_WAIT.
            deadline = self.clock.seconds() + GOODBYE_SECONDS
            while any(encounter.link for encounter in encounters) and self.clock.seconds() < deadline:
                await deferLater(self.clock, 0.02)
            for encounter in encounters:
                encounter.drop()
        self.acceptor.close()
        await self._broker.stop()
        closed = self.port.close()
        if isinstance(closed, Deferred):
            await closed
        await unmapped

    # -- the broker: see Room in broker_protocol

    def registration(self, link: BrokerProtocol, welcome: Welcome) -> Register:
        """See :class:`~p2phole.peer.broker_protocol.Room`."""
        own = [interface.ip for interface in self._own_addresses]
        self._observer = Observer(
            self.clock, self.port, self.port.fresh, self.ledger, own, link.local, link.remote, welcome
        )
        linked = [encounter.instance[:LINKED_PREFIX] for encounter in self._encounters.values() if encounter.link]
        return Register(
            name=self._settings.name,
            room=self._settings.room,
            fingerprint=self.mine.fingerprint,
            instance=self.mine.instance,
            candidates=self._candidates(),
            linked=tuple(linked[:MAX_LINKED]),
            nat=self._observer.behaviour,
            prepare=self._observer.may_be_hard,
        )

    def registered(self, link: BrokerProtocol) -> None:
        """See :class:`~p2phole.peer.broker_protocol.Room`."""
        assert self._observer is not None
        observer, now = self._observer, self.clock.seconds()
        self._link, self._since = link, now
        if self._lost is not None:
            reason, at = self._lost
            self._lost = None
            _log.info("The broker is back.")
            self.events.emit(events.BrokerBack(reason, round(now - at, 3)))
        where, seen = str(link.local), str(observer.observed)
        _log.info(
            "In room {room} as {name}: {local} is seen as {observed}.",
            room=self._settings.room,
            name=self._settings.name,
            local=where,
            observed=seen,
        )
        self.events.emit(
            events.Registered(self._settings.room, self._settings.name, self.mine.fingerprint, where, seen)
        )
        if not self._warned and not is_loopback(link.remote.ip) and not is_private(link.remote.ip):
            self._warned = True
            _log.warn("The room {room} is open: anyone there can read along.", room=self._settings.room)
        # Introductions may have come with the registration: they go before.
        self.clock.callLater(0, self._learn, observer)
        for encounter in self._encounters.values():
            if encounter.link is None:
                encounter.meeting.want()

    def _learn(self, observer: Observer) -> None:
        link = self._link
        if link is None:
            return
        learned, self._discovered = self._discovered, Deferred()
        current = self._discovered

        def ask() -> None:
            link.send(DialBack())

        def found(_: object) -> None:
            if link is not self._link:
                return  # the broker was lost meanwhile, and what was found may be another network's
            nat = observer.behaviour
            self.events.emit(events.Nat(nat.mapping, nat.filtering, nat.allocation, nat.unsolicited))
            self._tell_broker()
            current.callback(None)

        ensureDeferred(observer.discover(ask)).addBoth(found)
        if not learned.called:
            learned.callback(None)

    def dialled_back(self, message: DialledBack) -> None:
        """See :class:`~p2phole.peer.broker_protocol.Room`."""
        if self._observer is not None:
            self._observer.dialled_back(message)

    def introduced(self, message: Introduction) -> None:
        """See :class:`~p2phole.peer.broker_protocol.Room`."""
        theirs = Identity(message.fingerprint, message.instance)
        if theirs == self.mine:
            return
        observer = self._observer
        if message.nat.is_hard and observer is not None and not observer.named:
            observer.first_look().addCallback(lambda _: self._begin_if_prepared(message))
        else:
            self._begin(message)

    def _begin_if_prepared(self, message: Introduction) -> None:
        # Where both NATs map by endpoint each side is to have named its next ports: they must not be used up by
        # a start for which only one side has.
        if is_sequential(self.behaviour()):
            self.requested(Requested(message.instance))
        else:
            self._begin(message)

    def _begin(self, message: Introduction) -> None:
        theirs = Identity(message.fingerprint, message.instance)
        if message.nat.is_hard and self._observer is not None:
            self._observer.one_by_one()
        encounter = self._encounters.get(theirs)
        if encounter is None:
            encounter = Encounter(self, theirs, shown_name(message.name), secrets.token_hex(8))
            self._encounters[theirs] = encounter
        encounter.introduced(message)
        if message.nat.filtering == PORT and self._observer is not None and not self._observer.named:
            self._observer.first_look().addCallback(lambda _: self._begin_again(encounter))

    def _begin_again(self, encounter: Encounter) -> None:
        # Such a filter lets in no port that nobody has named: do not wait for the end of this start.
        if is_sequential(self.behaviour()) and encounter.link is None:
            encounter.meeting.requested()

    def requested(self, message: Requested) -> None:
        """See :class:`~p2phole.peer.broker_protocol.Room`."""
        known = list(self._of(message.instance))
        for encounter in known:
            encounter.meeting.requested()
        if not known:
            # A member that this peer has not met, and is to prepare for; or forgotten here, but not there.
            self.refresh().addCallback(lambda _: self.ask_for(message.instance))

    def absent(self, message: Absent) -> None:
        """See :class:`~p2phole.peer.broker_protocol.Room`."""
        for encounter in self._of(message.instance):
            encounter.meeting.absent()

    def unregistered(self, link: BrokerProtocol, reason: str) -> None:
        """See :class:`~p2phole.peer.broker_protocol.Room`."""
        now = self.clock.seconds()
        self._link = None
        if not self.running:
            return
        self._lost = (reason, now)
        _log.warn("The broker is lost: {reason}.  Direct connections live on.", reason=reason)
        self.events.emit(events.BrokerLost(reason, round(now - self._since, 3)))
        for encounter in self._encounters.values():
            encounter.meeting.broker_lost()
        if self._mapper is not None:
            self._mapper.refresh()

    def _of(self, instance: str) -> Iterable[Encounter]:
        return [encounter for encounter in self._encounters.values() if encounter.instance == instance]

    # -- the encounters: see Company in encounter

    def surroundings(self) -> Surroundings:
        """See :class:`~p2phole.peer.encounter.Company`."""
        assert self._observer is not None
        return Surroundings(self._own_addresses, self.port.port, self._observer.broker.ip, self._observer.observed)

    def _map_changed(self, claimed: Endpoint | None) -> None:
        self._claimed = claimed
        if self._observer is None:
            return  # it will be told with the registration
        why = doubt(claimed, self._observer.observed) if claimed is not None else None
        if why is not None:
            _log.warn("The mapped port is of no use: {why}.", why=why)
        elif claimed is not None:
            _log.info("The router has mapped {where}.", where=str(claimed))
        self._tell_broker()

    def _tell_broker(self) -> None:
        """Bring up to date what the broker tells others of this peer."""
        observer = self._observer
        if self._link is not None and observer is not None:
            self._link.send(Update(self._candidates(), observer.behaviour, observer.may_be_hard))

    def behaviour(self) -> Behaviour:
        """See :class:`~p2phole.peer.encounter.Company`."""
        return self._observer.behaviour if self._observer is not None else UNKNOWN

    def discovered(self) -> Deferred[None]:
        """See :class:`~p2phole.peer.encounter.Company`."""
        waiting: Deferred[None] = Deferred()
        self._discovered.addCallback(lambda _: waiting.callback(None))
        return waiting

    def _candidates(self, before: Sequence[Endpoint] = ()) -> tuple[Any, ...]:
        observer = self._observer
        assert observer is not None
        found = (*gather(self.surroundings(), observer.seen), *observer.predictions(before))
        # How it is seen from outside must not be crowded out by a machine with many interfaces.
        mapped = told(self._claimed, observer.observed)
        outside = [*mapped, *(one for one in found if one.kind != "host" and one.endpoint != self._claimed)]
        return (*[one for one in found if one.kind == "host"][: MAX_CANDIDATES - len(outside)], *outside)

    def refresh(self) -> Deferred[None]:
        """See :class:`~p2phole.peer.encounter.Company`."""
        return self._observer.refresh() if self._observer is not None else succeed(None)

    def about_to_dial(self, candidates: Sequence[Candidate]) -> Endpoint:
        """See :class:`~p2phole.peer.encounter.Company`."""
        assert self._observer is not None
        return self._observer.about_to_dial(candidates)

    def ask_for(self, instance: str, before: Sequence[Endpoint] = ()) -> None:
        """See :class:`~p2phole.peer.encounter.Company`."""
        if self._link is not None:
            nat, prepare = self.behaviour(), self._observer is not None and self._observer.may_be_hard
            self._link.send(Request(instance, self._candidates(before), nat, prepare))

    def connected(self, encounter: Encounter) -> None:
        """See :class:`~p2phole.peer.encounter.Company`."""
        if not encounter.ever_connected:
            for text in self._settings.messages:
                encounter.send(text)
        self._pace()

    def disconnected(self, encounter: Encounter, for_good: bool) -> None:
        """See :class:`~p2phole.peer.encounter.Company`."""
        self._pace()
        if for_good:
            encounter.meeting.stop()
            self._encounters.pop(encounter.theirs, None)
        elif self.running and self._link is not None:
            encounter.meeting.want()

    def received(self, encounter: Encounter, text: str, done: Callable[[], None]) -> None:
        """See :class:`~p2phole.peer.encounter.Company`."""
        if self._settings.events == "-":
            done()  # standard output carries the events
        else:
            self._console.show(f"{self._label(encounter)}: {harmless(text)}", done)

    def drained(self) -> None:
        """See :class:`~p2phole.peer.encounter.Company`."""
        self._pace()

    # -- lines

    def _typed(self, line: str) -> None:
        for encounter in self._encounters.values():
            if encounter.link is not None:
                encounter.send(line)
        self._pace()

    def _pace(self) -> None:
        # Lines wait while nobody is there to get them, and while somebody can't keep up.
        linked = [encounter for encounter in self._encounters.values() if encounter.link is not None]
        self._console.hold(not linked or any(encounter.session.full for encounter in linked))

    def _label(self, encounter: Encounter) -> str:
        """The name, and where two have the same one, which of them."""
        same = [other for other in self._encounters.values() if other.name == encounter.name]
        return encounter.name if same[0] is encounter else f"{encounter.name}#{encounter.instance[:4]}"

    # -- the machine around

    def _look_around(self) -> None:
        now = self.clock.seconds()
        for theirs, encounter in tuple(self._encounters.items()):
            lost_at = encounter.lost_at
            if encounter.link is None and lost_at is not None and now - lost_at > FORGET_SECONDS:
                encounter.meeting.stop()
                del self._encounters[theirs]
        found = self._interfaces()
        if found != self._own_addresses:
            self._own_addresses = found
            _log.info("This machine's addresses have changed.")
            # The broker is to see us anew; the direct connections are left alone.
            self._broker.drop()
            if self._mapper is not None:
                self._mapper.refresh()


def make_peer(reactor: Any, settings: PeerSettings, fail: Callable[[LocalError], None]) -> IService:
    """The peer that the settings describe."""
    return PeerService(reactor, settings, fail)
