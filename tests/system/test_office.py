"""Many members behind one address: what may be sent to it must do for all of them."""

from __future__ import annotations

import itertools

from twisted.trial.unittest import SynchronousTestCase

from p2phole import events
from p2phole.punch.ledger import PER_MINUTE, PER_SECOND
from tests.punch.test_ledger import busiest
from tests.support.network import Nat
from tests.system.test_pairs import RESET, SILENT
from tests.system.world import World

SIZE = 49


class OfficeTests(SynchronousTestCase):
    """An office and one outside.  Among themselves the members of the office do not meet here: that takes long."""

    def meet(self, within, **kind):
        world = World()
        office = Nat("203.0.113.1", **kind)
        for number in range(SIZE):
            service = world.peer(world.site(f"p{number}", office, address=f"192.168.1.{number + 2}")).service
            place = service.membership
            place.introduced = lambda message, take=place.introduced: (
                take(message) if message.name == "outside" else None
            )
        world.until(lambda: all(peer.all(events.Registered) for peer in world.peers))
        outside = world.peer(world.site("outside", Nat("203.0.113.2", **kind)))
        world.until(lambda: len(outside.all(events.Connected)) == SIZE, within)
        times = [
            one.time
            for one in world.net.packets
            if (one.sender, one.flags, one.network) == ("outside", "SYN", "core")
            and one.destination.host == "203.0.113.1"
        ]
        self.assertLessEqual(busiest(times, 1.0), PER_SECOND)
        # A proof begins the minute anew.
        proofs = [time for time, event in outside.seen if isinstance(event, events.Connected)]
        for since, until in itertools.pairwise([0.0, *proofs]):
            between = [time for time in times if since < time <= until]
            self.assertLessEqual(busiest(between, 60.0), PER_MINUTE)
        return outside

    def test_silent(self):
        """Those for whom there is no place in the first second come in the next one."""
        self.assertEqual(self.meet(3, **SILENT).all(events.Failed), [])

    def test_reset(self):
        """SYNs that are answered with RST use it up; the rest come in later rounds."""
        self.meet(300, **RESET)

    def test_ten_behind_ten_routers(self):
        world = World()
        for number in range(10):
            kind = RESET if number % 2 else SILENT
            world.peer(world.site(f"p{number}", Nat(f"203.0.113.{number + 1}", **kind)))
        world.connected(limit=3)
