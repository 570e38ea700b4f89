"""What the witnesses say, and where they do not agree."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_address
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from p2phole.addresses import Endpoint
from p2phole.kernel import ESTABLISHED, LISTEN, Socket
from p2phole.witness import (
    NotDirect,
    Statement,
    contradiction,
    disagreement,
    disagreement_after,
    has_message,
    parse_events,
    statement,
)

ALICE = Statement("alice", "A", "B", "127.0.0.1:1000", "127.0.0.1:2000", 1000, 0.1)
BOB = Statement("bob", "B", "A", "127.0.0.1:2000", "127.0.0.1:1000", 2000, 0.1)


def events(**connected: Any) -> list[dict[str, Any]]:
    told = {"peer": "bob", "id": "B", "local": ALICE.local, "remote": ALICE.remote, "seconds": 0.1}
    return [
        {"event": "registered", "id": "A", "local": "127.0.0.1:1000"},
        {"event": "introduced", "peer": "bob"},
        {"event": "connected", "path": "direct", **told, **connected},
    ]


class StatementTests(SynchronousTestCase):
    def test_statement(self) -> None:
        self.assertEqual(statement("alice", events(), "bob"), ALICE)

    def test_not_yet(self) -> None:
        for number in range(3):
            self.assertIsNone(statement("alice", events()[:number], "bob"))
        self.assertIsNone(statement("alice", events(peer="carol"), "bob"))

    def test_not_direct(self) -> None:
        self.assertRaises(NotDirect, statement, "alice", events(path="relay"), "bob")
        failed = {"event": "failed", "peer": "bob", "reason": "timeout", "detail": "Open a port."}
        error = self.assertRaises(NotDirect, statement, "alice", [failed], "bob")
        self.assertIn("Open a port.", str(error))

    def test_unfinished_line(self) -> None:
        self.assertEqual(parse_events(b""), [])
        self.assertEqual(parse_events(b'{"event": "a"}\n{"eve'), [{"event": "a"}])

    def test_messages(self) -> None:
        told = [{"event": "message", "direction": "in", "text": "x"}, {"event": "nat"}]
        self.assertTrue(has_message(told, "in", "x"))
        self.assertFalse(has_message(told, "out", "x"))
        self.assertFalse(has_message(told, "in", "y"))


class ContradictionTests(SynchronousTestCase):
    def test_none(self) -> None:
        self.assertIsNone(contradiction(ALICE, BOB))

    def test_each(self) -> None:
        for other, words in (
            (replace(BOB, remote="127.0.0.1:1001"), "alice says that it is at 127.0.0.1:1000"),
            (replace(BOB, local="127.0.0.1:2001"), "bob says that it is at 127.0.0.1:2001"),
            (replace(BOB, id="C"), "connected to the key B"),
            (replace(BOB, connected_id="C"), "connected to the key C"),
            (replace(BOB, shared_port=2001), "bob uses port 2001"),
        ):
            self.assertIn(words, str(contradiction(ALICE, other)))


def entry(state: int, local: int, remote: int | None) -> Socket:
    ip = ip_address("127.0.0.1")
    return Socket(state, Endpoint(ip, local), None if remote is None else Endpoint(ip, remote), 1)


class DisagreementTests(SynchronousTestCase):
    broker, acceptor, direct = (
        entry(ESTABLISHED, 1000, 9000),
        entry(LISTEN, 1000, None),
        entry(ESTABLISHED, 1000, 2000),
    )

    def test_none(self) -> None:
        self.assertIsNone(disagreement(ALICE, [self.broker, self.acceptor, self.direct], 9000))
        self.assertIsNone(disagreement_after(ALICE, [self.acceptor, self.direct], 9000))

    def test_each(self) -> None:
        elsewhere = entry(ESTABLISHED, 1001, 9000)
        closing = replace(self.direct, state=6)
        for sockets, words in (
            ([], "acceptor"),
            ([self.broker, self.direct], "acceptor"),
            ([self.acceptor, self.direct], "to the broker"),
            ([self.acceptor, self.direct, elsewhere], "to the broker"),
            ([self.acceptor, self.broker], "from 127.0.0.1:1000 to 127.0.0.1:2000"),
            ([self.acceptor, self.broker, closing], "from 127.0.0.1:1000 to 127.0.0.1:2000"),
        ):
            self.assertIn(words, str(disagreement(ALICE, sockets, 9000)))
        self.assertIn("still", str(disagreement_after(ALICE, [self.direct, elsewhere], 9000)))
        self.assertIn("from 127", str(disagreement_after(ALICE, [self.acceptor], 9000)))
