"""The check on the memory network: what it finds out, how it ends, and that it leaves nothing behind."""

from __future__ import annotations

from twisted.internet.defer import CancelledError, ensureDeferred
from twisted.trial.unittest import SynchronousTestCase

from p2phole import events
from p2phole.behaviour import Behaviour
from p2phole.check import examination
from p2phole.check.errors import (
    BrokerSilent,
    BrokerUnreachable,
    BrokerWentAway,
    NobodyThere,
    NoOutcome,
    NothingFound,
)
from p2phole.check.examination import examine
from p2phole.check.settings import CheckSettings
from p2phole.peer.errors import NotABroker
from p2phole.peer.settings import BrokerAddress
from tests.support.network import Nat
from tests.support.recorder import Factory
from tests.system.test_hard_nats import BY_ADDRESS, PORT, RANDOM, SEQUENTIAL
from tests.system.test_pairs import ADF, EIF, OPEN, RESET, SILENT
from tests.system.world import BROKER, SECOND, World, interfaces_of

INDEPENDENT, ADDRESS = "endpoint-independent", "address-dependent"
FOUND = (
    (OPEN, ("none", "none", "preserved", "unknown"), True),
    (SILENT, (INDEPENDENT, PORT, "preserved", "silent"), True),
    (RESET, (INDEPENDENT, PORT, "preserved", "reset"), True),
    (ADF, (INDEPENDENT, ADDRESS, "preserved", "silent"), True),
    (EIF, (INDEPENDENT, INDEPENDENT, "preserved", "unknown"), True),
    (SEQUENTIAL, (PORT, PORT, "sequential", "silent"), True),
    (RANDOM, (PORT, PORT, "random", "silent"), True),
    (BY_ADDRESS, (ADDRESS, PORT, "sequential", "silent"), True),
)


class Checking:
    """A check that runs on a host."""

    def __init__(self, world, kind, peer=None, broker=(BROKER, 9000), name="alice", number=1, **settings):
        router = Nat(f"203.0.113.{number}", **kind) if kind is not None else None
        self.world, self.host = world, world.site(name, router)
        self.name = name
        self.findings = self.error = None
        self.waited = 0
        self.deferred = ensureDeferred(
            examine(
                self.host,
                CheckSettings(BrokerAddress(*broker), name, peer, **settings),
                self._waiting,
                interfaces=lambda: interfaces_of(self.host),
            )
        )
        self.deferred.addCallbacks(self._found, self._failed)

    def _waiting(self):
        self.waited += 1

    def _found(self, findings):
        self.findings = findings

    def _failed(self, failure):
        self.error = failure.value

    @property
    def is_over(self):
        return self.findings is not None or self.error is not None

    def end(self, limit=20.0):
        """Let it come to its end; how long that took."""
        begin = self.world.clock.seconds()
        self.world.until(lambda: self.is_over, limit)
        return self.world.clock.seconds() - begin


