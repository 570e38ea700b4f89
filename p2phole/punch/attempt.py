"""One agreed start of one pair: wait, dial every candidate at once, take the first proven connection.

The machine knows three states: *waiting* for the agreed instant (what the other side's early SYN
opens is taken already), *dialling*, and *over*.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from math import inf
from typing import Protocol as Interface

from automat import TypeMachineBuilder
from twisted.internet.interfaces import IDelayedCall, IReactorTime

from p2phole.addresses import Candidate, Endpoint, is_private
from p2phole.punch.birthday import Many
from p2phole.punch.dial import Dial, Dialler
from p2phole.punch.race import Race
from p2phole.punch.schedule import GUESS_SECONDS, Redial, SynBudget
from p2phole.punch.verdict import Report
from p2phole.secure.channel import Channel, Claim, SecureLink
from p2phole.secure.identity import Credentials
from p2phole.secure.roles import Pairing
from p2phole.secure.tls import PinnedTLS

DEADLINE = 5.0
"""Seconds after the agreed start at which the attempt is given up."""


@dataclass(frozen=True, slots=True)
class Success:
    """The connection that both sides agreed on.  ``rest``: bytes that came behind the agreement."""

    link: SecureLink
    rest: bytes
    candidate: str
    local: Endpoint
    remote: Endpoint


class Attempt(Interface):
    """What the rest of the program sees of an attempt."""

    def begin(self) -> None:
        """The agreed instant has come."""

    def win(self, link: SecureLink, rest: bytes) -> None:
        """Both sides have agreed on a connection."""

    def join(self, candidates: tuple[Candidate, ...]) -> None:
        """The other side has proved itself, and told of further candidates."""

    def expire(self) -> None:
        """The deadline has passed."""

    def cancel(self) -> None:
        """Forget it: tell nobody, close everything."""


@dataclass
class Start:
    """What one attempt works with, and whom it tells."""

    clock: IReactorTime
    dialler: Dialler
    credentials: Credentials
    pairing: Pairing
    candidates: tuple[Candidate, ...]
    delay: float
    budget: SynBudget
    random: Callable[[], float]
    succeeded: Callable[[Success], None]
    failed: Callable[[Report], None]
    seconds: float = DEADLINE
    """How long after the agreed instant to go on."""
    held: bool = False
    """Whether no connection wins before :meth:`Attempt.join`."""
    dials: list[Dial] = field(default_factory=list)
    many: Many | None = None
    timer: IDelayedCall | None = None
    race: Race | None = None
    pinned: PinnedTLS | None = None
    until: float = 0.0
    over: bool = False

    @property
    def claim(self) -> Claim:
        """For an acceptor: whose connection it is that comes with this pairing's tag."""
        assert self.race is not None
        return Claim(self.pairing, self.race, self.tls)

    def tls(self) -> PinnedTLS:
        """TLS for this attempt's connections, made once."""
        if self.pinned is None:
            self.pinned = PinnedTLS(self.credentials, self.pairing.theirs.fingerprint)
        return self.pinned

    def dial_all(self) -> None:
        """Send the first SYN to every candidate, all in one turn."""
        self.until = self.clock.seconds() + self.seconds
        self._dial(self.candidates)
        # The SYNs leave in the next turn; behind them there is a round trip's time for this.
        self.clock.callLater(0, self.tls)

    def add(self, candidates: tuple[Candidate, ...]) -> tuple[Candidate, ...]:
        """Take candidates that are new; which of them were."""
        known = {candidate.endpoint for candidate in self.candidates}
        new = tuple(candidate for candidate in candidates if candidate.endpoint not in known)
        self.candidates += new
        return new

    def hand_over(self, later: Start) -> None:
        """Have a start that takes the place of this one go on with those dials that it would begin itself."""
        wanted = {candidate.endpoint for candidate in later.candidates}
        until = self.clock.seconds() + later.delay + later.seconds
        for dial in tuple(self.dials):
            if dial.candidate.endpoint in wanted and dial.go_on(until, lambda _candidate: later.channel()):
                self.dials.remove(dial)
                later.dials.append(dial)

    def dial_more(self, candidates: tuple[Candidate, ...]) -> None:
        """Dial candidates that have come late."""
        self._dial(self.add(candidates))

    def _dial(self, candidates: tuple[Candidate, ...]) -> None:
        under_way = {dial.candidate.endpoint for dial in self.dials}
        for candidate in candidates:
            if candidate.endpoint in under_way:
                continue
            # A host candidate of a private network has no router before it.
            guarded = candidate.kind != "host" or not is_private(candidate.endpoint.ip)
            dial = Dial(
                self.clock,
                self.dialler,
                candidate,
                Redial(self.random, guarded),
                self.budget,
                self.until,
                lambda _candidate: self.channel(),
                GUESS_SECONDS if candidate.kind == "predicted" else inf,
            )
            self.dials.append(dial)
            dial.dial()

    def channel(self) -> Channel:
        """The protocol of one more dialled connection."""
        return Channel(self.clock, self.claim)

    def go_for_many(self, many: Many) -> None:
        """Dial many more (birthday), until this attempt is over."""
        if self.over or self.many is not None:
            return
        self.many = many
        many.start()

    def kind_of(self, channel: Channel) -> str:
        """The kind of the remote candidate; ``prflx`` (RFC 8445 5.1.1) where nobody had named it."""
        for candidate in self.candidates:
            if candidate.endpoint == channel.remote:
                return candidate.kind
        return "prflx" if self.many is None else "birthday"

    def clear(self) -> None:
        """Close everything that has not won."""
        if self.timer is not None and self.timer.active():
            self.timer.cancel()
        for dial in self.dials:
            dial.stop()
        if self.many is not None:
            self.many.stop()
        self.over = True
        if self.race is not None:
            self.race.close()

    def release(self) -> None:
        """Let a connection win."""
        if self.race is not None:
            self.race.release()

    def report(self) -> Report:
        """What has been seen so far."""
        assert self.race is not None
        outcomes = {str(dial.candidate.endpoint): dial.outcome for dial in self.dials}
        return Report(outcomes, dict(self.race.drops), self.race.is_waiting)


