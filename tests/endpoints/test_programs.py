"""Programs of Twisted's own over the endpoints, in memory, with cuts in between."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionDone
from twisted.internet.protocol import Factory, Protocol
from twisted.protocols.portforward import ProxyClientFactory, ProxyFactory, ProxyServer
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from p2phole.testing import MemoryPair
from tests.endpoints import programs
from tests.endpoints.programs import digest, noise


class ProgramTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.pair = MemoryPair()
        self.client, self.server = self.pair.alice.client(), self.pair.bob.server()

    def result(self, deferred: Deferred[Any], cuts: int = 0, every: int = 100_000) -> Any:
        """Let it come to its end; with so many cuts, one for each so many bytes."""
        for _ in range(cuts):
            self.pair.pump(every)
            self.pair.cut()
            self.pair.clock.advance(1)
            self.pair.join()
            for _ in range(5):
                self.pair.pump()
        self.pair.flush()
        return self.successResultOf(deferred)

    def test_web(self) -> None:
        body = noise(3_000_000)
        self.server.listen(programs.site(self.pair.clock))
        posting = Deferred.fromCoroutine(programs.post(self.pair.clock, self.client, body))
        found, headers = self.result(posting, cuts=15)
        self.assertEqual((digest(found), headers["x-digest"]), (digest(body), digest(body)))
        self.assertEqual(headers["x-peer"], "alice")

    def test_several_requests_at_once(self) -> None:
        self.server.listen(programs.site(self.pair.clock))
        bodies = [noise(200_000, seed) for seed in range(10)]
        posting = [Deferred.fromCoroutine(programs.post(self.pair.clock, self.client, body)) for body in bodies]
        self.pair.flush()
        for body, each in zip(bodies, posting, strict=True):
            self.assertEqual(digest(self.successResultOf(each)[0]), digest(body))

    def test_ssh(self) -> None:
        key, text = programs.ssh_key(), noise(1_000_000)
        self.server.listen(programs.ssh_server(self.pair.clock, key))
        running = Deferred.fromCoroutine(programs.ssh(self.client, key, text))
        output, client = self.result(running, cuts=10)
        self.assertEqual(output.decode(), digest(text))
        self.pair.flush()
        self.assertIsInstance(client.reason.value, ConnectionDone)


class Echo(Protocol):
    def dataReceived(self, data: bytes) -> None:
        assert self.transport is not None
        self.transport.write(data)


class Keeper(Protocol):
    def __init__(self) -> None:
        self.got = b""
        self.reason: Failure | None = None

    def dataReceived(self, data: bytes) -> None:
        self.got += data

    def connectionLost(self, reason: Failure) -> None:  # type: ignore[override]
        self.reason = reason


class PortForwardTests(SynchronousTestCase):
    """``twisted.protocols.portforward`` between two pairs: carol's program, a proxy at both, and the last echo."""

    def setUp(self) -> None:
        self.near, self.far = MemoryPair(), MemoryPair()
        far = self.far

        class Proxy(ProxyServer):
            """Connects by an endpoint, where Twisted's own connects by ``reactor.connectTCP``."""

            class reactor:
                @staticmethod
                def connectTCP(host: str, port: int, factory: ProxyClientFactory) -> None:
                    connecting = far.alice.client().connect(factory)
                    connecting.addErrback(lambda reason: factory.clientConnectionFailed(None, reason))

        factory = ProxyFactory("unused", 0)
        factory.protocol = Proxy
        self.successResultOf(self.near.bob.server().listen(factory))

    def settle(self) -> None:
        for _ in range(6):
            self.near.flush()
            self.far.flush()

    def connected(self) -> Any:
        connecting = self.near.alice.client().connect(Factory.forProtocol(Keeper))
        self.settle()
        return self.successResultOf(connecting)

    def test_both_ways_and_to_the_end(self) -> None:
        served: list[Echo] = []
        self.far.bob.server().listen(Factory.forProtocol(lambda: served.append(Echo()) or served[-1]))  # type: ignore
        client = self.connected()
        data = noise(2_000_000)
        client.transport.write(data)
        for _ in range(20):
            self.settle()
        self.assertEqual(digest(client.got), digest(data))
        client.transport.loseConnection()
        self.settle()
        self.assertIsInstance(client.reason.value, ConnectionDone)
        self.nobody_is_left()

    def test_the_far_end_closes_while_the_near_one_is_full(self) -> None:
        """Where the proxy is left with a producer that is gone: portforward unregisters none."""

        class Flood(Protocol):
            def connectionMade(self) -> None:
                assert self.transport is not None
                self.transport.write(noise(500_000))
                self.transport.loseConnection()

        self.far.bob.server().listen(Factory.forProtocol(Flood))
        client = self.connected()
        client.transport.pauseProducing()
        self.settle()
        client.transport.resumeProducing()
        for _ in range(20):
            self.settle()
        self.assertEqual(digest(client.got), digest(noise(500_000)))
        self.assertIsInstance(client.reason.value, ConnectionDone)
        self.nobody_is_left()

    def test_nobody_at_the_far_end(self) -> None:
        connecting = self.near.alice.client().connect(Factory.forProtocol(Keeper))
        self.settle()
        client: Any = self.successResultOf(connecting)
        self.far.clock.advance(6)
        for _ in range(4):
            self.settle()
            self.far.clock.advance(2)
        self.assertIsInstance(client.reason.value, ConnectionDone)

    def nobody_is_left(self) -> None:
        """But for the ports."""
        users = [peer.board.users for pair in (self.near, self.far) for peer in (pair.alice, pair.bob)]
        self.assertEqual(users, [0, 1, 0, 1])
