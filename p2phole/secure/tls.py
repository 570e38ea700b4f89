"""TLS 1.3 between two peers: both show a certificate, and only the key that was named will do."""

from __future__ import annotations

from OpenSSL import SSL
from OpenSSL.crypto import X509
from twisted.internet.interfaces import IOpenSSLClientConnectionCreator, IOpenSSLServerConnectionCreator
from twisted.protocols.tls import TLSMemoryBIOProtocol
from zope.interface import implementer

from p2phole.secure.identity import Credentials, fingerprint

PARTIAL_WRITE = 1
"""``SSL_MODE_ENABLE_PARTIAL_WRITE``, which pyOpenSSL sets and has no name for."""


@implementer(IOpenSSLClientConnectionCreator, IOpenSSLServerConnectionCreator)
class PinnedTLS:
    """Creates the TLS side of one connection, in either role, to the peer with ``expected``'s key."""

    def __init__(self, credentials: Credentials, expected: str) -> None:
        # A context of its own for each connection: pyOpenSSL forbids changing one that was used.
        context = SSL.Context(SSL.TLS_METHOD)
        context.set_min_proto_version(SSL.TLS1_3_VERSION)
        # Either of the two alone still lets a resumed handshake skip the certificate.
        context.set_options(SSL.OP_NO_TICKET)
        context.set_session_cache_mode(SSL.SESS_CACHE_OFF)
        # All of what is written is taken or nothing of it, so it takes one call however many records it makes.
        context.clear_mode(PARTIAL_WRITE)
        context.use_certificate(credentials.certificate)
        context.use_privatekey(credentials.key)

        def verify(_connection: SSL.Connection, shown: X509, _error: int, depth: int, _ok: int) -> bool:
            # OpenSSL asks more than once for one certificate, and for each of its complaints (self-signed,
            # dates): the key alone decides.
            try:
                return depth == 0 and fingerprint(shown.to_cryptography()) == expected
            except Exception:
                # Python's parser is stricter than OpenSSL's and raises what it likes; what it can't read
                # is not the key.
                return False

        context.set_verify(SSL.VERIFY_PEER | SSL.VERIFY_FAIL_IF_NO_PEER_CERT, verify)
        self._context = context

    def clientConnectionForTLS(self, tlsProtocol: TLSMemoryBIOProtocol) -> SSL.Connection:
        """See :class:`IOpenSSLClientConnectionCreator`."""
        return SSL.Connection(self._context, None)

    def serverConnectionForTLS(self, tlsProtocol: TLSMemoryBIOProtocol) -> SSL.Connection:
        """See :class:`IOpenSSLServerConnectionCreator`."""
        return SSL.Connection(self._context, None)


def rehearse(credentials: Credentials) -> None:
    """A handshake with oneself, in memory: the first one of a process takes OpenSSL and Python some
    milliseconds more than those after it, and that time is there while the broker is being reached."""
    tls = PinnedTLS(credentials, credentials.fingerprint)
    client, server = (SSL.Connection(tls._context, None) for _ in range(2))
    client.set_connect_state()
    server.set_accept_state()
    # Two flights each way; the last look is the server's at the client's second one.
    for this, other in ((client, server), (server, client), (client, server), (server, client)):
        try:
            this.do_handshake()
        except SSL.WantReadError:
            pass
        try:
            other.bio_write(this.bio_read(65_536))
        except SSL.WantReadError:
            pass
