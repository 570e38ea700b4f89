"""Whether a peer's message is taken at all, and whether a registration gets in."""

from ipaddress import ip_address

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from p2phole.broker.admission import check
from p2phole.wire.codec import BadLine
from p2phole.wire.messages import Hello, Register
from tests.broker.shared import make_broker
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


class AdmissionTests(SynchronousTestCase):
    """What comes first: a stranger spends its own address's share, and never another key's."""

    def setUp(self) -> None:
        self.broker = make_broker(Clock(), prove=self.prove, registration_rate=2)

    def prove(self, message: Register, nonce: str) -> None:
        if nonce != message.possession.nonce:
            raise BadLine("possession", "no")

    def enter(self, address: str, proven: bool = True) -> str:
        message = register(1)
        try:
            return self.broker.admission.enter(
                message, message.possession.nonce if proven else "0" * 32, ip_address(address)
            )
        except BadLine as problem:
            return problem.code

    def test_claims_of_a_key_take_nothing_from_it(self) -> None:
        for number in range(1, 9):
            self.assertEqual(self.enter(f"192.0.2.{number}", proven=False), "possession")
        self.assertEqual([self.enter("192.0.2.100") for _ in range(3)], ["lobby", "lobby", "limit"])

    def test_claims_are_counted_by_address(self) -> None:
        self.assertEqual(
            [self.enter("192.0.2.1", proven=False) for _ in range(3)], ["possession", "possession", "limit"]
        )
        self.assertEqual(self.enter("192.0.2.2"), "lobby")
