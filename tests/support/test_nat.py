"""NATs and firewalls by the words of RFC 4787 and RFC 5382."""

from __future__ import annotations

import errno
from typing import Any

from twisted.internet import error
from twisted.internet.task import Clock
from twisted.internet.tcp import makeBinding
from twisted.trial.unittest import SynchronousTestCase

from tests.support.network import Firewall, Host, Nat, Network
from tests.support.recorder import Factory

SHARED = makeBinding("", 4000, reuseAddress=True, reusePort=True)
ALICE, BOB = "203.0.113.1", "203.0.113.2"
EIF, ADF, APDF = "endpoint-independent", "address-dependent", "address-and-port-dependent"


class NatCase(SynchronousTestCase):
    """Two hosts at one private address, each behind its own router, and a server that is not."""

    def build(self, alice: dict[str, Any] | None = None, bob: dict[str, Any] | None = None) -> None:
        self.network = Network(Clock())
        self.nat, self.far_nat = Nat(ALICE, **alice or {}), Nat(BOB, **bob or {})
        self.alice = self.network.host("alice", behind=self.nat, address="192.168.1.2")
        self.bob = self.network.host("bob", behind=self.far_nat, address="192.168.1.2")
        self.server = self.network.host("server", ["198.51.100.10", "198.51.100.11"])
        self.seen = Factory()
        for port in (9000, 9001):
            self.server.listenTCP(port, self.seen)

    def observe(self, host: Host, address: str = "198.51.100.10", port: int = 9000) -> int:
        """Dials the server from the shared port and stays connected; returns the port that it sees."""
        host.connectTCP(address, port, Factory(), bindAddress=SHARED)
        self.network.advance(0.2)
        peer: Any = self.seen.peers[-1]
        return peer.port

    def dial(self, host: Host, address: str, port: int = 4000, factory: Factory | None = None) -> Factory:
        factory = factory or Factory()
        host.connectTCP(address, port, factory, bindAddress=SHARED)
        return factory

    def call(self, port: int, source: str = "198.51.100.10", source_port: int = 0) -> Factory:
        """The server dials Alice's outside port, from an address and port of its own."""
        factory = Factory()
        binding = makeBinding(source, source_port, reuseAddress=True, reusePort=True)
        self.server.connectTCP(ALICE, port, factory, timeout=5, bindAddress=binding)
        self.network.advance(6)
        return factory


class MappingTests(NatCase):
    """Outside ports."""

    def observed(self, **nat: Any) -> list[int]:
        """As seen at one endpoint of the server, another port of the same address, and another address."""
        self.build(nat)
        return [
            self.observe(self.alice),
            self.observe(self.alice, port=9001),
            self.observe(self.alice, address="198.51.100.11"),
        ]

    def test_mapping(self) -> None:
        """What a new mapping depends on."""
        one, two, three = self.observed(mapping="endpoint-independent", allocation="random")
        self.assertTrue(one == two == three)
        one, two, three = self.observed(mapping="address-dependent", allocation="random")
        self.assertTrue(one == two != three)
        self.assertEqual(len(set(self.observed(mapping=APDF, allocation="random"))), 3)

    def test_allocation(self) -> None:
        """Preserved, sequential or random."""
        self.assertEqual(self.observed(allocation="preserved"), [4000] * 3)
        one, two, three = self.observed(mapping=APDF, allocation="sequential")
        self.assertEqual((two - one, three - two), (1, 1))
        self.assertNotEqual(self.observed(allocation="random")[0], 4000)

    def test_preservation_conflict(self) -> None:
        """The second host with one inside port gets another one."""
        self.build()
        carol = self.network.host("carol", behind=self.nat, address="192.168.1.3")
        self.assertEqual(self.observe(self.alice), 4000)
        self.assertNotEqual(self.observe(carol), 4000)
        for protocol in self.seen.made:
            protocol.transport.abortConnection()
        self.network.advance(11)
        self.assertEqual(self.observe(carol), 4000)

    def test_translation_is_recorded(self) -> None:
        """Packets are listed as on the core, with what the host wrote."""
        self.build({"allocation": "random"})
        port = self.observe(self.alice)
        syn, answer = list(self.network.packets)[:2]
        self.assertEqual((str(syn.source), str(syn.sent_source)), (f"{ALICE}:{port}", "192.168.1.2:4000"))
        self.assertEqual((syn.network, syn.sender, syn.flags), ("core", "alice", "SYN"))
        self.assertEqual((answer.destination, answer.sent_destination), (syn.source, syn.source))
        self.assertEqual([each.flags for each in self.network.packets], ["SYN", "SYN-ACK", "ACK"])

    def test_idle(self) -> None:
        """An idle connection is forgotten in the end, and its port with it; a busy one is not."""
        self.build({"idle": 300, "allocation": "random"})
        port = self.observe(self.alice)
        for _ in range(4):
            self.network.advance(200)
            self.seen.only.transport.write(b"keep")
        self.network.advance(200)
        self.assertIsNone(self.seen.only.lost)
        self.network.advance(301)
        self.seen.only.transport.write(b"gone")
        self.network.advance(1200)
        self.assertIsNotNone(self.seen.only.lost)
        self.assertNotEqual(self.observe(self.alice, port=9001), port)

    def test_mapping_ends_with_its_last_connection(self) -> None:
        """Ten seconds after a RST, two minutes after a FIN."""
        for close, life in (("abortConnection", 10), ("loseConnection", 120)):
            for wait, lives in ((life - 1, True), (life + 1, False)):
                self.build({"filtering": EIF})
                self.alice.listenTCP(SHARED, Factory())
                port = self.observe(self.alice)
                getattr(self.seen.only.transport, close)()
                self.network.advance(wait)
                self.assertEqual(bool(self.call(port).made), lives, (close, wait))

    def test_symmetric_and_open(self) -> None:
        """Who calls a port of a mapping that was made for another is answered from that port."""
        self.build({"filtering": EIF, "mapping": APDF, "allocation": "random"})
        self.alice.listenTCP(SHARED, Factory())
        self.assertEqual(len(self.call(self.observe(self.alice)).made), 1)


