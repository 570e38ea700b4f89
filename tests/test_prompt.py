"""What is small is sent at once, and in order."""

from __future__ import annotations

from typing import Any

from twisted.internet.error import ConnectionDone, ConnectionLost
from twisted.internet.interfaces import IHandshakeListener, ITCPTransport
from twisted.internet.protocol import ClientFactory, Factory, Protocol, connectionDone
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer

from p2phole.prompt import SMALL, WAITING, Prompt, PromptTLSFactory, write
from p2phole.secure.tls import PinnedTLS
from tests.secure.parties import FOLLOWER, LEADER
from tests.support.network import Network


class End(Protocol):
    transport: Any = None

    def __init__(self) -> None:
        self.got = b""
        self.reason: Exception | None = None

    def dataReceived(self, data: bytes) -> None:
        self.got += data

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self.reason = reason.value  # type: ignore[assignment]


class PromptTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.net = Network(Clock(), 0)
        near, far = (self.net.host(name, address=f"192.0.2.{number}") for number, name in enumerate("ab", 1))
        self.one, self.two = End(), End()
        listening = far.listenTCP(1, Factory.forProtocol(lambda: self.two))  # type: ignore[arg-type]
        self.addCleanup(listening.stopListening)
        factory = ClientFactory()
        factory.protocol = lambda: self.one  # type: ignore[assignment]
        near.connectTCP("192.0.2.2", 1, factory)
        self.net.run_until(lambda: self.one.connected and self.two.connected)

    def waiting(self) -> int:
        transport = self.one.transport
        return len(transport.dataBuffer) - transport.offset + transport._tempDataLen

    def test_in_the_same_turn(self) -> None:
        transport = self.one.transport
        transport.write(b"a")
        self.assertEqual(self.waiting(), 1)
        self.net.advance(1)
        write(transport, b"b" * SMALL)
        self.assertEqual(self.waiting(), 0)
        write(transport, b"c" * (SMALL + 1))
        self.assertEqual(self.waiting(), SMALL + 1)
        self.net.advance(1)
        self.assertEqual(self.two.got, b"a" + b"b" * SMALL + b"c" * (SMALL + 1))

    def test_behind_what_waits(self) -> None:
        """Also where the socket takes only a part of it, or nothing."""
        self.two.transport.pauseProducing()
        sent = b""
        for number in range(1000):
            piece = b"%d " % number * 500
            write(self.one.transport, piece)
            sent += piece
        self.assertGreater(self.waiting(), 0)
        self.net.advance(10)
        self.two.transport.resumeProducing()
        self.net.run_until(lambda: len(self.two.got) == len(sent))
        self.assertEqual(self.two.got, sent)

    def test_the_end(self) -> None:
        transport = self.one.transport
        transport.write(b"a" * 100_000)
        transport.loseConnection()
        write(transport, b"b")
        self.net.run_until(lambda: self.two.reason)
        self.assertIsInstance(self.one.reason, ConnectionDone)
        self.assertEqual(self.two.got[:100_000], b"a" * 100_000)
        write(transport, b"c")

    def test_a_socket_that_has_broken(self) -> None:
        """The protocol is told as ever, and nothing is raised."""
        self.one.transport.pauseProducing()
        self.two.transport.abortConnection()
        self.net.advance(1)
        self.assertIsNone(self.one.reason)
        write(self.one.transport, b"a")
        self.net.run_until(lambda: self.one.reason)
        self.assertIsInstance(self.one.reason, ConnectionLost)

    def test_any_other_transport(self) -> None:
        transport = StringTransport()
        write(transport, b"a")
        Prompt(transport).write(b"b")
        self.assertEqual(transport.value(), b"ab")

    def test_in_place_of_a_transport(self) -> None:
        prompt = Prompt(self.one.transport)
        prompt.write(b"a")
        self.assertEqual(self.waiting(), 0)
        self.assertTrue(ITCPTransport.providedBy(prompt))
        self.assertEqual(prompt.getPeer(), self.one.transport.getPeer())

    def test_how_much_waits(self) -> None:
        """A producer is paused as early as ever, whatever is read at a time."""
        prompt, producer = Prompt(self.one.transport), Producer()
        prompt.registerProducer(producer, True)
        prompt.write(b"a" * WAITING)
        self.assertFalse(producer.paused)
        prompt.write(b"b")
        self.assertTrue(producer.paused)
        self.net.run_until(lambda: not producer.paused)


class Producer:
    paused = False

    def pauseProducing(self) -> None:
        self.paused = True

    def resumeProducing(self) -> None:
        self.paused = False

    def stopProducing(self) -> None: ...


@implementer(IHandshakeListener)
class Wordy(End):
    """Writes before it can be encrypted, as soon as it can be, and later."""

    def connectionMade(self) -> None:
        self.transport.write(b"1" * 5)

    def handshakeCompleted(self) -> None:
        self.transport.write(b"2" * 100_000)
        self.transport.write(b"3")


class PromptTLSTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.net = Network(Clock(), 0.01)
        near, far = (self.net.host(name, address=f"192.0.2.{number}") for number, name in enumerate("ab", 1))
        self.one, self.two = Wordy(), End()
        factories = []
        for leads, end in ((True, self.one), (False, self.two)):
            mine, theirs = (LEADER, FOLLOWER) if leads else (FOLLOWER, LEADER)
            inner = Factory.forProtocol(lambda end=end: end)  # type: ignore[arg-type,misc]
            tls = PinnedTLS(mine, theirs.fingerprint)
            factories.append(PromptTLSFactory(tls, leads, inner, self.net.clock))
        listening = far.listenTCP(1, factories[1])
        self.addCleanup(listening.stopListening)
        near.connectTCP("192.0.2.2", 1, Dialled(factories[0]))
        self.net.run_until(lambda: len(self.two.got) >= 100_006)

    def test_in_order_from_the_start(self) -> None:
        self.assertEqual(self.two.got, b"1" * 5 + b"2" * 100_000 + b"3")

    def test_in_the_same_turn(self) -> None:
        tcp = self.one.transport.transport
        self.one.transport.write(b"4" * 64)
        self.assertFalse(tcp.dataBuffer or tcp._tempDataLen)
        for size in (16_384, 65_536, 131_072, 1_000_000):
            self.one.transport.write(b"5" * size)
        self.net.run_until(lambda: len(self.two.got) == 100_006 + 64 + 16_384 + 65_536 + 131_072 + 1_000_000)
        self.two.transport.write(b"6")
        self.net.run_until(lambda: self.one.got)
        self.assertEqual(self.one.got, b"6")

    def test_the_end(self) -> None:
        """What was written before it arrives, and what is written behind it is nothing."""
        self.one.transport.write(b"4" * 200_000)
        self.one.transport.loseConnection()
        self.one.transport.write(b"5")
        self.net.run_until(lambda: self.two.reason)
        self.assertEqual(self.two.got[100_006:], b"4" * 200_000)
        self.assertIsInstance(self.two.reason, ConnectionDone)
        self.net.run_until(lambda: self.one.reason)
        self.one.transport.write(b"6")


class Dialled(ClientFactory):
    def __init__(self, tls: Factory) -> None:
        self.tls = tls

    def buildProtocol(self, addr: Any) -> Any:
        return self.tls.buildProtocol(addr)
