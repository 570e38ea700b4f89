"""That a peer has the key whose fingerprint it registers, shown to the broker.  Pure.

The key also signs in TLS, so it signs here nothing but our own label and fields whose lengths are told:
never bytes of the broker's choosing as they are.  The broker's name as the peer dialled it is among them,
so that a broker can't use at another one what it was shown.
"""

from __future__ import annotations

import hashlib
import struct

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

_LABEL = b"p2phole registration 1\0"


def fingerprint_of(key: Ed25519PublicKey) -> str:
    """SHA-256 of the key's SubjectPublicKeyInfo in DER, 64 hexadecimal digits."""
    return hashlib.sha256(key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)).hexdigest()


def joined(*fields: bytes) -> bytes:
    """The fields, each behind its length (32 bits), so that no two lists of fields give the same bytes."""
    return b"".join(struct.pack("!I", len(field)) + field for field in fields)


def raw(key: Ed25519PublicKey) -> bytes:
    """The 32 bytes of a public key (RFC 8032 5.1.5)."""
    return key.public_bytes(Encoding.Raw, PublicFormat.Raw)


def verified(key: bytes, signature: bytes, message: bytes) -> str | None:
    """The fingerprint of the raw key that signed that message; None if it did not."""
    try:
        public = Ed25519PublicKey.from_public_bytes(key)
        public.verify(signature, message)
    except (InvalidSignature, ValueError):
        return None
    return fingerprint_of(public)


def _message(dialled: str, nonces: tuple[str, str], room: tuple[str, str], instance: str) -> bytes:
    texts = (dialled, *nonces, *room, instance)
    return _LABEL + joined(*(text.encode("utf-8", "surrogatepass") for text in texts))


def sign(
    key: Ed25519PrivateKey, dialled: str, nonces: tuple[str, str], room: tuple[str, str], instance: str
) -> str:
    """The signature for a registration, 128 hexadecimal digits.

    ``nonces``: the broker's and the peer's.  ``room``: its name space and its name there.
    """
    return key.sign(_message(dialled, nonces, room, instance)).hex()


def holder(
    key: str, signature: str, dialled: str, nonces: tuple[str, str], room: tuple[str, str], instance: str
) -> str | None:
    """The fingerprint of who signed that registration; None if nobody did.  All in hexadecimal digits."""
    message = _message(dialled, nonces, room, instance)
    return verified(bytes.fromhex(key), bytes.fromhex(signature), message)