class FilteringTests(NatCase):
    """Who may call, once Alice is connected to port 9000 of the server's first address."""

    def test_filtering(self) -> None:
        """Anyone; the address; or only the endpoint that was called itself."""
        cases = {EIF: (True, True), ADF: (True, False), APDF: (False, False)}
        for filtering, (same_address, other_address) in cases.items():
            self.build({"filtering": filtering})
            self.alice.listenTCP(SHARED, Factory())
            port = self.observe(self.alice)
            self.assertEqual(bool(self.call(port).made), same_address, filtering)
            self.assertEqual(bool(self.call(port, "198.51.100.11").made), other_address, filtering)

    def test_same_endpoint(self) -> None:
        """A SYN from exactly where a half-open dial goes is let in (RFC 5382 REQ-2)."""
        self.build()
        self.network.isolate(self.server)
        dialled = self.dial(self.alice, "198.51.100.10", 5000)
        self.network.advance(0.5)
        self.network.restore(self.server)
        self.assertEqual(len(self.call(4000, source_port=5000).made), 1)
        self.assertEqual(len(dialled.made), 1)

    def test_stray(self) -> None:
        """Silence, a RST or an ICMP error."""
        cases = {
            "silent": (error.TimeoutError, None),
            "reset": (error.ConnectionRefusedError, errno.ECONNREFUSED),
            "icmp": (error.ConnectError, errno.EHOSTUNREACH),
        }
        for stray, (kind, number) in cases.items():
            self.build({"stray": stray})
            failure = self.call(4000).error
            self.assertIs(type(failure), kind)
            self.assertEqual(getattr(failure, "osError", None), number)

    def test_refused_host(self) -> None:
        """A RST from the host behind passes; nothing tells it from the router's but the sender."""
        self.build({"filtering": EIF})
        port = self.observe(self.alice)
        self.assertIsInstance(self.call(port).error, error.ConnectionRefusedError)
        self.assertEqual([each.sender for each in self.network.packets if "RST" in each.flags], ["alice"])


