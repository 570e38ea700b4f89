"""One other member: its meeting, and the attempts to get to a link with it."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Set
from typing import Protocol as Interface

from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger

from p2phole import events
from p2phole.addresses import Candidate, Endpoint
from p2phole.peer.acceptor import Acceptor
from p2phole.peer.conversation import Conversation
from p2phole.peer.meeting import FIRST_REST, MOST_STARTS, Round, meeting
from p2phole.peer.presence import Presence
from p2phole.peer.trust import Trust
from p2phole.peer.use import Use
from p2phole.peer.vouching import MOST_LETTERS, Vouching
from p2phole.punch import birthday
from p2phole.punch.attempt import DEADLINE, Attempt, Start, Success, attempt
from p2phole.punch.birthday import Gate
from p2phole.punch.candidates import forbidden, to_dial
from p2phole.punch.ledger import SynLedger
from p2phole.punch.prediction import calls_for_many_ports, calls_for_many_tries, order, takes_long
from p2phole.punch.shared_port import SharedPort
from p2phole.punch.verdict import REASONS, Report, reason, technique
from p2phole.secure.identity import Credentials
from p2phole.secure.roles import Identity, Pairing
from p2phole.session.pool import Pools
from p2phole.wire.messages import Introduction, Letter

MOST_DELAY = 2.0
"""Seconds that a broker may make us wait before a start."""
CLEARED = 0.25
"""Seconds by which a start comes later where there is a session already: what is left of the old connection has to
be gone.  On both sides, whatever each of them knows of that: else the first SYNs of one of them meet a router that
is still closed, and where that answers with RST, as many are lost as may be sent."""
REFUSED = 0.8
"""Seconds after which a start that is refused all the time is helped; the follower waits twice as long.

