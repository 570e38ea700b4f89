"""Protocols, wrappers and services of Twisted's own over the endpoints, unchanged."""

from __future__ import annotations

from typing import Any

from twisted.application.internet import ClientService, StreamServerEndpointService
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import connectProtocol
from twisted.internet.error import ConnectionDone, ConnectionRefusedError
from twisted.internet.protocol import Factory, Protocol
from twisted.protocols import amp
from twisted.protocols.basic import Int32StringReceiver, LineReceiver
from twisted.protocols.policies import LimitTotalConnectionsFactory, TimeoutMixin
from twisted.protocols.tls import TLSMemoryBIOFactory
from twisted.spread import pb
from twisted.trial.unittest import SynchronousTestCase

from p2phole.secure.tls import PinnedTLS
from p2phole.testing import MemoryPair
from tests.endpoints import programs
from tests.secure.parties import credentials


class Add(amp.Command):
    arguments = [(b"one", amp.Integer()), (b"two", amp.Integer())]
    response = [(b"sum", amp.Integer())]


class Adds(amp.AMP):
    @Add.responder
    def add(self, one: int, two: int) -> dict[str, int]:
        return {"sum": one + two}


class Root(pb.Root):
    def remote_echo(self, what: object) -> object:
        return what


class Slow(LineReceiver):
    """Answers each line a second later, and takes no other before it has."""

    clock: Any = None

    def lineReceived(self, line: bytes) -> None:
        self.pauseProducing()
        self.clock.callLater(1, self.answer, line)

    def answer(self, line: bytes) -> None:
        self.sendLine(line.upper())
        self.resumeProducing()


class Keeper(Protocol):
    def __init__(self) -> None:
        self.got = b""
        self.reason: Any = None

    def dataReceived(self, data: bytes) -> None:
        self.got += data

    def connectionLost(self, reason: Any) -> None:  # type: ignore[override]
        self.reason = reason


class Echo(Protocol):
    transport: Any

    def dataReceived(self, data: bytes) -> None:
        self.transport.write(data)


class Impatient(Protocol, TimeoutMixin):
    transport: Any

    def connectionMade(self) -> None:
        self.setTimeout(5)


def factory(protocol: Any) -> Factory[Any]:
    found: Factory[Any] = Factory.forProtocol(protocol)
    found.noisy = False
    return found


class TwistedTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.pair = MemoryPair()
        self.clock = self.pair.clock
        self.client, self.server = self.pair.alice.client(), self.pair.bob.server()

    def connect(self) -> Any:
        return self.result(self.client.connect(factory(Keeper)))

    def result(self, deferred: Deferred[Any]) -> Any:
        self.pair.flush()
        return self.successResultOf(deferred)

    def run_for(self, seconds: float) -> None:
        for _ in range(int(seconds * 10)):
            self.clock.advance(0.1)
            self.pair.pump()

    def test_amp(self) -> None:
        self.server.listen(factory(Adds))
        client = self.result(connectProtocol(self.client, amp.AMP()))
        for one in range(3):
            self.assertEqual(self.result(client.callRemote(Add, one=one, two=2)), {"sum": one + 2})
        client.transport.loseConnection()
        self.pair.flush()
        self.assertEqual(self.pair.alice.board.users, 0)

    def test_perspective_broker(self) -> None:
        self.server.listen(pb.PBServerFactory(Root()))
        connecting = pb.PBClientFactory()
        self.result(self.client.connect(connecting))
        root = self.result(connecting.getRootObject())
        self.assertEqual(self.result(root.callRemote("echo", ["x" * 100_000, 7])), ["x" * 100_000, 7])
        root.broker.transport.loseConnection()
        self.pair.flush()

    def test_tls_over_it(self) -> None:
        """A connection that is private already takes it as any other."""
        mine, theirs = credentials(), credentials()
        there, here = PinnedTLS(theirs, mine.fingerprint), PinnedTLS(mine, theirs.fingerprint)
        self.server.listen(TLSMemoryBIOFactory(there, False, factory(Echo), self.clock))
        connecting = self.client.connect(TLSMemoryBIOFactory(here, True, factory(Keeper), self.clock))
        client = self.result(connecting).wrappedProtocol
        client.transport.write(bytes(1_000_000))
        self.pair.flush()
        self.assertEqual(len(client.got), 1_000_000)
        client.transport.loseConnection()
        self.pair.flush()
        client.reason.trap(ConnectionDone)

    def test_lines_that_wait(self) -> None:
        """LineReceiver.pauseProducing, and lines that come while it is in force: each once, in order."""
        self.patch(Slow, "clock", self.clock)
        self.server.listen(factory(Slow))
        client = self.connect()
        client.transport.write(b"one\r\ntwo\r\n")
        self.pair.pump()
        client.transport.write(b"three\r\nfour\r\n")
        self.run_for(2.5)
        self.assertEqual(client.got, b"ONE\r\nTWO\r\n")
        self.run_for(2)
        self.assertEqual(client.got, b"ONE\r\nTWO\r\nTHREE\r\nFOUR\r\n")

    def test_records(self) -> None:
        class Records(Int32StringReceiver):
            def stringReceived(self, string: bytes) -> None:
                self.sendString(string[::-1])

        self.server.listen(factory(Records))
        client = self.connect()
        for byte in b"\0\0\0\3abc\0\0\0\0":
            client.transport.write(bytes([byte]))
            self.pair.pump()
        self.pair.flush()
        self.assertEqual(client.got, b"\0\0\0\3cba\0\0\0\0")

    def test_pipelined_requests(self) -> None:
        self.server.listen(programs.site(self.clock))
        client = self.connect()
        body = programs.noise(50_000)
        for _ in range(3):
            client.transport.write(b"POST / HTTP/1.1\r\nHost: bob\r\nContent-Length: 50000\r\n\r\n" + body)
        self.pair.flush()
        self.assertEqual(client.got.count(b"HTTP/1.1 200 OK"), 3)
        self.assertEqual(client.got.count(programs.digest(body).encode()), 3)
        self.assertIsNone(client.reason)  # kept alive

    def test_wrappers(self) -> None:
        """Limits, and a protocol that loses its patience."""
        limited = LimitTotalConnectionsFactory()
        limited.connectionLimit, limited.noisy = 1, False
        limited.protocol = Impatient
        self.patch(Impatient, "callLater", lambda protocol, *given: self.clock.callLater(*given))
        self.server.listen(limited)
        first, second = self.connect(), self.client.connect(factory(Keeper))
        self.pair.flush()
        self.failureResultOf(second, ConnectionRefusedError)
        self.run_for(5.5)
        first.reason.trap(ConnectionDone)
        self.assertEqual(limited.connectionCount, 0)
        self.connect().transport.abortConnection()
        self.pair.flush()
        self.assertEqual(limited.connectionCount, 0)

    def test_services(self) -> None:
        """ClientService connects again, and stops at whatever stage."""
        made: list[Any] = []
        serving = StreamServerEndpointService(self.server, factory(lambda: made.append(Keeper()) or made[-1]))
        client = ClientService(self.client, factory(Keeper), retryPolicy=lambda failed: 1, clock=self.clock)
        serving.startService()
        client.startService()
        first = self.result(client.whenConnected())
        made[-1].transport.abortConnection()
        self.pair.flush()
        self.run_for(2)
        second = self.result(client.whenConnected())
        self.assertIsNot(first, second)
        second.transport.write(b"again")
        self.pair.flush()
        self.assertEqual(made[-1].got, b"again")
        stopping = client.stopService()
        self.result(stopping)
        self.result(serving.stopService())
        client.startService()  # and nobody listens any more
        self.pair.flush()
        self.result(client.stopService())
        self.assertEqual([peer.board.users for peer in (self.pair.alice, self.pair.bob)], [0, 0])
        port = self.result(self.server.listen(factory(Echo)))
        client.startService()
        self.result(client.whenConnected())
        self.result(client.stopService())
        self.result(port.stopListening())
