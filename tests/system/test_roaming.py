"""A session that goes on while the ways between two peers change."""

from __future__ import annotations

import errno
import itertools
from collections.abc import Iterator
from typing import Any, NoReturn

from twisted.internet.task import LoopingCall
from twisted.trial.unittest import SynchronousTestCase

from p2phole import events
from p2phole.peer.broker_protocol import BrokerProtocol
from p2phole.peer.trust import hashed
from p2phole.secure.codes import Code
from p2phole.wire.messages import Request, ToBroker, Update
from tests.support.lan import Lan
from tests.support.network import Firewall, Host, Nat
from tests.support.packets import SYN, Endpoint, Packet
from tests.system.world import Peer, World

KINDS = {
    "silent": {"stray": "drop"},
    "reset": {"stray": "reset"},
    "reset, another port each time": {"stray": "reset", "allocation": "random"},
}


def behind_routers(**kind: str) -> tuple[World, Peer, Peer, Nat, Nat]:
    world = World()
    mine, theirs = Nat("203.0.113.1", **kind), Nat("203.0.113.2", **kind)
    alice = world.peer(world.site("alice", mine))
    bob = world.peer(world.site("bob", theirs))
    world.connected()
    world.net.advance(3)
    return world, alice, bob, mine, theirs


def met_by_code(codes: list[Code] | None = None) -> tuple[World, Peer, Peer, Nat]:
    world = World()
    codes = [] if codes is None else codes
    mine = Nat("203.0.113.1", stray="drop", allocation="random")
    alice = world.peer(world.site("alice", mine), invite=True, invited=codes.append)
    world.until(lambda: codes)
    bob = world.peer(world.site("bob", Nat("203.0.113.2")), code=codes[0])
    world.until(lambda: alice.all(events.Connected) and bob.all(events.Connected))
    return world, alice, bob, mine


def again(world: World, bob: Peer, host: Host, **settings: Any) -> Peer:
    """The same user starts the same command again."""
    return world.peer(host, credentials=bob.credentials, people=bob.people, **settings)


def resumed(peer: Peer) -> list[events.Resumed]:
    return peer.all(events.Resumed)


class RoamingTestCase(SynchronousTestCase):
    def check_once_and_in_order(self, sender: Peer, receiver: Peer, texts: list[str]) -> None:
        self.assertEqual([text for text in receiver.texts() if text in texts], texts)
        self.assertEqual([text for text in sender.texts("out") if text in texts], texts)


class RebootTests(RoamingTestCase):
    def test_of_one_router(self) -> None:
        for name, kind in KINDS.items():
            world, alice, bob, mine, _theirs = behind_routers(**kind)
            mine.reboot()
            before = world.clock.seconds()
            texts = [f"{number} after" for number in range(20)]
            for text in texts:
                bob.say(text)
            world.until(lambda: texts[-1] in alice.texts(), 5)  # noqa: B023 (called at once)
            self.assertLess(world.clock.seconds() - before, 5, name)
            world.until(lambda: texts[-1] in bob.texts("out"), 5)  # noqa: B023
            self.check_once_and_in_order(bob, alice, texts)

    def test_of_both_while_both_talk(self) -> None:
        world, alice, bob, mine, theirs = behind_routers(stray="drop", allocation="random")
        mine.reboot()
        theirs.reboot()
        before = world.clock.seconds()
        alice.say("from alice")
        bob.say("from bob")
        world.until(lambda: "from bob" in alice.texts() and "from alice" in bob.texts(), 10)
        self.assertLess(world.clock.seconds() - before, 5)
        for peer in (alice, bob):
            world.until(lambda: resumed(peer), 5)  # noqa: B023
            [event] = resumed(peer)
            self.assertLess(event.seconds, 5)


class Strict(Nat):
    """What comes from inside and begins nothing is dropped; what comes from outside is answered with RST."""

    def __init__(self, address: str) -> None:
        super().__init__(address, stray="reset")

    def _answer_stray(self, packet: Packet, lan: Lan) -> None:
        if lan is not self.inside:
            super()._answer_stray(packet, lan)


