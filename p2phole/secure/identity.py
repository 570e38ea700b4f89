"""This peer's key: one file, made at first use; its fingerprint; a certificate that carries it."""

from __future__ import annotations

import hashlib
import os
import tempfile
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import NameOID

from p2phole.errors import LocalError


class KeyUnreadable(LocalError):
    """The key file {path} cannot be used ({why}): check its owner and mode, or name another with --key-file."""


class NotAKey(LocalError):
    """The key file {path} does not hold an Ed25519 private key in PEM: name another with --key-file, or
    move it away and a new one is made."""


@dataclass(frozen=True, slots=True)
class Credentials:
    """A private key and the self-signed certificate that shows it to others."""

    key: Ed25519PrivateKey
    certificate: x509.Certificate

    @classmethod
    def of(cls, key: Ed25519PrivateKey) -> Credentials:
        """A certificate made anew; nothing in it but the key counts, its dates neither."""
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "p2phole")])
        certificate = (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(name)
            .public_key(key.public_key())
            .serial_number(1)
            .not_valid_before(datetime(1970, 1, 1, tzinfo=UTC))
            .not_valid_after(datetime(9999, 12, 31, tzinfo=UTC))
            .sign(key, None)
        )
        return cls(key, certificate)

    @property
    def fingerprint(self) -> str:
        """The key's fingerprint: see :func:`fingerprint`."""
        return fingerprint(self.certificate)


def fingerprint(certificate: x509.Certificate) -> str:
    """SHA-256 of the certificate's SubjectPublicKeyInfo in DER, 64 hexadecimal digits."""
    spki = certificate.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return hashlib.sha256(spki).hexdigest()


def load_or_make(path: Path) -> Credentials:
    """The key in that file, made (mode 0600) if there is none; peers that start together get one key.

    Raises :class:`KeyUnreadable` or :class:`NotAKey`.
    """
    try:
        try:
            content = path.read_bytes()
        except FileNotFoundError:
            _make(path)
            content = path.read_bytes()
    except OSError as error:
        raise KeyUnreadable(path=path, why=error.strerror or error) from None
    try:
        key = load_pem_private_key(content, password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise NotAKey(path=path) from None
    if not isinstance(key, Ed25519PrivateKey):
        raise NotAKey(path=path)
    return Credentials.of(key)


def _make(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    content = Ed25519PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    # A hard link appears whole or not at all and, unlike a rename, never replaces the key of a peer that was
    # quicker.
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            os.fchmod(file.fileno(), 0o600)  # whatever the umask has left of it
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        try:
            os.link(temporary, path)
        except FileExistsError:
            pass
    finally:
        os.unlink(temporary)
