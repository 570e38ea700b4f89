"""Connecting back to a peer from where it has never been in contact."""

from __future__ import annotations

from ipaddress import ip_address
from typing import Any

from twisted.internet.protocol import Protocol, ServerFactory
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from p2phole.addresses import KINDS, Candidate, Endpoint
from p2phole.broker.dialback import SECONDS, dial_back
from p2phole.broker.proof import Proof
from p2phole.broker.service import BrokerService
from p2phole.broker.settings import BrokerSettings
from p2phole.punch.shared_port import SharedPort
from p2phole.wire.codec import encode
from p2phole.wire.messages import DialBack, Hello, Message
from tests.broker.test_session import register
from tests.support.network import Firewall, Host, Nat, Network, Record
from tests.support.recorder import Factory as Recording

HERE, SECOND, PEER = "198.51.100.1", "198.51.100.2", "203.0.113.1"


class DialBackTestCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.network = Network(Clock())
        self.broker = self.network.host("broker", [HERE, SECOND, "2001:db8::1", "2001:db8::2"])
        self.told: list[tuple[str, str]] = []

    def dial_back(self, peer: str, local: str = HERE, second: str = "") -> list[tuple[str, str]]:
        begin = len(self.told)
        dial_back(
            self.broker, Endpoint.parse(peer), ip_address(local), second, lambda *told: self.told.append(told)
        )
        self.network.advance(SECONDS + 0.01)
        return sorted(self.told[begin:])

    def syns(self) -> list[Record]:
        return [each for each in self.network.packets if each.sender == "broker" and each.flags == "SYN"]

    def check_nothing_is_left(self) -> None:
        self.network.advance(1)
        self.assertEqual(self.broker.getReaders() + self.broker.getWriters(), [])
        self.assertEqual(self.broker.getDelayedCalls(), [])


class OutcomeTests(DialBackTestCase):
    def peer(self, router: Firewall | None = None) -> Host:
        return self.network.host("peer", [PEER], behind=router)

    def test_accepted(self) -> None:
        """And closed at once with RST, without a byte."""
        incoming = Recording()
        self.peer().listenTCP(4000, incoming)
        self.assertEqual(self.dial_back(f"{PEER}:4000"), [("port", "accepted")])
        self.assertEqual(incoming.only.received, b"")
        self.assertIsNotNone(incoming.only.lost)
        self.assertIn("RST", [each.flags for each in self.network.packets if each.sender == "broker"][-1])
        self.check_nothing_is_left()

    def test_reset(self) -> None:
        self.peer()
        self.assertEqual(self.dial_back(f"{PEER}:4000"), [("port", "reset")])
        self.check_nothing_is_left()

    def test_icmp(self) -> None:
        self.peer(Firewall(stray="icmp"))
        self.assertEqual(self.dial_back(f"{PEER}:4000"), [("port", "icmp")])
        self.check_nothing_is_left()

    def test_silent(self) -> None:
        """With one SYN: it is over before the kernel repeats it."""
        self.peer(Firewall())
        self.assertEqual(self.dial_back(f"{PEER}:4000"), [("port", "silent")])
        self.check_nothing_is_left()
        self.assertEqual(len(self.syns()), 1)

    def test_our_own_fault_tells_nothing(self) -> None:
        """An address that is not this host's, as a proxy in front of the broker would name it."""
        self.peer()
        self.assertEqual(self.dial_back(f"{PEER}:4000", "198.51.100.77"), [])
        self.assertEqual(self.dial_back(f"{PEER}:4000", second="198.51.100.77"), [("port", "reset")])
        self.check_nothing_is_left()


