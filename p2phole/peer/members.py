"""The other members of the room: an encounter for each that the broker has named."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Protocol as Interface

from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from p2phole import events
from p2phole.behaviour import PORT
from p2phole.bucket import Bucket, Rate
from p2phole.peer.encounter import Encounter
from p2phole.peer.presence import Presence
from p2phole.peer.trust import Trust
from p2phole.punch.prediction import is_sequential
from p2phole.punch.verdict import REASONS
from p2phole.secure.roles import Identity
from p2phole.text import harmless
from p2phole.wire.messages import Absent, Introduction, Letter, Requested

MOST_NAME = 256
"""Characters of another peer's name that are shown."""
INTRODUCTIONS = Rate(burst=1000, per_second=10)
"""Introductions that are taken of a broker, and requests."""
MOST_ENCOUNTERS = 2048
"""Members of whom something is remembered; beyond that, those who were never connected to are forgotten."""
MOST_CHANGED = 16
"""Keys in place of the one that was kept that the user is told of."""
FORGET_SECONDS = 900.0
"""How long a member is remembered with whom there is no session: longer than the rest between two rounds."""

_log = Logger()


class Peer(Interface):
    """What the members need of this peer."""

    mine: Identity
    clock: IReactorTime
    events: events.EventSink
    presence: Presence
    trust: Trust


class Members:
    """See above.  ``meet``: makes the encounter with one of that name."""

    def __init__(self, peer: Peer, meet: Callable[[Identity, str], Encounter]) -> None:
        self._peer = peer
        self._meet = meet
        self._encounters: dict[Identity, Encounter] = {}
        self._changed: set[str] = set()
        """Keys in place of the one that was kept; each is told of once."""
        self._introductions = Bucket(INTRODUCTIONS)
        self._told_of_flood = False

    def __iter__(self) -> Iterator[Encounter]:
        return iter(tuple(self._encounters.values()))

    # -- what the broker says

    def introduced(self, message: Introduction) -> None:
        """It has named one."""
        peer, theirs = self._peer, Identity(message.fingerprint, message.instance)
        if theirs == peer.mine or not self._is_wanted(message) or self._overwhelmed():
            return
        encounter = self._encounters.get(theirs)
        if encounter is None:
            self._make_room()
            encounter = self._encounters[theirs] = self._meet(theirs, harmless(message.name)[:MOST_NAME])
        if message.nat.is_hard and not peer.presence.has_named:
            peer.presence.first_look().addCallback(lambda _: self._begin_if_prepared(encounter, message))
        else:
            self._begin(encounter, message)

    def _begin_if_prepared(self, encounter: Encounter, message: Introduction) -> None:
        # Where both NATs map by endpoint each side is to have named its next ports: they must not be used up by
        # a start for which only one side has.
        if is_sequential(self._peer.presence.behaviour):
            encounter.meeting.requested()
        else:
            self._begin(encounter, message)

    def _begin(self, encounter: Encounter, message: Introduction) -> None:
        presence = self._peer.presence
        if message.nat.is_hard:
            presence.meets_hard_one()
        encounter.introduced(message)
        if message.nat.filtering == PORT and not presence.has_named:
            presence.first_look().addCallback(lambda _: self._begin_again(encounter))

    def _begin_again(self, encounter: Encounter) -> None:
        # Such a filter lets in no port that nobody has named: do not wait for the end of this start.
        if is_sequential(self._peer.presence.behaviour) and not encounter.is_linked:
            encounter.meeting.requested()

    def requested(self, message: Requested) -> None:
        """Another member asks for an introduction."""
        if self._overwhelmed():
            return
        known = self._of(message)
        for encounter in known:
            encounter.meeting.requested()
        if not known:
            # A member that this peer has not met, and is to prepare for; or forgotten here, but not there.
            presence, theirs = self._peer.presence, Identity(message.fingerprint, message.instance)
            presence.refresh().addCallback(lambda _: presence.ask_for(theirs))

    def absent(self, message: Absent) -> None:
        """A member that was asked for is not there."""
        for encounter in self._of(message):
            encounter.meeting.absent()
            self.forget_if_idle(encounter)

    def letter(self, message: Letter) -> None:
        """Another member has sent something by way of the broker."""
        # The token tells for whose proof it is, and the signature who wrote it.
        for encounter in self:
            if encounter.instance == message.instance:
                encounter.letter(message)

    # -- what is remembered

    def forget(self, encounter: Encounter) -> None:
        """Have nothing more to do with it."""
        encounter.meeting.stop()
        if self._encounters.get(encounter.theirs) is encounter:
            del self._encounters[encounter.theirs]

    def forget_if_idle(self, encounter: Encounter) -> None:
        """The same, unless there is a link or a session."""
        if not (encounter.is_linked or encounter.is_worth_keeping):
            self.forget(encounter)

    def forget_old(self) -> None:
        """Those who were named long ago."""
        now = self._peer.clock.seconds()
        for encounter in self:
            if now - encounter.since > FORGET_SECONDS:
                self.forget_if_idle(encounter)

    def _make_room(self) -> None:
        """A broker may name any number of members that are never connected to."""
        if len(self._encounters) >= MOST_ENCOUNTERS:
            for encounter in self:
                self.forget_if_idle(encounter)
                if len(self._encounters) < MOST_ENCOUNTERS:
                    return

    def _of(self, message: Requested | Absent) -> list[Encounter]:
        """Whom the broker means; the instance alone may be another one's, too."""
        return [
            encounter
            for encounter in self
            if encounter.instance == message.instance and message.fingerprint in ("", encounter.theirs.fingerprint)
        ]

    # -- what is refused

    def _overwhelmed(self) -> bool:
        wait = self._introductions.take(self._peer.clock.seconds())
        if wait and not self._told_of_flood:
            _log.warn("The broker names more peers than there can be: what is too much is ignored.")
        self._told_of_flood = bool(wait)
        return bool(wait)

    def _is_wanted(self, message: Introduction) -> bool:
        trust, fingerprint = self._peer.trust, message.fingerprint
        if trust.meets(fingerprint):
            return True
        new = fingerprint not in self._changed and len(self._changed) < MOST_CHANGED
        if new and trust.claims_to_be_wanted(message.name):
            self._changed.add(fingerprint)
            name, detail = trust.people.shown(message.name, fingerprint), REASONS["changed"]
            _log.warn("THE KEY OF {name} HAS CHANGED.  {detail}", name=message.name, detail=detail)
            self._peer.events.emit(events.Failed(name, "changed", detail, message.instance))
        return False