class TopologyTests(NatCase):
    """More than one host or router."""

    def test_hairpin(self) -> None:
        """Two hosts behind one NAT reach each other at its outside only where it turns packets round."""
        for hairpin in (False, True):
            self.build({"filtering": EIF, "hairpin": hairpin})
            carol = self.network.host("carol", behind=self.nat, address="192.168.1.3")
            accepted = Factory()
            self.alice.listenTCP(SHARED, accepted)
            port = self.observe(self.alice)
            outside, inside = Factory(), Factory()
            carol.connectTCP(ALICE, port, outside)
            carol.connectTCP("192.168.1.2", 4000, inside)
            self.network.advance(1)
            self.assertEqual((len(outside.made), len(inside.made)), (int(hairpin), 1))
            peers = {each.host for each in accepted.peers}  # type: ignore[attr-defined]
            self.assertEqual(peers, {ALICE, "192.168.1.3"} if hairpin else {"192.168.1.3"})

    def test_carrier_grade(self) -> None:
        """A NAT behind a NAT translates twice; delays add up."""
        self.build()
        carrier = Nat("203.0.113.9", delay=0.005)
        home = Nat("100.64.0.2", behind=carrier, delay=0.002)
        carol = self.network.host("carol", behind=home, address="192.168.1.2")
        start = self.network.clock.seconds()
        factory = Factory()
        carol.connectTCP("198.51.100.10", 9000, factory)
        self.network.run_until(lambda: factory.made, 1)
        self.assertAlmostEqual(self.network.clock.seconds() - start, 2 * (0.002 + 0.005 + 0.010))
        self.network.advance(1)
        peer: Any = self.seen.peers[0]
        self.assertEqual(peer.host, "203.0.113.9")

    def test_firewall(self) -> None:
        """No translation; calls in only as the filtering says."""
        network = Network(Clock())
        wall = Firewall(stray="reset")
        inside = network.host("inside", ["203.0.113.7", "2001:db8:1::7"], behind=wall)
        outside = network.host("outside", ["203.0.113.8", "2001:db8:2::8"])
        accepted, called, dialled = Factory(), Factory(), Factory()
        inside.listenTCP(80, Factory(), interface="::")
        outside.listenTCP(80, accepted, interface="::")
        outside.connectTCP("2001:db8:1::7", 80, called)
        inside.connectTCP("2001:db8:2::8", 80, dialled)
        network.advance(1)
        self.assertIsInstance(called.error, error.ConnectionRefusedError)
        self.assertEqual(len(dialled.made), 1)
        self.assertEqual(accepted.only.transport.getPeer().host, "2001:db8:1::7")

    def test_ipv6_through_a_nat(self) -> None:
        """It is filtered, not translated."""
        self.build()
        carol = self.network.host("carol", ["192.168.1.9", "2001:db8:1::9"], behind=self.nat)
        dave = self.network.host("dave", address="2001:db8:2::8")
        accepted, called = Factory(), Factory()
        dave.listenTCP(80, accepted, interface="::")
        carol.connectTCP("2001:db8:2::8", 80, Factory())
        dave.connectTCP("2001:db8:1::9", 80, called, timeout=3)
        self.network.advance(4)
        self.assertEqual(accepted.only.transport.getPeer().host, "2001:db8:1::9")
        self.assertIsInstance(called.error, error.TimeoutError)

    def test_reboot_forgets_callers(self) -> None:
        """Nor does a connection from outside go on."""
        self.build({"filtering": EIF, "stray": "reset"})
        accepted = Factory()
        self.alice.listenTCP(SHARED, accepted)
        called = self.call(self.observe(self.alice))
        self.nat.reboot()
        accepted.only.transport.write(b"hello?")
        self.network.advance(5)
        self.assertEqual((accepted.only.lost is not None, called.only.received), (True, b""))

    def test_reboot(self) -> None:
        """Old connections starve, but where the router sends RST; then they end, from either side."""
        for stray in ("silent", "icmp", "reset"):
            for side in ("inside", "outside"):
                self.build({"stray": stray})
                dialled = Factory()
                self.alice.connectTCP("198.51.100.10", 9000, dialled)
                self.network.advance(1)
                self.nat.reboot()
                writer = dialled.only if side == "inside" else self.seen.only
                writer.transport.write(b"hello?")
                self.network.advance(5)
                self.assertEqual(writer.lost is not None, stray == "reset", (stray, side))
                self.assertEqual(self.seen.only.received + dialled.only.received, b"")
                again = Factory()
                self.alice.connectTCP("198.51.100.10", 9000, again)
                self.network.advance(1)
                self.assertEqual(len(again.made), 1)
