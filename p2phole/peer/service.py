"""The peer as a service: one port, one broker, and an encounter for each other member of the room."""

from __future__ import annotations

import random
import secrets
import time
from collections.abc import Callable
from typing import Any

from twisted.application.service import IService, Service
from twisted.internet.defer import Deferred
from twisted.internet.task import LoopingCall
from twisted.logger import Logger

from p2phole import events
from p2phole.addresses import InterfaceAddress, is_loopback, is_private
from p2phole.behaviour import PORT, Behaviour
from p2phole.bucket import Bucket, Rate
from p2phole.descriptors import raise_descriptor_limit
from p2phole.errors import LocalError
from p2phole.peer.acceptor import Acceptor
from p2phole.peer.broker_link import BrokerLink
from p2phole.peer.broker_protocol import BrokerProtocol
from p2phole.peer.console import Console
from p2phole.peer.encounter import Encounter
from p2phole.peer.errors import BrokerRefused, CodeBurned, CodeWrong, InvitationOver
from p2phole.peer.presence import Presence
from p2phole.peer.settings import PeerSettings
from p2phole.peer.trust import People, make_trust
from p2phole.punch.birthday import Gate
from p2phole.punch.interfaces import interface_addresses
from p2phole.punch.ledger import SynLedger
from p2phole.punch.prediction import is_sequential
from p2phole.punch.shared_port import SharedPort
from p2phole.punch.verdict import REASONS
from p2phole.secure import agreement
from p2phole.secure.codes import Code
from p2phole.secure.identity import Credentials, load_or_make
from p2phole.secure.known import FILE_NAME, Known
from p2phole.secure.possession import raw, sign
from p2phole.secure.roles import Identity
from p2phole.secure.tls import rehearse
from p2phole.session.frames import MOST_PAYLOAD
from p2phole.session.pool import Pools
from p2phole.text import harmless
from p2phole.wire.messages import (
    LINKED_PREFIX,
    MAX_LINKED,
    Absent,
    DialledBack,
    Introduction,
    Letter,
    Possession,
    Register,
    Registered,
    Requested,
    Welcome,
)

