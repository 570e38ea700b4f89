"""The way to a link with one other member: a start at a time, its proof, and what is tried by chance."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Set
from typing import Protocol as Interface

from twisted.internet.interfaces import IDelayedCall, IReactorTime

from p2phole.addresses import Candidate, Endpoint
from p2phole.peer.acceptor import Acceptor
from p2phole.peer.presence import Presence
from p2phole.peer.trust import Trust
from p2phole.peer.vouching import MOST_LETTERS, Vouching
from p2phole.punch import birthday
from p2phole.punch.attempt import DEADLINE, Attempt, Start, Success, attempt
from p2phole.punch.birthday import Gate
from p2phole.punch.candidates import forbidden, to_dial
from p2phole.punch.ledger import SynLedger
from p2phole.punch.prediction import calls_for_many_ports, calls_for_many_tries, order, takes_long
from p2phole.punch.schedule import SynBudget
from p2phole.punch.shared_port import SharedPort
from p2phole.punch.verdict import Report, reason, technique
from p2phole.secure.identity import Credentials
from p2phole.secure.roles import Identity, Pairing
from p2phole.wire.messages import Introduction, Letter

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


class Means(Interface):
    """What it takes of the peer."""

    mine: Identity
    credentials: Credentials
    acceptor: Acceptor
    port: SharedPort
    clock: IReactorTime
    random: Callable[[], float]
    gate: Gate
    ledger: SynLedger
    presence: Presence
    trust: Trust

    def send_letter(self, message: Letter) -> None:
        """Have the broker bring this to another member."""

    def refused(self) -> None:
        """Where both sides were, routers know of another connection: go elsewhere, if that may be."""


class Goal(Interface):
    """Whom a start tells."""

    @property
    def is_open(self) -> bool:
        """Whether there is a session, which a link would go on with."""

    def make_way(self, candidates: tuple[Candidate, ...]) -> None:
        """These are about to be dialled; see :meth:`~p2phole.peer.conversation.Conversation.make_way`."""

    def arrived(self, success: Success) -> None:
        """There is a link, proven."""

    def failed(self, word: str, again: bool) -> None:
        """There is none: a word of :data:`~p2phole.punch.verdict.REASONS`, and whether another start may do."""

    def refuted(self, why: str) -> None:
        """The other side has not proved what it has to; such a word."""


class Approach:
    """See above."""

    def __init__(self, means: Means, goal: Goal, theirs: Identity) -> None:
        self.before: list[Endpoint] = []
        """What was the latest outside endpoint when the last starts began."""
        self.worked: tuple[Candidate, ...] = ()
        """Where this member was reached last, which may be an endpoint that nobody names."""
        self._means = means
        self._goal = goal
        self._theirs = theirs
        self._attempt: tuple[Attempt, Start] | None = None
        self._vouchings: list[Vouching] = []
        """The proof of the attempt, and of earlier ones what is not over."""
        self._early: deque[Letter] = deque(maxlen=MOST_LETTERS)
        self._chance: IDelayedCall | None = None
        """When the attempt goes for many."""
        self._refused: IDelayedCall | None = None
        """When to see whether it is refused all the time."""

    def begin(self, message: Introduction, budget: SynBudget) -> None:
        """Start, in place of what is under way."""
        means = self._means
        presence, trust = means.presence, means.trust
        pairing = Pairing(means.mine, self._theirs, bytes.fromhex(message.token))
        start = Start(
            clock=means.clock,
            dialler=means.port,
            credentials=means.credentials,
            pairing=pairing,
            candidates=order(self._to_dial(message, message.candidates)),
            delay=message.delay,
            budget=budget,
            random=means.random,
            succeeded=self._won,
            failed=lambda report: self._failed(start, message, report),
            seconds=birthday.SECONDS if takes_long(presence.behaviour, message.nat) else DEADLINE,
            held=trust.demands_proof,
        )
        self._goal.make_way(start.candidates)
        if self._goal.is_open:
            start.delay += CLEARED
        before = self._attempt
        self._end()
        for earlier in self._vouchings:
            earlier.supersede()
        self.before = [*self.before[-1:], presence.about_to_dial(start.candidates)]
        machine = attempt(start)
        if before is not None:
            before[1].hand_over(start)
            before[0].cancel()
        self._attempt = (machine, start)
        if self._goal.is_open:
            patience = REFUSED if means.mine > self._theirs else 2 * REFUSED
            self._refused = means.clock.callLater(start.delay + patience, self._look_for_refusals, start, patience)
        means.acceptor.expect(start.claim)
        presence.discovered().addCallback(lambda _: self._meet_by_chance(start, message))
        vouching = Vouching(
            means.clock,
            trust,
            pairing,
            presence.sealed(),
            lambda body: means.send_letter(Letter(self._theirs.instance, message.token, body)),
            lambda candidates: machine.join(self._to_dial(message, candidates, trust.knows(self._theirs))),
            self._goal.refuted,
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
        here = self._means.presence.surroundings
        return to_dial((*candidates, *self.worked), message.observed, here, proven)

    def _meet_by_chance(self, start: Start, message: Introduction) -> None:
        """Go for many where this peer's own discovery calls for it; the other's word alone never does."""
        means = self._means
        mine, theirs = means.presence.behaviour, message.nat
        here, target = means.presence.surroundings, message.observed
        if start.over or forbidden(target, target, here) is not None:
            return
        if target.ip == here.observed.ip or target.ip.version != here.observed.ip.version:
            return  # behind one NAT, or by a family of which nothing was found out, it is no chance but a scan
        if calls_for_many_ports(mine, theirs) and means.gate.enter():
            many = birthday.many_ports(means.clock, means.port.fresh, target, start.channel)
        elif calls_for_many_tries(mine, theirs) and means.gate.enter():
            told = {target, *(candidate.endpoint for candidate in message.candidates)}
            seen = {endpoint.port for endpoint in told if endpoint.ip == target.ip}
            many = birthday.many_tries(
                means.clock, means.port, target.ip, means.random, start.channel, sorted(seen)
            )
        else:
            return
        self._chance = means.clock.callLater(message.delay, start.go_for_many, many)

    def letter(self, message: Letter) -> None:
        """The broker has brought this from the member."""
        self._vouchings = [vouching for vouching in self._vouchings if not vouching.over]
        for vouching in self._vouchings:
            if message.token == vouching.pairing.token.hex():
                vouching.receive(message.body)
                break
        else:
            self._early.append(message)  # this side may still be finding out about its NAT

    def make_way(self) -> None:
        """The link that there is may be dead: so may the endpoints be taken that a start dials."""
        if self._attempt is not None:
            self._goal.make_way(self._attempt[1].candidates)

    def cancel(self) -> None:
        """Forget the start that is under way, if there is one."""
        current = self._attempt
        self._end()
        if current is not None:
            current[0].cancel()

    def leave(self) -> None:
        """This peer is going: no proof goes on either."""
        self.cancel()
        for vouching in self._vouchings:
            vouching.close()

    def _won(self, success: Success) -> None:
        self._end()
        self._goal.arrived(success)

    def _failed(self, start: Start, message: Introduction, report: Report) -> None:
        self._end()
        presence = self._means.presence
        mine, theirs = presence.behaviour, message.nat
        one_address = message.observed.ip == presence.surroundings.observed.ip
        word = reason(report, mine, theirs, one_address)
        # Where nothing will do, after so many tries, and with another key, another start would be the same again.
        last = start.seconds > DEADLINE or technique(mine, theirs) == "none" or word == "unproven"
        self._goal.failed(word, not last)

    def _look_for_refusals(self, start: Start, patience: float, bad: Set[str] = frozenset({"refused"})) -> None:
        self._refused = None
        outcomes = set(start.report().outcomes.values())
        if outcomes & {"connected", "elsewhere"}:
            return
        if outcomes & bad:
            self._means.refused()
        elif patience == REFUSED:
            # The leader looks twice: a router behind another one may keep to itself what it refuses.
            bad = frozenset({"refused", "silent"})
            self._refused = self._means.clock.callLater(patience * 2, self._look_for_refusals, start, 0.0, bad)

    def _end(self) -> None:
        refused, self._refused = self._refused, None
        if refused is not None:
            refused.cancel()
        for vouching in self._vouchings:
            vouching.abandon()
        if self._chance is not None and self._chance.active():
            self._chance.cancel()
        if self._attempt is not None:
            self._means.acceptor.forget(self._attempt[1].claim)
            self._attempt = None
