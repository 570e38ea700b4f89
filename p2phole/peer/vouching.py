"""One attempt's proof: when it begins, what it waits for, and what comes of it."""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.interfaces import IDelayedCall, IReactorTime

from p2phole.addresses import Candidate, Endpoint
from p2phole.peer.trust import Trust
from p2phole.secure import letters
from p2phole.secure.proof import Proof
from p2phole.secure.roles import Pairing

MOST_LETTERS = 4
"""Letters that wait until the proof begins."""
MOST_SEALED = 16
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
    sealed for us; ``refuted``: hears why there is no proof, where one was demanded.
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
        self._clock = clock
        self._trust = trust
        self.pairing = pairing
        self._candidates = candidates
        self._send = send
        self._proven = proven
        self._refuted = refuted
        self._proof: Proof | None = None
        self._timer: IDelayedCall | None = None
        self._due = 0.0
        self._early: list[str] = []
        self._stopped = False

    def start(self, delay: float) -> None:
        """Begin, if this side does, as soon as others' proofs leave it a turn; behind the SYNs, which leave
        after ``delay`` seconds."""
        self._due = self._clock.seconds() + delay
        if self._trust.begins(self.pairing.theirs):
            self._begin()

    def _begin(self) -> None:
        pause = self._trust.pause()
        if pause is not None:
            wait = max(pause, self._due - self._clock.seconds())
            self._timer = self._clock.callLater(wait, self._let_syns_go)

    def _let_syns_go(self) -> None:
        # They leave in the turn after that of the agreed instant, and SPAKE2 holds everything up for some
        # milliseconds.
        self._timer = self._clock.callLater(0, self._make)

    def _make(self) -> None:
        self._timer = None
        self._proof = self._trust.proof(self.pairing, seal(self._candidates), self)
        early, self._early = self._early, []
        for body in early:
            self._proof.receive(body)

    def receive(self, body: str) -> None:
        """A letter from the other side."""
        if self._stopped:
            return
        if self._proof is not None:
            self._proof.receive(body)
        elif len(self._early) < MOST_LETTERS:
            self._early.append(body)
            if self._timer is None:
                self._begin()  # the other side knows us, and we don't know it

    def stop(self) -> None:
        """The attempt is over; what was not proven by now counts as refuted."""
        self._stopped = True
        timer, self._timer = self._timer, None
        if timer is not None:
            timer.cancel()

    # -- ProofUser

    def may_show(self) -> bool:
        """See :class:`~p2phole.secure.proof.ProofUser`."""
        return not self._stopped and self._trust.may_guess(self.pairing.theirs)

    def send(self, letter: letters.Letter) -> None:
        """See :class:`~p2phole.secure.proof.ProofUser`."""
        self._send(letters.encode(letter))

    def proven(self, sealed: bytes) -> None:
        """See :class:`~p2phole.secure.proof.ProofUser`."""
        self._trust.has_proven(self.pairing.theirs)
        if not self._stopped:
            self._proven(unseal(sealed))

    def refuted(self, why: str) -> None:
        """See :class:`~p2phole.secure.proof.ProofUser`."""
        if self._trust.demands_proof:
            if why in ("secret", "locked"):
                self._trust.has_failed(self.pairing.theirs)
            if not self._stopped:
                self._refuted(why)
