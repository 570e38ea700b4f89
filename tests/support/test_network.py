"""The memory network as a whole: time, delays, breaking and watching."""

from __future__ import annotations

from typing import Any

from twisted.internet import error
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from tests.support.network import Endpoint, Host, Nat, Network
from tests.support.recorder import Factory, Recorder


class NetworkCase(SynchronousTestCase):
    """Alice behind a NAT, Bob and a broker on the core; Alice can connect to both."""

    options: dict[str, Any] = {}

    def setUp(self) -> None:
        self.network = Network(Clock(), **self.options)
        self.nat = Nat("203.0.113.1")
        self.alice = self.network.host("alice", behind=self.nat, address="192.168.1.2")
        self.bob = self.network.host("bob", address="203.0.113.6")
        self.broker = self.network.host("broker", ["198.51.100.10", "2001:db8::10"])
        self.network.name("broker.example", "2001:db8::10", "198.51.100.10")

    def connect(self, there: Host, here: Host | None = None) -> tuple[Recorder, Recorder]:
        """A connection from Alice, or another host, to port 80 of a host."""
        dialled, accepted = Factory(), Factory()
        port = there.listenTCP(80, accepted)
        (here or self.alice).connectTCP(there.addresses[0], 80, dialled)
        self.network.run_until(lambda: accepted.made, 2)
        port.stopListening()
        self.network.advance(0)
        return dialled.only, accepted.only


class DrivingTests(NetworkCase):
    """Time goes from event to event."""

    def test_advance(self) -> None:
        """Each call runs at its own time, also one that another one asks for on the way."""
        times: list[float] = []

        def tick() -> None:
            times.append(self.network.clock.seconds())
            self.alice.callLater(0.1, tick)

        self.alice.callLater(0.1, tick)
        self.network.advance(0.35)
        self.assertEqual([round(each, 6) for each in times], [0.1, 0.2, 0.3])
        self.assertEqual(self.network.clock.seconds(), 0.35)

    def test_run_until(self) -> None:
        """It stops in the instant in which the predicate comes true."""
        self.connect(self.bob)
        self.assertAlmostEqual(self.network.clock.seconds(), 0.060)

    def test_limit(self) -> None:
        """Where it does not, the message says when it was and shows the last packets."""
        self.alice.connectTCP("203.0.113.6", 81, Factory())
        failure = self.assertRaises(AssertionError, self.network.run_until, lambda: False, 5)
        self.assertIn("5 simulated seconds", str(failure))
        self.assertIn("bob 203.0.113.6:81 > 203.0.113.1:", str(failure))

    def test_same_seed_same_run(self) -> None:
        """Two runs with one seed are equal to the last packet, with another seed they are not."""

        def run(seed: int) -> list[object]:
            network = Network(Clock(), seed, chop=True, mss=1000)
            alice = network.host("alice", behind=Nat("203.0.113.1", allocation="random"), address="10.0.0.2")
            bob = network.host("bob", address="203.0.113.6")
            dialled, accepted = Factory(), Factory()
            bob.listenTCP(80, accepted)
            alice.connectTCP("203.0.113.6", 80, dialled)
            network.advance(1)
            dialled.only.transport.write(bytes(20_000))
            network.advance(1)
            return [*network.packets, [len(piece) for piece in accepted.only.pieces]]

        self.assertEqual(run(1), run(1))
        self.assertNotEqual(run(1), run(2))

    def test_delays(self) -> None:
        """Of a site, or of a pair of sites, one way or both."""
        dialled, accepted = self.connect(self.bob)
        carol = self.network.host("carol", address="203.0.113.7", delay=0.1)
        start = self.network.clock.seconds()
        self.connect(self.bob, carol)
        self.assertAlmostEqual(self.network.clock.seconds() - start, 3 * 0.110)
        self.network.set_delay(self.alice, self.bob, 0.5, back=0.2)
        for sender, receiver, delay in ((dialled, accepted, 0.5), (accepted, dialled, 0.2)):
            start = self.network.clock.seconds()
            sender.transport.write(b"x")
            self.network.run_until(lambda r=receiver: r.received, 2)
            self.assertAlmostEqual(self.network.clock.seconds() - start, delay)

    def test_private_network(self) -> None:
        """Two hosts behind one router are a millisecond apart, and their packets never see the core."""
        carol = self.network.host("carol", behind=self.nat, address="192.168.1.3")
        self.connect(carol)
        self.assertAlmostEqual(self.network.clock.seconds(), 0.003)
        self.assertEqual({each.network for each in self.network.packets}, {self.nat.name})


