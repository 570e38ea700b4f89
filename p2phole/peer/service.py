"""The peer as a service: one port, one broker, the members of the room, and what runs on their connections."""

from __future__ import annotations

import random
import secrets
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from twisted.application.service import IService, Service
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall
from twisted.internet.task import LoopingCall
from twisted.logger import Logger

from p2phole import events
from p2phole.addresses import InterfaceAddress, is_loopback, is_private
from p2phole.behaviour import Behaviour
from p2phole.descriptors import raise_descriptor_limit
from p2phole.errors import LocalError
from p2phole.peer.acceptor import Acceptor
from p2phole.peer.broker_link import BrokerLink
from p2phole.peer.broker_session import Link
from p2phole.peer.conversation import Conversation
from p2phole.peer.encounter import Encounter
from p2phole.peer.errors import BrokerRefused, CodeBurned, CodeWrong
from p2phole.peer.lines import Lines
from p2phole.peer.members import Members
from p2phole.peer.presence import Presence
from p2phole.peer.process import shared
from p2phole.peer.settings import PeerSettings
from p2phole.peer.several import Several
from p2phole.peer.sleep import Sleep, seconds_asleep
from p2phole.peer.status_use import Status
from p2phole.peer.trust import People, make_trust
from p2phole.peer.use import Partner, Standing, Use
from p2phole.punch.interfaces import interface_addresses
from p2phole.punch.shared_port import SharedPort
from p2phole.secure import agreement
from p2phole.secure.codes import Code
from p2phole.secure.identity import Credentials, load_or_make
from p2phole.secure.known import FILE_NAME, Known
from p2phole.secure.possession import raw, sign
from p2phole.secure.roles import Identity
from p2phole.secure.tls import rehearse
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

WATCH_SECONDS = 1.0
"""Seconds between looks at this machine's addresses, and whether it has slept."""
REHEARSE_SECONDS = 0.005
"""Until the first SYN is on its way to the broker: what takes time is done while its answer is awaited."""
GOODBYE_SECONDS = 0.5
"""Time for the others to close their end when this peer leaves."""
USE_SECONDS = 2.0
"""Time for what runs on this peer to end in order, before it leaves."""
DOUBT_SECONDS = 0.5
"""How long a doubt about the broker connection need not be raised again."""
MOST_HURRYING = 32
"""Sessions that may try again and again, with short rests only: more would be too much for the broker."""

_log = Logger()


