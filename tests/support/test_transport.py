"""Transports on the memory network: producers, flags and options."""

from __future__ import annotations

import socket
from typing import Any

from twisted.internet import error
from twisted.internet.interfaces import IPullProducer, IPushProducer
from zope.interface import implementer

from tests.support.test_host import HostCase


@implementer(IPushProducer, IPullProducer)
class Producer:
    """Writes a piece at each `resumeProducing`, and as a streaming one until it is paused."""

    def __init__(self, transport: Any, streaming: bool) -> None:
        self.transport, self.streaming = transport, streaming
        self.calls: list[str] = []
        self.paused = False
        self.written = 0
        transport.registerProducer(self, streaming)

    def resumeProducing(self) -> None:
        self.calls.append("resume")
        self.paused = False
        self.produce()

    def produce(self) -> None:
        while not self.paused and self.written < 4_000_000:
            self.written += 10_000
            self.transport.write(bytes(10_000))
            if not self.streaming:
                break

    def pauseProducing(self) -> None:
        self.calls.append("pause")
        self.paused = True

    def stopProducing(self) -> None:
        self.calls.append("stop")
        self.paused = True


class TransportTests(HostCase):
    """Flow control and options."""

    def test_streaming_producer(self) -> None:
        """A receiver that pauses stops the sender, with no more under way than the buffers hold."""
        dialler, acceptor = self.connect()
        acceptor.pauseProducing()
        producer = Producer(dialler, streaming=True)
        producer.produce()
        self.network.advance(60)
        self.assertEqual(producer.calls[-1], "pause")
        self.assertLess(producer.written, 2 * self.network.buffer + 2 * dialler.bufferSize)
        self.assertEqual(self.accepted.only.received, b"")
        acceptor.resumeProducing()
        self.network.advance(0.2)
        self.assertGreater(len(self.accepted.only.received), 4 * self.network.buffer)
        self.network.run_until(lambda: len(self.accepted.only.received) == 4_000_000, 60)
        self.assertGreater(producer.calls.count("resume"), 10)
        dialler.unregisterProducer()
        dialler.loseConnection()
        self.network.advance(1)
        self.assertIsInstance(self.accepted.only.lost.value, error.ConnectionDone)

    def test_pull_producer(self) -> None:
        """It is asked when there is room, never while the receiver has paused."""
        dialler, acceptor = self.connect()
        acceptor.pauseProducing()
        producer = Producer(dialler, streaming=False)
        self.network.advance(60)
        stuck = producer.written
        self.assertLess(stuck, 2 * self.network.buffer + 2 * dialler.bufferSize)
        self.network.advance(60)
        self.assertEqual(producer.written, stuck)
        acceptor.resumeProducing()
        self.network.run_until(lambda: len(self.accepted.only.received) == 4_000_000, 60)
        self.assertEqual(set(producer.calls), {"resume"})

    def test_closed_window(self) -> None:
        """It can stay closed for hours, and opens even if the news is lost (RFC 9293 section 3.8.6.1)."""
        dialler, acceptor = self.connect()
        acceptor.pauseProducing()
        dialler.write(bytes(300_000))
        self.network.advance(7200)
        self.network.isolate(self.bob)
        acceptor.resumeProducing()
        self.network.advance(5)
        self.network.restore(self.bob)
        self.network.run_until(lambda: len(self.accepted.only.received) == 300_000, 130)

    def test_producer_of_a_lost_connection(self) -> None:
        """It is told to stop."""
        dialler, acceptor = self.connect()
        producer = Producer(dialler, streaming=True)
        acceptor.abortConnection()
        self.network.advance(1)
        self.assertEqual(producer.calls, ["stop"])

    def test_nothing_is_reentrant(self) -> None:
        """`write` never calls anybody before it returns, nor before its way through the network is over."""
        dialler, _ = self.connect()
        dialler.writeSequence([b"one", b"two"])
        self.assertEqual(self.accepted.only.received, b"")
        self.network.advance(0.019)
        self.assertEqual(self.accepted.only.received, b"")
        self.network.advance(0.001)
        self.assertEqual(self.accepted.only.received, b"onetwo")

    def test_flags(self) -> None:
        """`connected`, `disconnecting` and `disconnected` follow Twisted's."""
        dialler, _ = self.connect()
        self.assertEqual((bool(dialler.connected), bool(dialler.disconnecting)), (True, False))
        dialler.loseConnection()
        self.assertTrue(dialler.disconnecting)
        self.network.advance(1)
        self.assertEqual((bool(dialler.connected), bool(dialler.disconnected)), (False, True))

    def test_options(self) -> None:
        """They are kept, and can be read back."""
        dialler, _ = self.connect()
        dialler.setTcpNoDelay(True)
        dialler.setTcpKeepAlive(True)
        self.assertTrue(dialler.getTcpNoDelay() and dialler.getTcpKeepAlive())
        handle = dialler.getHandle()
        handle.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, 20_000)
        self.assertEqual(handle.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT), 20_000)
        self.assertIn((socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT), handle.options)

    def test_application_error(self) -> None:
        """An exception in `dataReceived` is logged and ends that connection only."""
        dialler, acceptor = self.connect()
        acceptor.protocol.dataReceived = lambda data: 1 / 0
        dialler.write(b"x")
        self.network.advance(1)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        self.assertIsNotNone(self.dialled.only.lost)
