"""Pairs in which a NAT maps by endpoint: prediction, birthday, and what nothing will do for."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from p2phole import events
from p2phole.punch.birthday import MANY_PORTS, MOST_TRIES
from tests.support import firewall
from tests.support.network import Nat
from tests.system.test_pairs import ADF, EIF, OPEN, RESET, SILENT
from tests.system.world import World

PORT = "address-and-port-dependent"
SEQUENTIAL = {"mapping": PORT, "allocation": "sequential"}
SEQUENTIAL_RESET = {**SEQUENTIAL, "stray": "reset"}
KEEPS = {"mapping": PORT, "allocation": "next free"}
RANDOM = {"mapping": PORT, "allocation": "random"}
BY_ADDRESS = {"mapping": "address-dependent", "allocation": "sequential"}


class HardNatTests(SynchronousTestCase):
    """One or both of the two maps by endpoint."""

    def play(self, first, second, seed=0, settled=True, **broker):
        """Alice and bob; bob comes when alice knows her NAT, and introduces himself knowing his or not."""
        world = World(seed, broker=False)
        world.start_broker(**broker)
        peers = []
        for number, (name, kind) in enumerate((("alice", first), ("bob", second)), 1):
            router = Nat(f"203.0.113.{number}", **kind) if kind is not None else None
            peers.append(world.peer(world.site(name, router), messages=(f"hello from {name}",)))
            if settled:
                world.until(lambda: peers[-1].all(events.Nat))
        world.until(lambda: all(peer.all(events.Connected) or peer.all(events.Failed) for peer in peers), 40)
        return world, *peers

    def connects(self, first, second, within, **options):
        """Both ways round, at the first start, within so many seconds."""
        for pair in ((first, second), (second, first)):
            with self.subTest(pair=pair):
                world, alice, bob = self.play(*pair, **options)
                world.until(lambda both=(alice, bob): all(peer.texts("out") for peer in both))
                for peer in (alice, bob):
                    (connected,) = peer.all(events.Connected)
                    self.assertEqual(connected.attempts, 1)
                    self.assertLess(connected.seconds, within)
                self.assertNotIn(b"hello from", world.net.payload_seen_at("broker"))
                alice.stop()
                bob.stop()

    def test_sequential_with_one_port(self):
        for other in (SILENT, RESET, OPEN, ADF, EIF):
            self.connects(SEQUENTIAL, other, 0.2)

    def test_sequential_with_one_broker_address(self):
        self.connects(SEQUENTIAL, SILENT, 0.2, probe_address=None)

    def test_sequential_with_two_broker_addresses(self):
        self.connects(SEQUENTIAL, SILENT, 0.2, probe_address="198.51.100.2")

    def test_sequential_who_has_only_just_come(self):
        self.connects(SEQUENTIAL, SILENT, 0.2, settled=False)

    def test_both_sequential_meet_diagonally(self):
        self.connects(SEQUENTIAL, SEQUENTIAL, 0.2)
        self.connects(SEQUENTIAL, SEQUENTIAL, 0.2, settled=False)

    def test_sequential_with_a_router_that_answers(self):
        """The dialling back is over at once then; no look that follows takes a port in the middle of the start."""
        for other in (SEQUENTIAL, SEQUENTIAL_RESET):
            for settled in (True, False):
                self.connects(SEQUENTIAL_RESET, other, 0.2, settled=settled, probe_address="198.51.100.2")

    def test_ports_that_are_kept(self):
        """The next port is counted from the own one; those that were let go are taken again, or only later."""
        for seconds in (0.0, firewall.RESET_SECONDS):
            self.patch(firewall, "RESET_SECONDS", seconds)
            for other in (SILENT, RESET, OPEN, EIF, SEQUENTIAL, SEQUENTIAL_RESET):
                with self.subTest(other=other, seconds=seconds):
                    self.comes_to(KEEPS, other, 1.0)
        self.patch(firewall, "RESET_SECONDS", 0.0)
        self.comes_to(KEEPS, KEEPS, 1.0)

    def test_a_newcomer_whose_port_is_kept(self):
        """Introduced at once as one whose NAT is easy: when it knows better it asks anew, in time."""
        for other in (SILENT, RESET, OPEN, EIF, SEQUENTIAL, SEQUENTIAL_RESET):
            with self.subTest(other=other):
                self.comes_to(other, KEEPS, 1.0)

    def test_two_newcomers_whose_ports_are_kept(self):
        self.patch(firewall, "RESET_SECONDS", 0.0)
        for other in (SILENT, RESET, SEQUENTIAL, SEQUENTIAL_RESET, KEEPS):
            for pair in ((KEEPS, other), (other, KEEPS)):
                with self.subTest(pair=pair):
                    _, alice, bob = self.play(*pair, settled=False, probe_address="198.51.100.2")
                    self.assertEqual(alice.all(events.Failed) + bob.all(events.Failed), [])

    def comes_to(self, first, second, within):
        """Alice has been there for a while, and bob is connected so many seconds after he has come."""
        world = World(broker=False)
        world.start_broker(probe_address="198.51.100.2")
        alice, bob = (
            world.site(name, Nat(f"203.0.113.{number}", **kind) if kind is not None else None)
            for number, (name, kind) in enumerate((("alice", first), ("bob", second)), 1)
        )
        alice = world.peer(alice)
        world.net.advance(20)
        bob = world.peer(bob)
        world.until(lambda: alice.all(events.Connected) and bob.all(events.Connected), within)

    def comes_to_many(self, newcomer, *kinds):
        """A newcomer, who meets all the others."""
        world = World(broker=False)
        world.start_broker(probe_address="198.51.100.2")
        for number, kind in enumerate(kinds):
            nat = Nat(f"203.0.113.{number + 10}", delay=0.005 + 0.001 * (number * 7 % 20), **kind)
            service = world.peer(world.site(f"p{number}", nat)).service
            place = service.membership
            place.introduced = lambda message, take=place.introduced: (
                take(message) if message.name == "newcomer" else None
            )
        world.net.advance(5)
        newcomer = world.peer(world.site("newcomer", Nat("203.0.113.1", **newcomer)))
        world.until(lambda: len(newcomer.all(events.Connected)) == len(kinds), 12)
        self.assertEqual(newcomer.all(events.Failed), [])
        return max(event.attempts for event in newcomer.all(events.Connected))

    def test_more_than_a_look_tells_the_ports_for(self):
        self.assertEqual(self.comes_to_many(SEQUENTIAL, *[SILENT, RESET] * 10), 1)

    def test_many_of_one_kind(self):
        self.assertLessEqual(self.comes_to_many(SEQUENTIAL, *[SEQUENTIAL, SILENT] * 4), 2)
        self.assertLessEqual(self.comes_to_many(SEQUENTIAL, *[SEQUENTIAL] * 6), 2)

    def test_a_newcomer_to_many_whose_port_is_kept(self):
        self.assertLessEqual(self.comes_to_many(KEEPS, *[SILENT, RESET] * 10), 3)

    def test_by_address(self):
        """A newcomer looks at the broker's second address before it is introduced."""
        self.connects(BY_ADDRESS, SILENT, 0.2, probe_address="198.51.100.2")
        self.connects(BY_ADDRESS, BY_ADDRESS, 0.2, probe_address="198.51.100.2", settled=False)

    def test_random_with_a_loose_filter(self):
        """The hard side's dial is let in."""
        for other in (OPEN, ADF, EIF):
            self.connects(RANDOM, other, 0.2)

    def test_random_by_birthday(self):
        for seed in range(3):
            self.connects(RANDOM, SILENT, 6.0, seed=seed)

    def test_birthday_keeps_its_bounds(self):
        world, alice, bob = self.play(RANDOM, SILENT)
        bob.say("x")
        world.net.advance(30)
        to_alice = [
            packet
            for packet in world.net.packets
            if packet.sender == "bob" and packet.flags == "SYN" and packet.destination.host == "203.0.113.1"
        ]
        self.assertLess(len(to_alice), MOST_TRIES)
        self.assertEqual({packet.sent_source.port for packet in to_alice}, {bob.service.port.port})
        self.assertGreaterEqual(min(packet.destination.port for packet in to_alice), 1024)
        ports = {
            packet.sent_source.port
            for packet in world.net.packets
            if packet.sender == "alice" and packet.destination.host == "203.0.113.2"
        }
        # The shared port, and one in place of the one that has connected.
        self.assertLessEqual(len(ports), MANY_PORTS + 2)
        for peer in (alice, bob):
            # The broker, the direct connection, the listener: all else is closed.
            self.assertLessEqual(len(peer.host.getReaders()), 3)

    def test_impossible(self):
        """Said on both sides, with the true reason, in time."""
        for first, second in ((RANDOM, RANDOM), (RANDOM, SEQUENTIAL)):
            world, alice, bob = self.play(first, second)
            for peer in (alice, bob):
                (failed,) = peer.all(events.Failed)
                self.assertEqual(failed.reason, "symmetric")
            self.assertLess(world.clock.seconds() - 1_000_000, 20)

    def test_two_behind_one_router_without_hairpin(self):
        """Each in a home of its own, behind one carrier."""
        world = World()
        carrier = Nat("203.0.113.1", name="carrier")
        peers = [
            world.peer(world.site(name, Nat(f"100.64.0.{number}", behind=carrier, name=f"home{number}")))
            for number, name in ((1, "alice"), (2, "bob"))
        ]
        world.until(lambda: all(peer.all(events.Failed) for peer in peers), 40)
        for peer in peers:
            self.assertEqual(peer.all(events.Failed)[0].reason, "no-hairpin")

    def test_two_behind_one_router_with_hairpin(self):
        world = World()
        carrier = Nat("203.0.113.1", name="carrier", hairpin=True)
        for number, name in ((1, "alice"), (2, "bob")):
            world.peer(world.site(name, Nat(f"100.64.0.{number}", behind=carrier, name=f"home{number}")))
        world.connected()


