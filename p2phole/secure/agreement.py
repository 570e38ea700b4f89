"""Two ways for two peers to agree on a key by one message each, through a broker that neither trusts.  Pure.

With a secret: SPAKE2 (RFC 9382), which gives nobody anything to guess at offline.  Without, between peers
who know each other's key: ephemeral X25519 (RFC 7748); the messages are signed, see :mod:`proof`.
"""

from __future__ import annotations

import contextlib
import secrets
from collections.abc import Callable
from typing import Any
from typing import Protocol as Interface

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from p2phole.errors import RemoteProtocolError
from p2phole.secure.roles import Identity, Pairing

SECRET = 1
EPHEMERAL = 2
SHARE_SIZES = {SECRET: 33, EPHEMERAL: 32}
"""Bytes of a share by its method."""


class BadShare(RemoteProtocolError):
    """What the other side sent is no share of a key."""


class Agreement(Interface):
    """One side of one agreement, used once."""

    @property
    def method(self) -> int:
        """:data:`SECRET` or :data:`EPHEMERAL`."""

    @property
    def share(self) -> bytes:
        """What the other side is to get; see :data:`SHARE_SIZES`."""

    def finish(self, theirs: bytes) -> bytes:
        """The key, if the other side has the same secret; nothing shows yet that it has.

        Raises :class:`BadShare`, also for our own share sent back to us.
        """


class SecretAgreement:
    """SPAKE2 over the Ed25519 group; ``entropy``: gives so many random bytes.

    The leader is A.  Both identities and the room go in as SPAKE2's own identities.
    """

    method = SECRET

    def __init__(
        self, secret: bytes, pairing: Pairing, room: tuple[str, str], entropy: Callable[[int], bytes]
    ) -> None:
        from spake2 import SPAKE2_A, SPAKE2_B  # 30 ms, and most peers have no secret: see rehearse()

        side = SPAKE2_A if pairing.leads else SPAKE2_B
        leader, follower = max(pairing.mine, pairing.theirs), min(pairing.mine, pairing.theirs)
        self._spake: Any = side(secret, _named(leader, room), _named(follower, room), entropy_f=entropy)
        self.share: bytes = self._spake.start()

    def finish(self, theirs: bytes) -> bytes:
        """See :class:`Agreement`."""
        # The library raises several things of its own, and Python's, for what is no element of the group.
        with contextlib.suppress(Exception):
            key: bytes = self._spake.finish(theirs)
            return key
        raise BadShare()


def rehearse() -> None:
    """Agree with nobody: the library's import takes 30 ms, in which a start would miss its instant."""
    mine, theirs = Identity("0" * 64, "0" * 32), Identity("1" * 64, "1" * 32)
    one, other = (
        SecretAgreement(b"rehearsal", pairing, ("secret", ""), secrets.token_bytes)
        for pairing in (Pairing(mine, theirs, bytes(16)), Pairing(theirs, mine, bytes(16)))
    )
    one.finish(other.share)


class EphemeralAgreement:
    """X25519 with a key made for this one agreement."""

    method = EPHEMERAL

    def __init__(self, entropy: Callable[[int], bytes]) -> None:
        self._key = X25519PrivateKey.from_private_bytes(entropy(32))
        self.share = self._key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)

    def finish(self, theirs: bytes) -> bytes:
        """See :class:`Agreement`."""
        if theirs == self.share:
            raise BadShare()
        try:
            return self._key.exchange(X25519PublicKey.from_public_bytes(theirs))
        except ValueError:  # a point of small order gives zeros
            raise BadShare() from None


def _named(identity: Identity, room: tuple[str, str]) -> bytes:
    # All fields but the last have a fixed length, or no zero byte in them.
    return "\0".join((identity.fingerprint, identity.instance, *room)).encode()
