"""One other member: its meeting, the way to a link with it, and the conversation."""

from __future__ import annotations

from typing import Protocol as Interface

from twisted.logger import Logger

from p2phole.addresses import Candidate
from p2phole.peer.approach import Approach, Means
from p2phole.peer.conversation import Conversation, Surroundings
from p2phole.peer.meeting import FIRST_REST, MOST_STARTS, Round, meeting
from p2phole.punch.attempt import Success
from p2phole.secure.roles import Identity
from p2phole.wire.messages import Introduction, Letter

MOST_DELAY = 2.0
"""Seconds that a broker may make us wait before a start."""

_log = Logger()


class Company(Means, Surroundings, Interface):
    """What an encounter needs of the peer that has it."""

    def parted(self, encounter: Encounter, for_good: bool) -> None:
        """There is no connection any more."""

    def suspected(self, encounter: Encounter) -> None:
        """The connection may be dead: another one is wanted."""

    def may_hurry(self) -> bool:
        """Whether so few sessions wait that each of them may try without long rests."""


class Encounter:
    """Everything about one other member; ``claimed`` is what it calls itself, made harmless."""

    def __init__(self, company: Company, theirs: Identity, claimed: str) -> None:
        self.theirs = theirs
        self.since = company.clock.seconds()
        """When the broker has named it last."""
        self._company = company
        self.conversation = Conversation(company, self, theirs, claimed)
        self.name = self.conversation.name
        self._approach = Approach(company, self, theirs)
        self._round = Round(self, company.clock, company.random, company.ledger)
        self.meeting = meeting(self._round)
        self._offended_at: float | None = None
        self._looks = 0
        """How often the mapping was to be learned anew; what comes of an earlier look is of no use any more."""

    @property
    def instance(self) -> str:
        """The other side's instance."""
        return self.theirs.instance

    @property
    def is_linked(self) -> bool:
        """Whether there is a connection."""
        return self.conversation.link is not None

    @property
    def is_worth_keeping(self) -> bool:
        """Whether anything would be lost with it: for a while, that one is not to be listened to."""
        at = self._offended_at
        offended = at is not None and self._company.clock.seconds() < at + FIRST_REST
        return offended or self.conversation.is_open

    def introduced(self, message: Introduction) -> None:
        """The broker has named this member."""
        if message.delay > MOST_DELAY:
            _log.warn(
                "The broker asks to wait {delay} s for {name}: refused, {most} s at most.",
                delay=round(message.delay, 1),
                name=self.name,
                most=MOST_DELAY,
            )
            return
        self.since = self._company.clock.seconds()
        self.meeting.introduced(message)

    def letter(self, message: Letter) -> None:
        """The broker has brought something from this member."""
        self._approach.letter(message)

    # -- Actions of the meeting

    def begin_start(self, message: Introduction) -> None:
        """See :class:`~p2phole.peer.meeting.Actions`."""
        self._approach.begin(message, self._round.budget)

    def cancel_start(self) -> None:
        """See :class:`~p2phole.peer.meeting.Actions`."""
        self._approach.cancel()

    def refresh(self) -> None:
        """See :class:`~p2phole.peer.meeting.Actions`."""
        self._looks += 1
        self._company.presence.refresh().addCallback(self._refreshed, self._looks)

    def _refreshed(self, _: None, look: int) -> None:
        if look != self._looks:
            return
        if self._company.presence.is_registered:
            self.meeting.refreshed()
        else:
            self.meeting.broker_lost()

    def ask(self) -> None:
        """See :class:`~p2phole.peer.meeting.Actions`."""
        self._company.presence.ask_for(self.theirs, self._approach.before)

    def is_connected(self) -> bool:
        """See :class:`~p2phole.peer.meeting.Actions`."""
        return self.is_linked

    def is_awaited(self) -> bool:
        """See :class:`~p2phole.peer.meeting.Actions`."""
        return self.conversation.is_awaited and self._company.may_hurry()

    def tell_introduced(self) -> None:
        """See :class:`~p2phole.peer.meeting.Actions`."""
        self.conversation.telling.introduced()

    def tell_failed(self, word: str) -> None:
        """See :class:`~p2phole.peer.meeting.Actions`."""
        self.conversation.telling.failed(word)

    def tell_connected(self, success: Success, seconds: float, attempts: int) -> None:
        """See :class:`~p2phole.peer.meeting.Actions`."""
        self._approach.worked = (Candidate("srflx", success.remote),)
        self._company.ledger.proven(success.remote.ip, self._company.clock.seconds())
        self.conversation.attach(success, seconds, attempts)
        # That writes a file: whoever waits for the event need not wait for the disk.
        self._company.trust.connected(self.theirs, self.conversation.claimed)

    # -- Goal of the approach

    @property
    def is_open(self) -> bool:
        """See :class:`~p2phole.peer.approach.Goal`."""
        return self.conversation.is_open

    def make_way(self, candidates: tuple[Candidate, ...]) -> None:
        """See :class:`~p2phole.peer.approach.Goal`."""
        here = self._company.presence.addresses
        self.conversation.make_way([candidate.endpoint for candidate in candidates], here)

    def arrived(self, success: Success) -> None:
        """See :class:`~p2phole.peer.approach.Goal`."""
        self.meeting.won(success)

    def failed(self, word: str, again: bool) -> None:
        """See :class:`~p2phole.peer.approach.Goal`."""
        if self._round.starts < MOST_STARTS and again:
            self.meeting.start_failed()
        else:
            self.meeting.round_failed(word)

    def refuted(self, why: str) -> None:
        """See :class:`~p2phole.peer.approach.Goal`."""
        self.cancel_start()
        self.meeting.round_failed(why)

    # -- the end

    def leave(self) -> None:
        """This peer is going: no more attempts, and goodbye."""
        self.meeting.stop()
        self._approach.leave()
        self.conversation.leave()

    def drop(self) -> None:
        """Close the link at once."""
        self.conversation.hang_up("left", for_good=True)

    # -- Owner of the conversation

    def parted(self, for_good: bool) -> None:
        """See :class:`~p2phole.peer.conversation.Owner`."""
        self.since = self._company.clock.seconds()
        self._company.parted(self, for_good)

    def suspected(self) -> None:
        """See :class:`~p2phole.peer.conversation.Owner`."""
        self._approach.make_way()
        self._company.suspected(self)

    def offended(self) -> None:
        """See :class:`~p2phole.peer.conversation.Owner`."""
        self._offended_at = self._company.clock.seconds()
        self.meeting.offended()
