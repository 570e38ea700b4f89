"""Many members, and what happens when something goes away."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from p2phole import events
from p2phole.peer.members import FORGET_SECONDS
from p2phole.session.attachment import TICK
from p2phole.session.silence import DEAD
from tests.support.network import Nat
from tests.system.test_pairs import RESET, SILENT, pair
from tests.system.world import World


def room(size, **options):
    """A world with so many peers behind routers of alternating kinds."""
    world = World(**options)
    for number in range(size):
        kind = RESET if number % 2 else SILENT
        world.peer(world.site(f"p{number}", Nat(f"203.0.113.{number + 1}", **kind)))
    return world


class RoomTests(SynchronousTestCase):
    """More than two."""

    def test_every_pair_has_its_own_connection(self):
        world = room(6)
        world.connected()
        for peer in world.peers:
            peer.say(f"hello from {peer.name}")
        world.until(lambda: all(len(peer.texts()) == 5 and len(peer.texts("out")) == 5 for peer in world.peers))
        for peer in world.peers:
            others = sorted(f"hello from {other.name}" for other in world.peers if other is not peer)
            self.assertEqual(sorted(peer.texts()), others)
            remotes = {event.remote for event in peer.all(events.Connected)}
            self.assertEqual(len(remotes), 5)
            self.assertEqual(len({event.local for event in peer.all(events.Connected)}), 1)

    def test_rooms_are_apart(self):
        world = World()
        alice = world.peer(world.site("alice"), room="one")
        bob = world.peer(world.site("bob"), room="two")
        world.net.advance(5)
        self.assertEqual(alice.all(events.Introduced) + bob.all(events.Introduced), [])

    def test_one_name_twice(self):
        """Two of one name, even of one key, are two members."""
        world = World()
        watcher = world.peer(world.site("watcher"))
        first = world.peer(world.site("first"), "bob")
        second = world.peer(world.site("second"), "bob", credentials=first.credentials)
        world.connected()
        first.say("one")
        second.say("two")
        world.until(lambda: len(watcher.texts()) == 2)
        prefixes = {line.partition(":")[0] for line in watcher.console.shown}
        self.assertEqual(len(prefixes), 2)
        self.assertTrue(all(prefix.startswith("bob") for prefix in prefixes))
        self.assertEqual(len({event.instance for event in watcher.all(events.Connected)}), 2)

    def test_text_is_made_harmless(self):
        world, alice, bob = pair(None, None)
        world.connected()
        alice.say("a\x1b[31m\u202eb")
        world.until(lambda: len(bob.texts()) == 2)
        self.assertEqual(bob.console.shown[-1], "alice: a\\x1b[31m\\u202eb")
        self.assertEqual(bob.texts()[-1], "a\x1b[31m\u202eb")


class BrokerTests(SynchronousTestCase):
    """The broker goes away and comes back."""

    def test_direct_connections_outlive_it(self):
        world, alice, bob = pair(SILENT, RESET)
        world.connected()
        world.broker_host.crash()
        world.until(lambda: alice.all(events.BrokerLost) and bob.all(events.BrokerLost))
        alice.say("still here")
        world.until(lambda: "still here" in bob.texts())

    def test_back_within_ten_seconds_and_nobody_punches_anew(self):
        world, alice, bob = pair(SILENT, RESET)
        world.connected()
        world.broker_host.crash()
        world.net.advance(300)
        world.start_broker()
        back = world.clock.seconds()
        carol = world.peer(world.site("carol", Nat("203.0.113.9", stray="reset")))
        world.until(lambda: len(carol.all(events.Connected)) == 2)
        self.assertLess(world.clock.seconds() - back, 10)
        self.assertEqual(len(alice.all(events.BrokerBack)), 1)
        world.until(lambda: all(len(peer.all(events.Connected)) == 2 for peer in (alice, bob)))
        for peer in (alice, bob):
            self.assertEqual(peer.all(events.Disconnected), [])

    def test_back_while_a_peer_still_finds_out_about_its_nat(self):
        """What was begun at the old connection is of no interest any more: one finding, of the new one."""
        world = World(broker=False)
        world.start_broker(probe_address="198.51.100.99")  # nobody is there: to look takes a second
        alice = world.peer(world.site("alice", Nat("203.0.113.1")))
        world.until(lambda: alice.all(events.Registered))
        world.net.advance(0.1)
        world.broker_host.crash()
        world.start_broker(probe_address="198.51.100.99")
        world.until(lambda: len(alice.all(events.Registered)) == 2)
        self.assertEqual(alice.all(events.Nat), [])
        world.net.advance(5)
        self.assertEqual(len(alice.all(events.Nat)), 1)
        self.assertEqual(self.flushLoggedErrors(), [])

    def test_a_vanished_member_is_not_introduced(self):
        """Its kernel does not answer keep-alive any more; here the broker's side of it is played by hand."""
        world, alice, bob = pair(SILENT, RESET)
        world.connected()
        alice.host.crash()
        world.until(lambda: bob.all(events.Disconnected))
        world.net.advance(10)
        carol = world.peer(world.site("carol"))
        world.until(lambda: carol.all(events.Connected))
        self.assertEqual([event.peer for event in carol.all(events.Introduced)], ["bob"])
        self.assertEqual(bob.all(events.Failed), [])


