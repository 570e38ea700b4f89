"""How TCP connections on the memory network begin, and what is not let in."""

from __future__ import annotations

import errno

from twisted.internet import error
from twisted.internet.task import Clock
from twisted.internet.tcp import makeBinding
from twisted.trial.unittest import SynchronousTestCase

from tests.support.network import Endpoint, Network, Packet
from tests.support.packets import ACK, ICMP, RST, SYN
from tests.support.recorder import Factory, Recorder

SHARED = makeBinding("", 4000, reuseAddress=True, reusePort=True)


class Pair:
    """Two hosts on the core, 20 ms apart."""

    def __init__(self, kind: type[Recorder] = Recorder, **options: object) -> None:
        self.network = Network(Clock(), **options)  # type: ignore[arg-type]
        self.alice = self.network.host("alice", ["203.0.113.5", "2001:db8::5"])
        self.bob = self.network.host("bob", ["203.0.113.6", "2001:db8::6"])
        self.dialled, self.accepted = Factory(kind), Factory(kind)

    def connect(self) -> tuple[Recorder, Recorder]:
        """Alice dials Bob."""
        self.port = self.bob.listenTCP(80, self.accepted)
        self.connector = self.alice.connectTCP("203.0.113.6", 80, self.dialled)
        self.network.advance(1)
        return self.dialled.only, self.accepted.only

    def flags(self, sender: str) -> list[str]:
        return [each.flags for each in self.network.packets if each.sender == sender]