class OriginTests(DialBackTestCase):
    def origins(self, peer: str, local: str, second: str) -> list[str]:
        before = len(self.network.packets)
        self.dial_back(peer, local, second)
        return sorted(each.source.host for each in list(self.network.packets)[before:] if each.flags == "SYN")

    def test_the_second_address(self) -> None:
        self.network.host("peer", [PEER])
        self.assertEqual(self.dial_back(f"{PEER}:4000", second=SECOND), [("address", "reset"), ("port", "reset")])
        self.assertEqual(sorted(each.source.host for each in self.syns()), [HERE, SECOND])
        # From ports that nobody listens on, a new one for each.
        ports = {each.source.port for each in self.syns()}
        self.assertEqual(len(ports), 2)
        self.assertFalse(ports & {9000, 9001})
        self.check_nothing_is_left()

    def test_a_second_address_that_is_none(self) -> None:
        self.network.host("peer", [PEER, "2001:db8:1::1"])
        self.assertEqual(self.origins(f"{PEER}:4000", HERE, ""), [HERE])
        self.assertEqual(self.origins(f"{PEER}:4000", HERE, HERE), [HERE])
        # Of the other family.
        self.assertEqual(self.origins(f"{PEER}:4000", HERE, "2001:db8::2"), [HERE])
        self.assertEqual(self.origins("[2001:db8:1::1]:4000", "2001:db8::1", SECOND), ["2001:db8::1"])
        self.assertEqual(
            self.origins("[2001:db8:1::1]:4000", "2001:db8::1", "2001:db8::2"), ["2001:db8::1", "2001:db8::2"]
        )

    def test_each_filter_lets_in_what_it_should(self) -> None:
        for filtering, outcomes in (
            ("endpoint-independent", {"port": "accepted", "address": "accepted"}),
            ("address-dependent", {"port": "accepted", "address": "silent"}),
            ("address-and-port-dependent", {"port": "silent", "address": "silent"}),
        ):
            self.setUp()
            router = Nat(PEER, filtering=filtering)  # type: ignore[arg-type]
            inside = self.network.host("inside", address="192.168.1.2", behind=router)
            self.broker.listenTCP(9000, Recording())
            port = SharedPort(inside, 4000, _accepting(), check_free=lambda port: None)
            port.dial(Endpoint.parse(f"{HERE}:9000"), Recording(), 1)
            self.network.advance(0.1)
            self.assertEqual(dict(self.dial_back(f"{PEER}:4000", second=SECOND)), outcomes, filtering)


def _accepting() -> ServerFactory:
    factory = ServerFactory.forProtocol(Protocol)
    factory.noisy = False
    return factory


class Speaker(Protocol):
    """Says these lines, and keeps what comes back."""

    transport: Any

    def __init__(self, *messages: Message) -> None:
        self.heard = b""
        self._messages = messages

    def connectionMade(self) -> None:
        for message in self._messages:
            self.transport.write(encode(message) + b"\n")

    def dataReceived(self, data: bytes) -> None:
        self.heard += data


class TargetTests(DialBackTestCase):
    """Through the whole broker: nobody but who asks is ever dialled."""

    def speak(self, host: Host, *messages: Message) -> Speaker:
        speaker = Speaker(*messages)
        factory = Recording()
        factory.buildProtocol = lambda addr: speaker  # type: ignore[method-assign, assignment, return-value]
        host.connectTCP(HERE, 9000, factory)
        self.network.advance(1)
        return speaker

    def start(self, **settings: Any) -> None:
        self.patch(Proof, "check", lambda self, message, nonce: None)
        service = BrokerService(self.broker, BrokerSettings(**settings), self.fail)
        service.privilegedStartService()
        service.startService()

    def test_only_the_endpoint_of_the_connection_and_once(self) -> None:
        self.start(probe_address=SECOND)
        victim = "192.0.2.66"
        self.network.host("victim", [victim])
        peer = self.network.host("peer", [PEER])
        # Whatever a peer says of itself, and however often it asks.
        claimed = tuple(Candidate(kind, Endpoint.parse(f"{victim}:80")) for kind in KINDS)
        speaker = self.speak(peer, Hello(2, "test"), register(1, candidates=claimed), *[DialBack()] * 50)
        self.assertEqual(speaker.heard.count(b'"dialledback"'), 2)
        own = speaker.transport.getHost()
        self.assertEqual(
            {(each.destination.host, each.destination.port) for each in self.syns()}, {(PEER, own.port)}
        )
        self.assertEqual(len(self.syns()), 2)

    def test_nobody_is_dialled_who_does_not_ask(self) -> None:
        self.start(probe_address=SECOND)
        self.speak(self.network.host("peer", [PEER]), Hello(2, "test"), register(1))
        self.assertEqual(self.syns(), [])

    def test_not_before_the_registration(self) -> None:
        self.start(probe_address=SECOND)
        speaker = self.speak(self.network.host("peer", [PEER]), Hello(2, "test"), DialBack())
        self.assertIn(b'"order"', speaker.heard)
        self.assertEqual(self.syns(), [])

    def test_a_peer_that_is_gone_meanwhile(self) -> None:
        self.start(probe_address=SECOND)
        router = Firewall()
        peer = self.network.host("peer", [PEER], behind=router)
        speaker = Speaker(Hello(2, "test"), register(1), DialBack())
        factory = Recording()
        factory.buildProtocol = lambda addr: speaker  # type: ignore[method-assign, assignment, return-value]
        peer.connectTCP(HERE, 9000, factory)
        self.network.advance(0.2)
        speaker.transport.abortConnection()
        self.network.advance(1)
        self.assertEqual(self.broker.getDelayedCalls(), [])
        self.assertEqual(len(self.broker.getReaders()), 2)