class BreakingTests(NetworkCase):
    """Cuts, isolation and death."""

    def test_cut(self) -> None:
        """Only those two hosts are cut from each other, until it is restored."""
        dialled, accepted = self.connect(self.bob)
        other, _ = self.connect(self.broker)
        self.network.cut(self.alice, self.bob)
        dialled.transport.write(b"late")
        other.transport.write(b"in time")
        self.network.advance(10)
        self.assertEqual(accepted.received, b"")
        self.assertIn(b"in time", self.network.payload_seen_at("broker"))
        self.network.restore(self.alice, self.bob)
        self.network.advance(15)
        self.assertEqual(accepted.received, b"late")

    def test_cut_hides_routers(self) -> None:
        """Nor does a router answer for the host behind it."""
        self.nat.stray = "reset"
        self.network.cut(self.alice, self.bob)
        factory = Factory()
        self.bob.connectTCP("203.0.113.1", 4000, factory, timeout=5)
        self.network.advance(6)
        self.assertIsInstance(factory.error, error.TimeoutError)

    def test_isolate(self) -> None:
        """Nothing comes or goes; loopback works."""
        dialled, _ = self.connect(self.bob)
        self.network.isolate(self.alice)
        count = len(self.network.packets)
        dialled.transport.write(b"x")
        self.network.advance(10)
        self.assertEqual(len(self.network.packets), count)
        local = Factory()
        self.alice.listenTCP(81, Factory())
        self.alice.connectTCP("127.0.0.1", 81, local)
        self.network.advance(1)
        self.assertEqual(len(local.made), 1)
        self.network.restore(self.alice)
        self.network.advance(15)
        self.assertIn(b"x", self.network.payload_seen_at("bob"))

    def test_crash(self) -> None:
        """The kernel closes what the process had, and none of its calls runs; the host can start anew."""
        dialled, accepted = self.connect(self.bob)
        unread, other = self.connect(self.broker)
        unread.transport.pauseProducing()
        other.transport.write(b"never read")
        self.network.advance(1)
        ran: list[int] = []
        call = self.alice.callLater(1, ran.append, 1)
        half_open = Factory()
        self.alice.connectTCP("203.0.113.99", 80, half_open)
        self.alice.listenTCP(4000, Factory())
        self.alice.crash()
        self.network.advance(100)
        self.assertIsInstance(accepted.lost.value, error.ConnectionDone)
        self.assertIs(type(other.lost.value), error.ConnectionLost)
        self.assertEqual((ran, half_open.failures, dialled.lost, unread.lost), ([], [], None, None))
        self.assertFalse(call.active())
        dialled.transport.loseConnection()  # of no effect, and no harm
        self.network.advance(1)
        self.alice.listenTCP(4000, Factory())

    def test_move(self) -> None:
        """In the new place old connections are dead, and new ones work; the old address is free."""
        self.network.host("other", address="192.168.1.2", behind=Nat("203.0.113.88"))
        dialled, accepted = self.connect(self.bob)
        self.network.move(self.alice, ["10.0.0.7", "2001:db8:7::7"], behind=Nat("203.0.113.77"))
        self.assertEqual(self.alice.addresses, ["10.0.0.7", "2001:db8:7::7"])
        dialled.transport.write(b"x")
        self.network.advance(10)
        self.assertEqual(accepted.received, b"")
        _, again = self.connect(self.bob)
        self.assertEqual(again.transport.getPeer().host, "203.0.113.77")
        self.network.host("carol", address="192.168.1.2", behind=self.nat)
        self.network.move(self.alice, ["203.0.113.78"])
        self.network.host("dave", address="2001:db8:7::7")
        self.connect(self.bob, self.network.hosts["other"])

    def test_move_on_the_core(self) -> None:
        """No network forwards the old address for it (RFC 2827)."""
        carol = self.network.host("carol", address="203.0.113.7")
        dialled, accepted = self.connect(self.bob, carol)
        self.network.move(carol, ["203.0.113.9"])
        dialled.transport.write(b"x")
        self.network.advance(10)
        self.assertEqual(accepted.received, b"")

    def test_new_outside_address(self) -> None:
        """A router that reboots may come back with another address."""
        self.connect(self.bob)
        self.nat.reboot("203.0.113.200")
        _, again = self.connect(self.bob)
        self.assertEqual(again.transport.getPeer().host, "203.0.113.200")

    def test_duplicates(self) -> None:
        """Names and addresses are unique."""
        self.assertRaises(ValueError, self.network.host, "bob", address="203.0.113.7")
        self.assertRaises(ValueError, self.network.host, "dave", address="203.0.113.6")
        self.assertRaises(ValueError, self.network.router, Nat("203.0.113.9", name=self.nat.name))


class WatchingTests(NetworkCase):
    """Packets and payload."""

    def test_payload(self) -> None:
        """A host's is what it sent and received, flow after flow, and nothing of what passed it by."""
        secret, _ = self.connect(self.bob)
        public, broker_side = self.connect(self.broker)
        for start in range(0, 10, 2):
            secret.transport.write(b"secret")
            public.transport.write(b"0123456789"[start : start + 2])
            broker_side.transport.write(b"answer")
            self.network.advance(0.1)
        self.assertEqual(self.network.payload_seen_at("broker"), b"answer" * 5 + b"\0" + b"0123456789")
        self.assertNotIn(b"secret", self.network.payload_seen_at(self.broker))
        self.assertEqual(self.network.payload_seen_at("bob"), b"secret" * 5)

    def test_syn_destinations(self) -> None:
        """Each once, also where nobody is."""
        for host in ("203.0.113.6", "203.0.113.99", "203.0.113.6"):
            self.alice.connectTCP(host, 80, Factory())
        self.network.advance(5)
        expected = [Endpoint("203.0.113.6", 80), Endpoint("203.0.113.99", 80)]
        self.assertEqual(self.network.syn_destinations("alice"), expected)
        self.assertEqual(self.network.syn_destinations(self.bob), [])

    def test_history(self) -> None:
        """It is bounded, and its records can't be changed."""
        network = Network(Clock(), history=2)
        alice = network.host("alice", address="203.0.113.5")
        alice.connectTCP("203.0.113.99", 80, Factory())
        network.advance(5)
        self.assertEqual(len(network.packets), 2)
        self.assertRaises(AttributeError, setattr, network.packets[0], "time", 0)
        self.assertEqual(str(Endpoint("2001:db8::1", 80)), "[2001:db8::1]:80")
