"""What a chat adds to a peer."""

from __future__ import annotations

from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from p2phole import events
from p2phole.peer.settings import BrokerAddress, PeerSettings
from p2phole.secure.codes import Code
from p2phole.use.chat import UntilTheyLeave, invitation


class ChatTests(SynchronousTestCase):
    def test_the_whole_command_for_the_other_side(self) -> None:
        for tls, broker in ((False, "b.example:9000"), (True, "tls:b.example:9000")):
            settings = PeerSettings(BrokerAddress("b.example", 9000, tls), "alice", Path("k"), invite=True)
            text = invitation("chat", settings, Code(7, ("velvet", "ocean")))
            self.assertIn(f"\n    p2phole chat --broker {broker} 7-velvet-ocean\n", text)

    def test_ends_when_the_other_side_has_left_for_good(self) -> None:
        seen: list[events.Event] = []
        stopped: list[int] = []

        class Sink:
            def emit(self, event: events.Event) -> None:
                seen.append(event)

        sink = UntilTheyLeave(Sink(), lambda: stopped.append(1))
        for reason in ("lost", "left"):
            self.assertEqual(stopped, [])
            sink.emit(events.Disconnected("bob", reason, "0" * 32))
        self.assertEqual((stopped, len(seen)), ([1], 2))