class ExaminationTests(SynchronousTestCase):
    def world(self, **broker):
        world = World(broker=False)
        world.start_broker(**{"probe_address": SECOND, **broker})
        return world

    def nothing_left(self, checking):
        self.assertEqual(checking.host.getReaders(), [])
        self.assertEqual(checking.host.getWriters(), [])

    def fails(self, checking, kind, limit):
        self.assertLessEqual(checking.end(limit + 1), limit)
        self.assertIsInstance(checking.error, kind)
        self.assertNotIn("\n", str(checking.error))
        self.nothing_left(checking)

    # -- this network

    def test_each_kind_of_network(self):
        for kind, expected, direct in FOUND:
            with self.subTest(kind=kind):
                world = self.world()
                checking = Checking(world, kind)
                self.assertLess(checking.end(), 3)
                self.assertEqual(checking.findings.nat, Behaviour(*expected))
                self.assertEqual(checking.findings.direct, direct)
                self.assertEqual((checking.findings.meeting, checking.findings.scope), (None, "ipv4"))
                self.nothing_left(checking)

    def test_broker_with_one_address(self):
        checking = Checking(self.world(probe_address=None), SILENT)
        checking.end()
        self.assertEqual(checking.findings.nat, Behaviour("unknown", PORT, "preserved", "silent"))
        self.assertTrue(checking.findings.direct)

    def test_endpoints(self):
        checking = Checking(self.world(), RANDOM)
        checking.end()
        found = checking.findings
        self.assertEqual(
            (str(found.local.ip), str(found.observed.ip)), (checking.host.addresses[0], "203.0.113.1")
        )
        self.assertFalse(found.ipv6)

    def test_nobody_meets_it(self):
        """It is in a room of its own, also where somebody is in the lobby."""
        world = self.world()
        bob = world.peer(world.site("bob"))
        checking = Checking(world, SILENT)
        checking.end()
        world.net.advance(2)
        self.assertEqual(bob.all(events.Introduced), [])

    # -- somebody to try

    def test_direct(self):
        world = self.world()
        bob = world.peer(world.site("bob", Nat("203.0.113.2")))
        checking = Checking(world, SILENT, "bob")
        self.assertLess(checking.end(), 4)
        meeting = checking.findings.meeting
        self.assertTrue(checking.findings.direct)
        self.assertEqual((meeting.peer, meeting.candidate, meeting.reason), ("bob", "srflx", ""))
        self.assertEqual(meeting.remote, f"203.0.113.2:{bob.service.port.port}")
        world.until(lambda: bob.all(events.Disconnected))
        self.assertEqual([event.reason for event in bob.all(events.Disconnected)], ["left"])
        self.assertEqual(bob.texts() + bob.console.shown, [])
        self.nothing_left(checking)

    def test_not_direct(self):
        """Both sides' findings, and why."""
        world = self.world()
        bob = world.peer(world.site("bob", Nat("203.0.113.2", **SEQUENTIAL)))
        world.until(lambda: bob.all(events.Nat))
        checking = Checking(world, RANDOM, "bob")
        checking.end(30)
        meeting = checking.findings.meeting
        self.assertFalse(checking.findings.direct)
        self.assertEqual(meeting.reason, "symmetric")
        self.assertEqual(meeting.theirs, Behaviour(PORT, PORT, "sequential", "silent"))
        self.nothing_left(checking)

    def test_both_sides_check(self):
        for first, second, direct in ((SILENT, RESET, True), (RANDOM, RANDOM, False)):
            world = self.world()
            alice = Checking(world, first, "bob", number=1)
            bob = Checking(world, second, "alice", name="bob", number=2)
            world.until(lambda one=alice, two=bob: one.is_over and two.is_over, 40)
            for each in (alice, bob):
                self.assertIsNone(each.error)
                self.assertEqual(each.findings.direct, direct)

    def test_who_checks_is_known_from_the_first(self):
        """Also to one who is not known yet himself."""
        world = self.world()
        bob = world.peer(world.site("bob", Nat("203.0.113.2", **RANDOM)))
        checking = Checking(world, RANDOM, "bob")
        world.until(lambda: bob.all(events.Introduced))
        checking.end(30)
        self.assertEqual([event.reason for event in bob.all(events.Failed)], ["symmetric"])
        self.assertEqual(checking.findings.meeting.reason, "symmetric")

    def test_somebody_who_comes_later(self):
        world = self.world()
        checking = Checking(world, SILENT, "bob", room="garden")
        world.peer(world.site("bob", Nat("203.0.113.2")))  # in another room
        world.net.advance(10)
        self.assertEqual((checking.is_over, checking.waited), (False, 1))
        world.peer(world.site("bobby", Nat("203.0.113.3")), "bob", room="garden")
        checking.end()
        self.assertTrue(checking.findings.direct)

    def test_others_do_not_count(self):
        world = self.world()
        carol = world.peer(world.site("carol", Nat("203.0.113.3")))
        checking = Checking(world, SILENT, "bob")
        world.until(lambda: carol.all(events.Connected))
        self.fails(checking, NobodyThere, 34)

    def test_nobody(self):
        checking = Checking(self.world(), SILENT, "bob")
        self.fails(checking, NobodyThere, 34)
        self.assertIn("Nobody called bob came to room lobby within 30 s", str(checking.error))

    def test_no_outcome(self):
        self.patch(examination, "ATTEMPT_SECONDS", 2.0)
        world = self.world()
        bob = world.peer(world.site("bob", Nat("203.0.113.2", **RANDOM)))
        world.until(lambda: bob.all(events.Nat))
        self.fails(Checking(world, RANDOM, "bob"), NoOutcome, 6)

    # -- brokers

    def test_nobody_listens(self):
        self.fails(Checking(World(broker=False), SILENT), BrokerUnreachable, 1)

    def test_no_such_address(self):
        checking = Checking(World(broker=False), SILENT, broker=("198.51.100.77", 9000))
        self.fails(checking, BrokerUnreachable, 10)

    def test_broker_says_nothing(self):
        world = World(broker=False)
        world.broker_host.listenTCP(9000, Factory())
        self.fails(Checking(world, SILENT), BrokerSilent, 10)

    def test_not_a_broker(self):
        world = World(broker=False)
        factory = Factory()
        world.broker_host.listenTCP(9000, factory)
        checking = Checking(world, SILENT)
        world.until(lambda: len(factory.made) > 1)
        factory.made[-1].transport.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        self.fails(checking, NotABroker, 10)

    def test_broker_goes_away(self):
        for peer in (None, "bob"):
            world = self.world()
            checking = Checking(world, SILENT, peer)
            world.net.advance(0.5 if peer is None else 5)
            self.assertFalse(checking.is_over)
            world.broker_host.crash()
            self.fails(checking, BrokerWentAway, 10)

    def test_nothing_found(self):
        self.patch(examination, "DISCOVER_SECONDS", 0.5)
        self.fails(Checking(self.world(), SILENT), NothingFound, 2)

    # -- stopped

    def test_stopped_at_any_time(self):
        for seconds in (0, 0.01, 0.05, 0.1, 0.5, 1, 3):
            world = self.world()
            bob = world.peer(world.site("bob", Nat("203.0.113.2")))
            world.until(lambda bob=bob: bob.all(events.Nat))
            checking = Checking(world, SILENT, "bob")
            world.net.advance(seconds)
            checking.deferred.cancel()
            if not checking.is_over:
                checking.end(6)
            if checking.findings is None:
                self.assertIsInstance(checking.error, CancelledError)
            self.nothing_left(checking)
