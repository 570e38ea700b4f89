"""Twisted protocols on a stream, unchanged, and a session on Twisted's TLS."""

from __future__ import annotations

from io import BytesIO
from typing import Any

from twisted.internet.error import ConnectionAborted, ConnectionDone, ConnectionLost
from twisted.internet.interfaces import IAddress, IConsumer, IHalfCloseableProtocol, IPushProducer, ITCPTransport
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.task import Clock
from twisted.protocols.basic import FileSender, LineReceiver
from twisted.protocols.tls import TLSMemoryBIOFactory
from twisted.python.failure import Failure
from twisted.test.iosim import FakeTransport, connect
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer
from zope.interface.verify import verifyObject

from p2phole.errors import P2pholeError
from p2phole.secure.tls import PinnedTLS
from p2phole.session.attachment import Attachment
from p2phole.session.errors import NotOffered, Refused
from p2phole.session.frames import MOST
from p2phole.session.link import attach
from p2phole.session.peer_address import PeerAddress
from p2phole.session.pool import Pools
from p2phole.session.session import Session
from p2phole.session.streams import Stream
from p2phole.session.transport import StreamTransport
from tests.secure.parties import credentials
from tests.session.sides import End, flush, pair

ALICE, BOB = PeerAddress("alice", "a" * 64), PeerAddress("bob", "b" * 64)


class Keeper(Protocol):
    """Keeps what it gets."""

    def __init__(self) -> None:
        self.got = b""
        self.reason: Failure | None = None
        self.made = 0

    def connectionMade(self) -> None:
        self.made += 1

    def dataReceived(self, data: bytes) -> None:
        self.got += data

    def connectionLost(self, reason: Failure) -> None:  # type: ignore[override]
        assert self.reason is None
        self.reason = reason


@implementer(IHalfCloseableProtocol)
class HalfKeeper(Keeper):
    """And is told of half-close."""

    ended = written = False

    def readConnectionLost(self) -> None:
        self.ended = True

    def writeConnectionLost(self) -> None:
        self.written = True


class Producer:
    """Produces so many chunks while it may."""

    def __init__(self, transport: Any, chunks: int) -> None:
        self.transport, self.chunks, self.told = transport, chunks, []  # type: ignore[var-annotated]
        self.paused = False

    def pauseProducing(self) -> None:
        self.paused = True
        self.told.append("pause")

    def resumeProducing(self) -> None:
        self.paused = False
        self.told.append("resume")
        while self.chunks and not self.paused:
            self.chunks -= 1
            self.transport.write(bytes(65_536))

    def stopProducing(self) -> None:
        self.told.append("stop")


class TransportTestCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.one, self.two, self.cable = pair(self.clock)
        self.settle()
        self.idle = self.clock.getDelayedCalls()

    def joined(self, here: Any, there: Any) -> tuple[StreamTransport, StreamTransport]:
        """Two protocols on one stream."""
        transports = StreamTransport(self.clock, here, ALICE, BOB), StreamTransport(self.clock, there, BOB, ALICE)
        self.two.answer = lambda stream, end: transports[1].take(stream)
        transports[0].stream = self.one.session.open("thing", transports[0])
        self.settle()
        return transports

    def settle(self) -> None:
        flush(self.clock, self.cable)


