"""A room that is larger than what fits into one buffer."""

from __future__ import annotations

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from twisted.trial.unittest import SynchronousTestCase

from p2phole import events
from p2phole.wire.codec import decode_to_peer, encode
from p2phole.wire.messages import Hello, Welcome
from tests.broker.test_proof import signed
from tests.support.recorder import Factory
from tests.system.world import BROKER, World


class LargeRoomTests(SynchronousTestCase):
    """Members that only sit there; a real peer joins them."""

    def test_newcomer_to_three_hundred(self):
        world = World(history=1000)
        crowd = world.site("crowd")
        keys = [Ed25519PrivateKey.generate() for _ in range(10)]  # a key may have an eighth of a room
        factories = [Factory() for _ in range(300)]
        for factory in factories:
            crowd.connectTCP(BROKER, 9000, factory)
        world.until(lambda: all(factory.made for factory in factories))
        for factory in factories:
            factory.only.transport.write(encode(Hello(2, "test")) + b"\n")
        world.until(lambda: all(b'"welcome"' in factory.only.received for factory in factories))
        for number, factory in enumerate(factories):
            welcome = decode_to_peer(factory.only.received.splitlines()[0])
            assert isinstance(welcome, Welcome)
            message = signed(
                keys[number % len(keys)],
                nonce=welcome.nonce,
                name="one of many",
                instance=f"{number:04x}".ljust(32, "a"),
            )
            factory.only.transport.write(encode(message) + b"\n")
        world.until(lambda: all(b'"registered"' in factory.only.received for factory in factories))
        newcomer = world.peer(world.site("newcomer"))
        world.until(lambda: len(newcomer.all(events.Introduced)) == 300)
        self.assertEqual(newcomer.all(events.BrokerLost), [])
        world.net.advance(30)
        self.assertEqual(newcomer.all(events.BrokerLost), [])
