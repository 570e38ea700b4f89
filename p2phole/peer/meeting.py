"""How this peer gets to a connection with one other member, again and again, as a machine.

States: *quiet* (nothing to do: connected, or waiting to be introduced), *punching* (an agreed start
is under way), *refreshing* (the mapping is learned anew before another start), *asked* (the broker
was asked for another start), *resting* (all starts of this round failed; tried again later), *offended*
(the other side broke the protocol of the direct connection: the same, but it is not listened to either).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol as Interface

from automat import TypeMachineBuilder
from twisted.internet.interfaces import IDelayedCall, IReactorTime

from p2phole.punch.attempt import Success
from p2phole.punch.ledger import SynLedger
from p2phole.punch.schedule import SynBudget
from p2phole.wire.messages import Introduction

MOST_STARTS = 3
"""Agreed starts in one round."""
ANSWER_SECONDS = 6.0
"""Time for the broker and the other side to bring about another start."""
FIRST_REST, LONGEST_REST = 30.0, 600.0
"""Seconds between two rounds, doubling."""
AWAITED_REST = 3.0
"""The same, always, while a session waits to go on: whoever uses it wants to know at once when there is a way."""
REFUSED_REST = 11.0
"""The same, where all was refused: Linux routers forget in 10 s of silence what may be in the way."""


class Meeting(Interface):
    """What can happen between this peer and one other member."""

    def introduced(self, message: Introduction) -> None:
        """The broker has named the other side and the instant to start."""

    def requested(self) -> None:
        """The other side asks for another start."""

    def want(self) -> None:
        """There is no connection and there should be one."""

    def won(self, success: Success) -> None:
        """A connection is proven and agreed on."""

    def start_failed(self) -> None:
        """The deadline of a start has passed; there may be another one."""

    def round_failed(self, reason: str) -> None:
        """The deadline of the last start has passed; a word of :data:`~p2phole.punch.verdict.REASONS`."""

    def refreshed(self) -> None:
        """The mapping has been learned anew."""

    def absent(self) -> None:
        """The other side is not in the room."""

    def unanswered(self) -> None:
        """Nothing came of asking for another start."""

    def broker_lost(self) -> None:
        """There is nobody to ask."""

    def offended(self) -> None:
        """The other side broke the protocol of the direct connection."""

    def calm(self) -> None:
        """Long enough."""

    def stop(self) -> None:
        """This peer is going."""


class Actions(Interface):
    """What a meeting has done; each is about this meeting's other side."""

    def begin_start(self, message: Introduction) -> None:
        """Start an attempt, in place of one that is under way; :meth:`Meeting.won` or a failure will follow."""

    def cancel_start(self) -> None:
        """Forget the attempt that is under way, if there is one."""

    def refresh(self) -> None:
        """Learn the mapping anew; :meth:`Meeting.refreshed` will follow."""

    def ask(self) -> None:
        """Ask the broker for another start."""

    def is_connected(self) -> bool:
        """Whether there is a connection."""

    def is_awaited(self) -> bool:
        """Whether a session waits for a connection."""

    def tell_introduced(self) -> None:
        """A round begins."""

    def tell_connected(self, success: Success, seconds: float, attempts: int) -> None:
        """The round has succeeded: seconds since its beginning, starts that it took."""

    def tell_failed(self, reason: str) -> None:
        """The round has failed; a word of :data:`~p2phole.punch.verdict.REASONS`."""


@dataclass
class Round:
    """One meeting's data."""

    actions: Actions
    clock: IReactorTime
    random: Callable[[], float]
    ledger: SynLedger
    starts: int = 0
    since: float = 0.0
    budget: SynBudget = field(init=False)
    rest: float = FIRST_REST
    timer: IDelayedCall | None = None

    def stop_timer(self) -> None:
        """No time is waited for any more."""
        timer, self.timer = self.timer, None
        if timer is not None and timer.active():
            timer.cancel()

    def start(self, message: Introduction) -> None:
        """One more start, the first of a round if the last one is over."""
        self.stop_timer()
        if not self.starts:
            self.since = self.clock.seconds()
            self.budget = SynBudget(self.ledger)
            self.actions.tell_introduced()
        self.starts += 1
        self.actions.begin_start(message)

    def failed_finally(self, meeting: Meeting, why: str) -> None:
        """The round is over; rest, then try again."""
        began, self.starts = self.starts, 0
        self.stop_timer()
        # A little jitter, so that the pairs of a large room do not all come back at once.
        awaited = REFUSED_REST if why == "refused" else AWAITED_REST
        rest = awaited if self.actions.is_awaited() else self.rest
        self.timer = self.clock.callLater(rest * (1 + self.random() / 10), meeting.want)
        if rest == self.rest:
            self.rest = min(self.rest * 2, LONGEST_REST)
        if began and not self.actions.is_connected():
            self.actions.tell_failed(why)