class AgainTests(RoamingTestCase):
    """Routers that reboot as soon as the talk goes on, and two who talk all the time."""

    TIMES = 8  # more than a minute's SYNs would do for, were none of them given back

    def seconds(self, mine: Nat, theirs: Nat, down: float = 0.0, told: bool = False) -> Iterator[float]:
        """From when the path is possible again until each side has heard what the other one said then.

        ``told``: a RST tells bob at once that the connection is lost.
        """
        world = World()
        alice, bob = world.peer(world.site("alice", mine)), world.peer(world.site("bob", theirs))
        world.connected()
        self.world, numbers = world, itertools.count()

        def talk() -> None:
            self.last = next(numbers)
            for peer in (alice, bob):
                peer.say(str(self.last))

        talking = LoopingCall(talk)
        talking.clock = world.clock
        talking.start(0.05)
        for _ in range(self.TIMES):
            world.net.advance(1)
            mine.reboot()
            if told:
                for conversation in bob.service._conversations:
                    conversation.hang_up("lost")
            if down:
                world.net.isolate(alice.host)  # and not her router
                world.net.advance(down)
                world.net.restore(alice.host)
            before, last = world.clock.seconds(), self.last
            # Not each of these is said: while nobody is connected a console is not read.
            world.until(lambda: all(int(peer.texts()[-1]) > last for peer in (alice, bob)), 30)  # noqa: B023
            yield world.clock.seconds() - before
        talking.stop()

    def syns(self) -> int:
        """All that the two have sent to each other's routers."""
        packets = [each for each in self.world.net.packets if (each.flags, each.network) == ("SYN", "core")]
        return sum(each.sender in ("alice", "bob") and each.destination.host[:4] == "203." for each in packets)

    def test_both_reset(self) -> None:
        """One side is told that the connection is lost, the other one has to find out.  Both begin at the same
        moment all the same, so that hardly a SYN is refused."""
        found = list(self.seconds(Strict("203.0.113.1"), Strict("203.0.113.2"), told=True))
        self.assertLess(max(found), 5, found)
        self.assertLessEqual(self.syns(), 4 * (1 + self.TIMES))

    def test_ports_that_have_to_be_guessed(self) -> None:
        for stray in ("silent", "reset"):
            mine = Nat("203.0.113.1", "address-and-port-dependent", allocation="sequential", stray=stray)
            found = list(self.seconds(mine, Nat("203.0.113.2", stray=stray)))
            self.assertLess(max(found), 5, (stray, found))

    def test_the_broker_is_lost_while_the_mapping_is_looked_at(self) -> None:
        for down in (2.4, 3.0, 3.6):
            mine = Nat("203.0.113.1", "address-and-port-dependent", allocation="sequential")
            found = list(itertools.islice(self.seconds(mine, Nat("203.0.113.2"), down), 3))
            self.assertLess(max(found), 5, (down, found))


class Stale(Nat):
    """Takes what comes from where a connection was for a part of that, as a Linux may for 10 s after a RST, and
    each time anew: what it lets out is none of its business."""

    def __init__(self, address: str) -> None:
        super().__init__(address, stray="reset")
        self.stale: set[tuple[Endpoint, Endpoint]] = set()

    def arrive(self, packet: Packet) -> None:
        if packet.flags & SYN and (packet.source, packet.destination) in self.stale:
            self._answer_stray(packet, self.outside)
        else:
            super().arrive(packet)


class StuckTests(RoamingTestCase):
    """Neither side's router lets the other side's SYNs in."""

    def stuck(self, **settings: int) -> tuple[World, Peer, Peer]:
        world = World()
        routers = [Stale(f"203.0.113.{number}") for number in (1, 2)]
        alice, bob = (
            world.peer(world.site(name, router), **settings)
            for name, router in zip(("alice", "bob"), routers, strict=True)
        )
        world.connected()
        world.net.advance(3)
        ends = [peer.all(events.Connected)[0].remote.split(":") for peer in (bob, alice)]
        mine, theirs = (Endpoint(host, int(port)) for host, port in ends)
        routers[0].stale.add((theirs, mine))
        routers[1].stale.add((mine, theirs))
        for router in routers:
            router.reboot()
        self.addCleanup(lambda: [peer.stop() for peer in (alice, bob)])
        return world, alice, bob

    def test_from_another_port(self) -> None:
        world, alice, bob = self.stuck()
        before = world.clock.seconds()
        alice.say("around it")
        world.until(lambda: "around it" in bob.texts(), 30)
        self.assertLess(world.clock.seconds() - before, 5)
        world.net.advance(1)
        first, second = bob.all(events.Connected)[0], bob.all(events.Connected)[-1]
        self.assertNotEqual((first.local, first.remote), (second.local, second.remote))

    def test_ports_that_were_named_stay(self) -> None:
        """And so long as it is refused, there are few starts."""
        world, alice, bob = self.stuck(port=4000)
        alice.say("in vain")
        world.net.advance(60)
        self.assertEqual({each.local.rsplit(":")[-1] for each in alice.all(events.Registered)}, {"4000"})
        self.assertEqual(bob.texts(), [])


