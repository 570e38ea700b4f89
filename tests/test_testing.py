"""The public pair in memory, used as its users do."""

from __future__ import annotations

from typing import Any

from twisted.internet.error import ConnectionDone, ConnectionLost
from twisted.internet.interfaces import IStreamClientEndpoint, IStreamServerEndpoint
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.task import Clock
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from p2phole import testing
from p2phole.testing import MemoryPair, MemoryPeer, NeverQuiet


class Keeper(Protocol):
    """Keeps what it gets."""

    def __init__(self) -> None:
        self.got = b""
        self.reason: Failure | None = None

    def dataReceived(self, data: bytes) -> None:
        self.got += data

    def connectionLost(self, reason: Failure) -> None:  # type: ignore[override]
        self.reason = reason


class Echo(Protocol):
    def dataReceived(self, data: bytes) -> None:
        assert self.transport is not None
        self.transport.write(data)


def factory(protocol: Any) -> Factory[Any]:
    found: Factory[Any] = Factory.forProtocol(protocol)
    found.noisy = False
    return found


class MemoryPairTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.pair = MemoryPair()

    def connect(self, server: Any = Echo, peers: tuple[MemoryPeer, MemoryPeer] | None = None) -> tuple[Any, Any]:
        """A client, and what serves it."""
        here, there = peers or (self.pair.alice, self.pair.bob)
        served: list[Any] = []
        listening = there.server().listen(factory(lambda: served.append(server()) or served[-1]))
        port: Any = self.successResultOf(listening)
        connecting = here.client().connect(factory(Keeper))
        self.pair.flush()
        client: Any = self.successResultOf(connecting)
        port.stopListening()
        return client, served[0]

    def test_interfaces(self) -> None:
        self.assertTrue(verifyObject(IStreamClientEndpoint, self.pair.alice.client()))
        self.assertTrue(verifyObject(IStreamServerEndpoint, self.pair.bob.server()))

    def test_either_side_connects(self) -> None:
        for peers in ((self.pair.alice, self.pair.bob), (self.pair.bob, self.pair.alice)):
            client, served = self.connect(peers=peers)
            client.transport.write(b"hello")
            self.pair.flush()
            self.assertEqual(client.got, b"hello")
            for end, here, there in ((client, *peers), (served, *peers[::-1])):
                self.assertEqual(end.transport.getHost(), here.address)
                peer = end.transport.getPeer()
                self.assertEqual((peer.name, peer.fingerprint), (there.address.name, there.address.fingerprint))
                self.assertEqual(peer.authenticated, "secret")

    def test_nothing_moves_by_itself(self) -> None:
        client, served = self.connect(Keeper)
        client.transport.write(b"hello")
        self.assertEqual(served.got, b"")
        before = self.pair.clock.seconds()
        while self.pair.pump(5):
            pass
        self.assertEqual((served.got, self.pair.clock.seconds()), (b"hello", before))

    def test_a_cut_loses_nothing(self) -> None:
        client, served = self.connect(Keeper)
        data = bytes(range(256)) * 2000
        client.transport.write(data)
        self.pair.pump(100_000)
        self.assertLess(len(served.got), len(data))
        for _ in range(4):
            self.pair.cut()
            self.assertFalse(self.pair.is_joined)
            self.pair.flush()
            self.pair.join()
            self.assertTrue(self.pair.is_joined)
            self.pair.pump(70_000)
        self.pair.flush()
        self.assertTrue(served.got == data)
        self.assertIsNone(client.reason)

    def test_another_link_without_a_cut(self) -> None:
        client, served = self.connect(Keeper)
        client.transport.write(b"hello")
        self.pair.join()
        self.pair.flush()
        self.assertEqual(served.got, b"hello")

    def test_given_up(self) -> None:
        clock = Clock()
        self.pair = MemoryPair(clock, resume_for=30)
        client, _ = self.connect()
        self.pair.cut()
        clock.advance(29)
        self.pair.flush()
        self.assertIsNone(client.reason)
        clock.advance(1)
        self.pair.flush()
        self.assertIsInstance(client.reason.value, ConnectionLost)
        self.assertIn("could not be reached again", str(client.reason.value))
        self.pair.join()
        client, _ = self.connect()
        client.transport.write(b"anew")
        self.pair.flush()
        self.assertEqual(client.got, b"anew")

    def test_one_leaves(self) -> None:
        for leaver in (self.pair.alice, self.pair.bob):
            client, served = self.connect(Keeper)
            self.pair.leave(leaver)
            self.pair.flush()
            self.assertIsInstance(client.reason.value, ConnectionLost)
            self.assertIn("has left", str(client.reason.value))
            self.assertIsInstance(served.reason.value, ConnectionLost)
            self.pair.join()
            self.pair.flush()

    def test_an_orderly_end(self) -> None:
        client, served = self.connect(Keeper)
        client.transport.write(b"bye")
        client.transport.loseConnection()
        self.pair.flush()
        self.assertEqual(served.got, b"bye")
        for end in (client, served):
            self.assertIsInstance(end.reason.value, ConnectionDone)
        self.assertEqual([peer.board.users for peer in (self.pair.alice, self.pair.bob)], [0, 0])

    def test_services_are_told_apart(self) -> None:
        served = {}
        for name in ("web", "ssh", ""):
            self.pair.bob.server(name).listen(factory(lambda name=name: served.setdefault(name, Keeper())))
        for name in ("ssh", "", "web"):
            connecting = self.pair.alice.client(name).connect(factory(Keeper))
            self.pair.flush()
            client: Any = self.successResultOf(connecting)
            client.transport.write(name.encode() + b"!")
        self.pair.flush()
        self.assertEqual(
            {name: end.got for name, end in served.items()}, {"web": b"web!", "ssh": b"ssh!", "": b"!"}
        )
        self.assertRaises(ValueError, self.pair.bob.server, "WEB")

    def test_back_pressure(self) -> None:
        """Whoever does not read holds up the writer, as a socket does."""

        class Writer(Keeper):
            chunks = told = 0

            def dataReceived(self, data: bytes) -> None:
                assert self.transport is not None
                self.transport.registerProducer(self, True)  # type: ignore[attr-defined]
                self.resumeProducing()

            def resumeProducing(self) -> None:
                self.paused = False
                while not self.paused and self.chunks < 1000:
                    self.chunks += 1
                    self.transport.write(bytes(10_000))  # type: ignore[union-attr]

            def pauseProducing(self) -> None:
                self.paused = True

            def stopProducing(self) -> None: ...

        client, writer = self.connect(Writer)
        client.transport.pauseProducing()
        client.transport.write(b"go")
        self.pair.flush()
        self.assertLess(writer.chunks, 900)
        self.assertLess(len(client.got), 100_000)
        client.transport.resumeProducing()
        self.pair.flush()
        self.assertEqual(len(client.got), 10_000_000)

    def test_what_never_ends(self) -> None:
        self.patch(testing, "MOST_STEPS", 50)
        client, _ = self.connect()  # to an echo, whose echo this is
        client.dataReceived = client.transport.write
        client.transport.write(b"x")
        self.assertRaises(NeverQuiet, self.pair.flush)