class OpeningTests(SynchronousTestCase):
    """How connections begin."""

    def setUp(self) -> None:
        self.pair = Pair()
        self.network, self.alice, self.bob = self.pair.network, self.pair.alice, self.pair.bob

    def test_handshake(self) -> None:
        """The dialler is connected after one round trip, the acceptor half a round trip later."""
        self.bob.listenTCP(80, self.pair.accepted)
        self.alice.connectTCP("203.0.113.6", 80, self.pair.dialled)
        self.assertEqual(self.network.packets[0].flags if self.network.packets else None, None)
        self.network.run_until(lambda: self.pair.dialled.made, 1)
        self.assertAlmostEqual(self.network.clock.seconds(), 0.040)
        self.assertEqual(self.pair.accepted.made, [])
        self.network.run_until(lambda: self.pair.accepted.made, 1)
        self.assertAlmostEqual(self.network.clock.seconds(), 0.060)
        self.assertEqual([each.flags for each in self.network.packets], ["SYN", "SYN-ACK", "ACK"])

    def test_refused(self) -> None:
        """A port on which nobody listens answers with RST."""
        self.alice.connectTCP("203.0.113.6", 80, self.pair.dialled)
        self.network.advance(1)
        self.assertIsInstance(self.pair.dialled.error, error.ConnectionRefusedError)
        self.assertEqual(self.pair.dialled.error.osError, errno.ECONNREFUSED)
        self.assertEqual(self.pair.flags("bob"), ["RST-ACK"])

    def test_syn_is_repeated(self) -> None:
        """From the same port at Linux's times, until the kernel gives up."""
        self.network.isolate(self.bob)
        self.alice.connectTCP("203.0.113.6", 80, self.pair.dialled, timeout=None)
        self.network.advance(60)
        syns = [each for each in self.network.packets if each.flags == "SYN"]
        self.assertEqual([round(each.time, 6) for each in syns], [0, 1, 2, 3, 4, 5, 7, 11, 19, 35])
        self.assertEqual(len({each.source for each in syns}), 1)
        self.network.advance(80)
        self.assertIsInstance(self.pair.dialled.error, error.TCPTimedOutError)

    def test_late_listener(self) -> None:
        """A repeated SYN connects to who listens by then."""
        self.network.isolate(self.bob)
        self.alice.connectTCP("203.0.113.6", 80, self.pair.dialled)
        self.network.advance(1.5)
        self.network.restore(self.bob)
        self.bob.listenTCP(80, self.pair.accepted)
        self.network.run_until(lambda: self.pair.dialled.made, 1)
        self.assertAlmostEqual(self.network.clock.seconds(), 2.040)

    def test_simultaneous_open(self) -> None:
        """SYNs that cross connect both dials, although both listen too; nobody accepts."""
        left, right = Factory(), Factory()
        for host, factory, there in ((self.alice, left, "203.0.113.6"), (self.bob, right, "203.0.113.5")):
            host.listenTCP(SHARED, self.pair.accepted)
            host.connectTCP(there, 4000, factory, bindAddress=SHARED)
        self.network.advance(1)
        self.assertEqual(self.pair.accepted.made, [])
        left.only.transport.write(b"left")
        right.only.transport.write(b"right")
        self.network.advance(1)
        self.assertEqual((left.only.received, right.only.received), (b"right", b"left"))
        self.assertEqual(self.pair.flags("alice")[:2], ["SYN", "SYN-ACK"])

    def test_listener_was_first(self) -> None:
        """A SYN that comes before the own dial leaves is accepted; the dial then finds its 4-tuple taken."""
        self.bob.listenTCP(SHARED, self.pair.accepted)
        self.alice.connectTCP("203.0.113.6", 4000, self.pair.dialled, bindAddress=SHARED)
        late = Factory()
        self.bob.callLater(0.030, self.bob.connectTCP, "203.0.113.5", 4000, late, bindAddress=SHARED)
        self.network.advance(1)
        self.assertEqual((len(self.pair.dialled.made), len(self.pair.accepted.made)), (1, 1))
        self.assertEqual(late.error.osError, errno.EADDRNOTAVAIL)

    def test_stopped_while_syns_cross(self) -> None:
        """Who gives up after the other's SYN has come is connected, and closes (Linux: tcp_close_state)."""
        left, right = Factory(), Factory()
        connector = self.alice.connectTCP("203.0.113.6", 4000, left, bindAddress=SHARED)
        self.bob.connectTCP("203.0.113.5", 4000, right, bindAddress=SHARED)
        self.network.advance(0.030)
        connector.stopConnecting()
        self.network.advance(1)
        self.assertIs(type(left.error), error.UserError)
        self.assertIsInstance(right.only.lost.value, error.ConnectionDone)
        self.assertEqual(self.pair.flags("alice")[2], "FIN-ACK")
        self.network.advance(60)
        self.alice.listenTCP(4000, Factory())
        self.bob.connectTCP("203.0.113.5", 4000, right, bindAddress=SHARED)
        self.network.advance(1)
        self.assertEqual(len(right.made), 2)

    def test_forged_packets(self) -> None:
        """Guesses open, close and move nothing; those near the mark are answered by an ACK (RFC 5961)."""
        dialled, accepted = self.pair.connect()
        (mine,) = (each for each in self.alice.stack.connections.values())
        here, there = mine.local, mine.remote
        guesses = (
            (Packet(there, here, RST, seq=mine.rcv_nxt + 1), ["ACK"]),
            (Packet(there, here, RST, seq=mine.rcv_nxt - 1), []),
            (Packet(there, here, SYN, seq=5), ["ACK"]),
            (Packet(there, here, ACK, seq=mine.rcv_nxt, ack=mine.high + 1, payload=b"evil"), ["ACK"]),
            (Packet(there, here, ICMP, seq=errno.EHOSTUNREACH), []),
        )
        for guess, answers in guesses:
            before = len(self.pair.flags("alice"))
            self.alice.arrive(guess)
            self.network.advance(0.01)
            self.assertEqual(self.pair.flags("alice")[before:], answers)
        dialled.transport.write(b"still")
        self.network.advance(1)
        self.assertEqual((accepted.received, dialled.received), (b"still", b""))
        stranger = Endpoint("203.0.113.99", 1)
        self.bob.arrive(Packet(stranger, there, SYN, seq=5_000_000))
        self.bob.arrive(Packet(stranger, there, ACK, seq=5_000_001, ack=1))
        self.network.advance(1)
        self.assertEqual(len(self.pair.accepted.made), 1)
        self.assertEqual(self.pair.flags("bob")[-3:], ["SYN-ACK", "RST", "SYN-ACK"])

    def test_no_route(self) -> None:
        """A kind of address that the host does not have fails at once."""
        host = self.network.host("carol", address="203.0.113.7")
        host.connectTCP("2001:db8::6", 80, self.pair.dialled)
        self.network.advance(0)
        self.assertIsInstance(self.pair.dialled.error, error.NoRouteError)
        self.assertEqual(self.pair.dialled.error.osError, errno.ENETUNREACH)

    def test_full_backlog(self) -> None:
        """A SYN for a full queue is dropped, and repeated."""
        self.bob.listenTCP(80, self.pair.accepted, backlog=1)
        self.bob.removeAll()  # nobody accepts
        for _ in range(3):
            self.alice.connectTCP("203.0.113.6", 80, self.pair.dialled)
            self.network.advance(0.2)
        self.assertEqual(len(self.pair.dialled.made), 2)

    def test_restarted_peer(self) -> None:
        """A SYN for a connection that only one side still knows resets it (RFC 9293 section 3.5.1)."""
        self.bob.listenTCP(SHARED, self.pair.accepted)
        self.alice.connectTCP("203.0.113.6", 4000, self.pair.dialled, bindAddress=SHARED)
        self.network.advance(1)
        self.network.isolate(self.alice)
        self.alice.crash()
        self.network.advance(120)  # the FIN is repeated, but never seen
        self.alice.stack.connections.clear()
        self.network.restore(self.alice)
        again = Factory()
        self.alice.connectTCP("203.0.113.6", 4000, again, bindAddress=SHARED)
        self.network.advance(2)
        self.assertIsInstance(self.pair.accepted.made[0].lost.value, error.ConnectionLost)
        self.assertEqual((len(again.made), len(self.pair.accepted.made)), (1, 2))
