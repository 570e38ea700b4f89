"""One attempt's proof: when it begins, what it waits for, and what comes of it."""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.interfaces import IDelayedCall, IReactorTime

from p2phole.addresses import Candidate, Endpoint
from p2phole.peer.trust import MOST_WAIT, Trust
from p2phole.secure import letters
from p2phole.secure.guesses import Guesses
from p2phole.secure.proof import Proof
from p2phole.secure.roles import Pairing

MOST_LETTERS = 4
"""Letters that wait until the proof begins."""
MOST_SEALED = 16
PROOF_SECONDS = 5.0
"""From the first letter to the proof: what is not proven by then counts as refuted."""
TURN_SECONDS = 0.1
"""Seconds between looks whether an earlier proof with the same one is over."""
_KINDS = ("host", "mapped")


def seal(candidates: tuple[Candidate, ...]) -> bytes:
    """What is sealed of these, a line each."""
    lines = [f"{candidate.kind} {candidate.endpoint}" for candidate in candidates]
    return "\n".join(lines[:MOST_SEALED]).encode()


def unseal(content: bytes) -> tuple[Candidate, ...]:
    """The candidates in there; what is none, or of a kind that is not sealed, is left out."""
    found: list[Candidate] = []
    for line in content.decode("ascii", "replace").splitlines():
        kind, _, endpoint = line.partition(" ")
        if kind in _KINDS and len(found) < MOST_SEALED:
            try:
                found.append(Candidate(kind, Endpoint.parse(endpoint)))
            except ValueError:
                continue
    return tuple(found)


class Vouching:
    """The proof of one attempt.

    ``send``: has a letter's body brought to the other side; ``proven``: hears the candidates that were
    sealed for us; ``refuted``: hears why there is no proof, where one was demanded.  It may have to outlive
    its attempt: what has left is a guess until the answer is there.
    """

    def __init__(
        self,
        clock: IReactorTime,
        trust: Trust,
        pairing: Pairing,
        candidates: tuple[Candidate, ...],
        send: Callable[[str], None],
        proven: Callable[[tuple[Candidate, ...]], None],
        refuted: Callable[[str], None],
    ) -> None:
        self.pairing = pairing
        self.over = False
        self._clock = clock
        self._trust = trust
        self._candidates = candidates
        self._send = send
        self._proven = proven
        self._refuted = refuted
        self._proof: Proof | None = None
        self._guess: Guesses | None = None
        self._timer: IDelayedCall | None = None
        self._turn: IDelayedCall | None = None
        self._due = self._give_up_at = 0.0
        self._early: list[str] = []
        self._abandoned = False

    def start(self, delay: float) -> None:
        """Begin, if this side does, as soon as others' proofs leave it a turn; behind the SYNs, which leave
        after ``delay`` seconds."""
        now = self._clock.seconds()
        self._due, self._give_up_at = now + delay, now + MOST_WAIT
        if self._trust.knows(self.pairing.theirs):
            self._begin()

    def _begin(self) -> None:
        theirs = self.pairing.theirs
        if self._trust.demands_proof and not (self._trust.is_crowded or self._trust.may_guess(theirs)):
            self._timer = self._clock.callLater(0, self._end, "locked")
            return
        pause = self._trust.pause(theirs)
        if pause is not None:
            wait = max(pause, self._due - self._clock.seconds())
            self._timer = self._clock.callLater(wait, self._let_syns_go)

    def _let_syns_go(self) -> None:
        # They leave in the turn after that of the agreed instant, and SPAKE2 holds everything up for some
        # milliseconds.
        self._timer = self._clock.callLater(0, self._make)

    def _make(self) -> None:
        self._timer = None
        if self._trust.is_open(self.pairing.theirs):
            # An earlier start's proof is not over yet: one guess at a time.
            if self._clock.seconds() < self._give_up_at:
                self._timer = self._clock.callLater(TURN_SECONDS, self._make)
            return
        self._trust.open(self.pairing.theirs)
        self._proof = self._trust.proof(self.pairing, seal(self._candidates), self)
        self._timer = self._clock.callLater(PROOF_SECONDS, self._end, "unconfirmed")
        self._read()

    def receive(self, body: str) -> None:
        """A letter from the other side."""
        if self.over or len(self._early) >= MOST_LETTERS or (self._abandoned and self._proof is None):
            return
        self._early.append(body)
        if self._proof is not None:
            if self._turn is None:
                self._read()
        elif self._timer is None:
            self._begin()  # the other side knows us, and we don't know it

    def _read(self) -> None:
        """Take the letters, unless an answer would be a guess that is not to be had just now."""
        self._turn = None
        while self._early and self._proof is not None and not self.over:
            crowded = self._trust.is_crowded and not self._trust.may_guess(self.pairing.theirs)
            if self._trust.demands_proof and self._guess is None and crowded:
                self._turn = self._clock.callLater(TURN_SECONDS, self._read)
                return
            self._proof.receive(self._early.pop(0))

    def abandon(self) -> None:
        """The attempt is over: nobody wants to hear of it any more.  What has begun goes on to its end, since
        the other side's guess depends on our answer, as ours on its."""
        self._abandoned = True
        if self._proof is None:
            self._end("unconfirmed")

    def supersede(self) -> None:
        """The broker has introduced the two anew, and passes on no more letters of this proof: where nothing was
        shown, its end need not be waited for, as the next proof would."""
        if self._guess is None and not self.over:
            self.close()

    def _end(self, why: str) -> None:
        """It is over, and was in vain; whatever has left was a guess."""
        if self.over:
            return
        failed = self._guess is not None or why == "locked"
        self.close()
        if self._trust.demands_proof:
            if failed:
                self._trust.has_failed(self.pairing.theirs)
            # That nothing has come the attempt tells by itself, at its end.
            if not self._abandoned and why != "unconfirmed":
                self._refuted(why)

    def close(self) -> None:
        """Nothing more is made of it."""
        if self._guess is not None:
            self._trust.settled(self.pairing.theirs)
        self.over, self._guess = True, None
        for timer in (self._timer, self._turn):
            if timer is not None and timer.active():
                timer.cancel()
        if self._proof is not None:
            self._trust.close(self.pairing.theirs)

    # -- ProofUser

    def may_show(self) -> bool:
        """See :class:`~p2phole.secure.proof.ProofUser`."""
        if self._trust.demands_proof:
            self._guess = self._trust.take_guess(self.pairing.theirs)
            return self._guess is not None
        return True

    def send(self, letter: letters.Letter) -> None:
        """See :class:`~p2phole.secure.proof.ProofUser`."""
        self._send(letters.encode(letter))

    def proven(self, sealed: bytes) -> None:
        """See :class:`~p2phole.secure.proof.ProofUser`."""
        if self._guess is not None:
            self._guess.give_back()
        self.close()
        self._trust.has_proven(self.pairing.theirs)
        if not self._abandoned:
            self._proven(unseal(sealed))

    def refuted(self, why: str) -> None:
        """See :class:`~p2phole.secure.proof.ProofUser`."""
        self._end(why)
