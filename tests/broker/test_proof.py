"""Whether a registration is by who holds the key that it names, and meant for this broker."""

from dataclasses import replace

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from p2phole.broker.proof import Proof
from p2phole.secure.possession import fingerprint_of, raw, sign
from p2phole.wire.codec import BadLine
from p2phole.wire.messages import Possession, Register
from tests.broker.test_session import register

KEY = Ed25519PrivateKey.from_private_bytes(b"1" * 32)
OTHER = Ed25519PrivateKey.from_private_bytes(b"2" * 32)
NONCE, MINE = "a" * 32, "b" * 32


def signed(
    key: Ed25519PrivateKey = KEY, dialled: str = "broker.example:9000", nonce: str = NONCE, **other: object
) -> Register:
    """A registration as an honest peer makes it."""
    public = key.public_key()
    message = register(fingerprint=fingerprint_of(public), **other)
    signature = sign(key, dialled, (nonce, MINE), (message.space, message.room), message.instance)
    return replace(message, possession=Possession(raw(public).hex(), MINE, dialled, signature))


class ProofTests(SynchronousTestCase):
    def refused(self, message: Register, *names: str) -> str:
        problem = self.assertRaises(BadLine, Proof(names).check, message, NONCE)
        self.assertEqual(problem.code, "possession")
        return str(problem.detail)

    def test_honest(self) -> None:
        for other in ({}, {"space": "secret", "room": "5" * 64}, {"space": "code", "room": ""}):
            Proof().check(signed(**other), NONCE)
            Proof(("broker.example:9000",)).check(signed(**other), NONCE)

    def test_each_thing_that_is_signed(self) -> None:
        """Another value of it, and the proof is none."""
        good = signed()
        shown = good.possession
        for bad in (
            replace(good, instance="c" * 32),
            replace(good, room="attic"),
            replace(good, space="code"),
            replace(good, fingerprint="0" * 64),
            replace(good, possession=replace(shown, nonce="c" * 32)),
            replace(good, possession=replace(shown, dialled="broker.example:9001")),
            replace(good, possession=replace(shown, signature="0" * 128)),
            replace(good, possession=replace(shown, key=raw(OTHER.public_key()).hex())),
            replace(good, possession=replace(shown, key="f" * 64)),
            signed(nonce="c" * 32),
        ):
            self.assertIn("not signed", self.refused(bad))

    def test_somebody_else_with_a_key_of_its_own(self) -> None:
        thief = replace(signed(OTHER), fingerprint=fingerprint_of(KEY.public_key()))
        self.assertIn("not signed", self.refused(thief))

    def test_passed_on_by_another_broker(self) -> None:
        """What a peer signed for one broker is worth nothing at another one that knows its own names."""
        names = ("broker.example:9000", "[2001:db8::1]:9000", "192.0.2.1:443")
        for elsewhere in (
            "evil.example:9000",
            "broker.example:9001",
            "broker.example",
            "xbroker.example:9000",
            "",
            ":",
            "192.0.2.1:9000",
            "\u0661" * 200 + ":9000",
        ):
            self.assertIn("another name", self.refused(signed(dialled=elsewhere), *names))

    def test_spellings_of_one_name(self) -> None:
        for name, dialled in (
            ("broker.example:9000", "Broker.Example.:9000"),
            ("BROKER.example:9000", "broker.example:9000"),
            ("b\u00fccher.example:1", "xn--bcher-kva.example:1"),
            ("[2001:db8::1]:9000", "[2001:DB8:0:0::1]:9000"),
            ("192.0.2.1:443", "[::ffff:192.0.2.1]:443"),
        ):
            Proof(("other.example:1", name)).check(signed(dialled=dialled), NONCE)

    @given(st.text(st.characters(exclude_categories=["Cs"]), max_size=256))
    def test_any_name(self, dialled: str) -> None:
        Proof().check(signed(dialled=dialled), NONCE)
        self.refused(signed(dialled=dialled), "broker.example:9000")