Two Linux routers may each take the other side's SYNs for part of a connection that has ended.  They forget it
after 10 s in which nothing comes, and each refusal begins these anew (nf_conntrack_proto_tcp.c,
TCP_CONNTRACK_CLOSE).  Another port is another connection, of which no router knows anything.
"""

_log = Logger()


class Company(Interface):
    """What an encounter needs of the peer that has it."""

    mine: Identity
    credentials: Credentials
    acceptor: Acceptor
    port: SharedPort
    clock: IReactorTime
    events: events.EventSink
    random: Callable[[], float]
    gate: Gate
    ledger: SynLedger
    presence: Presence
    trust: Trust
    pools: Pools
    use: Use
    resume_for: float

    def session_ident(self) -> str:
        """Random text that names one session."""

    def send_letter(self, message: Letter) -> None:
        """Have the broker bring this to another member."""

    def parted(self, encounter: Encounter, for_good: bool) -> None:
        """There is no connection any more."""

    def suspected(self, encounter: Encounter) -> None:
        """The connection may be dead: another one is wanted."""

    def refused(self) -> None:
        """Where both sides were, routers know of another connection: go elsewhere, if that may be."""

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
        self._before: list[Endpoint] = []
        self._worked: tuple[Candidate, ...] = ()
        """Where this member was reached last, which may be an endpoint that nobody names."""
        self._round = Round(self, company.clock, company.random, company.ledger)
        self.meeting = meeting(self._round)
        self._attempt: tuple[Attempt, Start] | None = None
        self._refused: IDelayedCall | None = None
        self._vouchings: list[Vouching] = []
        """The proof of the attempt, and of earlier ones what is not over."""
        self._early: deque[Letter] = deque(maxlen=MOST_LETTERS)
        self._chance: IDelayedCall | None = None
        """When the attempt goes for many."""
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
        self._vouchings = [vouching for vouching in self._vouchings if not vouching.over]
        for vouching in self._vouchings:
            if message.token == vouching.pairing.token.hex():
                vouching.receive(message.body)
                break
        else:
            self._early.append(message)  # this side may still be finding out about its NAT

    # -- Actions of the meeting

    def begin_start(self, message: Introduction) -> None:
        """See :class:`~p2phole.peer.meeting.Actions`."""
        company = self._company
        presence, trust = company.presence, company.trust
        pairing = Pairing(company.mine, self.theirs, bytes.fromhex(message.token))
        start = Start(
            clock=company.clock,
            dialler=company.port,
            credentials=company.credentials,
            pairing=pairing,
            candidates=order(self._to_dial(message, message.candidates)),
            delay=message.delay,
            budget=self._round.budget,
            random=company.random,
            succeeded=self._won,
            failed=lambda report: self._start_failed(start, message, report),
            seconds=birthday.SECONDS if takes_long(presence.behaviour, message.nat) else DEADLINE,
            held=trust.demands_proof,
        )
        self._make_way(start)
        if self.conversation.is_open:
            start.delay += CLEARED
        before = self._attempt
        self._end_attempt()
        for earlier in self._vouchings:
            earlier.supersede()
        self._before = [*self._before[-1:], presence.about_to_dial(start.candidates)]
        machine = attempt(start)
        if before is not None:
            before[1].hand_over(start)
            before[0].cancel()
        self._attempt = (machine, start)
        if self.conversation.is_open:
            patience = REFUSED if company.mine > self.theirs else 2 * REFUSED
            self._refused = company.clock.callLater(
                start.delay + patience, self._look_for_refusals, start, patience
            )
        company.acceptor.expect(start.claim)
        presence.discovered().addCallback(lambda _: self._meet_by_chance(start, message))
        vouching = Vouching(
            company.clock,
            trust,
            pairing,
            presence.sealed(),
            lambda body: company.send_letter(Letter(self.instance, message.token, body)),
            lambda candidates: machine.join(self._to_dial(message, candidates, trust.knows(self.theirs))),
            self._refuted,
        )
        self._vouchings = [*(each for each in self._vouchings if not each.over), vouching]
        vouching.start(message.delay)
        for letter in tuple(self._early):
            if letter.token == message.token:
                vouching.receive(letter.body)
        self._early.clear()

    def _to_dial(
        self, message: Introduction, candidates: tuple[Candidate, ...], proven: bool = False
    ) -> tuple[Candidate, ...]:
        here = self._company.presence.surroundings
        return to_dial((*candidates, *self._worked), message.observed, here, proven)

    def _make_way(self, start: Start) -> None:
        here = self._company.presence.addresses
        self.conversation.make_way([candidate.endpoint for candidate in start.candidates], here)

    def _refuted(self, why: str) -> None:
        """The other side has not proved what it has to."""
        self.cancel_start()
        self.meeting.round_failed(why)

    def _meet_by_chance(self, start: Start, message: Introduction) -> None:
        """Go for many where this peer's own discovery calls for it; the other's word alone never does."""
        company = self._company
        mine, theirs = company.presence.behaviour, message.nat
        here, target = company.presence.surroundings, message.observed
        if start.over or forbidden(target, target, here) is not None:
            return
        if target.ip == here.observed.ip or target.ip.version != here.observed.ip.version:
            return  # behind one NAT, or by a family of which nothing was found out, it is no chance but a scan
        if calls_for_many_ports(mine, theirs) and company.gate.enter():
            many = birthday.many_ports(company.clock, company.port.fresh, target, start.channel)
        elif calls_for_many_tries(mine, theirs) and company.gate.enter():
            told = {target, *(candidate.endpoint for candidate in message.candidates)}
            seen = {endpoint.port for endpoint in told if endpoint.ip == target.ip}
            many = birthday.many_tries(
                company.clock, company.port, target.ip, company.random, start.channel, sorted(seen)
            )
        else:
            return
        self._chance = company.clock.callLater(message.delay, start.go_for_many, many)

    def cancel_start(self) -> None:
        """See :class:`~p2phole.peer.meeting.Actions`."""
        current = self._attempt
        self._end_attempt()
        if current is not None:
            current[0].cancel()

    def _won(self, success: Success) -> None:
        self._end_attempt()
        self.meeting.won(success)

    def _start_failed(self, start: Start, message: Introduction, report: Report) -> None:
        self._end_attempt()
        presence = self._company.presence
        mine, theirs = presence.behaviour, message.nat
        one_address = message.observed.ip == presence.surroundings.observed.ip
        word = reason(report, mine, theirs, one_address)
        # Where nothing will do, after so many tries, and with another key, another start would be the same again.
        last = start.seconds > DEADLINE or technique(mine, theirs) == "none" or word == "unproven"
        if self._round.starts < MOST_STARTS and not last:
            self.meeting.start_failed()
        else:
            self.meeting.round_failed(word)

    def _look_for_refusals(self, start: Start, patience: float, bad: Set[str] = frozenset({"refused"})) -> None:
        self._refused = None
        outcomes = set(start.report().outcomes.values())
        if outcomes & {"connected", "elsewhere"}:
            return
        if outcomes & bad:
            self._company.refused()
        elif patience == REFUSED:
            # The leader looks twice: a router behind another one may keep to itself what it refuses.
            bad = frozenset({"refused", "silent"})
            self._refused = self._company.clock.callLater(patience * 2, self._look_for_refusals, start, 0.0, bad)

    def _end_attempt(self) -> None:
        refused, self._refused = self._refused, None
        if refused is not None:
            refused.cancel()
        for vouching in self._vouchings:
            vouching.abandon()
        if self._chance is not None and self._chance.active():
            self._chance.cancel()
        if self._attempt is not None:
            self._company.acceptor.forget(self._attempt[1].claim)
            self._attempt = None

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
        self._company.presence.ask_for(self.theirs, self._before)

    def is_connected(self) -> bool:
        """See :class:`~p2phole.peer.meeting.Actions`."""
        return self.is_linked

    def is_awaited(self) -> bool:
        """See :class:`~p2phole.peer.meeting.Actions`."""
        return self.conversation.is_awaited and self._company.may_hurry()

    def tell_introduced(self) -> None:
        """See :class:`~p2phole.peer.meeting.Actions`."""
        self._company.events.emit(events.Introduced(self.name, self.theirs.fingerprint, self.instance))

    def tell_failed(self, word: str) -> None:
        """See :class:`~p2phole.peer.meeting.Actions`."""
        detail = REASONS[word]
        _log.warn("No direct connection to {name}: {detail}", name=self.name, detail=detail)
        self._company.events.emit(events.Failed(self.name, word, detail, self.instance))

    def tell_connected(self, success: Success, seconds: float, attempts: int) -> None:
        """See :class:`~p2phole.peer.meeting.Actions`."""
        self._worked = (Candidate("srflx", success.remote),)
        self._company.ledger.proven(success.remote.ip, self._company.clock.seconds())
        self.conversation.attach(success, seconds, attempts)
        # That writes a file: whoever waits for the event need not wait for the disk.
        self._company.trust.connected(self.theirs, self.conversation.claimed)

    # -- the end

    def leave(self) -> None:
        """This peer is going: no more attempts, and goodbye."""
        self.meeting.stop()
        for vouching in self._vouchings:
            vouching.close()
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
        if self._attempt is not None:
            self._make_way(self._attempt[1])
        self._company.suspected(self)

    def offended(self) -> None:
        """See :class:`~p2phole.peer.conversation.Owner`."""
        self._offended_at = self._company.clock.seconds()
        self.meeting.offended()
