"""Whether a peer's message is taken at all, and whether a registration gets in."""

from twisted.trial.unittest import SynchronousTestCase

from p2phole.broker.admission import check
from p2phole.wire.codec import BadLine
from p2phole.wire.messages import Hello
from tests.broker.test_session import register


class CheckTests(SynchronousTestCase):
    def test_version_says_which_side_to_update(self) -> None:
        check(Hello(2, ""))
        for version, side in ((1, "update the peer"), (3, "update the broker")):
            problem = self.assertRaises(BadLine, check, Hello(version, ""))
            self.assertEqual(problem.code, "version")
            self.assertIn(side, problem.detail)

    def test_names(self) -> None:
        check(register(name="J\u00f6rg", room="x" * 64))
        for bad in ("", "x" * 65, "a\x1b[2J", "a\u202eb", "\u200b", "  "):
            for field in ("name", "room"):
                problem = self.assertRaises(BadLine, check, register(**{field: bad}))
                self.assertEqual(problem.code, "bad-name")
                self.assertIn(field, problem.detail)

    def test_a_room_with_a_secret_is_a_hash(self) -> None:
        check(register(space="secret", room="0123456789abcdef" * 4))
        for bad in ("", "lobby", "a" * 63, "a" * 65, "A" * 64, "g" * 64, "\u0661" * 64):
            problem = self.assertRaises(BadLine, check, register(space="secret", room=bad))
            self.assertEqual(problem.code, "bad-name")
