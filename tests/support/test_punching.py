"""What punching through NATs takes: the rows of FACTS, in small, on the memory network."""

from __future__ import annotations

import errno
from typing import Any

from twisted.internet import error
from twisted.internet.interfaces import IConnector
from twisted.python.failure import Failure

from tests.support.recorder import Factory
from tests.support.test_nat import ADF, ALICE, APDF, BOB, EIF, SHARED, NatCase


class Redialler(Factory):
    """Dials again at once when it is refused."""

    def clientConnectionFailed(self, connector: IConnector, reason: Failure) -> None:
        super().clientConnectionFailed(connector, reason)
        if reason.check(error.ConnectionRefusedError) and len(self.failures) < 50:
            connector.connect()


class PunchingTests(NatCase):
    """The rows of FACTS, in small; each side dials the other's observed endpoint from the shared port."""

    def punch(
        self,
        alice: dict[str, Any],
        bob: dict[str, Any],
        later: float = 0.0,
        factory: type[Factory] = Factory,
        ports: tuple[int, int] = (4000, 4000),
    ) -> tuple[bool, float]:
        """Whether both get through within 10 s of the later start, 20 ms apart, and after how long."""
        self.build(alice, bob)
        self.network.set_delay(self.nat, self.far_nat, 0.040)
        accepted = {}
        for host in (self.alice, self.bob):
            self.observe(host)
            accepted[host] = Factory()
            host.listenTCP(SHARED, accepted[host])
        left, right = factory(), factory()
        start = self.network.clock.seconds() + later
        self.dial(self.alice, BOB, ports[0], left)
        self.network.advance(later)
        self.dial(self.bob, ALICE, ports[1], right)

        def through() -> bool:
            return bool((left.made or accepted[self.alice].made) and (right.made or accepted[self.bob].made))

        try:
            self.network.run_until(through, 10)
        except AssertionError:
            return False, 10.0
        return True, self.network.clock.seconds() - start

    def test_crossing(self) -> None:
        """Strict silent routers: SYNs that cross connect in two one-way delays, both ends by their dial."""
        through, seconds = self.punch({}, {})
        self.assertTrue(through)
        self.assertAlmostEqual(seconds, 0.080)

    def test_silent_and_late(self) -> None:
        """Where routers drop, the late side's SYN gets through: the other's has opened the way."""
        through, seconds = self.punch({}, {}, later=0.5)
        self.assertTrue(through)
        self.assertAlmostEqual(seconds, 0.120)

    def test_reset_and_agreed(self) -> None:
        """Routers that send RST never get to, when the starts are closer than the delay."""
        self.assertTrue(self.punch({"stray": "reset"}, {"stray": "reset"}, later=0.010)[0])

    def test_reset_and_late(self) -> None:
        """One dial each fails: the RST ended the early side's half-open session, so the late SYN is stray."""
        resets = {"stray": "reset"}
        self.assertFalse(self.punch(resets, resets, later=0.100)[0])

    def test_reset_and_redialled(self) -> None:
        """Dialling again at once keeps a SYN outstanding, and gets through."""
        resets = {"stray": "reset"}
        through, seconds = self.punch(resets, resets, later=0.5, factory=Redialler)
        self.assertTrue(through)
        self.assertLess(seconds, 0.2)

    def test_mixed_routers(self) -> None:
        """A RST through a silent router leaves its session open, unless it works as conntrack does."""
        resets = {"stray": "reset"}
        self.assertTrue(self.punch({}, resets, later=0.1)[0])
        self.assertFalse(self.punch({"reset_closes": True}, resets, later=0.1)[0])

    def test_hard_side_is_accepted(self) -> None:
        """Random symmetric on one side: enough that the other filters by address at most."""
        hard = {"mapping": APDF, "allocation": "random"}
        self.assertTrue(self.punch({"filtering": EIF}, hard)[0])
        self.assertTrue(self.punch({"filtering": ADF}, hard)[0])
        self.assertFalse(self.punch({"filtering": APDF}, hard)[0])

    def test_sequential_is_predicted(self) -> None:
        """The next dial's port is the observed one plus one."""
        self.build({}, {"mapping": APDF, "allocation": "sequential"})
        port = self.observe(self.bob)
        self.observe(self.alice)
        left, right = self.dial(self.alice, BOB, port + 1), self.dial(self.bob, ALICE)
        self.network.advance(1)
        self.assertEqual((len(left.made), len(right.made)), (1, 1))

    def test_icmp(self) -> None:
        """A router that rejects kills the early SYN."""
        self.build(bob={"stray": "icmp"})
        dialled = self.dial(self.alice, BOB)
        self.network.advance(1)
        self.assertEqual(dialled.error.osError, errno.EHOSTUNREACH)
