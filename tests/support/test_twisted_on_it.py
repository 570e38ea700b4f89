"""Twisted's endpoints, services, protocols and TLS on the memory network."""

from __future__ import annotations

import datetime
import itertools
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from twisted.application.internet import ClientService
from twisted.internet import error, ssl
from twisted.internet.address import IPv4Address
from twisted.internet.endpoints import HostnameEndpoint, TCP4ServerEndpoint, TCP6ClientEndpoint
from twisted.internet.protocol import Factory as ProtocolFactory
from twisted.internet.task import Clock
from twisted.internet.tcp import makeBinding
from twisted.protocols.basic import LineReceiver
from twisted.protocols.tls import TLSMemoryBIOFactory
from twisted.trial.unittest import SynchronousTestCase

from tests.support.network import Nat, Network
from tests.support.recorder import Factory


class TwistedCase(SynchronousTestCase):
    """Alice behind a NAT, and a broker with a name."""

    options: dict[str, Any] = {}

    def setUp(self) -> None:
        self.network = Network(Clock(), **self.options)
        self.alice = self.network.host("alice", behind=Nat("203.0.113.1"), address="192.168.1.2")
        self.broker = self.network.host("broker", ["198.51.100.10", "2001:db8::10"])
        self.network.name("broker.example", "2001:db8::10", "198.51.100.10")


class Echo(LineReceiver):
    """Sends each line back, and ends at an empty one."""

    def lineReceived(self, line: bytes) -> None:
        if line:
            self.sendLine(line)
        else:
            self.transport.loseConnection()


class ChoppedTests(TwistedCase):
    """Reads in random pieces."""

    options = {"chop": True, "seed": 7}

    def test_line_receiver(self) -> None:
        """Lines are whole again, whatever the pieces."""
        TCP4ServerEndpoint(self.broker, 7).listen(ProtocolFactory.forProtocol(Echo))
        factory = Factory()
        self.alice.connectTCP("198.51.100.10", 7, factory)
        self.network.advance(1)
        text = b"".join(b"line %d\r\n" % number * (number % 5) for number in range(500))
        factory.only.transport.write(text + b"\r\n")
        self.network.run_until(lambda: factory.only.lost, 10)
        self.assertEqual(factory.only.received, text)
        sizes = {len(piece) for piece in factory.only.pieces}
        self.assertLess(min(sizes), 10)
        self.assertGreater(len(sizes), 5)


class EndpointTests(TwistedCase):
    """Twisted's endpoints and ClientService."""

    def test_hostname(self) -> None:
        """The address that answers first is taken: IPv6 where there is no IPv4 listener, and the reverse."""
        for interface in ("::", "0.0.0.0"):
            accepted = Factory()
            port = self.broker.listenTCP(9000, accepted, interface=interface)
            connected = HostnameEndpoint(self.alice, "broker.example", 9000).connect(Factory())
            self.assertNoResult(connected)
            self.network.advance(2)
            transport: Any = self.successResultOf(connected).transport
            self.assertEqual(transport.getPeer(), IPv4Address("TCP", "198.51.100.10", 9000))
            port.stopListening()
            self.network.advance(0)
        ipv6 = self.network.host("carol", address="2001:db8::6")
        self.broker.listenTCP(9000, Factory(), interface="::")
        connected = TCP6ClientEndpoint(ipv6, "2001:db8::10", 9000).connect(Factory())
        self.network.advance(1)
        self.successResultOf(connected)

    def test_unknown_name(self) -> None:
        """Fails as Twisted's resolver has it."""
        failed = HostnameEndpoint(self.alice, "nowhere.example", 9000).connect(Factory())
        self.network.advance(0)
        self.failureResultOf(failed, error.DNSLookupError)

    def test_client_service(self) -> None:
        """It connects again by its own policy when the broker comes back."""
        clients = Factory()
        service = ClientService(
            HostnameEndpoint(self.alice, "broker.example", 9000),
            clients,
            retryPolicy=lambda attempt: 3.0,
            clock=self.alice,
        )
        service.startService()
        self.network.advance(10)
        self.assertEqual(clients.made, [])
        for count in (1, 2):
            accepted = Factory()
            self.broker.listenTCP(9000, accepted)
            self.network.run_until(lambda n=count: len(clients.made) == n, 5)
            self.network.advance(1)
            self.broker.crash()
            self.network.run_until(lambda n=count: clients.made[n - 1].lost, 1)
        stopped = service.stopService()
        self.network.advance(10)
        self.successResultOf(stopped)
        self.assertEqual(self.alice.getDelayedCalls(), [])


def make_certificate() -> ssl.PrivateCertificate:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "test")])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(datetime.datetime(2020, 1, 1))
        .not_valid_after(datetime.datetime(2100, 1, 1))
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return ssl.PrivateCertificate.loadPEM(certificate.public_bytes(serialization.Encoding.PEM) + private)


class TlsTests(TwistedCase):
    """TLS from memory BIOs, on real handshakes."""

    options = {"chop": True, "mss": 1460}

    def test_tls(self) -> None:
        """A megabyte crosses; the text never shows on the wire; the end is clean."""
        client, server = Factory(), Factory()
        inbound, outbound = make_certificate().options(), ssl.CertificateOptions()
        self.broker.listenTCP(443, TLSMemoryBIOFactory(inbound, False, server, clock=self.broker))
        wrapped = TLSMemoryBIOFactory(outbound, True, client, clock=self.alice)
        self.alice.connectTCP("198.51.100.10", 443, wrapped)
        self.network.advance(1)
        data = b"plain text " * 100_000
        client.only.transport.write(data)
        self.network.run_until(lambda: len(server.only.received) == len(data), 60)
        self.assertEqual(server.only.received, data)
        self.assertNotIn(b"plain text", self.network.payload_seen_at("broker"))
        client.only.transport.loseConnection()
        self.network.run_until(lambda: client.only.lost and server.only.lost, 10)
        self.assertIsInstance(server.only.lost.value, error.ConnectionDone)

    def test_ten_peers(self) -> None:
        """Each pair meets in a simultaneous open through two NATs from one port each, and shakes hands."""
        inbound, outbound = make_certificate().options(), ssl.CertificateOptions()
        ports = makeBinding("", 4000, reuseAddress=True, reusePort=True)
        peers = [
            self.network.host(f"peer{number}", behind=Nat(f"203.0.114.{number}"), address="192.168.1.2")
            for number in range(10)
        ]
        factory = Factory()
        for first, second in itertools.combinations(range(10), 2):
            for here, there, is_client in ((first, second, True), (second, first, False)):
                options = outbound if is_client else inbound
                wrapped = TLSMemoryBIOFactory(options, is_client, factory, clock=peers[here])
                peers[here].connectTCP(f"203.0.114.{there}", 4000, wrapped, bindAddress=ports)
        self.network.advance(0.1)
        self.assertEqual(len(factory.made), 90)
        for protocol in factory.made:
            protocol.transport.write(b"hello")
        self.network.advance(1)
        self.assertEqual({each.received for each in factory.made}, {b"hello"})
