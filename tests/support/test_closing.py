"""How TCP connections on the memory network end, and what outlives an outage."""

from __future__ import annotations

import errno

from twisted.internet import error
from twisted.trial.unittest import SynchronousTestCase

from tests.support.recorder import Factory, HalfCloser
from tests.support.test_like_linux import LINGER
from tests.support.test_memory_tcp import SHARED, Pair


class ClosingTests(SynchronousTestCase):
    """How connections end."""

    def test_fin(self) -> None:
        """What was written comes before the end; both sides end cleanly."""
        pair = Pair()
        dialled, accepted = pair.connect()
        dialled.transport.write(b"last")
        dialled.transport.loseConnection()
        pair.network.advance(1)
        self.assertEqual(accepted.received, b"last")
        self.assertIsInstance(dialled.lost.value, error.ConnectionDone)
        self.assertIsInstance(accepted.lost.value, error.ConnectionDone)
        self.assertEqual(pair.dialled.events[-2:], ["lost", "stop"])

    def test_rst(self) -> None:
        """An abort resets: aborted here, lost there."""
        pair = Pair()
        dialled, accepted = pair.connect()
        dialled.transport.write(b"dropped")
        dialled.transport.abortConnection()
        pair.network.advance(1)
        self.assertIs(type(dialled.lost.value), error.ConnectionAborted)
        self.assertIs(type(accepted.lost.value), error.ConnectionLost)
        self.assertEqual(accepted.received, b"")

    def test_half_close(self) -> None:
        """One direction ends; the other goes on."""
        pair = Pair(HalfCloser)
        dialled, accepted = pair.connect()
        dialled.transport.write(b"question")
        dialled.transport.loseWriteConnection()
        pair.network.advance(1)
        self.assertTrue(dialled.write_ended and accepted.read_ended)
        accepted.transport.write(b"answer")
        accepted.transport.loseConnection()
        pair.network.advance(1)
        self.assertEqual((dialled.received, accepted.received), (b"answer", b"question"))
        self.assertTrue(dialled.read_ended)
        dialled.transport.loseConnection()
        self.assertIsInstance(dialled.lost.value, error.ConnectionDone)

    def test_data_for_a_closed_socket(self) -> None:
        """Who writes to a side that has closed is reset (RFC 2525 section 2.17)."""
        pair = Pair()
        dialled, accepted = pair.connect()
        dialled.transport.loseConnection()
        accepted.transport.write(b"crossing")
        pair.network.advance(1)
        self.assertIn("RST-ACK", pair.flags("alice"))
        self.assertIsNotNone(accepted.lost)

    def test_nothing_lingers(self) -> None:
        """Whose own FIN gets nowhere after the end of the other side keeps the 4-tuple, but not with SO_LINGER."""
        for hard in (False, True):
            pair = Pair()
            dialled, accepted = pair.connect()
            if hard:
                dialled.transport.getHandle().setsockopt(*LINGER)
            accepted.transport.loseConnection()
            pair.network.run_until(lambda one=dialled: one.lost)
            pair.network.isolate(pair.bob)
            pair.network.advance(1)
            self.assertEqual(len(pair.alice.stack.connections), not hard)

    def test_time_wait(self) -> None:
        """It is on the side that closed first, and keeps its 4-tuple for a minute."""
        for aborts, expected in ((False, errno.EADDRNOTAVAIL), (True, None)):
            pair = Pair()
            pair.bob.listenTCP(4000, pair.accepted)
            first, second, third = Factory(), Factory(), Factory()
            pair.alice.connectTCP("203.0.113.6", 4000, first, bindAddress=SHARED)
            pair.network.advance(1)
            transport = first.only.transport
            (transport.abortConnection if aborts else transport.loseConnection)()
            pair.network.advance(1)
            pair.alice.connectTCP("203.0.113.6", 4000, second, bindAddress=SHARED)
            pair.network.advance(1)
            if aborts:
                self.assertEqual(len(second.made), 1)
                continue
            self.assertEqual(second.error.osError, expected)
            pair.network.advance(60)
            pair.alice.connectTCP("203.0.113.6", 4000, third, bindAddress=SHARED)
            pair.network.advance(1)
            self.assertEqual(len(third.made), 1)

    def test_no_time_wait_for_the_other_side(self) -> None:
        """The side that closed second may dial the same 4-tuple again, which ends the wait of the first."""
        pair = Pair()
        pair.alice.listenTCP(SHARED, pair.dialled)
        first, again = Factory(), Factory()
        pair.bob.connectTCP("203.0.113.5", 4000, first, bindAddress=SHARED)
        pair.network.advance(1)
        pair.dialled.only.transport.loseConnection()
        pair.network.advance(1)
        pair.bob.connectTCP("203.0.113.5", 4000, again, bindAddress=SHARED)
        pair.network.advance(1)
        self.assertEqual(len(again.made), 1)

    def test_half_closed_for_ever(self) -> None:
        """An orphan waits a minute for the other side's FIN, then its 4-tuple is free (tcp_fin_timeout)."""
        pair = Pair(HalfCloser)
        pair.bob.listenTCP(4000, pair.accepted)
        first, early, late = Factory(HalfCloser), Factory(), Factory()
        pair.alice.connectTCP("203.0.113.6", 4000, first, bindAddress=SHARED)
        pair.network.advance(1)
        first.only.transport.loseWriteConnection()
        pair.network.advance(1)
        first.only.transport.loseConnection()
        pair.network.advance(59)
        pair.alice.connectTCP("203.0.113.6", 4000, early, bindAddress=SHARED)
        pair.network.advance(2)
        self.assertEqual(early.error.osError, errno.EADDRNOTAVAIL)
        pair.alice.connectTCP("203.0.113.6", 4000, late, bindAddress=SHARED)
        pair.network.advance(2)
        self.assertEqual(len(late.made), 1)

    def test_dead_peer(self) -> None:
        """Data that nobody acknowledges is repeated for a quarter of an hour, then the connection is lost."""
        pair = Pair()
        dialled, accepted = pair.connect()
        pair.network.cut(pair.alice, pair.bob)
        dialled.transport.write(b"anyone?")
        pair.network.advance(600)
        self.assertIsNone(dialled.lost)
        pair.network.advance(600)
        self.assertIsInstance(dialled.lost.value, error.ConnectionLost)
        self.assertIsNone(accepted.lost)

    def test_outage(self) -> None:
        """What was written during an outage comes after it, once and in order."""
        pair = Pair(mss=100)
        dialled, accepted = pair.connect()
        dialled.transport.write(b"before")
        pair.network.advance(0.025)
        pair.network.isolate(pair.alice)  # the ACK is under way: part of what she repeats has come already
        dialled.transport.write(bytes(range(256)) * 10)
        pair.network.advance(10)
        self.assertEqual(accepted.received, b"before")
        pair.network.restore(pair.alice)
        pair.network.advance(20)
        self.assertEqual(accepted.received, b"before" + bytes(range(256)) * 10)
        # What was repeated says nothing of the round trip: the next loss is repaired as soon as ever.
        pair.network.isolate(pair.bob)
        dialled.transport.write(b"after")
        pair.network.advance(0.1)
        pair.network.restore(pair.bob)
        pair.network.advance(1)
        self.assertTrue(accepted.received.endswith(b"after"))

    def test_reordering(self) -> None:
        """A shorter way overtakes; the bytes are in order all the same."""
        pair = Pair(mss=10)
        dialled, accepted = pair.connect()
        dialled.transport.write(b"first")
        pair.network.advance(0.001)
        pair.network.set_delay(pair.alice, pair.bob, 0.005)
        dialled.transport.write(b"second")
        dialled.transport.loseConnection()
        pair.network.run_until(lambda: accepted.lost, 1)
        self.assertEqual(accepted.received, b"firstsecond")
        self.assertIsInstance(accepted.lost.value, error.ConnectionDone)
