"""Whom this peer meets, what they have to prove, and what it calls them."""

from __future__ import annotations

import hashlib
from collections.abc import Callable

from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from p2phole.errors import LocalError
from p2phole.peer.errors import NobodyKnown
from p2phole.peer.people import People
from p2phole.peer.settings import PeerSettings
from p2phole.secure.agreement import Agreement, EphemeralAgreement, SecretAgreement
from p2phole.secure.codes import Code, make, mark
from p2phole.secure.guesses import Guesses
from p2phole.secure.identity import Credentials
from p2phole.secure.names import looks
from p2phole.secure.proof import Proof, ProofUser, Side
from p2phole.secure.roles import Identity, Pairing
from p2phole.secure.secret_file import read_secret

PROOFS_A_SECOND = 10
"""SPAKE2 takes some 7 ms of a processor on each side: what a broker names must not take all of it."""
MOST_WAIT = 4.0
"""Seconds for which a proof may wait for its turn; the start is given 5."""

_log = Logger()


def hashed(room: str) -> str:
    """The name of a room that has a secret, as the broker sees it; nothing in it comes from the secret."""
    return hashlib.sha256(b"p2phole secret room 1\0" + room.encode()).hexdigest()


class Trust:
    """One peer's.  ``room``: its name space, and its name there as the broker sees it.

    ``only``: the fingerprint and the name of the only one to meet.  ``mark``: of the code that was typed here: who
    has proved it to an earlier process is met again at once.  ``burned``: called when the one guess at a code was
    a wrong one.
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
        mark: str = "",
    ) -> None:
        self.room = room
        self._number = room[1] or None if room[0] == "code" else None
        self.people = people
        self.burned: Callable[[], None] = lambda: None
        self._clock = clock
        self._credentials = credentials
        self._secret = secret
        self._entropy = entropy
        self._only = only
        self._mark = mark
        self._guesses = Guesses(most=1, every=None) if self.by_code else Guesses()
        """Those of strangers."""
        self._of_known: dict[str, Guesses] = {}
        """Those of keys that are kept, or have proved the secret to this process."""
        self._proven: set[str] = set()
        self._partner: str | None = None
        """Who has proved the code: it is of no use to anybody else."""
        self._open: set[str] = set()
        """With whom a proof is under way."""
        self._outstanding: set[Identity] = set()
        """Whose tries count as failed, and may yet prove not to be."""
        self._busy_until = 0.0
        self._told = False
        partner = people.met_by(mark) if mark else None
        if partner is not None:
            self._proven.add(partner)
            self._partner = partner
            self.meet_again()

    @property
    def by_code(self) -> bool:
        """Whether two people meet here by a code."""
        return self.room[0] == "code"

    def invite(self, number: int) -> Code:
        """The broker has given this peer the number of a room; the code for whom to meet there."""
        code = make(number, self._entropy)
        self.room, self._secret, self._number = ("code", str(number)), code.secret, str(number)
        return code

    @property
    def number(self) -> str | None:
        """What the room is called for the user, where two people meet by a code."""
        return self._number

    def meet_again(self) -> bool:
        """Whether this peer has now moved to where it meets the one who has proved the code.

        A code's number is the broker's, for an hour and for two processes; the two keys find each other again
        after that, and after a restart of the broker or of the one who has typed the code, in a room of their
        own: named after the number and both keys, proven by the same secret.
        """
        if not self.by_code or self._partner is None:
            return False
        both = "\0".join(sorted((self._credentials.fingerprint, self._partner)))
        self.room = ("secret", hashed(f"met by code\0{self._number}\0{both}"))
        return True

    @property
    def meets_again(self) -> bool:
        """Whether this peer goes on where two have met by a code before."""
        return self._number is not None and self._partner is not None and not self.by_code

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
        if self.demands_proof and self._secret is None:
            return False  # the broker has given no number for a code
        if self._partner is not None:
            return self._partner == fingerprint
        return self._only is None or self._only[0] == fingerprint

    def claims_to_be_wanted(self, claimed: str) -> bool:
        """Whether somebody calls itself what the only one to meet is called."""
        return self._only is not None and looks(self._only[1]) == looks(claimed)

    def knows(self, theirs: Identity) -> bool:
        """Whether a proof by this one makes it more than a stranger who has a key; then this side begins it."""
        return self.demands_proof or self.people.is_known(theirs.fingerprint)

    def pause(self, theirs: Identity) -> float | None:
        """Seconds until the next proof with this one may begin; None: too many are waiting."""
        now = self._clock.seconds()
        if not self.demands_proof or not self._is_stranger(theirs):
            return 0.0
        if self._busy_until - now > MOST_WAIT:
            return None
        begin = max(self._busy_until, now)
        self._busy_until = begin + 1 / PROOFS_A_SECOND
        return begin - now

    def is_open(self, theirs: Identity) -> bool:
        """Whether a proof with this key is under way, which may be a guess: one at a time."""
        return theirs.fingerprint in self._open

    def open(self, theirs: Identity) -> None:
        """A proof with this key is under way."""
        self._open.add(theirs.fingerprint)

    def close(self, theirs: Identity) -> None:
        """It is over."""
        self._open.discard(theirs.fingerprint)

    def proof(self, pairing: Pairing, sealed: bytes, user: ProofUser) -> Proof:
        """Begin one; its first letter leaves at once."""
        agreement: Agreement = EphemeralAgreement(self._entropy)
        if self.demands_proof:
            if self._secret is None:
                raise ValueError("no secret to prove")
            agreement = SecretAgreement(self._secret, pairing, self.room, self._entropy)
        return Proof(Side(pairing, self.room, self._credentials.key, agreement, sealed, user))

    # -- guesses

    def _is_stranger(self, theirs: Identity) -> bool:
        fingerprint = theirs.fingerprint
        return fingerprint not in self._proven and not self.people.is_kept(fingerprint)

    def _allowance(self, theirs: Identity) -> Guesses:
        if self._is_stranger(theirs):
            return self._guesses
        return self._of_known.setdefault(theirs.fingerprint, Guesses())

    def may_guess(self, theirs: Identity) -> bool:
        """Whether this one has a try left."""
        return self._allowance(theirs).may(self._clock.seconds())

    @property
    def is_crowded(self) -> bool:
        """Whether there may be more tries left when the proofs that are under way are over."""
        return bool(self._outstanding)

    def take_guess(self, theirs: Identity) -> Guesses | None:
        """Let this one, who has shown that it is there, try the secret; to be given back when it has proved it.

        None: there is no try left.
        """
        guesses = self._allowance(theirs)
        if not guesses.take(self._clock.seconds()):
            return None
        self._told = False
        self._outstanding.add(theirs)
        return guesses

    def settled(self, theirs: Identity) -> None:
        """What came of that try is known."""
        self._outstanding.discard(theirs)

    def has_failed(self, theirs: Identity) -> None:
        """That one has another secret, or has not said."""
        if self.by_code:
            if self._partner is None:
                self.burned()
        elif self._is_stranger(theirs) and self._guesses.spent and not self._told:
            self._told = True
            _log.warn(
                "The secret was tried wrongly too often: strangers get one more try an hour from now on.  If "
                "that was nobody of yours, change the room's secret."
            )

    def has_proven(self, theirs: Identity) -> None:
        """That one has the secret."""
        if self.demands_proof:
            self._proven.add(theirs.fingerprint)
            if self.by_code and self._partner is None:
                self._partner = theirs.fingerprint

    def authenticated(self, theirs: Identity) -> str:
        """The word of the event for a connection to this one."""
        if self.demands_proof:
            return "secret"
        return "pinned" if self.people.is_known(theirs.fingerprint) else "tofu"

    def connected(self, theirs: Identity, claimed: str) -> None:
        """There is a connection to this one, who calls itself so: that is kept for the user."""
        how = "code" if self.number is not None else self.authenticated(theirs)
        try:
            self.people.met(theirs.fingerprint, claimed, how, self._mark)
        except LocalError as error:
            _log.warn("{error}", error=error)

    def parted(self, theirs: Identity) -> None:
        """One side has said goodbye, and the other one has heard it: by the code there is nobody to meet again."""
        if self._mark and theirs.fingerprint == self._partner:
            try:
                self.people.use_up(self._mark)
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
    secret, room, typed = None, ("open", settings.room), ""
    if settings.code is not None:
        secret, room = settings.code.secret, ("code", str(settings.code.number))
        typed = mark(settings.code, credentials.key)
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
    trust = Trust(clock, credentials, room, secret, people, entropy, only, typed)
    if trust.meets_again:
        _log.warn(
            "You have met somebody by this code before, and go on with the same one.  If they have ended, ask for "
            "a new code."
        )
    return trust