class ProtocolTests(TransportTestCase):
    def test_interfaces(self) -> None:
        transport, _ = self.joined(Keeper(), Keeper())
        for interface in (ITCPTransport, IConsumer, IPushProducer):
            verifyObject(interface, transport)
        self.assertEqual((transport.getHost(), transport.getPeer()), (ALICE, BOB))
        self.assertEqual((hash(ALICE) == hash(PeerAddress("alice", "a" * 64)), ALICE == BOB), (True, False))
        self.assertIn("alice", repr(ALICE))
        verifyObject(IAddress, ALICE)
        # What conch and others call without asking whether it is TCP.
        transport.setTcpNoDelay(True)
        transport.setTcpKeepAlive(True)
        self.assertTrue(transport.getTcpNoDelay() and transport.getTcpKeepAlive())
        self.assertTrue(transport.connected)

    def test_lines_both_ways(self) -> None:
        class Echo(LineReceiver):
            def lineReceived(self, line: bytes) -> None:
                self.sendLine(line[::-1])

        here = Keeper()
        self.joined(here, Echo())
        here.transport.writeSequence([b"abc\r\n", b"de"])  # type: ignore[union-attr]
        here.transport.write(b"f\r\n")  # type: ignore[union-attr]
        self.settle()
        self.assertEqual((here.made, here.got), (1, b"cba\r\nfed\r\n"))

    def test_who_connects_may_speak_at_once(self) -> None:
        class Greeter(Keeper):
            def connectionMade(self) -> None:
                self.transport.write(b"hello")  # type: ignore[union-attr]

        here, there = Keeper(), Greeter()
        self.joined(here, there)
        self.assertEqual(here.got, b"hello")

    def test_who_pauses_in_connection_made_reads_when_it_resumes(self) -> None:
        class Later(Keeper):
            def connectionMade(self) -> None:
                self.transport.pauseProducing()  # type: ignore[union-attr]

        class Greeter(Keeper):
            def connectionMade(self) -> None:
                self.transport.write(b"hello")  # type: ignore[union-attr]

        for ends in ((Later(), Greeter()), (Greeter(), Later())):
            later = ends[isinstance(ends[1], Later)]
            self.joined(*ends)
            self.assertEqual(later.got, b"")
            later.transport.resumeProducing()  # type: ignore[union-attr]
            self.settle()
            self.assertEqual(later.got, b"hello")

    def test_lose_connection(self) -> None:
        here, there = Keeper(), Keeper()
        self.joined(here, there)
        here.transport.write(bytes(300_000))  # type: ignore[union-attr]
        here.transport.loseConnection()  # type: ignore[union-attr]
        for _ in range(5):
            self.settle()
        self.assertEqual(len(there.got), 300_000)
        for each in (here, there):
            assert each.reason is not None
            self.assertIsInstance(each.reason.value, ConnectionDone)
        self.assertEqual(len(self.one.session._table), 0)

    def test_half_close(self) -> None:
        here, there = HalfKeeper(), HalfKeeper()
        transport, other = self.joined(here, there)
        transport.write(b"question")
        transport.loseWriteConnection()
        self.assertFalse(here.written)  # not from within the call
        self.settle()
        self.assertEqual((there.got, there.ended, there.reason, here.written), (b"question", True, None, True))
        other.write(b"answer")
        other.loseConnection()
        self.settle()
        self.assertEqual(here.got, b"answer")
        transport.loseConnection()
        self.settle()
        for each in (here, there):
            self.assertIsInstance(each.reason and each.reason.value, ConnectionDone)

    def test_abort(self) -> None:
        here, there = Keeper(), Keeper()
        transport, other = self.joined(here, there)
        transport.abortConnection()
        self.assertIsNone(here.reason)  # not from within the call
        self.settle()
        self.assertIsInstance(here.reason and here.reason.value, ConnectionAborted)
        self.assertIsInstance(there.reason and there.reason.value, ConnectionLost)
        transport.write(b"x")
        transport.loseConnection()
        other.abortConnection()
        self.settle()

    def test_the_session_ends(self) -> None:
        here, there = Keeper(), Keeper()
        self.joined(here, there)
        self.one.session.say_bye()
        self.settle()
        assert there.reason is not None
        self.assertIsInstance(there.reason.value, ConnectionLost)
        self.assertIn("has left", str(there.reason.value))

    def test_a_protocol_that_fails_loses_its_own_stream_only(self) -> None:
        class Failing(Keeper):
            def dataReceived(self, data: bytes) -> None:
                raise ZeroDivisionError

        here, there, well = Keeper(), Failing(), Keeper()
        self.joined(here, there)
        here.transport.write(b"x")  # type: ignore[union-attr]
        self.settle()
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        self.assertIsInstance(here.reason and here.reason.value, ConnectionLost)
        self.assertIsInstance(there.reason and there.reason.value, ZeroDivisionError)
        other = Keeper()
        self.joined(other, well)
        other.transport.write(b"fine")  # type: ignore[union-attr]
        self.settle()
        self.assertEqual(well.got, b"fine")

    def test_one_that_never_was(self) -> None:
        failed: list[P2pholeError | None] = []
        here = Keeper()
        for purpose, kind in (("other", NotOffered), ("thing", Refused)):
            self.two.answer = lambda stream, end: stream.abort("no")
            transport = StreamTransport(self.clock, here, ALICE, BOB, failed=failed.append)
            transport.stream = self.one.session.open(purpose, transport)
            self.settle()
            self.assertIsInstance(failed[-1], kind)
        self.assertEqual((here.made, here.reason), (0, None))

    def test_made(self) -> None:
        told: list[str] = []
        transport = StreamTransport(self.clock, Keeper(), ALICE, BOB, made=lambda: told.append("made"))
        transport.stream = self.one.session.open("thing", transport)
        self.assertEqual(told, [])
        self.settle()
        self.assertEqual(told, ["made"])


