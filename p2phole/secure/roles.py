"""Who is who in a pair, and what follows from it.  Pure.

Both sides of a simultaneous open see ``connect()`` succeed, so nothing may depend on who
connected: the leader is the greater of the two identities.
"""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass

_LABEL = b"p2phole preface 1\0"


@dataclass(frozen=True, slots=True, order=True)
class Identity:
    """A running peer: its key's fingerprint (64 hexadecimal digits) and its instance (32).

    Two peers of one user have one fingerprint and two instances.
    """

    fingerprint: str
    instance: str


@dataclass(frozen=True, slots=True)
class Pairing:
    """One attempt of one pair: both identities and the token of the introduction (16 bytes)."""

    mine: Identity
    theirs: Identity
    token: bytes

    @property
    def leads(self) -> bool:
        """Whether this side is TLS client and picks the winner."""
        return self.mine > self.theirs

    @property
    def my_tag(self) -> bytes:
        """What this side's preface says (32 bytes)."""
        return self._tag(self.mine)

    @property
    def their_tag(self) -> bytes:
        """What the other side's preface must say (32 bytes)."""
        return self._tag(self.theirs)

    def _tag(self, sender: Identity) -> bytes:
        # One tag for each direction: what one side sent is no use when sent back to it, and a
        # connection to oneself shows at once.
        name = bytes.fromhex(sender.fingerprint) + bytes.fromhex(sender.instance)
        return hmac.digest(self.token, _LABEL + name, hashlib.sha256)
