"""Standard input and output as one connection of the other side's."""

from __future__ import annotations

import os

from p2phole.peer.use import Idle
from p2phole.use.forward.route import Broken, NotForwarded
from p2phole.use.forward.specs import target
from p2phole.use.forward.through import GRACE, Through
from tests.use.company import Peer
from tests.use.forward.test_forwarding import ForwardingCase


class ThroughTests(ForwardingCase):
    def _stop(self) -> None:
        super()._stop()
        for descriptor in self.descriptors:
            os.close(descriptor)

    def start(self, alone: bool = False) -> Peer:
        (read, typed), (shown, write) = os.pipe(), os.pipe()
        self.descriptors = read, typed, shown, write
        made = lambda machine: Through(machine, target("127.0.0.1:80"), alone, read, write)  # noqa: E731
        self.alice = self.company.peer("alice", made)
        self.peers.append(self.alice)
        return self.alice

    def test_refused_by_the_only_one(self) -> None:
        self.start(alone=True)
        self.company.meet(self.alice, self.peer("bob"))
        self.company.until(lambda: self.alice.errors)
        self.assertIsInstance(self.alice.errors[0], NotForwarded)
        self.assertIn("bob does not allow it; there it takes --allow 127.0.0.1:80", str(self.alice.errors[0]))

    def test_by_the_one_who_allows_it(self) -> None:
        """Whoever else is there; and somebody may still come."""
        self.start()
        self.company.meet(self.alice, self.peer("nobody"))
        other = self.company.peer("other", lambda machine: Idle())
        self.peers.append(other)
        self.company.meet(self.alice, other)
        self.company.net.advance(GRACE / 2)
        bob = self.peer("bob", allow="127.0.0.1:80")
        self.serve(bob)
        self.company.meet(self.alice, bob)
        self.company.until(lambda: self.servers)
        self.company.net.advance(2 * GRACE)
        self.assertEqual(self.alice.errors, [])

    def test_nobody_allows_it(self) -> None:
        self.start()
        self.company.meet(self.alice, self.peer("bob"))
        self.company.net.advance(GRACE / 2)
        self.assertEqual(self.alice.errors, [])
        self.company.net.advance(GRACE)
        self.assertIsInstance(self.alice.errors[0], NotForwarded)

    def test_nothing_listens_there(self) -> None:
        self.start()
        self.company.meet(self.alice, self.peer("bob", allow="127.0.0.1:80"))
        self.company.until(lambda: self.alice.errors)
        self.assertTrue(str(self.alice.errors[0]).endswith("nothing listens there."), self.alice.errors)

    def test_it_breaks_off(self) -> None:
        self.start()
        bob = self.peer("bob", allow="127.0.0.1:80")
        self.serve(bob)
        self.company.meet(self.alice, bob)
        self.company.until(lambda: self.servers)
        self.company.net.advance(1)
        self.servers[0].transport.abortConnection()  # type: ignore[union-attr]
        self.company.until(lambda: self.alice.errors)
        self.assertIsInstance(self.alice.errors[0], Broken)

    def test_the_only_one_leaves(self) -> None:
        self.start(alone=True)
        other = self.company.peer("other", lambda machine: Idle())
        self.peers.append(other)
        self.company.meet(self.alice, other).two.leave()
        self.company.until(lambda: self.alice.errors)
        self.assertIsInstance(self.alice.errors[0], NotForwarded)
