from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from p2phole.secure.possession import _message, fingerprint_of, holder, joined, raw, sign
from tests.secure.parties import LEADER, STRANGER

NONCES = ("11" * 16, "22" * 16)
ROOM = ("open", "lobby")
INSTANCE = "ab" * 16
KEY = raw(LEADER.key.public_key()).hex()


class PossessionTests(SynchronousTestCase):
    def signed(self) -> str:
        return sign(LEADER.key, "broker.example:9000", NONCES, ROOM, INSTANCE)

    def test_the_holder_is_named_by_the_fingerprint_of_its_certificate(self) -> None:
        self.assertEqual(
            holder(KEY, self.signed(), "broker.example:9000", NONCES, ROOM, INSTANCE), LEADER.fingerprint
        )
        self.assertEqual(fingerprint_of(LEADER.key.public_key()), LEADER.fingerprint)

    def test_all_of_it_is_bound(self) -> None:
        signature, other = self.signed(), "33" * 16
        for changed in (
            (KEY, signature, "other.example:9000", NONCES, ROOM, INSTANCE),
            (KEY, signature, "broker.example:9000", (other, NONCES[1]), ROOM, INSTANCE),
            (KEY, signature, "broker.example:9000", (NONCES[0], other), ROOM, INSTANCE),
            (KEY, signature, "broker.example:9000", NONCES, ("code", "lobby"), INSTANCE),
            (KEY, signature, "broker.example:9000", NONCES, ("open", "lobb"), INSTANCE),
            (KEY, signature, "broker.example:9000", NONCES, ROOM, other),
            (raw(STRANGER.key.public_key()).hex(), signature, "broker.example:9000", NONCES, ROOM, INSTANCE),
            ("00" * 32, signature, "broker.example:9000", NONCES, ROOM, INSTANCE),
            (KEY, "00" * 64, "broker.example:9000", NONCES, ROOM, INSTANCE),
        ):
            self.assertIsNone(holder(*changed), changed)

    def test_tls_signs_nothing_of_the_kind(self) -> None:
        # RFC 8446 4.4.3: what CertificateVerify signs begins with 64 spaces.
        self.assertTrue(_message("", NONCES, ROOM, INSTANCE).startswith(b"p2phole "))

    @given(st.lists(st.binary(max_size=8), max_size=5), st.lists(st.binary(max_size=8), max_size=5))
    def test_no_two_lists_are_joined_to_one(self, one: list[bytes], two: list[bytes]) -> None:
        self.assertEqual(joined(*one) == joined(*two), one == two)