WATCH_SECONDS = 5.0
"""Seconds between looks at this machine's addresses."""
FORGET_SECONDS = 600.0
"""How long the session with a member that is gone is kept."""
GOODBYE_SECONDS = 0.5
"""Time for the others to close their end when this peer leaves."""
MOST_NAME = 256
"""Characters of another peer's name that are shown."""
INTRODUCTIONS = Rate(burst=1000, per_second=10)
"""Introductions that are taken of a broker, and requests."""
MOST_ENCOUNTERS = 2048
"""Members of whom something is remembered; beyond that, those who were never connected to are forgotten."""
MOST_CHANGED = 16
"""Keys in place of the one that was kept that the user is told of."""

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
        console: Callable[[int, Callable[[str], None], Callable[[], None]], Console] = Console,
        sink: events.EventSink | None = None,
        credentials: Credentials | None = None,
        instance: str | None = None,
        random: Callable[[], float] = random.random,
        entropy: Callable[[int], bytes] = secrets.token_bytes,
        people: People | None = None,
        invited: Callable[[Code], None] = lambda code: None,
        said_all: Callable[[], None] = lambda: None,
    ) -> None:
        self.clock = reactor
        self.events = sink if sink is not None else events.NullSink()
        self.random = random
        self.gate = Gate(reactor)
        self.ledger = SynLedger()
        self.pools = Pools()
        self._reactor = reactor
        self._settings = settings
        self._fail = fail
        self._interfaces = interfaces
        self._entropy = entropy
        self._invited = invited
        self._said_all = said_all
        self._input_over = False
        self._console = console(MOST_PAYLOAD, self._typed, self._typed_all)
        self._given = (sink, credentials, instance, people)
        self._encounters: dict[Identity, Encounter] = {}
        self._changed: set[str] = set()
        """Keys in place of the one that was kept; each is told of once."""
        self._link: BrokerProtocol | None = None
        self._since = 0.0
        self._lost: tuple[str, float] | None = None
        self._warned = False
        self._introductions = Bucket(INTRODUCTIONS)
        self._told_of_flood = False
        self._alone: Deferred[None] | None = None
        """While stopping: fires when no link is left."""
        self._watch = LoopingCall(self._look_around)
        self._watch.clock = reactor

    # -- start and stop

    def privilegedStartService(self) -> None:
        """Secret, key, events file and port.  Raises :class:`LocalError`."""
        raise_descriptor_limit()
        settings = self._settings
        sink, credentials, instance, people = self._given
        if sink is None and settings.events is not None:
            self.events = events.open_sink(settings.events, time.time)
        self.credentials = credentials or load_or_make(settings.key_file)
        self.mine = Identity(self.credentials.fingerprint, instance or self._entropy(16).hex())
        people = people if people is not None else Known.load(settings.key_file.with_name(FILE_NAME), time.time)
        self.trust = make_trust(settings, self.clock, self.credentials, people, self._entropy)
        self.trust.burned = self._burned
        self.acceptor = Acceptor(self.clock)
        self.port = SharedPort(self._reactor, settings.port, self.acceptor)
        self._broker = BrokerLink(
            self._reactor, settings.broker, self.port.binding, self, self.random, self._broker_failed
        )

    def startService(self) -> None:
        """Go to the broker."""
        Service.startService(self)
        self.presence = Presence(
            self._reactor,
            self.port,
            self.ledger,
            self._interfaces,
            self._tell_nat,
            map_port=self._settings.map_port,
            closed=self.trust.closed,
            hosts=self._settings.host_candidates,
        )
        self._console.start(self._reactor)
        self._broker.start()
        rehearse(self.credentials)
        if self.trust.demands_proof:
            agreement.rehearse()
        self._watch.start(WATCH_SECONDS, now=False)

    def stopService(self) -> Deferred[None]:
        """Say goodbye and let go of everything, in half a second; in one where a port was mapped."""
        Service.stopService(self)
        return Deferred.fromCoroutine(self._stop())

    async def _stop(self) -> None:
        if self._watch.running:
            self._watch.stop()
        self._console.stop()
        unmapped = self.presence.stop()
        encounters = tuple(self._encounters.values())
        for encounter in encounters:
            encounter.stop()
        if self._linked():
            # Whoever reads our goodbye closes with RST, so that nothing of ours is left in TIME_WAIT.
            self._alone = Deferred()
            await self._alone.addTimeout(GOODBYE_SECONDS, self.clock, lambda result, seconds: None)
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
        presence, mine = self.presence, self.mine
        presence.seen(link, welcome)
        linked = [encounter.instance[:LINKED_PREFIX] for encounter in self._linked()]
        nonce, dialled, room = self._entropy(16).hex(), str(self._settings.broker), self.trust.room
        key = self.credentials.key
        signature = sign(key, dialled, (welcome.nonce, nonce), room, mine.instance)
        return Register(
            name=self._settings.name,
            room=room[1],
            fingerprint=mine.fingerprint,
            instance=mine.instance,
            candidates=presence.candidates(),
            possession=Possession(raw(key.public_key()).hex(), nonce, dialled, signature),
            space=room[0],
            linked=tuple(linked[:MAX_LINKED]),
            nat=presence.behaviour,
            prepare=presence.prepares,
            inviter=self._settings.invite,
        )

    def registered(self, link: BrokerProtocol, message: Registered) -> None:
        """See :class:`~p2phole.peer.broker_protocol.Room`."""
        if self.trust.room == ("code", "") and not self._invite(message.room):
            return
        now, name = self.clock.seconds(), self._settings.name
        room = self.trust.room[1] if self.trust.by_code else self._settings.room
        self._link, self._since = link, now
        if self._lost is not None:
            reason, at = self._lost
            self._lost = None
            _log.info("The broker is back.")
            self.events.emit(events.BrokerBack(reason, round(now - at, 3)))
        where, seen = str(link.local), str(self.presence.registered(link))
        _log.info(
            "In room {room} as {name}: {local} is seen as {observed}.",
            room=room,
            name=name,
            local=where,
            observed=seen,
        )
        self.events.emit(events.Registered(room, name, self.mine.fingerprint, where, seen))
        is_near = is_loopback(link.remote.ip) or is_private(link.remote.ip)
        if not (self._warned or is_near or self.trust.closed):
            self._warned = True
            _log.warn("The room {room} is open: anyone there can read along.", room=room)
        # Whoever has no connection to us is introduced anew by the broker itself.

    def _invite(self, number: str) -> bool:
        try:
            code = self.trust.invite(int(number))
        except ValueError:
            self._fail(BrokerRefused(broker=self._settings.broker, detail="it gave no number for a code"))
            return False
        self._invited(code)
        return True

    def _broker_failed(self, error: LocalError) -> None:
        if isinstance(error, InvitationOver) and self._linked():
            _log.info("{error}  The direct connection lives on.", error=error)
            self._broker.stop()
        else:
            self._fail(error)

    def _burned(self) -> None:
        self._fail(CodeBurned() if self._settings.invite else CodeWrong())

    def _tell_nat(self, nat: Behaviour) -> None:
        self.events.emit(events.Nat(nat.mapping, nat.filtering, nat.allocation, nat.unsolicited))

    def dialled_back(self, message: DialledBack) -> None:
        """See :class:`~p2phole.peer.broker_protocol.Room`."""
        self.presence.dialled_back(message)

    def introduced(self, message: Introduction) -> None:
        """See :class:`~p2phole.peer.broker_protocol.Room`."""
        theirs = Identity(message.fingerprint, message.instance)
        if theirs == self.mine or not self.running or not self._meets(message) or self._overwhelmed():
            return
        encounter = self._encounters.get(theirs)
        if encounter is None:
            self._forget_unconnected()
            claimed = harmless(message.name)[:MOST_NAME]
            encounter = self._encounters[theirs] = Encounter(self, theirs, claimed)
        if message.nat.is_hard and not self.presence.has_named:
            self.presence.first_look().addCallback(lambda _: self._begin_if_prepared(encounter, message))
        else:
            self._begin(encounter, message)

    def _forget_unconnected(self) -> None:
        """Make room: a broker may name any number of members that are never connected to."""
        if len(self._encounters) >= MOST_ENCOUNTERS:
            for theirs, encounter in self._encounters.items():
                if encounter.link is None and not encounter.is_worth_keeping:
                    encounter.meeting.stop()
                    del self._encounters[theirs]
                    return

    def _begin_if_prepared(self, encounter: Encounter, message: Introduction) -> None:
        # Where both NATs map by endpoint each side is to have named its next ports: they must not be used up by
        # a start for which only one side has.
        if is_sequential(self.presence.behaviour):
            encounter.meeting.requested()
        else:
            self._begin(encounter, message)

    def _begin(self, encounter: Encounter, message: Introduction) -> None:
        if message.nat.is_hard:
            self.presence.meets_hard_one()
        encounter.introduced(message)
        if message.nat.filtering == PORT and not self.presence.has_named:
            self.presence.first_look().addCallback(lambda _: self._begin_again(encounter))

    def _begin_again(self, encounter: Encounter) -> None:
        # Such a filter lets in no port that nobody has named: do not wait for the end of this start.
        if is_sequential(self.presence.behaviour) and encounter.link is None:
            encounter.meeting.requested()

    def _overwhelmed(self) -> bool:
        wait = self._introductions.take(self.clock.seconds())
        if wait and not self._told_of_flood:
            _log.warn("The broker names more peers than there can be: what is too much is ignored.")
        self._told_of_flood = bool(wait)
        return bool(wait)

    def _meets(self, message: Introduction) -> bool:
        fingerprint = message.fingerprint
        if self.trust.meets(fingerprint):
            return True
        new = fingerprint not in self._changed and len(self._changed) < MOST_CHANGED
        if new and self.trust.claims_to_be_wanted(message.name):
            self._changed.add(fingerprint)
            name, detail = self.trust.people.shown(message.name, fingerprint), REASONS["changed"]
            _log.warn("THE KEY OF {name} HAS CHANGED.  {detail}", name=message.name, detail=detail)
            self.events.emit(events.Failed(name, "changed", detail, message.instance))
        return False

    def letter(self, message: Letter) -> None:
        """See :class:`~p2phole.peer.broker_protocol.Room`."""
        # The token tells for whose proof it is, and the signature who wrote it.
        for encounter in self._encounters.values():
            if encounter.instance == message.instance:
                encounter.letter(message)

    def send_letter(self, message: Letter) -> None:
        """See :class:`~p2phole.peer.encounter.Company`."""
        if self._link is not None:
            self._link.send(message)

    def requested(self, message: Requested) -> None:
        """See :class:`~p2phole.peer.broker_protocol.Room`."""
        if not self.running or self._overwhelmed():
            return
        known = self._of(message)
        for encounter in known:
            encounter.meeting.requested()
        if not known:
            # A member that this peer has not met, and is to prepare for; or forgotten here, but not there.
            self.presence.refresh().addCallback(
                lambda _: self.presence.ask_for(Identity(message.fingerprint, message.instance))
            )

    def absent(self, message: Absent) -> None:
        """See :class:`~p2phole.peer.broker_protocol.Room`."""
        for encounter in self._of(message):
            encounter.meeting.absent()
            if encounter.link is None and not encounter.is_worth_keeping:
                encounter.meeting.stop()
                del self._encounters[encounter.theirs]

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
        self.presence.unregistered()

    def _of(self, message: Requested | Absent) -> list[Encounter]:
        """Whom the broker means; the instance alone may be another one's, too."""
        return [
            encounter
            for encounter in self._encounters.values()
            if encounter.instance == message.instance
            and message.fingerprint in ("", encounter.theirs.fingerprint)
        ]

    # -- the encounters: see Company in encounter

    def _linked(self) -> list[Encounter]:
        return [encounter for encounter in self._encounters.values() if encounter.link is not None]

    def session_ident(self) -> str:
        """See :class:`~p2phole.peer.encounter.Company`."""
        return self._entropy(16).hex()

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
        if self._alone is not None and not self._alone.called and not self._linked():
            self._alone.callback(None)

    def received(self, encounter: Encounter, text: str, done: Callable[[], None]) -> None:
        """See :class:`~p2phole.peer.encounter.Company`."""
        if self._settings.events == "-":
            done()  # standard output carries the events
        else:
            self._console.show(f"{self._label(encounter)}: {harmless(text)}", done)

    def drained(self) -> None:
        """See :class:`~p2phole.peer.encounter.Company`."""
        self._pace()

    def delivered(self) -> None:
        """See :class:`~p2phole.peer.encounter.Company`."""
        if self._input_over and not any(encounter.session.waiting for encounter in self._encounters.values()):
            self._input_over = False
            self._said_all()

    # -- lines

    def _typed(self, line: str) -> None:
        for encounter in self._linked():
            encounter.send(line)
        self._pace()

    def _typed_all(self) -> None:
        self._input_over = True
        self.delivered()

    def _pace(self) -> None:
        # Lines wait while nobody is there to get them, and while somebody can't keep up.
        linked = self._linked()
        self._console.hold(not linked or any(encounter.messages.full for encounter in linked))

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
        if self.presence.look_around():
            _log.info("This machine's addresses have changed.")
            # The broker is to see us anew; the direct connections are left alone.
            self._broker.drop()


def make_peer(reactor: Any, settings: PeerSettings, fail: Callable[[LocalError], None]) -> IService:
    """The peer that the settings describe."""
    return PeerService(reactor, settings, fail)
