"""TLS between two peers: only the key that was named will do.  On OpenSSL itself, without Twisted."""

from __future__ import annotations

import warnings
from datetime import UTC, datetime

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes
from cryptography.hazmat.primitives.serialization import Encoding
from OpenSSL import SSL
from OpenSSL.crypto import FILETYPE_ASN1, X509, load_certificate
from twisted.internet.interfaces import IOpenSSLClientConnectionCreator, IOpenSSLServerConnectionCreator
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from p2phole.secure import tls
from p2phole.secure.identity import Credentials, fingerprint
from p2phole.secure.tls import PinnedTLS
from tests.secure.parties import FOLLOWER, LEADER, STRANGER, certificate, sealed

LONG_AGO, SOON = datetime(2001, 1, 1, tzinfo=UTC), datetime(2002, 1, 1, tzinfo=UTC)


def client(pinned: PinnedTLS) -> SSL.Connection:
    connection = pinned.clientConnectionForTLS(None)  # type: ignore[arg-type]
    connection.set_connect_state()
    return connection


def server(pinned: PinnedTLS) -> SSL.Connection:
    connection = pinned.serverConnectionForTLS(None)  # type: ignore[arg-type]
    connection.set_accept_state()
    return connection


class Side:
    """One end of a handshake, and how it went."""

    def __init__(self, connection: SSL.Connection) -> None:
        self.connection = connection
        self.outcome = "under way"

    def turn(self, data: bytes) -> bytes:
        if data:
            self.connection.bio_write(data)
        if self.outcome == "under way":
            try:
                self.connection.do_handshake()
                self.outcome = "done"
            except SSL.WantReadError:
                pass
            except SSL.Error:
                self.outcome = "refused"
        try:
            return bytes(self.connection.bio_read(65_536))
        except SSL.WantReadError:
            return b""


def shake(one: SSL.Connection, two: SSL.Connection) -> tuple[str, str]:
    """How it goes on the client and on the server."""
    first, second = Side(one), Side(two)
    data = b""
    for _ in range(10):
        data = second.turn(first.turn(data))
    return first.outcome, second.outcome


def context_of(
    key: PrivateKeyTypes, shown: x509.Certificate | X509, most: int = SSL.TLS1_3_VERSION
) -> SSL.Context:
    """A side that is not of this program."""
    context = SSL.Context(SSL.TLS_METHOD)
    context.set_max_proto_version(most)
    context.use_certificate(shown)
    context.use_privatekey(key)
    context.set_verify(SSL.VERIFY_PEER, lambda *_: True)
    return context


def connecting(context: SSL.Context) -> SSL.Connection:
    connection = SSL.Connection(context, None)
    connection.set_connect_state()
    return connection