class PeerService(Service):
    """One peer, for ``uses``.  What is not given in the tests' memory is the real thing: interfaces, randomness.

    ``fail``: called when it can't go on; ``finish``: when a use is done.
    """

    def __init__(
        self,
        reactor: Any,
        settings: PeerSettings,
        fail: Callable[[LocalError], None],
        uses: Sequence[Use],
        *,
        finish: Callable[[], None] = lambda: None,
        interfaces: Callable[[], tuple[InterfaceAddress, ...]] = interface_addresses,
        asleep: Callable[[], float] = seconds_asleep,
        sink: events.EventSink | None = None,
        credentials: Credentials | None = None,
        instance: str | None = None,
        random: Callable[[], float] = random.random,
        entropy: Callable[[int], bytes] = secrets.token_bytes,
        people: People | None = None,
        invited: Callable[[Code], None] = lambda code: None,
    ) -> None:
        self.clock = reactor
        self.events = sink if sink is not None else events.NullSink()
        self.random = random
        self._process = process = shared(reactor)
        self.gate, self.ledger, self.pools = process.gate, process.ledger, process.pools
        self.use: Use = Several(uses)
        self.resume_for = settings.resume_for
        self._reactor = reactor
        self._settings = settings
        self.fail = fail
        self.finish = finish
        self._interfaces = interfaces
        self._sleep = Sleep(asleep)
        self._entropy = entropy
        self._invited = invited
        self._given = (sink, credentials, instance, people)
        self._members = Members(self, lambda theirs, claimed: Encounter(self, theirs, claimed))
        self._link: Link | None = None
        self._since = 0.0
        self._lost: tuple[str, float] | None = None
        self._doubted = -DOUBT_SECONDS
        """When the broker connection was doubted last."""
        self._warned = self._has_begun = False
        self._alone: Deferred[None] | None = None
        """While stopping: fires when no link is left."""
        self._rehearsing: IDelayedCall | None = None
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
        try:
            self._broker = BrokerLink(
                self._reactor,
                settings.broker,
                self.port.binding,
                self,
                self.random,
                self.fail,
                self._is_urgent,
            )
        except LocalError:
            self.port.close()  # the process may live on
            raise

    def startService(self) -> None:
        """Go to the broker."""
        Service.startService(self)
        self._has_begun = True
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
        self.use.start(self)
        self._broker.start()
        self._rehearsing = self.clock.callLater(REHEARSE_SECONDS, self._rehearse)
        self._watch.start(WATCH_SECONDS, now=False)

    def _rehearse(self) -> None:
        self._rehearsing = None
        rehearse(self.credentials)
        if self.trust.demands_proof:
            agreement.rehearse()

    def stopService(self) -> Deferred[None]:
        """Say goodbye and let go of everything, in half a second; in one where a port was mapped."""
        Service.stopService(self)
        return Deferred.fromCoroutine(self._stop() if self._has_begun else self._close_port())

    async def _stop(self) -> None:
        if self._watch.running:
            self._watch.stop()
        if self._rehearsing is not None:
            self._rehearsing.cancel()
        stopping = self.use.stop()
        if stopping is not None:
            await stopping.addTimeout(USE_SECONDS, self.clock, lambda result, seconds: None)
        encounters = tuple(self._members)
        for encounter in encounters:
            encounter.leave()
        unmapped = self.presence.stop()
        if self._linked():
            # Whoever reads our goodbye closes with RST, so that nothing of ours is left in TIME_WAIT.
            self._alone = Deferred()
            await self._alone.addTimeout(GOODBYE_SECONDS, self.clock, lambda result, seconds: None)
            for encounter in encounters:
                encounter.drop()
        self.acceptor.close()
        await self._broker.stop()
        await self._close_port()
        await unmapped

    async def _close_port(self) -> None:
        closed = self.port.close()
        if isinstance(closed, Deferred):
            await closed

    # -- the broker: see Room in broker_protocol

    def registration(self, link: Link, welcome: Welcome) -> Register:
        """See :class:`~p2phole.peer.broker_session.Room`."""
        presence, mine = self.presence, self.mine
        presence.seen(link, welcome)
        self.trust.meet_again()
        linked = [each.instance[:LINKED_PREFIX] for each in self._conversations if each.is_healthy]
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
            inviter=self.trust.by_code and self._settings.invite,
        )

    def registered(self, link: Link, message: Registered) -> None:
        """See :class:`~p2phole.peer.broker_session.Room`."""
        if self.trust.room == ("code", "") and not self._invite(message.room):
            return
        now, name = self.clock.seconds(), self._settings.name
        room = self.trust.number or self._settings.room
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
            self.fail(BrokerRefused(broker=self._settings.broker, detail="it gave no number for a code"))
            return False
        self._invited(code)
        return True

    def _burned(self) -> None:
        self.fail(CodeBurned() if self._settings.invite else CodeWrong())

    def _tell_nat(self, nat: Behaviour) -> None:
        self.events.emit(events.Nat(nat.mapping, nat.filtering, nat.allocation, nat.unsolicited))

    def dialled_back(self, message: DialledBack) -> None:
        """See :class:`~p2phole.peer.broker_session.Room`."""
        self.presence.dialled_back(message)

    def introduced(self, message: Introduction) -> None:
        """See :class:`~p2phole.peer.broker_session.Room`."""
        if self.running:
            self._members.introduced(message)

    def requested(self, message: Requested) -> None:
        """See :class:`~p2phole.peer.broker_session.Room`."""
        if self.running:
            self._members.requested(message)

    def absent(self, message: Absent) -> None:
        """See :class:`~p2phole.peer.broker_session.Room`."""
        self._members.absent(message)
        # It may have had a connection of which this side does not know, and have gone where they meet again.
        if self.trust.meet_again():
            self._broker.drop()

    def letter(self, message: Letter) -> None:
        """See :class:`~p2phole.peer.broker_session.Room`."""
        self._members.letter(message)

    def send_letter(self, message: Letter) -> None:
        """See :class:`~p2phole.peer.encounter.Company`."""
        if self._link is not None:
            self._link.send(message)

    def unregistered(self, link: Link, reason: str) -> None:
        """See :class:`~p2phole.peer.broker_session.Room`."""
        now = self.clock.seconds()
        self._link = None
        if not self.running:
            return
        self._lost = (reason, now)
        _log.warn("The broker is lost: {reason}.  Direct connections live on.", reason=reason)
        self.events.emit(events.BrokerLost(reason, round(now - self._since, 3)))
        for encounter in self._members:
            encounter.meeting.broker_lost()
        self.presence.unregistered()

    # -- the encounters: see Company in encounter

    def _linked(self) -> list[Encounter]:
        return [encounter for encounter in self._members if encounter.is_linked]

    def session_ident(self) -> str:
        """See :class:`~p2phole.peer.encounter.Company`."""
        return self._entropy(16).hex()

    def parted(self, encounter: Encounter, for_good: bool) -> None:
        """See :class:`~p2phole.peer.encounter.Company`."""
        if for_good:
            self._members.forget(encounter)
        elif self.running:
            self._want(encounter)
        if self._alone is not None and not self._alone.called and not self._linked():
            self._alone.callback(None)

    def suspected(self, encounter: Encounter) -> None:
        """See :class:`~p2phole.peer.encounter.Company`."""
        if self.running:
            self._want(encounter)

    def _want(self, encounter: Encounter) -> None:
        # What has cut off one of them may have cut off the broker as well.
        self._broker.hurry()
        if self.trust.meet_again():
            self._broker.drop()  # to be registered where the other one will be
            return
        if self._link is not None:
            if self.clock.seconds() >= self._doubted + DOUBT_SECONDS:  # once for all that are lost together
                self._doubted = self.clock.seconds()
                self.presence.tell_broker()
                self._link.press()
            encounter.meeting.want()

    def _is_urgent(self) -> bool:
        return any(conversation.is_awaited for conversation in self._conversations)

    def may_hurry(self) -> bool:
        """See :class:`~p2phole.peer.encounter.Company`."""
        return sum(conversation.is_awaited for conversation in self._conversations) <= MOST_HURRYING

    @property
    def _conversations(self) -> Iterator[Conversation]:
        return (encounter.conversation for encounter in self._members)

    # -- see Host in use

    @property
    def partners(self) -> Sequence[Partner]:
        """See :class:`~p2phole.peer.use.Host`."""
        return [conversation for conversation in self._conversations if conversation.is_open]

    @property
    def standing(self) -> Standing:
        """See :class:`~p2phole.peer.use.Host`."""
        room = self.trust.number or self._settings.room
        return Standing(self.mine.fingerprint, room, self._link is not None)

    def label(self, partner: Partner) -> str:
        """See :class:`~p2phole.peer.use.Host`."""
        same = [other for other in self.partners if other.name == partner.name]
        return partner.name if partner in same[:1] else f"{partner.name}#{partner.instance[:4]}"

    # -- the machine around

    def _look_around(self) -> None:
        self._members.forget_old()
        slept = self._sleep.look()
        if slept:
            _log.info("This machine has slept for {seconds} s.", seconds=round(slept))
        changed = self.presence.look_around()
        if changed:
            _log.info("This machine's addresses have changed.")
            here = self.presence.addresses
            for conversation in self._conversations:
                path = conversation.path
                if path is not None and path.local.ip not in here:
                    conversation.suspect()
            # The broker is to see us anew, and to introduce us to those of whom we doubt.
            self._broker.drop()
        elif slept:
            for conversation in self._conversations:
                conversation.probe()
            if self._link is not None:
                self.presence.tell_broker()
                self._link.press()


def make_peer(reactor: Any, settings: PeerSettings, fail: Callable[[LocalError], None], *uses: Use) -> IService:
    """The peer that the settings describe, for lines and ``uses``."""
    lines = Lines(reactor, settings.messages, shows=settings.events != "-")
    return PeerService(reactor, settings, fail, [lines, *uses, Status(reactor, "peer", settings)])
