"""What is told of one member."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from p2phole import events
from p2phole.addresses import Endpoint
from p2phole.peer.telling import Telling
from p2phole.punch.attempt import Success
from p2phole.punch.verdict import REASONS

BOB: Any = SimpleNamespace(name="bob", fingerprint="b" * 64, instance="c" * 32, authenticated="pinned")


class TellingTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.seen: list[events.Event] = []
        sink: Any = SimpleNamespace(emit=self.seen.append)
        self.telling = Telling(sink, BOB)

    def test_a_round(self) -> None:
        self.telling.introduced()
        self.telling.failed("silent")
        self.assertEqual(
            self.seen,
            [
                events.Introduced("bob", BOB.fingerprint, BOB.instance),
                events.Failed("bob", "silent", REASONS["silent"], BOB.instance),
            ],
        )

    def test_a_link(self) -> None:
        link: Any = None
        local, remote = Endpoint.parse("192.0.2.1:4000"), Endpoint.parse("[2001:db8::2]:4000")
        self.telling.connected(Success(link, b"", "prflx", local, remote), 0.12345678, 2)
        [event] = self.seen
        self.assertEqual(
            event,
            events.Connected(
                peer="bob",
                id=BOB.fingerprint,
                path="direct",
                candidate="prflx",
                local="192.0.2.1:4000",
                remote="[2001:db8::2]:4000",
                seconds=0.123457,
                attempts=2,
                authenticated="pinned",
                instance=BOB.instance,
            ),
        )

    def test_its_end(self) -> None:
        self.telling.gone("replaced")
        self.telling.resumed(1.23456789)
        self.telling.disconnected("left")
        self.assertEqual(
            self.seen,
            [
                events.Disconnected("bob", "replaced", BOB.instance),
                events.Resumed("bob", 1.234568, BOB.instance),
                events.Disconnected("bob", "left", BOB.instance),
            ],
        )
