"""A peer that is stopped at whatever moment: it is over soon, and nothing of it is left."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from p2phole import events
from p2phole.peer.service import GOODBYE_SECONDS
from tests.support.network import Firewall, Nat
from tests.system.test_hard_nats import RANDOM, SEQUENTIAL
from tests.system.test_pairs import RESET, SILENT
from tests.system.world import SECOND, Peer, World

MOMENTS = (0.15, 0.25, 0.35, 0.45, 0.6, 1.0)
"""Seconds after its start: before it is registered, while it looks, proves, dials and talks."""


class StoppingTests(SynchronousTestCase):
    def secret(self, text: str) -> Path:
        path = Path(self.mktemp())
        path.write_text(f"seven hungry otters cross a crimson {text}\n")
        path.chmod(0o600)
        return path

    def pair(self, kinds: tuple[dict[str, str], dict[str, str]], *settings: dict[str, Any]) -> World:
        world = World(broker=False)
        world.start_broker(probe_address=SECOND)
        for number, kind in enumerate(kinds):
            host = world.site(f"p{number}", Nat(f"203.0.113.{number + 1}", **kind))
            world.peer(host, **(settings[number] if settings else {}))
        return world

    def check_stop(self, world: World, peer: Peer) -> None:
        stopped: list[object] = []
        began = world.clock.seconds()
        peer.service.stopService().addBoth(stopped.append)
        world.until(lambda: stopped, 5)
        self.assertEqual(stopped, [None])
        self.assertLess(world.clock.seconds() - began, GOODBYE_SECONDS + 0.1)
        host = peer.host
        self.assertEqual((list(host.getDelayedCalls()), host.getReaders(), host.getWriters()), ([], [], []))
        before = len(peer.seen)
        world.net.advance(10)
        self.assertEqual(peer.seen[before:], [])

    def test_at_any_moment(self) -> None:
        for kinds in ((SILENT, RESET), (SEQUENTIAL, SEQUENTIAL), (SILENT, RANDOM)):
            for moment in MOMENTS:
                world = self.pair(kinds)
                world.net.advance(moment)
                for peer in world.peers:
                    self.check_stop(world, peer)

    def test_in_a_room_with_a_secret(self) -> None:
        same, other = self.secret("bridge"), self.secret("ridge")
        for theirs in (same, other):
            for moment in MOMENTS:
                files = [{"room": "room", "secret_file": each} for each in (same, theirs)]
                world = self.pair((SILENT, RESET), *files)
                world.net.advance(moment)
                self.check_stop(world, world.peers[0])

    def test_in_the_middle_of_a_replacement(self) -> None:
        """The old link is dead by then, and the other side may not have heard of the new one yet."""
        told = 0
        for late in range(10):
            for leaver in (0, 1):
                world = World()
                alice = world.peer(world.site("alice", Firewall(stray="drop")))
                bob = world.peer(world.site("bob", Nat("203.0.113.2")))
                world.connected()
                world.net.advance(3)
                world.net.move(bob.host, ["192.0.2.77"])
                world.until(lambda: len(alice.all(events.Connected) + bob.all(events.Connected)) > 2)  # noqa: B023
                world.net.advance(late * 0.005)
                leaves, stays = (alice, bob) if leaver else (bob, alice)
                has_link = len(leaves.all(events.Connected)) == 2
                self.check_stop(world, leaves)
                if has_link:
                    told += 1
                    self.assertEqual(stays.all(events.Disconnected)[-1].reason, "left", late)
                    self.assertEqual(list(stays.service.partners), [], late)
        self.assertGreater(told, 10)