def _build() -> Callable[[Start], Attempt]:
    builder = TypeMachineBuilder(Attempt, Start)
    waiting = builder.state("waiting")
    dialling = builder.state("dialling")
    over = builder.state("over")

    @waiting.upon(Attempt.begin).to(dialling)
    def begin(attempt: Attempt, start: Start) -> None:
        start.timer = start.clock.callLater(start.seconds, attempt.expire)
        start.dial_all()

    @waiting.upon(Attempt.join).loop()
    def join_early(attempt: Attempt, start: Start, candidates: tuple[Candidate, ...]) -> None:
        start.add(candidates)
        start.release()

    @dialling.upon(Attempt.join).loop()
    def join(attempt: Attempt, start: Start, candidates: tuple[Candidate, ...]) -> None:
        start.dial_more(candidates)
        start.release()

    @waiting.upon(Attempt.win).to(over)
    @dialling.upon(Attempt.win).to(over)
    def win(attempt: Attempt, start: Start, link: SecureLink, rest: bytes) -> None:
        start.clear()
        channel = link.channel
        start.succeeded(Success(link, rest, start.kind_of(channel), channel.local, channel.remote))

    @dialling.upon(Attempt.expire).to(over)
    def expire(attempt: Attempt, start: Start) -> None:
        report = start.report()
        start.clear()
        start.failed(report)

    @waiting.upon(Attempt.cancel).to(over)
    @dialling.upon(Attempt.cancel).to(over)
    def cancel(attempt: Attempt, start: Start) -> None:
        start.clear()

    over.upon(Attempt.cancel).loop().returns(None)
    over.upon(Attempt.join).loop().returns(None)
    return builder.build()


_machine = _build()


def attempt(start: Start) -> Attempt:
    """Arm one attempt: ``start.claim`` is valid from now on, the dials follow after ``start.delay``."""
    machine = _machine(start)
    start.race = Race(start.pairing, machine.win, start.held)
    start.timer = start.clock.callLater(start.delay, machine.begin)
    return machine