class PinnedTLSTests(SynchronousTestCase):
    def test_interfaces(self) -> None:
        pinned = PinnedTLS(LEADER, FOLLOWER.fingerprint)
        self.assertTrue(verifyObject(IOpenSSLClientConnectionCreator, pinned))
        self.assertTrue(verifyObject(IOpenSSLServerConnectionCreator, pinned))

    def pair(self, real_client: Credentials, real_server: Credentials) -> tuple[str, str]:
        """The client should be the leader and the server the follower."""
        return shake(
            client(PinnedTLS(real_client, FOLLOWER.fingerprint)),
            server(PinnedTLS(real_server, LEADER.fingerprint)),
        )

    def test_the_keys_that_were_named(self) -> None:
        self.assertEqual(self.pair(LEADER, FOLLOWER), ("done", "done"))

    def test_wrong_server(self) -> None:
        found, other = self.pair(LEADER, STRANGER)
        self.assertEqual((found, other), ("refused", "refused"))

    def test_wrong_client(self) -> None:
        # The client is through before the server has judged it: RFC 8446 2.
        self.assertEqual(self.pair(STRANGER, FOLLOWER)[1], "refused")

    def test_version_and_key_exchange(self) -> None:
        one, two = client(PinnedTLS(LEADER, FOLLOWER.fingerprint)), server(PinnedTLS(FOLLOWER, LEADER.fingerprint))
        shake(one, two)
        self.assertEqual({one.get_protocol_version_name(), two.get_protocol_version_name()}, {"TLSv1.3"})

    def test_tls_1_2_is_refused(self) -> None:
        key, shown = LEADER.key, LEADER.certificate
        for most, outcome in ((SSL.TLS1_2_VERSION, "refused"), (SSL.TLS1_3_VERSION, "done")):
            other = connecting(context_of(key, shown, most))
            self.assertEqual(shake(other, server(PinnedTLS(FOLLOWER, LEADER.fingerprint)))[1], outcome)
            accepting = SSL.Connection(context_of(key, shown, most), None)
            accepting.set_accept_state()
            self.assertEqual(shake(client(PinnedTLS(FOLLOWER, LEADER.fingerprint)), accepting)[0], outcome)

    def test_no_certificate(self) -> None:
        context = SSL.Context(SSL.TLS_METHOD)
        self.assertEqual(shake(connecting(context), server(PinnedTLS(FOLLOWER, LEADER.fingerprint)))[1], "refused")

    def test_dates_do_not_matter(self) -> None:
        for first, last in (
            (LONG_AGO, SOON),
            (datetime(2090, 1, 1, tzinfo=UTC), datetime(2091, 1, 1, tzinfo=UTC)),
        ):
            dated = Credentials(LEADER.key, certificate(LEADER.key, first, last))
            self.assertEqual(self.pair(dated, FOLLOWER), ("done", "done"))

    def test_a_certificate_of_that_key_made_by_somebody_else(self) -> None:
        # Whoever signed it: the key is the one that was named, and is proven.
        self.assertEqual(self.pair(Credentials(LEADER.key, sealed(LEADER.key, STRANGER.key)), FOLLOWER)[1], "done")

    def test_the_named_key_only_as_the_issuer(self) -> None:
        leaf = sealed(STRANGER.key, LEADER.key)
        context = context_of(STRANGER.key, leaf)
        context.add_extra_chain_cert(LEADER.certificate)
        self.assertEqual(shake(connecting(context), server(PinnedTLS(FOLLOWER, LEADER.fingerprint)))[1], "refused")

    def test_other_kinds_of_keys(self) -> None:
        key = ec.generate_private_key(ec.SECP256R1())
        name = x509.Name([])
        shown = (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(name)
            .public_key(key.public_key())
            .serial_number(1)
            .not_valid_before(LONG_AGO)
            .not_valid_after(SOON)
            .sign(key, hashes.SHA256())
        )
        context = context_of(key, shown)
        self.assertEqual(shake(connecting(context), server(PinnedTLS(FOLLOWER, LEADER.fingerprint)))[1], "refused")

    def test_a_certificate_that_only_openssl_understands(self) -> None:
        # Version 4 of X.509 does not exist, and Python's own parser says so with an exception.
        encoded = LEADER.certificate.public_bytes(Encoding.DER)
        version = bytes.fromhex("a003020102")
        self.assertIn(version, encoded)
        shown = load_certificate(FILETYPE_ASN1, encoded.replace(version, version[:-1] + b"\x03", 1))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # of X509, which alone carries such a thing
            context = context_of(LEADER.key, shown)
        self.assertEqual(shake(connecting(context), server(PinnedTLS(FOLLOWER, LEADER.fingerprint)))[1], "refused")

    def test_a_session_is_never_resumed(self) -> None:
        # A resumed handshake would show no certificate, in either direction.
        judged: list[str] = []

        def counted(certificate: x509.Certificate) -> str:
            judged.append(fingerprint(certificate))
            return judged[-1]

        self.patch(tls, "fingerprint", counted)
        connecting, accepting = PinnedTLS(LEADER, FOLLOWER.fingerprint), PinnedTLS(FOLLOWER, LEADER.fingerprint)
        session: SSL.Session | None = None
        kept = []  # OpenSSL takes a session for spoilt whose connection is freed without a goodbye
        for _ in range(3):
            judged.clear()
            one, two = client(connecting), server(accepting)
            kept.append((one, two))
            if session is not None:
                one.set_session(session)
            self.assertEqual(shake(one, two), ("done", "done"))
            self.assertEqual(set(judged), {LEADER.fingerprint, FOLLOWER.fingerprint})
            # What the server sends behind the handshake would be where a ticket is.
            two.send(b"hello")
            one.bio_write(two.bio_read(65_536))
            self.assertEqual(one.recv(100), b"hello")
            session = one.get_session()

    def test_rehearsed(self) -> None:
        tls.rehearse(LEADER)
        self.assertEqual(self.pair(LEADER, FOLLOWER), ("done", "done"))

    def test_one_context_serves_several_connections(self) -> None:
        one, two = PinnedTLS(LEADER, FOLLOWER.fingerprint), PinnedTLS(FOLLOWER, LEADER.fingerprint)
        for _ in range(3):
            self.assertEqual(shake(client(one), server(two)), ("done", "done"))
