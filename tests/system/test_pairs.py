"""Two peers meet, whatever stands between them."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from p2phole import events
from p2phole.peer.settings import BrokerAddress
from tests.support.network import Firewall, Nat
from tests.system.world import BROKER, World

OPEN = None
SILENT = {"stray": "silent"}
RESET = {"stray": "reset"}
ADF = {"filtering": "address-dependent"}
EIF = {"filtering": "endpoint-independent"}


def pair(first, second, seed=0, **options):
    """A world with alice and bob behind routers of those kinds."""
    world = World(seed, **options)
    peers = []
    for number, (name, kind) in enumerate((("alice", first), ("bob", second)), 1):
        router = Nat(f"203.0.113.{number}", **kind) if kind is not None else None
        peers.append(world.peer(world.site(name, router), messages=(f"hello from {name}",)))
        world.until(lambda: peers[-1].all(events.Registered))
    return world, *peers


class PairTests(SynchronousTestCase):
    """Pairs for which one port is enough."""

    def check(self, first, second, **options):
        """Both connect within the first agreed start, both messages arrive, the broker sees none."""
        world, alice, bob = pair(first, second, **options)
        world.connected()
        world.until(lambda: alice.texts("out") and bob.texts("out"))
        for me, other in ((alice, bob), (bob, alice)):
            (connected,) = me.all(events.Connected)
            self.assertEqual(
                (connected.peer, connected.path, connected.attempts, connected.authenticated),
                (other.name, "direct", 1, "tofu"),
            )
            self.assertEqual(connected.id, other.credentials.fingerprint)
            self.assertEqual(me.texts(), [f"hello from {other.name}"])
            self.assertEqual(me.console.shown, [f"{other.name}: hello from {other.name}"])
            self.assertEqual(me.all(events.Failed), [])
        self.assertNotIn(b"hello from", world.net.payload_seen_at("broker"))
        alice.stop()
        bob.stop()
        return alice, bob

    def test_open(self):
        self.check(OPEN, OPEN)

    def test_both_silent(self):
        """One round trip to connect, two for TLS: 120 ms over 40 ms."""
        alice, bob = self.check(SILENT, SILENT)
        for peer in (alice, bob):
            (connected,) = peer.all(events.Connected)
            self.assertLess(connected.seconds, 0.125)
            self.assertEqual(connected.candidate, "srflx")

    def test_both_reset(self):
        self.check(RESET, RESET)

    def test_mixed(self):
        for first, second in ((SILENT, RESET), (OPEN, RESET), (OPEN, SILENT), (ADF, RESET), (EIF, SILENT)):
            with self.subTest(first=first, second=second):
                self.check(first, second)

    def test_icmp(self):
        self.check({"stray": "icmp"}, RESET)

    def test_any_chunks(self):
        """Whatever pieces the bytes come in."""
        for seed in range(5):
            with self.subTest(seed=seed):
                self.check(RESET, SILENT, seed=seed, chop=True)

    def test_one_far_from_the_broker(self):
        """Near each other, one of them far: the agreed delay makes up for it."""
        for kind in (SILENT, RESET):
            world = World()
            far = world.site("far", Nat("203.0.113.1", **kind))
            near = world.site("near", Nat("203.0.113.2", **kind))
            world.net.set_delay(far, near, 0.002)
            world.net.set_delay(far, world.broker_host, 0.15)
            alice, bob = world.peer(far), world.peer(near)
            world.connected()
            self.assertEqual({alice.all(events.Connected)[0].attempts, bob.all(events.Connected)[0].attempts}, {1})
            sent = [packet for packet in world.net.packets if packet.flags == "SYN" and packet.network == "core"]
            direct = [packet for packet in sent if packet.sender in ("near", "far")]
            direct = [packet for packet in direct if packet.destination.host.startswith("203.")]
            self.assertLess(abs(direct[0].time - direct[1].time), 0.005)


class LanTests(SynchronousTestCase):
    """Members of one local network find each other inside it."""

    def test_same_lan(self):
        world = World()
        router = Nat("203.0.113.1", stray="reset")
        alice = world.peer(world.net.host("alice", address="192.168.1.2", behind=router))
        bob = world.peer(world.net.host("bob", address="192.168.1.3", behind=router))
        world.connected()
        self.assertEqual(alice.all(events.Connected)[0].candidate, "host")
        self.assertEqual(bob.all(events.Connected)[0].candidate, "host")

    def test_decoy_at_the_same_private_address(self):
        """Somebody else at the address that the other member has in its own network is never spoken to."""
        world = World()
        home = Nat("203.0.113.1", stray="reset")
        decoy = world.net.host("decoy", address="192.168.7.3", behind=home)
        world.peer(world.net.host("alice", address="192.168.7.2", behind=home))
        bob = world.peer(world.net.host("bob", address="192.168.7.3", behind=Nat("203.0.113.2", stray="reset")))
        world.connected()
        self.assertEqual(world.net.payload_seen_at(decoy), b"")
        self.assertNotIn("192.168.7.3", {str(end.host) for end in world.net.syn_destinations("alice")})
        self.assertEqual(bob.all(events.Connected)[0].candidate, "srflx")

    def test_two_peers_on_one_machine(self):
        world = World()
        host = world.site("host", Nat("203.0.113.1"))
        world.peer(host, "alice")
        world.peer(host, "bob")
        world.connected()

    def test_ipv6(self):
        """Through stateful firewalls without translation, by global addresses."""
        world = World()
        peers = []
        for number, stray in ((1, "silent"), (2, "reset")):
            host = world.net.host(
                f"host{number}",
                addresses=[f"2001:db8:{number}::2"],
                behind=Firewall(stray=stray, name=f"f{number}"),
            )
            peers.append(world.peer(host, broker=BrokerAddress("2001:db8::1", 9000)))
        world.connected()
        (connected,) = peers[0].all(events.Connected)
        self.assertTrue(connected.local.startswith("[2001:db8:1::2]:"))
        self.assertEqual(connected.attempts, 1)


class NatTests(SynchronousTestCase):
    """What the probes tell."""

    def found(self, kind, **settings):
        world = World(broker=False)
        world.start_broker(**settings)
        peer = world.peer(world.site("alice", Nat("203.0.113.1", **kind)))
        world.until(lambda: peer.all(events.Nat))
        (nat,) = peer.all(events.Nat)
        return nat.mapping, nat.allocation

    def test_one_broker_address(self):
        self.assertEqual(self.found({}), ("unknown", "preserved"))
        self.assertEqual(
            self.found({"mapping": "address-and-port-dependent", "allocation": "sequential"}),
            ("address-and-port-dependent", "sequential"),
        )

    def test_two_broker_addresses(self):
        two = {"probe_address": "198.51.100.2"}
        self.assertEqual(self.found({}, **two), ("endpoint-independent", "preserved"))
        self.assertEqual(
            self.found({"mapping": "address-dependent", "allocation": "random"}, **two),
            ("address-dependent", "random"),
        )
        for allocation in ("sequential", "random"):
            self.assertEqual(
                self.found({"mapping": "address-and-port-dependent", "allocation": allocation}, **two),
                ("address-and-port-dependent", allocation),
            )

    def test_no_nat(self):
        world = World()
        peer = world.peer(world.site("alice"))
        world.until(lambda: peer.all(events.Nat))
        self.assertEqual(peer.all(events.Nat)[0].mapping, "none")
        self.assertEqual(peer.all(events.Registered)[0].observed, peer.all(events.Registered)[0].local)

    def test_no_probe_port(self):
        world = World(broker=False)
        world.start_broker(probe_port=0)
        peer = world.peer(world.site("alice", Nat("203.0.113.1")))
        world.until(lambda: peer.all(events.Nat))
        self.assertEqual(peer.all(events.Nat)[0].mapping, "unknown")
        self.assertEqual({str(end) for end in world.net.syn_destinations("alice")}, {f"{BROKER}:9000"})