def _build() -> Callable[[Round], Meeting]:
    builder = TypeMachineBuilder(Meeting, Round)
    quiet = builder.state("quiet")
    punching = builder.state("punching")
    refreshing = builder.state("refreshing")
    asked = builder.state("asked")
    resting = builder.state("resting")
    offended = builder.state("offended")
    stopped = builder.state("stopped")

    @quiet.upon(Meeting.introduced).to(punching)
    @refreshing.upon(Meeting.introduced).to(punching)
    @asked.upon(Meeting.introduced).to(punching)
    @resting.upon(Meeting.introduced).to(punching)
    def introduced(meeting: Meeting, round_: Round, message: Introduction) -> None:
        round_.start(message)

    @punching.upon(Meeting.introduced).loop()
    def introduced_anew(meeting: Meeting, round_: Round, message: Introduction) -> None:
        round_.start(message)

    @punching.upon(Meeting.won).to(quiet)
    def won(meeting: Meeting, round_: Round, success: Success) -> None:
        seconds, starts = round_.clock.seconds() - round_.since, round_.starts
        round_.starts, round_.rest = 0, FIRST_REST
        round_.actions.tell_connected(success, seconds, starts)

    @quiet.upon(Meeting.requested).to(refreshing)
    @resting.upon(Meeting.requested).to(refreshing)
    @resting.upon(Meeting.want).to(refreshing)
    def again(meeting: Meeting, round_: Round) -> None:
        round_.stop_timer()
        round_.actions.refresh()

    @quiet.upon(Meeting.want).to(refreshing)
    def wanted(meeting: Meeting, round_: Round) -> None:
        round_.actions.refresh()

    @punching.upon(Meeting.requested).to(refreshing)
    def other_side_gave_up(meeting: Meeting, round_: Round) -> None:
        round_.actions.cancel_start()
        round_.actions.refresh()

    @punching.upon(Meeting.start_failed).to(refreshing)
    def start_failed(meeting: Meeting, round_: Round) -> None:
        round_.actions.refresh()

    @punching.upon(Meeting.round_failed).to(resting)
    def round_failed(meeting: Meeting, round_: Round, reason: str) -> None:
        round_.failed_finally(meeting, reason)

    @refreshing.upon(Meeting.refreshed).to(asked)
    def refreshed(meeting: Meeting, round_: Round) -> None:
        round_.timer = round_.clock.callLater(ANSWER_SECONDS, meeting.unanswered)
        round_.actions.ask()

    @asked.upon(Meeting.unanswered).to(resting)
    def unanswered(meeting: Meeting, round_: Round) -> None:
        round_.failed_finally(meeting, "broker")

    @asked.upon(Meeting.absent).to(quiet)
    def absent(meeting: Meeting, round_: Round) -> None:
        round_.stop_timer()
        began, round_.starts = round_.starts, 0
        if began and not round_.actions.is_connected():
            round_.actions.tell_failed("gone")

    # Once it is there again, it introduces whoever has no connection, or has them ask.
    @refreshing.upon(Meeting.broker_lost).to(quiet)
    @asked.upon(Meeting.broker_lost).to(quiet)
    def nobody_to_ask(meeting: Meeting, round_: Round) -> None:
        round_.stop_timer()

    @quiet.upon(Meeting.offended).to(offended)
    @refreshing.upon(Meeting.offended).to(offended)
    @asked.upon(Meeting.offended).to(offended)
    @resting.upon(Meeting.offended).to(offended)
    def take_offence(meeting: Meeting, round_: Round) -> None:
        round_.starts = 0
        round_.stop_timer()
        round_.timer = round_.clock.callLater(FIRST_REST, meeting.calm)

    @punching.upon(Meeting.offended).to(offended)
    def take_offence_and_stop(meeting: Meeting, round_: Round) -> None:
        round_.actions.cancel_start()
        take_offence(meeting, round_)

    @offended.upon(Meeting.calm).to(refreshing)
    def calm(meeting: Meeting, round_: Round) -> None:
        round_.actions.refresh()

    @punching.upon(Meeting.stop).to(stopped)
    def stop_punching(meeting: Meeting, round_: Round) -> None:
        round_.actions.cancel_start()

    @quiet.upon(Meeting.stop).to(stopped)
    @refreshing.upon(Meeting.stop).to(stopped)
    @asked.upon(Meeting.stop).to(stopped)
    @resting.upon(Meeting.stop).to(stopped)
    @offended.upon(Meeting.stop).to(stopped)
    def stop(meeting: Meeting, round_: Round) -> None:
        round_.stop_timer()

    # What comes too late, or changes nothing.
    for state, inputs in (
        (quiet, (Meeting.refreshed, Meeting.absent, Meeting.broker_lost)),
        (punching, (Meeting.refreshed, Meeting.want, Meeting.absent, Meeting.broker_lost)),
        (refreshing, (Meeting.requested, Meeting.want, Meeting.absent)),
        (asked, (Meeting.refreshed, Meeting.requested, Meeting.want)),
        (resting, (Meeting.refreshed, Meeting.absent, Meeting.broker_lost)),
        (stopped, (Meeting.introduced, Meeting.requested, Meeting.want, Meeting.refreshed)),
        (stopped, (Meeting.absent, Meeting.broker_lost, Meeting.offended, Meeting.stop)),
        (offended, (Meeting.introduced, Meeting.requested, Meeting.want, Meeting.refreshed)),
        (offended, (Meeting.absent, Meeting.broker_lost, Meeting.offended)),
    ):
        for ignored in inputs:
            state.upon(ignored).loop().returns(None)
    return builder.build()


_machine = _build()


def meeting(round_: Round) -> Meeting:
    """A meeting with one other member, *quiet*."""
    return _machine(round_)