class FindingTests(SynchronousTestCase):
    """What discovery says of each kind."""

    def found(self, kind, two):
        world = World(broker=False)
        world.start_broker(probe_address="198.51.100.2" if two else None)
        peer = world.peer(world.site("alice", Nat("203.0.113.1", **kind) if kind is not None else None))
        begin = world.clock.seconds()
        world.until(lambda: peer.all(events.Nat))
        self.assertLess(world.clock.seconds() - begin, 2)
        (nat,) = peer.all(events.Nat)
        return nat.mapping, nat.filtering, nat.allocation, nat.unsolicited

    def test_two_broker_addresses(self):
        independent, address, port = "endpoint-independent", "address-dependent", PORT
        for kind, expected in (
            (OPEN, ("none", "none", "preserved", "unknown")),
            (SILENT, (independent, port, "preserved", "silent")),
            (RESET, (independent, port, "preserved", "reset")),
            ({"stray": "icmp"}, (independent, port, "preserved", "icmp")),
            (ADF, (independent, address, "preserved", "silent")),
            (EIF, (independent, independent, "preserved", "unknown")),
            (SEQUENTIAL, (port, port, "sequential", "silent")),
            (RANDOM, (port, port, "random", "silent")),
            (BY_ADDRESS, (address, port, "sequential", "silent")),
        ):
            with self.subTest(kind=kind):
                self.assertEqual(self.found(kind, two=True), expected)

    def test_one_broker_address(self):
        """It can't tell independence of the endpoint from dependence on the address."""
        for kind, expected in (
            (SILENT, ("unknown", PORT, "preserved", "silent")),
            (ADF, ("unknown", "unknown", "preserved", "unknown")),
            (EIF, ("unknown", "unknown", "preserved", "unknown")),
            (RANDOM, (PORT, PORT, "random", "silent")),
        ):
            with self.subTest(kind=kind):
                self.assertEqual(self.found(kind, two=False), expected)
