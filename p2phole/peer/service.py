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
from twisted.logger import Logger

from p2phole import events
from p2phole.addresses import InterfaceAddress
from p2phole.behaviour import Behaviour
from p2phole.descriptors import raise_descriptor_limit
from p2phole.errors import LocalError
from p2phole.peer.acceptor import Acceptor
from p2phole.peer.broker_link import BrokerLink
from p2phole.peer.conversation import Conversation
from p2phole.peer.encounter import Encounter
from p2phole.peer.errors import CodeBurned, CodeWrong
from p2phole.peer.lines import Lines
from p2phole.peer.members import Members
from p2phole.peer.membership import Membership
from p2phole.peer.people import People
from p2phole.peer.presence import Presence
from p2phole.peer.process import shared
from p2phole.peer.settings import PeerSettings
from p2phole.peer.several import Several
from p2phole.peer.sleep import seconds_asleep
from p2phole.peer.status_use import Status
from p2phole.peer.trust import make_trust
from p2phole.peer.use import Partner, Standing, Use
from p2phole.peer.watch import Watch
from p2phole.punch.interfaces import interface_addresses
from p2phole.punch.shared_port import SharedPort
from p2phole.secure import agreement
from p2phole.secure.codes import Code
from p2phole.secure.identity import Credentials, load_or_make
from p2phole.secure.known import FILE_NAME, Known
from p2phole.secure.roles import Identity
from p2phole.secure.tls import rehearse
from p2phole.wire.messages import Letter

REHEARSE_SECONDS = 0.005
"""Until the first SYN is on its way to the broker: what takes time is done while its answer is awaited."""
GOODBYE_SECONDS = 0.5
"""Time for the others to close their end when this peer leaves."""
USE_SECONDS = 2.0
"""Time for what runs on this peer to end in order, before it leaves."""
MOVED_SECONDS = 10.0
"""Seconds before the port is changed once more."""
MOST_HURRYING = 32
"""Sessions that may try again and again, with short rests only: more would be too much for the broker."""

_log = Logger()


class PeerService(Service):
    """One peer, for ``uses``.  What is not given in the tests' memory is the real thing: interfaces, randomness.

    ``fail``: called when it can't go on; ``finish``: when a use is done.
    """

    membership_type: type[Membership] = Membership

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
        self._entropy = entropy
        self._given = (sink, credentials, instance, people)
        self._members = Members(self, lambda theirs, claimed: Encounter(self, theirs, claimed))
        self.membership = self.membership_type(self, self._members, settings, entropy, invited, self._drop)
        self._watch = Watch(reactor, self._members, self.membership, asleep, self._drop)
        self._moved = -MOVED_SECONDS
        """When the port was changed last."""
        self._has_begun = False
        self._alone: Deferred[None] | None = None
        """While stopping: fires when no link is left."""
        self._rehearsing: IDelayedCall | None = None

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
                lambda: self.port.binding,
                self.membership,
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
        self._watch.start(self.presence)

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

    def _drop(self) -> None:
        self._broker.drop()

    def _burned(self) -> None:
        self.fail(CodeBurned() if self._settings.invite else CodeWrong())

    def _tell_nat(self, nat: Behaviour) -> None:
        self.events.emit(events.Nat(nat.mapping, nat.filtering, nat.allocation, nat.unsolicited))

    # -- the encounters: see Company in encounter

    def _linked(self) -> list[Encounter]:
        return [encounter for encounter in self._members if encounter.is_linked]

    def send_letter(self, message: Letter) -> None:
        """See :class:`~p2phole.peer.encounter.Company`."""
        self.membership.send(message)

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
            self._drop()  # to be registered where the other one will be
            return
        if self.membership.link is not None:
            self.membership.doubt()
            encounter.meeting.want()

    def refused(self) -> None:
        """See :class:`~p2phole.peer.approach.Means`."""
        now = self.clock.seconds()
        # What the router was asked to map is worth more.
        if self._settings.map_port or now < self._moved + MOVED_SECONDS or not self.port.move():
            return
        self._moved = now
        _log.info("What was before is in the way of another connection: going on from another port.")
        self._drop()

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
        return Standing(self.mine.fingerprint, self.membership.room, self.membership.link is not None)

    def label(self, partner: Partner) -> str:
        """See :class:`~p2phole.peer.use.Host`."""
        same = [other for other in self.partners if other.name == partner.name]
        return partner.name if partner in same[:1] else f"{partner.name}#{partner.instance[:4]}"


def make_peer(reactor: Any, settings: PeerSettings, fail: Callable[[LocalError], None], *uses: Use) -> IService:
    """The peer that the settings describe, for lines and ``uses``."""
    lines = Lines(reactor, settings.messages, shows=settings.events != "-")
    return PeerService(reactor, settings, fail, [lines, *uses, Status(reactor, "peer", settings)])