class SilenceTests(RoamingTestCase):
    def test_for_some_seconds(self) -> None:
        world, alice, bob, _mine, _theirs = behind_routers(stray="drop")
        world.net.cut(alice.host, bob.host)
        alice.say("into the silence")
        world.net.advance(8)
        self.assertGreater(len(alice.all(events.Introduced)), 1)
        world.net.restore(alice.host, bob.host)
        before = world.clock.seconds()
        world.until(lambda: "into the silence" in bob.texts(), 10)
        self.assertLess(world.clock.seconds() - before, 5)
        world.until(lambda: "into the silence" in alice.texts("out"), 10)
        self.check_once_and_in_order(alice, bob, ["into the silence"])

    def test_between_the_two_alone(self) -> None:
        for seconds in (20, 60, 150, 300):  # the broker is there for both, and they try in vain
            world, alice, bob, _mine, _theirs = behind_routers(stray="drop")
            world.net.cut(alice.host, bob.host)
            alice.say("again and again")
            world.net.advance(seconds)
            world.net.restore(alice.host, bob.host)
            before = world.clock.seconds()
            world.until(lambda: "again and again" in bob.texts(), 20)  # noqa: B023 (called at once)
            self.assertLess(world.clock.seconds() - before, 5, seconds)
            ends = len(alice.all(events.Connected)) + len(alice.all(events.Failed))
            world.until(lambda: resumed(alice), 5)  # noqa: B023
            self.assertEqual(len(alice.all(events.Introduced)), ends)

    def test_for_long(self) -> None:
        world, alice, bob, _mine, _theirs = behind_routers(stray="drop")
        world.net.isolate(alice.host)
        alice.say("is anybody there?")
        world.net.advance(90)
        self.assertTrue(bob.all(events.Disconnected))
        world.net.restore(alice.host)
        before = world.clock.seconds()
        world.until(lambda: "is anybody there?" in bob.texts(), 20)
        self.assertLess(world.clock.seconds() - before, 5)
        self.assertTrue(resumed(alice))


class MachineTests(RoamingTestCase):
    def test_another_address(self) -> None:
        world = World()
        alice = world.peer(world.site("alice", Firewall(stray="drop")))
        bob = world.peer(world.site("bob", Nat("203.0.113.2")))
        world.connected()
        world.net.advance(3)
        bob.say("before")
        world.until(lambda: "before" in alice.texts())
        world.net.move(bob.host, ["192.0.2.77"])
        before = world.clock.seconds()
        bob.say("from elsewhere")
        world.until(lambda: "from elsewhere" in alice.texts(), 10)
        self.assertLess(world.clock.seconds() - before, 5)
        self.assertEqual(alice.all(events.Connected)[-1].remote.rpartition(":")[0], "192.0.2.77")
        # The old link stayed until the new one was proven.
        self.assertEqual([event.reason for event in alice.all(events.Disconnected)], ["replaced"])
        self.assertTrue(resumed(alice))

    def test_another_address_before_the_broker_was_ever_reached(self) -> None:
        world = World(broker=False)
        alice = world.peer(world.site("alice"))
        world.net.advance(2)
        world.net.move(alice.host, ["192.0.2.77"])
        world.net.advance(2)
        world.start_broker()
        world.until(lambda: alice.all(events.Registered), 20)
        world.net.move(alice.host, ["192.0.2.78"])  # it still looks
        world.until(lambda: len(alice.all(events.Registered)) == 2, 5)

    def test_addresses_that_cannot_be_read_for_a_while(self) -> None:
        world = World()
        alice = world.peer(world.site("alice"))
        world.net.advance(2)
        interfaces = alice.service.presence._interfaces

        def out_of_descriptors() -> NoReturn:
            raise OSError(errno.EMFILE, "Too many open files")

        alice.service.presence._interfaces = out_of_descriptors
        world.net.advance(2)
        alice.service.presence._interfaces = interfaces
        world.net.move(alice.host, ["192.0.2.77"])
        world.until(lambda: len(alice.all(events.Registered)) == 2, 5)

    def test_sleep(self) -> None:
        world = World()
        asleep = [0.0]
        mine = Nat("203.0.113.1")
        alice = world.peer(world.site("alice", mine), asleep=lambda: asleep[0])
        bob = world.peer(world.site("bob", Nat("203.0.113.2")))
        world.connected()
        world.net.advance(3)
        asleep[0] += 3600
        world.net.advance(3)
        self.assertEqual(alice.all(events.Disconnected), [])  # the router remembers: all is well
        mine.reboot()
        asleep[0] += 3600
        world.until(lambda: resumed(alice) and resumed(bob), 6)


