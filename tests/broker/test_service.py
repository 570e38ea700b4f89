"""The broker as a service."""

from typing import Any

from twisted.application.service import IService
from twisted.internet.error import CannotListenError
from twisted.internet.interfaces import IListeningPort
from twisted.internet.protocol import ClientFactory, Factory, Protocol
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from p2phole.broker import service
from p2phole.broker.service import BrokerService, make_broker
from p2phole.broker.settings import BrokerSettings, LimitSettings
from p2phole.errors import EndpointUnusable, LocalError, PortTaken
from tests.support.host import Host
from tests.support.network import Network


class Telephone(Protocol):
    """Says hello and keeps what comes back."""

    before = b""

    def connectionMade(self) -> None:
        self.heard = b""
        self.lost = False
        self.transport.write(self.before + b'{"type":"hello","version":2,"software":"test"}\n')  # type: ignore[union-attr]

    def dataReceived(self, data: bytes) -> None:
        self.heard += data

    def connectionLost(self, reason: object = None) -> None:
        self.lost = True


class BrokerServiceTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.network = Network(Clock())
        self.host = self.network.host("broker", ["192.0.2.1", "2001:db8::1"])
        self.peer = self.network.host("peer", ["192.0.2.2", "2001:db8::2"])
        self.failures: list[LocalError] = []

    def start(self, reactor: Any = None, **settings: Any) -> BrokerService:
        service = BrokerService(reactor or self.host, BrokerSettings(**settings), self.failures.append)
        service.privilegedStartService()
        service.startService()
        return service

    def call(self, address: str, port: int, source: Host | None = None, before: bytes = b"") -> Telephone | None:
        made: list[Telephone] = []
        factory = ClientFactory.forProtocol(Telephone)
        factory.noisy = False
        build = factory.buildProtocol

        def make(addr: Any) -> Telephone:
            made.append(build(addr))
            made[-1].before = before
            return made[-1]

        factory.buildProtocol = make  # type: ignore[method-assign]
        (source or self.peer).connectTCP(address, port, factory, timeout=1)
        self.network.advance(1.5)
        return made[0] if made else None

    def answers(self, address: str, port: int) -> bool:
        phone = self.call(address, port)
        return phone is not None and b'"welcome"' in phone.heard

    def test_is_a_service(self) -> None:
        self.assertTrue(verifyObject(IService, make_broker(self.host, BrokerSettings(), self.failures.append)))

    def test_both_ports_and_both_families(self) -> None:
        self.start()
        for address in ("192.0.2.1", "2001:db8::1"):
            self.assertTrue(self.answers(address, 9000))
            self.assertTrue(self.answers(address, 9001))
        phone = self.call("192.0.2.1", 9001)
        assert phone is not None
        self.assertIn(b'"observed":"192.0.2.2:', phone.heard)
        self.assertIn(b'"probe_port":9001,"probe_address":""', phone.heard)

    def test_no_probe_port(self) -> None:
        self.start(port=700, probe_port=0, probe_address="192.0.2.9")
        phone = self.call("192.0.2.1", 700)
        assert phone is not None
        self.assertIn(b'"probe_port":0,"probe_address":"192.0.2.9"', phone.heard)
        self.assertIsNone(self.call("192.0.2.1", 701))

    def test_without_ipv6(self) -> None:
        class WithoutIPv6:
            def __init__(self, host: Host) -> None:
                self.host = host

            def listenTCP(self, port: int, factory: Factory, backlog: int, interface: str) -> IListeningPort:
                if ":" in interface:
                    raise CannotListenError(interface, port, OSError(97, "Address family not supported"))
                return self.host.listenTCP(port, factory, backlog, interface)

            def seconds(self) -> float:
                return self.host.seconds()

            def callLater(self, *arguments: Any) -> Any:
                return self.host.callLater(*arguments)

        self.start(WithoutIPv6(self.host))
        self.assertTrue(self.answers("192.0.2.1", 9000))

    def test_as_many_connections_as_the_system_bears(self) -> None:
        self.patch(service, "spare_descriptors", lambda most: min(most, 2))
        self.start()
        calls = [self.call("192.0.2.1", 9000) for _ in range(3)]
        limited = [phone is not None and b'"limit"' in phone.heard for phone in calls]
        self.assertEqual(limited, [False, False, True])
        self.start(port=700, probe_port=0, limits=LimitSettings(max_connections=1))
        calls = [self.call("192.0.2.1", 700) for _ in range(2)]
        self.assertEqual([phone is not None and b'"limit"' in phone.heard for phone in calls], [False, True])

    def test_behind_a_proxy(self) -> None:
        self.start(listen=("haproxy:tcp:444",), probe_port=0, limits=LimitSettings(max_per_address=1))
        header = b"PROXY TCP4 203.0.113.%d 192.0.2.1 5 444\r\n"
        calls = [self.call("192.0.2.1", 444, before=header % number) for number in (1, 2, 1)]
        for phone, word in zip(calls, (b'"203.0.113.1:5"', b'"203.0.113.2:5"', b'"limit"'), strict=True):
            assert phone is not None
            self.assertIn(word, phone.heard)

    def test_port_taken(self) -> None:
        for taken in (9000, 9001):
            other = self.host.listenTCP(taken, Factory())
            error = self.assertRaises(PortTaken, self.start)
            self.assertIn(f"Port {taken} cannot be listened on", str(error))
            other.stopListening()
            self.setUp()
        self.assertEqual(self.failures, [])

    def test_endpoints(self) -> None:
        self.start(listen=("tcp:443", "tcp:444:interface=192.0.2.1"), probe_port=0)
        self.assertTrue(self.answers("192.0.2.1", 443))
        self.assertTrue(self.answers("192.0.2.1", 444))
        self.assertIsNone(self.call("192.0.2.1", 9000))

    def test_endpoint_that_is_none(self) -> None:
        for text in ("nonsense:1", "tcp:x", "tcp", "ssl:443:privateKey=/nowhere"):
            error = self.assertRaises(EndpointUnusable, self.start, listen=(text,), probe_port=0)
            self.assertTrue(str(error).startswith(f"Cannot listen on {text}: "))

    def test_endpoint_taken(self) -> None:
        self.host.listenTCP(443, Factory())
        error = self.assertRaises(EndpointUnusable, self.start, listen=("tcp:443",), probe_port=0)
        self.assertIn("in use", str(error))
        self.assertEqual(self.failures, [])

    def test_endpoint_that_fails_later(self) -> None:
        from twisted.internet.defer import Deferred

        from p2phole.broker import service

        listening: Deferred[IListeningPort] = Deferred()

        class Slow:
            def listen(self, factory: Factory) -> Deferred[IListeningPort]:
                return listening

        self.patch(service.endpoints, "serverFromString", lambda reactor, text: Slow())
        self.start(listen=("slow:1",), probe_port=0)
        listening.errback(CannotListenError("", 1, OSError(98, "Address already in use")))
        [error] = self.failures
        self.assertIsInstance(error, EndpointUnusable)
        self.assertIn("already in use", str(error))

    def test_stop(self) -> None:
        service = self.start()
        self.assertTrue(self.answers("192.0.2.1", 9000))
        stopped = service.stopService()
        self.network.advance(0.1)
        self.assertIsNone(self.successResultOf(stopped))
        self.assertFalse(self.answers("192.0.2.1", 9000))
        self.assertFalse(self.answers("192.0.2.1", 9001))
        self.start()
        self.assertTrue(self.answers("192.0.2.1", 9000))
