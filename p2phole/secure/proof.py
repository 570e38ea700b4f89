"""The proof that two peers have one secret, or know each other's key, by letters through the broker, as a
machine: *offered* (our share has left), *shown* (our confirmation has left too), *proven*, *refuted*.

Each side sends a share (see :mod:`agreement`), signed by its own key, so that nobody is taken for another
one; then a MAC under the key that was agreed on, with a label for each role, and sealed behind it what the
broker shall not see.  What is agreed on is bound to both fingerprints, both instances, the room and the
token of the introduction.  When the MAC is right, TLS with exactly these two keys is the proof on the
direct connection.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol as Interface

from automat import NoTransition, TypeMachineBuilder
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from p2phole.secure.agreement import SECRET, Agreement, BadShare
from p2phole.secure.letters import BadLetter, Confirmation, Letter, Share, decode
from p2phole.secure.possession import joined, raw, verified
from p2phole.secure.roles import Pairing

_LABEL = b"p2phole proof 1"
PIECE = 256
"""What is sealed is padded to a multiple of so many bytes: its length shall not tell how much it is."""


class Course(Interface):
    """What can happen in one proof, once it is judged."""

    def agreed(self) -> None:
        """The other side's share is signed by whom it should be, and there is a key."""

    def proven(self, sealed: bytes) -> None:
        """Its confirmation is right."""

    def refuted(self, why: str) -> None:
        """Its letter is wrong."""


class ProofUser(Interface):
    """Whom a proof tells."""

    def may_show(self) -> bool:
        """The share is signed by whom it should be: shall a confirmation leave?

        Who gets it can try one guess at the secret on it, so it is to be counted.
        """

    def send(self, letter: Letter) -> None:
        """Have this brought to the other side."""

    def proven(self, sealed: bytes) -> None:
        """The other side has the secret, or the key; this is what it had sealed."""

    def refuted(self, why: str) -> None:
        """It has not: ``unproven`` (not signed by the key that was named, or none of our letters),
        ``secret`` (it has another one), or ``locked`` (:meth:`may_show` said no)."""


@dataclass
class Side:
    """One side's data; ``sealed``: what only the other side shall read."""

    pairing: Pairing
    room: tuple[str, str]
    key: Ed25519PrivateKey
    agreement: Agreement
    sealed: bytes
    user: ProofUser
    keys: dict[str, bytes] = field(default_factory=dict)

    def signed(self, leads: bool, method: int, share: bytes) -> bytes:
        """What the leader, or the follower, signs with its share."""
        role = b"leader" if leads else b"follower"
        return joined(_LABEL, b"share", role, bytes((method,)), share, *self._context())

    def _context(self) -> tuple[bytes, ...]:
        pair = sorted((self.pairing.mine, self.pairing.theirs), reverse=True)
        names = [text.encode() for each in pair for text in (each.fingerprint, each.instance)]
        return (*names, *(text.encode() for text in self.room), self.pairing.token)

    def own_share(self) -> Share:
        """The first letter."""
        method, share = self.agreement.method, self.agreement.share
        signature = self.key.sign(self.signed(self.pairing.leads, method, share))
        return Share(method, share, raw(self.key.public_key()), signature)

    def agree(self, theirs: Share) -> bool:
        """Finish the agreement; False for what no honest side sends."""
        if theirs.method != self.agreement.method:
            return False
        try:
            agreed = self.agreement.finish(theirs.share)
        except BadShare:
            return False
        shares = [self.agreement.share, theirs.share]
        if not self.pairing.leads:
            shares.reverse()
        salt = hashlib.sha256(joined(_LABEL, *self._context(), *shares)).digest()
        for purpose in ("leader mac", "follower mac", "leader seal", "follower seal"):
            kdf = HKDF(SHA256(), 32, salt, _LABEL + b" " + purpose.encode())
            self.keys[purpose] = kdf.derive(agreed)
        return True

    def _mac(self, role: str) -> bytes:
        return hmac.digest(self.keys[f"{role} mac"], joined(_LABEL, b"confirm", role.encode()), hashlib.sha256)

    def confirm(self) -> Confirmation:
        """The second letter."""
        role = "leader" if self.pairing.leads else "follower"
        mac, padding = self._mac(role), -len(self.sealed) % PIECE
        # A key of its own for each direction and attempt, and one message under it: the nonce may be zero.
        box = ChaCha20Poly1305(self.keys[f"{role} seal"])
        return Confirmation(mac, box.encrypt(bytes(12), self.sealed + b"\n" * padding, mac))

    def unsealed(self, theirs: Confirmation) -> bytes | None:
        """What the other side sealed; None if it has not agreed on the same key."""
        role = "follower" if self.pairing.leads else "leader"
        if not hmac.compare_digest(self._mac(role), theirs.mac):
            return None
        try:
            return ChaCha20Poly1305(self.keys[f"{role} seal"]).decrypt(bytes(12), theirs.sealed, theirs.mac)
        except InvalidTag:
            return None


def _build() -> Callable[[Side], Course]:
    builder = TypeMachineBuilder(Course, Side)
    offered = builder.state("offered")
    shown = builder.state("shown")
    proven = builder.state("proven")
    refuted = builder.state("refuted")

    @offered.upon(Course.agreed).to(shown)
    def show(course: Course, side: Side) -> None:
        side.user.send(side.confirm())

    @shown.upon(Course.proven).to(proven)
    def prove(course: Course, side: Side, sealed: bytes) -> None:
        side.user.proven(sealed)

    @offered.upon(Course.refuted).to(refuted)
    @shown.upon(Course.refuted).to(refuted)
    def refute(course: Course, side: Side, why: str) -> None:
        side.user.refuted(why)

    for over in (proven, refuted):
        over.upon(Course.refuted).loop().returns(None)
        over.upon(Course.agreed).loop().returns(None)
        over.upon(Course.proven).loop().returns(None)
    return builder.build()


_machine = _build()


class Proof:
    """One side of one proof; the first letter leaves at once."""

    def __init__(self, side: Side) -> None:
        self._side = side
        self._course = _machine(side)
        side.user.send(side.own_share())

    def receive(self, body: str) -> None:
        """A letter's body has come by way of the broker; it may be anything."""
        try:
            letter = decode(body)
            if isinstance(letter, Share):
                self._share(letter)
            elif not self._side.keys:
                raise BadLetter()  # out of order
            elif (sealed := self._side.unsealed(letter)) is not None:
                self._course.proven(sealed)
            else:
                self._course.refuted("secret" if self._side.agreement.method == SECRET else "unproven")
        except (BadLetter, NoTransition):
            self._course.refuted("unproven")

    def _share(self, letter: Share) -> None:
        side = self._side
        if side.keys:
            raise BadLetter()  # a second one
        message = side.signed(not side.pairing.leads, letter.method, letter.share)
        if verified(letter.key, letter.signature, message) != side.pairing.theirs.fingerprint:
            raise BadLetter()
        if not side.user.may_show():
            self._course.refuted("locked")
        elif side.agree(letter):
            self._course.agreed()
        else:
            raise BadLetter()
