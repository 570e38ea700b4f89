"""What the commands for people add to a peer."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from p2phole.errors import LocalError, P2pholeError
from p2phole.peer.settings import BrokerAddress, PeerSettings
from p2phole.secure.codes import Code
from p2phole.session.errors import Forgotten, GaveUp, SessionOver
from p2phole.session.frames import BadFrame
from p2phole.use.running import NobodyCame, Patience, UntilFailed, UntilTheyLeave, invitation


class FakeHost:
    """Notes how it ends."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.ended: list[LocalError | None] = []

    def finish(self) -> None:
        """See Host."""
        self.ended.append(None)

    def fail(self, error: LocalError) -> None:
        """See Host."""
        self.ended.append(error)


class RunningTests(SynchronousTestCase):
    def test_the_whole_command_for_the_other_side(self) -> None:
        for tls, broker in ((False, "b.example:9000"), (True, "tls:b.example:9000")):
            settings = PeerSettings(BrokerAddress("b.example", 9000, tls), "alice", Path("k"), invite=True)
            text = invitation("chat", settings, Code(7, ("velvet", "ocean")))
            self.assertIn(f"\n    p2phole chat --broker {broker} 7-velvet-ocean\n", text)

    def test_ends_when_the_other_side_has_left_for_good(self) -> None:
        partner: Any = None
        over: list[tuple[P2pholeError, int]] = [
            (GaveUp(seconds=600), 0),
            (Forgotten(), 0),
            (BadFrame(why="it is rude"), 0),
            (SessionOver(why="the other side has left"), 1),
        ]
        for error, count in over:
            host: Any = FakeHost()
            use = UntilTheyLeave()
            use.start(host)
            use.over(partner, error)
            self.assertEqual(len(host.ended), count, error)

    def test_why_it_failed_is_the_last_line(self) -> None:
        told: list[Any] = []
        log = UntilFailed(told.append)
        fail = log.failing(told.append)
        log({"number": 1})
        error = NobodyCame(seconds=1)
        fail(error)
        log({"number": 2})
        self.assertEqual(told, [{"number": 1}, error])

    def test_nobody_comes(self) -> None:
        host: Any = FakeHost()
        use = Patience(30)
        use.start(host)
        host.clock.advance(29)
        self.assertEqual(host.ended, [])
        host.clock.advance(1)
        [error] = host.ended
        self.assertIsInstance(error, NobodyCame)
        use.stop()

    def test_somebody_comes(self) -> None:
        host: Any = FakeHost()
        use = Patience(30)
        use.start(host)
        partner: Any = None
        use.met(partner)
        host.clock.advance(31)
        self.assertEqual(host.ended, [])
