"""The two letters that each side of a proof sends through the broker.  Pure.

A share: kind, method, share, the sender's raw public key, its signature.  A confirmation: kind, a MAC, and
what is sealed.  In base64, since the broker carries text.
"""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass

from p2phole.errors import RemoteProtocolError
from p2phole.secure.agreement import SHARE_SIZES

MAC_SIZE = 32
KEY_SIZE, SIGNATURE_SIZE = 32, 64
_SHARE, _CONFIRMATION = 1, 2


class BadLetter(RemoteProtocolError):
    """What came by way of the broker is no letter of a proof."""


@dataclass(frozen=True, slots=True)
class Share:
    """First: ``share`` by ``method`` of :mod:`~p2phole.secure.agreement`, signed by ``key``."""

    method: int
    share: bytes
    key: bytes
    signature: bytes


@dataclass(frozen=True, slots=True)
class Confirmation:
    """Second: that the sender has agreed on the same key, and what only the other side shall read."""

    mac: bytes
    sealed: bytes


Letter = Share | Confirmation


def encode(letter: Letter) -> str:
    """The letter's body."""
    if isinstance(letter, Share):
        content = bytes((_SHARE, letter.method)) + letter.share + letter.key + letter.signature
    else:
        content = bytes((_CONFIRMATION,)) + letter.mac + letter.sealed
    return base64.b64encode(content).decode()


def decode(body: str) -> Letter:
    """The letter with that body.  Raises :class:`BadLetter`."""
    try:
        content = base64.b64decode(body, validate=True)
    except (binascii.Error, ValueError):
        raise BadLetter() from None
    kind, rest = content[:1], content[1:]
    if kind == bytes((_SHARE,)):
        size = SHARE_SIZES.get(rest[0]) if rest else None
        if size is not None and len(rest) == 1 + size + KEY_SIZE + SIGNATURE_SIZE:
            key = rest[1 + size : 1 + size + KEY_SIZE]
            return Share(rest[0], rest[1 : 1 + size], key, rest[-SIGNATURE_SIZE:])
    elif kind == bytes((_CONFIRMATION,)) and len(rest) >= MAC_SIZE:
        return Confirmation(rest[:MAC_SIZE], rest[MAC_SIZE:])
    raise BadLetter()
