"""Two parties and their keys, for the tests of what stands between them."""

from __future__ import annotations

from datetime import UTC, datetime

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.x509.oid import NameOID

from p2phole.secure.channel import Channel, Claim, SecureLink
from p2phole.secure.identity import Credentials
from p2phole.secure.roles import Identity, Pairing
from p2phole.secure.tls import PinnedTLS

TOKEN = b"t" * 16


def credentials() -> Credentials:
    return Credentials.of(Ed25519PrivateKey.generate())


LEADER, FOLLOWER = sorted((credentials(), credentials()), key=lambda one: one.fingerprint, reverse=True)
STRANGER = credentials()


def identity(of: Credentials, instance: str = "0" * 32) -> Identity:
    return Identity(of.fingerprint, instance)


LEADS = Pairing(identity(LEADER), identity(FOLLOWER), TOKEN)
FOLLOWS = Pairing(identity(FOLLOWER), identity(LEADER), TOKEN)


class Contest:
    """Hears of the channels of one attempt, and keeps it."""

    def __init__(self) -> None:
        self.channels: list[Channel] = []
        self.links: list[SecureLink] = []
        self.said: list[bytes] = []
        self.drops: list[str] = []

    def joined(self, channel: Channel) -> None:
        self.channels.append(channel)

    def secured(self, link: SecureLink) -> None:
        self.links.append(link)

    def spoke(self, link: SecureLink, data: bytes) -> None:
        self.said.append(data)

    def dropped(self, channel: Channel, reason: str) -> None:
        self.drops.append(reason)


def claim(pairing: Pairing, contest: Contest, own: Credentials | None = None) -> Claim:
    """The claim of one side; ``own``: the key that it really has."""
    used = own or (LEADER if pairing.leads else FOLLOWER)
    return Claim(pairing, contest, lambda: PinnedTLS(used, pairing.theirs.fingerprint))


def certificate(key: Ed25519PrivateKey, first: datetime, last: datetime) -> x509.Certificate:
    """A self-signed certificate with these dates."""
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "somebody")])
    return (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(7)
        .not_valid_before(first)
        .not_valid_after(last)
        .sign(key, None)
    )


def sealed(inner: Ed25519PrivateKey, issuer: Ed25519PrivateKey) -> x509.Certificate:
    """A certificate for one key that another one has signed."""
    return (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "leaf")]))
        .issuer_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "root")]))
        .public_key(inner.public_key())
        .serial_number(7)
        .not_valid_before(datetime(2020, 1, 1, tzinfo=UTC))
        .not_valid_after(datetime(2099, 1, 1, tzinfo=UTC))
        .sign(issuer, None)
    )