class ProducerTests(TransportTestCase):
    def test_a_push_producer(self) -> None:
        here, there = Keeper(), Keeper()
        transport, other = self.joined(here, there)
        other.pauseProducing()
        producer = Producer(transport, 30)
        transport.registerProducer(producer, True)
        producer.resumeProducing()
        self.assertTrue(producer.paused)
        self.assertGreater(producer.chunks, 26)
        self.assertRaises(RuntimeError, transport.registerProducer, producer, True)
        other.resumeProducing()
        for _ in range(8):
            self.settle()
        self.assertEqual((producer.chunks, len(there.got)), (0, 30 * 65_536))
        transport.loseConnection()  # as with TCP, which waits for a push producer only while that is paused
        self.settle()
        self.assertIsInstance(here.reason and here.reason.value, ConnectionDone)
        self.assertEqual(producer.told[-1], "stop")

    def test_a_push_producer_that_is_paused_writes_to_its_end(self) -> None:
        for end in (StreamTransport.loseConnection, StreamTransport.loseWriteConnection):
            here, there = HalfKeeper(), HalfKeeper()
            transport, other = self.joined(here, there)
            other.pauseProducing()
            producer = Producer(transport, 9)
            transport.registerProducer(producer, True)
            producer.resumeProducing()
            end(transport)
            self.assertTrue(producer.chunks)
            other.resumeProducing()
            for _ in range(5):
                self.settle()
            self.assertEqual((producer.chunks, len(there.got), there.ended), (0, 9 * 65_536, True))
            other.loseConnection()
            self.settle()
            self.assertIsInstance(here.reason and here.reason.value, ConnectionDone)

    def test_a_dead_producer_holds_up_nothing(self) -> None:
        """As portforward leaves one: the connection that it wrote from is gone, and nobody unregisters it."""
        here, there = Keeper(), Keeper()
        transport, other = self.joined(here, there)
        other.pauseProducing()
        producer = Producer(transport, 9)
        transport.registerProducer(producer, True)
        producer.resumeProducing()
        producer.chunks = 0
        transport.loseConnection()
        other.resumeProducing()
        for _ in range(5):
            self.settle()
        self.assertIsInstance(there.reason and there.reason.value, ConnectionDone)

    def test_a_pull_producer(self) -> None:
        here, there = Keeper(), Keeper()
        transport, other = self.joined(here, there)
        data = bytes(range(256)) * 3000
        file = BytesIO(data)
        done = FileSender().beginFileTransfer(file, transport)
        transport.loseConnection()
        other.pauseProducing()
        for _ in range(20):
            self.settle()
        self.assertNoResult(done)
        self.assertLess(file.tell(), 3 * 65_536)  # what credit allows, and what waits beyond that
        other.resumeProducing()
        for _ in range(20):
            self.settle()
        self.successResultOf(done)
        self.assertEqual(there.got, data)
        self.assertIsInstance(here.reason and here.reason.value, ConnectionDone)
        self.assertEqual(self.clock.getDelayedCalls(), self.idle)

    def test_a_pull_producer_that_fails(self) -> None:
        class Failing(Producer):
            def resumeProducing(self) -> None:
                self.transport.write(bytes(1 // self.chunks))
                self.chunks -= 1

        here, there = Keeper(), Keeper()
        transport, _ = self.joined(here, there)
        producer = Failing(transport, 1)
        transport.registerProducer(producer, False)
        self.settle()
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        self.assertEqual(producer.told, ["stop"])
        self.assertIsInstance(there.reason and there.reason.value, ConnectionLost)

    def test_who_is_told_no_more_produces_no_more(self) -> None:
        """A protocol without half-close, whose other side has ended: what it has written arrives all the same."""
        here, there = HalfKeeper(), Keeper()
        transport, other = self.joined(here, there)
        transport.pauseProducing()
        producer = Producer(other, 30)
        other.registerProducer(producer, True)
        producer.resumeProducing()
        transport.loseWriteConnection()
        self.settle()
        self.assertEqual(producer.told[-1], "stop")
        self.assertIsNone(there.reason)
        transport.resumeProducing()
        for _ in range(5):
            self.settle()
        self.assertEqual(len(here.got), (30 - producer.chunks) * 65_536)
        self.assertIsInstance(there.reason and there.reason.value, ConnectionDone)
        other.unregisterProducer()

    def test_what_is_produced_for_nobody(self) -> None:
        here, there = Keeper(), Keeper()
        transport, other = self.joined(here, there)
        producer = Producer(transport, 3)
        transport.registerProducer(producer, True)
        other.abortConnection()
        self.settle()
        self.assertEqual(producer.told, ["stop"])
        late = Producer(transport, 3)
        transport.registerProducer(late, True)
        self.assertEqual(late.told, ["stop"])

    def test_a_producer_that_comes_while_it_is_full(self) -> None:
        transport, other = self.joined(Keeper(), Keeper())
        other.pauseProducing()
        transport.write(bytes(300_000))
        producer = Producer(transport, 1)
        transport.registerProducer(producer, True)
        self.assertEqual(producer.told, ["pause"])


class OverTLS(Protocol):
    """A session on a transport, as an encounter has it."""

    attachment: Attachment

    def __init__(self, clock: Clock, leads: bool) -> None:
        self.session = Session(clock, f"{leads}", leads, self, Pools(), 600)
        self.session.offer("thing", self.opened)
        self.ends: list[End] = []

    def opened(self, stream: Stream) -> None:
        end = End()
        self.ends.append(end)
        stream.accept(end)

    def connectionMade(self) -> None:
        transport: Any = self.transport
        self.attachment = attach(self.session, transport, transport.abortConnection)

    def dataReceived(self, data: bytes) -> None:
        self.attachment.receive(data)

    def connectionLost(self, reason: Failure) -> None:  # type: ignore[override]
        self.attachment.lost()

    def left(self) -> None: ...

    def died(self, why: str) -> None: ...

    def resumed(self, seconds: float) -> None: ...

    def over(self, error: P2pholeError) -> None: ...


class LinkTests(SynchronousTestCase):
    def test_over_tls_with_back_pressure(self) -> None:
        clock, mine, theirs = Clock(), credentials(), credentials()
        sides = OverTLS(clock, True), OverTLS(clock, False)
        ends = []
        for side, own, other in ((sides[0], mine, theirs), (sides[1], theirs, mine)):
            factory = Factory()
            factory.protocol = lambda side=side: side  # type: ignore[assignment,misc]
            client = side is sides[0]
            tls = TLSMemoryBIOFactory(PinnedTLS(own, other.fingerprint), client, factory, clock)
            protocol = tls.buildProtocol(None)
            ends.append((protocol, FakeTransport(protocol, not client)))
        (client, there), (server, here) = ends
        pump = connect(server, here, client, there)

        def settle() -> None:
            for _ in range(30):
                clock.advance(0.01)
                pump.flush()

        settle()
        end = End()
        end.stream = sides[0].session.open("thing", end)
        blocked = []
        attachment = sides[0].attachment
        whole = attachment.block
        attachment.block = lambda: (blocked.append(1), whole())[0]  # type: ignore[method-assign]
        end.stream.write(bytes(2_000_000))
        end.stream.finish()
        for _ in range(20):
            settle()
        self.assertEqual((len(sides[1].ends[0].got), end.consumed), (2_000_000, 2_000_000))
        sides[1].attachment.drop()
        settle()
        self.assertTrue(sides[0].attachment.over)
        self.assertLess(MOST, 128 * 1024)
