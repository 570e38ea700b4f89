"""Peers and a broker that has limits, and a name."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from p2phole import events
from p2phole.broker.settings import LimitSettings
from p2phole.peer.errors import BrokerRefused
from tests.system.world import BROKER, World


class LimitTests(SynchronousTestCase):
    def test_a_peer_that_comes_too_soon_comes_again_when_it_is_told(self) -> None:
        world = World(broker=False)
        world.start_broker(limits=LimitSettings(registration_rate=1))
        alice, bob = world.peer(world.site("alice")), world.peer(world.site("bob"))
        world.connected()
        late = world.peer(alice.host, "late", port=4321)
        world.net.advance(50)
        self.assertEqual((late.all(events.Registered), late.errors), ([], []))
        world.connected([alice, bob, late], 20)
        self.assertEqual([peer.all(events.BrokerLost) for peer in world.peers], [[], [], []])

    def test_one_room_that_is_full(self) -> None:
        world = World(broker=False)
        world.start_broker(limits=LimitSettings(max_room_members=2))
        alice, bob = world.peer(world.site("alice")), world.peer(world.site("bob"))
        world.connected()
        carol = world.peer(world.site("carol"))
        world.net.advance(20)
        self.assertEqual((carol.all(events.Registered), carol.errors), ([], []))
        alice.stop()
        world.connected([carol], 30)
        world.until(lambda: carol.all(events.Connected, id=bob.credentials.fingerprint))


class NameTests(SynchronousTestCase):
    def test_a_broker_that_knows_its_name(self) -> None:
        world = World(broker=False)
        world.start_broker(public_names=("broker.example:9000", f"{BROKER}:9000"))
        world.peer(world.site("alice"))
        world.peer(world.site("bob"))
        world.connected()

    def test_what_is_signed_for_another_broker_is_worth_nothing(self) -> None:
        """As if that one, which the peer trusts, had passed it on."""
        world = World(broker=False)
        world.start_broker(public_names=("broker.example:9000",))
        peer = world.peer(world.site("alice"))
        world.until(lambda: peer.errors)
        [error] = peer.errors
        self.assertIsInstance(error, BrokerRefused)
        self.assertIn("signed for a broker of another name", str(error))
