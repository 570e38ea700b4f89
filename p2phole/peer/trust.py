"""Whom this peer meets, what they have to prove, and what it calls them."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Protocol as Interface

from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from p2phole.peer.errors import NobodyKnown
from p2phole.peer.settings import PeerSettings
from p2phole.secure.agreement import Agreement, EphemeralAgreement, SecretAgreement
from p2phole.secure.guesses import Guesses
from p2phole.secure.identity import Credentials
from p2phole.secure.proof import Proof, ProofUser, Side
from p2phole.secure.roles import Identity, Pairing
from p2phole.secure.secret_file import read_secret

PROOFS_A_SECOND = 10
"""SPAKE2 takes some 7 ms of a processor on each side: what a broker names must not take all of it."""
MOST_WAIT = 4.0
"""Seconds for which a proof may wait for its turn; the start is given 5."""

_log = Logger()


class People(Interface):
    """What is kept of others: :class:`~p2phole.secure.known.Known`."""

    def is_known(self, fingerprint: str) -> bool:
        """Whether this key was kept, or was proven lately."""

    def fingerprint_of(self, name: str) -> str | None:
        """The key that was kept under this name."""

    def shown(self, claimed: str, fingerprint: str) -> str:
        """What to call who has this key."""

    def met(self, fingerprint: str, claimed: str, how: str) -> None:
        """A connection to who has this key was authenticated; ``how``: the word of the event."""


def room_on_wire(room: str, has_secret: bool) -> tuple[str, str]:
    """Name space and name of the room, as the broker sees it; nothing in it comes from the secret."""
    if not has_secret:
        return "open", room
    return "secret", hashlib.sha256(b"p2phole secret room 1\0" + room.encode()).hexdigest()


class Trust:
    """One peer's.  ``only``: the fingerprint and the name of the only one to meet."""

    def __init__(
        self,
        clock: IReactorTime,
        credentials: Credentials,
        room: tuple[str, str],
        secret: bytes | None,
        people: People,
        entropy: Callable[[int], bytes],
        *,
        only: tuple[str, str] | None = None,
        guesses: Guesses | None = None,
    ) -> None:
        self.room = room
        self.people = people
        self._clock = clock
        self._credentials = credentials
        self._secret = secret
        self._entropy = entropy
        self._only = only
        self._guesses = guesses if guesses is not None else Guesses()
        self._proven: set[str] = set()
        """Fingerprints that have proved the secret to this process."""
        self._busy_until = 0.0

    @property
    def demands_proof(self) -> bool:
        """Whether nobody is connected to before the secret is proven."""
        return self._secret is not None

    @property
    def closed(self) -> bool:
        """Whether what is told of this peer is for proven ones only."""
        return self.demands_proof or self._only is not None

    def meets(self, fingerprint: str) -> bool:
        """Whether there is any reason to meet who has this key."""
        return self._only is None or self._only[0] == fingerprint

    def claims_to_be_wanted(self, claimed: str) -> bool:
        """Whether somebody calls itself what the only one to meet is called."""
        return self._only is not None and self._only[1] == claimed

    def begins(self, theirs: Identity) -> bool:
        """Whether this side sends the first letter of a proof unasked."""
        return self.demands_proof or self.people.is_known(theirs.fingerprint)

    def knows(self, theirs: Identity) -> bool:
        """Whether a proof by this one makes it more than a stranger who has a key."""
        return self.demands_proof or self.people.is_known(theirs.fingerprint)

    def pause(self) -> float | None:
        """Seconds until the next proof may begin; None: too many are waiting."""
        now = self._clock.seconds()
        if not self.demands_proof:
            return 0.0
        if self._busy_until - now > MOST_WAIT:
            return None
        begin = max(self._busy_until, now)
        self._busy_until = begin + 1 / PROOFS_A_SECOND
        return begin - now

    def proof(self, pairing: Pairing, sealed: bytes, user: ProofUser) -> Proof:
        """Begin one; its first letter leaves at once."""
        agreement: Agreement
        if self._secret is not None:
            agreement = SecretAgreement(self._secret, pairing, self.room, self._entropy)
        else:
            agreement = EphemeralAgreement(self._entropy)
        return Proof(Side(pairing, self.room, self._credentials.key, agreement, sealed, user))

    def _is_stranger(self, theirs: Identity) -> bool:
        fingerprint = theirs.fingerprint
        return fingerprint not in self._proven and not self.people.is_known(fingerprint)

    def may_guess(self, theirs: Identity) -> bool:
        """Whether to let this one, who is there, try the secret; it counts as failed until it is proven."""
        if not self.demands_proof or not self._is_stranger(theirs):
            return True
        return self._guesses.take(self._clock.seconds())

    def has_failed(self, theirs: Identity) -> None:
        """That one has another secret."""
        if self._is_stranger(theirs) and self._guesses.spent:
            _log.warn(
                "The secret was tried wrongly too often: strangers get one more try an hour from now on.  If "
                "that was nobody of yours, change the room's secret."
            )

    def has_proven(self, theirs: Identity) -> None:
        """That one has the secret."""
        if self.demands_proof and self._is_stranger(theirs):
            self._guesses.give_back()
            self._proven.add(theirs.fingerprint)

    def authenticated(self, theirs: Identity) -> str:
        """The word of the event for a connection to this one."""
        if self.demands_proof:
            return "secret"
        return "pinned" if self.people.is_known(theirs.fingerprint) else "tofu"


def make_trust(
    settings: PeerSettings,
    clock: IReactorTime,
    credentials: Credentials,
    people: People,
    entropy: Callable[[int], bytes],
) -> Trust:
    """What the settings say of whom to trust.

    Raises :class:`NobodyKnown`, or what :func:`~p2phole.secure.secret_file.read_secret` raises.
    """
    secret = None
    if settings.secret_file is not None:
        found = read_secret(settings.secret_file)
        for warning in found.warnings:
            _log.warn("{warning}", warning=warning)
        secret = found.value
    only = None
    if settings.to is not None:
        fingerprint = people.fingerprint_of(settings.to)
        if fingerprint is None:
            raise NobodyKnown(name=settings.to)
        only = (fingerprint, settings.to)
    room = room_on_wire(settings.room, secret is not None)
    return Trust(clock, credentials, room, secret, people, entropy, only=only)