class GivingUpTests(RoamingTestCase):
    def test_after_the_time_that_was_given(self) -> None:
        world = World()
        alice = world.peer(world.site("alice", Nat("203.0.113.1")), resume_for=30.0)
        bob = world.peer(world.site("bob", Nat("203.0.113.2")))
        world.connected()
        world.net.advance(3)
        alice.say("lost")
        world.net.isolate(bob.host)
        world.until(lambda: alice.all(events.Disconnected), 60)
        world.net.advance(31)
        self.assertEqual(list(alice.service.partners), [])

    def test_they_meet_anew_when_there_is_a_way_again(self) -> None:
        world = World()
        alice = world.peer(world.site("alice", Nat("203.0.113.1")), resume_for=30.0)
        bob = world.peer(world.site("bob", Nat("203.0.113.2")), resume_for=30.0)
        world.connected()
        world.net.advance(3)
        world.net.cut(alice.host, bob.host)  # the broker is there for both
        alice.say("lost")
        world.net.advance(200)
        self.assertEqual((list(alice.service.partners), list(bob.service.partners)), ([], []))
        world.net.restore(alice.host, bob.host)
        world.until(lambda: alice.service.partners and bob.service.partners, 300)
        bob.say("hello again")
        world.until(lambda: "hello again" in alice.texts())


class CrowdTests(RoamingTestCase):
    def test_many_are_lost_at_once(self) -> None:
        """What the broker hears of it is one line for each, and one more."""
        said: list[ToBroker] = []
        send = BrokerProtocol.send

        def listen(link: BrokerProtocol, message: ToBroker) -> None:
            if link is hub.service.membership.link:
                said.append(message)
            send(link, message)

        world = World()
        hub = world.peer(world.site("hub", Nat("203.0.113.1", stray="drop")))
        others = [world.peer(world.site(f"other {number}")) for number in range(6)]
        world.until(lambda: len(hub.all(events.Connected)) == len(others))
        world.net.advance(5)
        self.patch(BrokerProtocol, "send", listen)
        hub.say("is anybody there?")
        for other in others:
            world.net.cut(hub.host, other.host)
        world.net.advance(4)
        self.assertEqual(sum(isinstance(each, Request) for each in said), len(others))
        self.assertLessEqual(sum(isinstance(each, Update) for each in said), 2)
        for other in others:
            world.net.restore(hub.host, other.host)
        world.until(lambda: len(resumed(hub)) == len(others), 10)