class LinkTests(SynchronousTestCase):
    """The direct connection goes away."""

    def test_a_silent_death_is_noticed_and_punched_again(self):
        world, alice, bob = pair(SILENT, SILENT)
        world.connected()
        world.net.isolate(alice.host)
        lost = world.clock.seconds()
        bob.say("into the void")
        world.until(lambda: bob.all(events.Disconnected), 60)
        self.assertLessEqual(world.clock.seconds() - lost, DEAD + TICK)
        self.assertEqual(bob.all(events.Disconnected)[0].reason, "dead")
        world.net.restore(alice.host)
        world.until(lambda: len(bob.all(events.Connected)) == 2, 120)
        world.until(lambda: "into the void" in bob.texts("out"))
        self.assertEqual(alice.texts().count("into the void"), 1)

    def test_messages_survive_cuts_once_and_in_order(self):
        world, alice, bob = pair(SILENT, RESET)
        world.connected()
        sent = []
        for cut in range(6):
            for number in range(20):
                text = f"{cut}.{number}"
                sent.append(text)
                alice.say(text)
            world.net.advance(0.004 * cut)
            # The transport dies under the session, at another moment each time.
            (encounter,) = alice.service._members
            encounter.conversation.link.channel.drop()
            world.until(lambda seen=cut + 2: len(alice.all(events.Connected)) == seen)
        world.until(lambda: len(alice.texts("out")) == len(sent) + 1)
        self.assertEqual(bob.texts()[1:], sent)
        self.assertEqual(alice.texts("out")[1:], sent)

    def test_a_router_that_reboots(self):
        world = World()
        router = Nat("203.0.113.1", stray="reset", allocation="random")
        alice = world.peer(world.site("alice", router))
        bob = world.peer(world.site("bob", Nat("203.0.113.2")))
        world.connected()
        router.reboot()
        bob.say("after")
        world.until(lambda: "after" in alice.texts(), 120)
        self.assertEqual(alice.texts().count("after"), 1)

    def test_leaving_is_told_and_nothing_is_tried(self):
        world, alice, bob = pair(SILENT, RESET)
        world.connected()
        alice.stop()
        world.until(lambda: bob.all(events.Disconnected))
        self.assertEqual(bob.all(events.Disconnected)[0].reason, "left")
        syns = len(world.net.packets)
        world.net.advance(60)
        self.assertLess(len(world.net.packets) - syns, 60)
        self.assertEqual(bob.all(events.Failed), [])

    def test_a_killed_peer_comes_back_as_another(self):
        world, alice, bob = pair(SILENT, RESET)
        world.connected()
        alice.host.crash()
        world.until(lambda: bob.all(events.Disconnected))
        again = world.peer(alice.host, "alice")
        world.until(lambda: again.all(events.Connected) and len(bob.all(events.Connected)) == 2)

    def test_a_session_is_forgotten_after_ten_minutes(self):
        world, alice, bob = pair(SILENT, RESET)
        world.connected()
        alice.host.crash()
        world.until(lambda: bob.all(events.Disconnected))
        self.assertEqual(len(list(bob.service._members)), 1)
        world.net.advance(FORGET_SECONDS + 10)
        self.assertEqual(len(list(bob.service._members)), 0)


