"""Whom this peer meets, what they have to prove, and what it calls them."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Protocol as Interface

from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from p2phole.errors import LocalError
from p2phole.peer.errors import NobodyKnown
from p2phole.peer.settings import PeerSettings
from p2phole.secure.agreement import Agreement, EphemeralAgreement, SecretAgreement
from p2phole.secure.codes import Code, make
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


class Strangers:
    """:class:`People` of whom none is known, and none is kept."""

    def is_known(self, fingerprint: str) -> bool:
        """See :class:`People`."""
        return False

    def fingerprint_of(self, name: str) -> str | None:
        """See :class:`People`."""
        return None

    def shown(self, claimed: str, fingerprint: str) -> str:
        """See :class:`People`."""
        return claimed

    def met(self, fingerprint: str, claimed: str, how: str) -> None:
        """See :class:`People`."""


def hashed(room: str) -> str:
    """The name of a room that has a secret, as the broker sees it; nothing in it comes from the secret."""
    return hashlib.sha256(b"p2phole secret room 1\0" + room.encode()).hexdigest()


class Trust:
    """One peer's.  ``room``: its name space, and its name there as the broker sees it.

    ``only``: the fingerprint and the name of the only one to meet.  ``burned``: called when the one guess at
    a code was a wrong one.
    """

    def __init__(
        self,
        clock: IReactorTime,
        credentials: Credentials,
        room: tuple[str, str],
        secret: bytes | None,
        people: People,
        entropy: Callable[[int], bytes],
        only: tuple[str, str] | None = None,
    ) -> None:
        self.room = room
        self.people = people
        self.burned: Callable[[], None] = lambda: None
        self._clock = clock
        self._credentials = credentials
        self._secret = secret
        self._entropy = entropy
        self._only = only
        self._guesses = Guesses(most=1, every=None) if self.by_code else Guesses()
        self._proven: set[str] = set()
        """Fingerprints that have proved the secret to this process."""
        self._busy_until = 0.0

    @property
    def by_code(self) -> bool:
        """Whether two people meet here by a code."""
        return self.room[0] == "code"

    def invite(self, number: int) -> Code:
        """The broker has given this peer the number of a room; the code for whom to meet there."""
        code = make(number, self._entropy)
        self.room, self._secret = ("code", str(number)), code.secret
        return code

    @property
    def demands_proof(self) -> bool:
        """Whether nobody is connected to before the secret is proven."""
        return self.room[0] != "open"

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
        if self.by_code:
            self.burned()
        elif self._is_stranger(theirs) and self._guesses.spent:
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

    def connected(self, theirs: Identity, claimed: str) -> None:
        """There is a connection to this one, who calls itself so: that is kept for the user."""
        how = "code" if self.by_code else self.authenticated(theirs)
        try:
            self.people.met(theirs.fingerprint, claimed, how)
        except LocalError as error:
            _log.warn("{error}", error=error)


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
    secret, room = None, ("open", settings.room)
    if settings.code is not None:
        secret, room = settings.code.secret, ("code", str(settings.code.number))
    elif settings.invite:
        room = ("code", "")
    elif settings.secret_file is not None:
        found = read_secret(settings.secret_file)
        for warning in found.warnings:
            _log.warn("{warning}", warning=warning)
        secret, room = found.value, ("secret", hashed(settings.room))
    only = None
    if settings.to is not None:
        fingerprint = people.fingerprint_of(settings.to)
        if fingerprint is None:
            raise NobodyKnown(name=settings.to)
        only = (fingerprint, settings.to)
    return Trust(clock, credentials, room, secret, people, entropy, only)