class CodeTests(RoamingTestCase):
    def test_they_meet_again_when_the_broker_has_forgotten_the_code(self) -> None:
        world, alice, bob, mine = met_by_code()
        world.broker_host.crash()
        world.net.advance(3)
        world.start_broker()
        mine.reboot()
        before = world.clock.seconds()
        bob.say("still there?")
        world.until(lambda: "still there?" in alice.texts(), 20)
        self.assertLess(world.clock.seconds() - before, 5)
        self.assertEqual((alice.errors, bob.errors), ([], []))
        self.assertEqual(alice.service.trust.room, bob.service.trust.room)
        self.assertNotEqual(alice.service.trust.room, ("secret", hashed("lobby")))
        self.assertEqual({event.authenticated for event in bob.all(events.Connected)}, {"secret"})

    def test_only_one_of_them_knew_of_the_connection(self) -> None:
        world = World()
        codes: list[Code] = []
        alice = world.peer(world.site("alice", Nat("203.0.113.1")), invite=True, invited=codes.append)
        world.until(lambda: codes)
        bob = world.peer(world.site("bob", Nat("203.0.113.2")), code=codes[0])
        world.until(lambda: alice.all(events.Connected) or bob.all(events.Connected))
        first, second = (alice, bob) if alice.all(events.Connected) else (bob, alice)
        self.assertEqual(second.all(events.Connected), [])
        world.net.cut(alice.host, bob.host)  # the last byte of their agreement is lost
        [encounter] = first.service._members
        encounter.conversation.hang_up("lost")
        world.net.advance(8)
        world.net.restore(alice.host, bob.host)
        world.until(lambda: second.all(events.Connected), 60)
        second.say("there you are")
        world.until(lambda: "there you are" in first.texts())
        self.assertEqual((alice.errors, bob.errors), ([], []))

    def test_the_broker_is_restarted_before_they_are_connected(self) -> None:
        world = World()
        codes: list[Code] = []
        alice = world.peer(world.site("alice", Nat("203.0.113.1")), invite=True, invited=codes.append)
        world.until(lambda: codes)
        bob = world.peer(world.site("bob", Nat("203.0.113.2")), code=codes[0])
        world.net.cut(alice.host, bob.host)
        world.until(lambda: all(peer.service.trust._partner for peer in (alice, bob)))
        world.broker_host.crash()
        world.net.advance(3)
        world.start_broker()
        world.net.restore(alice.host, bob.host)
        world.connected(limit=40)

    def test_one_of_them_is_registered_anew_long_after(self) -> None:
        world, alice, bob, mine = met_by_code()
        world.net.advance(4000)  # the invitation was for an hour
        mine.reboot()
        before = world.clock.seconds()
        bob.say("still there?")
        world.until(lambda: "still there?" in alice.texts(), 60)
        self.assertLess(world.clock.seconds() - before, 25)  # nobody had said anything for long

    def check_again(self, world: World, alice: Peer, bob: Peer, limit: float) -> None:
        world.until(lambda: bob.all(events.Connected), limit)
        bob.say("it was me")
        world.until(lambda: "it was me" in alice.texts(), 5)
        alice.say("so I see")
        world.until(lambda: "so I see" in bob.texts(), 5)
        self.assertEqual((alice.errors, bob.errors), ([], []))
        self.assertEqual(alice.service.trust.room, bob.service.trust.room)

    def test_who_has_typed_the_code_is_killed_and_types_it_again(self) -> None:
        codes: list[Code] = []
        world, alice, bob, _mine = met_by_code(codes)
        world.net.advance(4000)  # the number is of no more use
        bob.host.crash()
        self.check_again(world, alice, again(world, bob, bob.host, code=codes[0]), 5)

    def test_and_so_is_the_broker(self) -> None:
        codes: list[Code] = []
        world, alice, bob, _mine = met_by_code(codes)
        bob.host.crash()
        world.broker_host.crash()
        world.start_broker()
        self.check_again(world, alice, again(world, bob, bob.host, code=codes[0]), 10)

    def test_its_machine_crashes(self) -> None:
        """No FIN, no RST: the one who is left has to notice by itself."""
        codes: list[Code] = []
        world, alice, bob, _mine = met_by_code(codes)
        world.net.advance(100)
        world.net.isolate(bob.host)
        world.net.advance(1)
        bob.host.crash()
        bob = again(world, bob, world.site("bob again", Nat("203.0.113.9")), code=codes[0])
        self.check_again(world, alice, bob, 60)

    def test_after_a_goodbye_nobody_is_waited_for(self) -> None:
        for leaver in (0, 1):
            codes: list[Code] = []
            world, alice, bob, _mine = met_by_code(codes)
            (alice, bob)[leaver].stop()
            bob = again(world, bob, world.site("bob again"), code=codes[0])
            world.until(lambda: bob.errors, 10)  # noqa: B023 (called at once)
            self.assertIn("you have used this invitation", str(bob.errors[0]))

    def test_nobody_else_gets_there(self) -> None:
        """With the words, but another key; and with the key, but other words."""
        codes: list[Code] = []
        world, alice, bob, _mine = met_by_code(codes)
        people = bob.people
        bob.host.crash()
        world.net.advance(2)
        thief = world.peer(world.site("thief"), code=codes[0], people=people)
        other = Code(codes[0].number, tuple(reversed(codes[0].words)))
        wrong = again(world, bob, world.site("wrong"), code=other)
        world.until(lambda: thief.errors and wrong.errors, 10)
        self.assertEqual([peer.all(events.Introduced) for peer in (thief, wrong)], [[], []])
        self.assertEqual(alice.errors, [])