class FailureTests(SynchronousTestCase):
    """Pairs that can't be punched yet."""

    def test_both_sides_are_told_once_and_try_again(self):
        symmetric = {"mapping": "address-and-port-dependent", "allocation": "random"}
        world, alice, bob = pair(symmetric, symmetric)
        world.until(lambda: alice.all(events.Failed) and bob.all(events.Failed), 30)
        took = alice.seen[-1][0] - next(time for time, event in alice.seen if isinstance(event, events.Introduced))
        self.assertLess(took, 20)
        for peer in (alice, bob):
            (failed,) = peer.all(events.Failed)
            self.assertEqual(failed.reason, "symmetric")
            self.assertEqual(len(peer.all(events.Introduced)), 1)
        world.until(lambda: len(alice.all(events.Failed)) == 2, 60)
        syns = [
            packet
            for packet in world.net.packets
            if (packet.flags, packet.network, packet.sender) == ("SYN", "core", "alice")
            and packet.destination.host == "203.0.113.2"
        ]
        # Two rounds of three starts, in each of which the kernel sends one SYN about every second to each of
        # the endpoints where the other side was seen (by the broker, and by the probe before the start).
        self.assertLessEqual(len(syns), 2 * 3 * 5 * 2)

    def test_the_tries_go_on_for_hours(self) -> None:
        world = World()
        alice, bob = world.peer(world.site("alice")), world.peer(world.site("bob"))
        world.net.cut(alice.host, bob.host)
        world.net.advance(3 * 3600)
        self.assertGreater(len(alice.all(events.Failed)), 15)
        world.net.restore(alice.host, bob.host)
        world.connected(limit=700)

    def test_each_start_learns_the_mapping_anew(self):
        """A probe from a fresh port before each start, where the NAT maps by endpoint and in sequence."""
        sequential = {"mapping": "address-and-port-dependent", "allocation": "sequential"}
        world, alice, bob = pair(sequential, SILENT)
        world.net.cut(alice.host, bob.host)
        world.until(lambda: alice.all(events.Failed), 30)
        self.assertEqual(alice.all(events.Failed)[0].reason, "silent")
        probes = {
            packet.sent_source.port: packet.time
            for packet in world.net.packets
            if packet.sender == "alice" and packet.flags == "SYN" and packet.destination.port == 9001
        }
        probes.pop(alice.service.port.port)
        self.assertEqual(len(probes), 3)


class LineTests(SynchronousTestCase):
    """Lines wait for somebody who can take them."""

    def test_held_until_somebody_is_there(self):
        world = World()
        alice = world.peer(world.site("alice"))
        world.until(lambda: alice.all(events.Registered))
        self.assertTrue(alice.console.held)
        world.peer(world.site("bob"))
        world.connected()
        self.assertFalse(alice.console.held)

    def test_held_while_the_other_side_does_not_keep_up(self):
        world, alice, bob = pair(None, SILENT)
        world.connected()
        bob.console.blocked = []
        for _ in range(80):
            if alice.console.held:
                break
            alice.say("x" * 65_000)
            world.net.advance(0.1)
        self.assertTrue(alice.console.held)
        self.assertLess(len(bob.texts()), 70)
        self.assertNotIn("x" * 65_000, alice.texts("out"))
        waiting, bob.console.blocked = bob.console.blocked, None
        for done in waiting:
            done()
        world.until(lambda: not alice.console.held)
        world.until(lambda: len(alice.texts("out")) == len(bob.texts()))
