"""The proof through the broker: two sides, and whoever is in between."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from p2phole.secure import letters
from p2phole.secure.agreement import EPHEMERAL, SECRET, Agreement, BadShare, EphemeralAgreement, SecretAgreement
from p2phole.secure.identity import Credentials
from p2phole.secure.letters import BadLetter, Confirmation, Letter, Share
from p2phole.secure.proof import PIECE, Proof, Side
from p2phole.secure.roles import Identity, Pairing
from tests.secure.parties import FOLLOWER, FOLLOWS, LEADER, LEADS, STRANGER, TOKEN, identity

ROOM = ("secret", "ab" * 32)


class User:
    """One side's user: keeps everything."""

    def __init__(self, allowed: bool = True) -> None:
        self.out: list[str] = []
        self.allowed = allowed
        self.ends: list[object] = []

    def may_show(self) -> bool:
        return self.allowed

    def send(self, letter: Letter) -> None:
        self.out.append(letters.encode(letter))

    def proven(self, sealed: bytes) -> None:
        self.ends.append(sealed)

    def refuted(self, why: str) -> None:
        self.ends.append(why)


def side(
    pairing: Pairing,
    own: Credentials,
    secret: bytes | None = b"open sesame",
    room: tuple[str, str] = ROOM,
    allowed: bool = True,
    sealed: bytes = b"",
) -> tuple[Proof, User]:
    agreement: Agreement
    agreement = (
        EphemeralAgreement(os.urandom) if secret is None else SecretAgreement(secret, pairing, room, os.urandom)
    )
    user = User(allowed)
    sealed = sealed or (b"host of the leader" if pairing.leads else b"host of the follower")
    return Proof(Side(pairing, room, own.key, agreement, sealed, user)), user


Change = Callable[[str], list[str]]


def exchange(
    one: tuple[Proof, User],
    two: tuple[Proof, User],
    to_two: Change = lambda it: [it],
    to_one: Change = lambda it: [it],
) -> list[str]:
    """Bring letters to and fro, as long as there are any; a broker may change them.  What left ``one``."""
    seen = []
    for _ in range(4):
        for (_from, sender), (receiver, _to), change in ((one, two, to_two), (two, one, to_one)):
            waiting, sender.out = sender.out, []
            for body in waiting:
                if sender is one[1]:
                    seen.append(body)
                for changed in change(body):
                    receiver.receive(changed)
    return seen


def is_share(body: str) -> bool:
    return isinstance(letters.decode(body), Share)


class ProofTests(SynchronousTestCase):
    def pair(self, **both: object) -> tuple[tuple[Proof, User], tuple[Proof, User]]:
        return side(LEADS, LEADER, **both), side(FOLLOWS, FOLLOWER, **both)  # type: ignore[arg-type]

    def assert_proven(self, leader: tuple[Proof, User], follower: tuple[Proof, User]) -> None:
        self.assertEqual([end.rstrip(b"\n") for end in leader[1].ends], [b"host of the follower"])  # type: ignore
        self.assertEqual([end.rstrip(b"\n") for end in follower[1].ends], [b"host of the leader"])  # type: ignore

    def test_one_secret(self) -> None:
        leader, follower = self.pair()
        exchange(leader, follower)
        self.assert_proven(leader, follower)

    def test_the_key_alone(self) -> None:
        leader, follower = self.pair(secret=None)
        exchange(leader, follower)
        self.assert_proven(leader, follower)

    def test_two_secrets(self) -> None:
        leader, follower = side(LEADS, LEADER), side(FOLLOWS, FOLLOWER, b"open barley")
        exchange(leader, follower)
        self.assertEqual((leader[1].ends, follower[1].ends), (["secret"], ["secret"]))

    def test_two_rooms(self) -> None:
        leader, follower = side(LEADS, LEADER), side(FOLLOWS, FOLLOWER, room=("secret", "cd" * 32))
        exchange(leader, follower)
        self.assertEqual((leader[1].ends, follower[1].ends), (["unproven"], ["unproven"]))

    def test_two_methods(self) -> None:
        leader, follower = side(LEADS, LEADER), side(FOLLOWS, FOLLOWER, None)
        exchange(leader, follower)
        self.assertEqual((leader[1].ends, follower[1].ends), (["unproven"], ["unproven"]))

    def test_another_token_is_another_attempt(self) -> None:
        leader = side(LEADS, LEADER)
        follower = side(Pairing(FOLLOWS.mine, FOLLOWS.theirs, b"u" * 16), FOLLOWER)
        exchange(leader, follower)
        self.assertEqual((leader[1].ends, follower[1].ends), (["unproven"], ["unproven"]))

    def test_the_broker_names_its_own_key_to_both(self) -> None:
        for secret, why in ((b"guess", "secret"), (None, "unproven")):
            middle = identity(STRANGER)
            alice = Pairing(LEADS.mine, middle, TOKEN)
            leader = side(alice, LEADER, b"open sesame" if secret else None)
            hostile = side(Pairing(middle, LEADS.mine, TOKEN), STRANGER, secret)
            exchange(leader, hostile)
            if secret:
                self.assertEqual(leader[1].ends, [why])
            else:
                # With the key alone it is the pin that says whose key it must be; see peer.trust.
                self.assertEqual(hostile[1].ends[0].rstrip(b"\n")[:4], b"host")  # type: ignore[attr-defined]

    def test_it_names_its_own_key_and_passes_on_what_the_true_ones_say(self) -> None:
        middle = identity(STRANGER)
        leader = side(Pairing(LEADS.mine, middle, TOKEN), LEADER)
        follower = side(Pairing(FOLLOWS.mine, middle, TOKEN), FOLLOWER)
        exchange(leader, follower)
        self.assertEqual((leader[1].ends, follower[1].ends), (["unproven"], ["unproven"]))

    def test_letters_sent_back_to_where_they_came_from(self) -> None:
        leader, follower = self.pair()
        mirrored = exchange(leader, follower)
        for secret in (b"open sesame", None):
            proof, user = side(LEADS, LEADER, secret)
            for body in [*user.out, *mirrored]:
                proof.receive(body)
            self.assertEqual(user.ends, ["unproven"])

    def test_letters_of_another_time(self) -> None:
        leader, follower = self.pair()
        old = exchange(follower, leader)
        proof, user = side(LEADS, LEADER)
        for body in old:
            proof.receive(body)
        self.assertEqual(user.ends, ["secret"])

    def test_any_bit_that_is_changed_on_the_way(self) -> None:
        for number in range(2):
            for at in (0, 1, 5, 40, 60, 90, -30, -1):
                leader, follower = self.pair()

                def change(body: str, number: int = number, at: int = at) -> list[str]:
                    if is_share(body) is bool(number):
                        return [body]
                    content = bytearray(letters.base64.b64decode(body))
                    content[min(at, len(content) - 1)] ^= 1
                    return [letters.base64.b64encode(content).decode()]

                exchange(leader, follower, to_two=change)
                self.assertIn(follower[1].ends, (["secret"], ["unproven"]), (number, at))

    def test_one_end_only(self) -> None:
        leader, follower = self.pair()
        exchange(leader, follower, to_one=lambda body: [body, body, "", "AAAA"])
        self.assertEqual(len(leader[1].ends), 1)
        self.assertEqual(leader[1].ends, ["unproven"])  # a second share is nothing that an honest side sends

    def test_nothing_counts_after_the_end(self) -> None:
        leader, follower = self.pair()
        exchange(leader, follower)
        leader[0].receive("AAAA")
        leader[0].receive(letters.encode(Confirmation(bytes(32), b"")))
        self.assert_proven(leader, follower)

    def test_a_confirmation_before_the_share(self) -> None:
        proof, user = side(LEADS, LEADER)
        proof.receive(letters.encode(Confirmation(bytes(32), bytes(16))))
        self.assertEqual(user.ends, ["unproven"])

    def test_no_confirmation_leaves_while_it_may_not(self) -> None:
        leader, follower = side(LEADS, LEADER, allowed=False), side(FOLLOWS, FOLLOWER)
        exchange(leader, follower)
        self.assertEqual(leader[1].ends, ["locked"])
        self.assertEqual(follower[1].ends, [])

    def test_a_stranger_does_not_use_up_guesses_in_somebody_elses_name(self) -> None:
        # Not signed by whom it should be: nothing leaves, so that there is nothing to guess at.
        hostile = side(Pairing(FOLLOWS.mine, FOLLOWS.theirs, TOKEN), STRANGER)
        proof, user = side(LEADS, LEADER)
        user.may_show = lambda: self.fail("asked")  # type: ignore[method-assign]
        proof.receive(hostile[1].out[0])
        self.assertEqual((user.ends, len(user.out)), (["unproven"], 1))

    def test_nothing_of_what_is_sealed_is_seen_nor_how_long_it_is(self) -> None:
        sizes = set()
        for sealed in (b"x", b"host 192.168.1.2:1\n" * 12):
            leader, follower = side(LEADS, LEADER, sealed=sealed), side(FOLLOWS, FOLLOWER)
            bodies = exchange(leader, follower)
            carried = b"".join(letters.base64.b64decode(body) for body in bodies)
            self.assertNotIn(b"192.168", carried)
            self.assertNotIn(b"sesame", carried)
            sizes.add(len(carried))
        self.assertEqual(len(sizes), 1)
        self.assertEqual(PIECE, 256)

    def test_a_share_of_zeros(self) -> None:
        with self.assertRaises(BadShare):
            EphemeralAgreement(os.urandom).finish(bytes(32))
        for content in (b"", b"A" + bytes(32), b"B" + b"\xff" * 32, b"S" + bytes(32)):
            with self.assertRaises(BadShare):
                SecretAgreement(b"x", LEADS, ROOM, os.urandom).finish(content)

    def test_ones_own_share(self) -> None:
        for agreement in (EphemeralAgreement(os.urandom), SecretAgreement(b"x", LEADS, ROOM, os.urandom)):
            with self.assertRaises(BadShare):
                agreement.finish(agreement.share)  # type: ignore[attr-defined]

    def test_rehearsed(self) -> None:
        """The library is loaded by that, and not before it is wanted."""
        code = (
            "import sys, p2phole.peer.service; from p2phole.secure.agreement import rehearse;"
            "before = 'spake2' in sys.modules; rehearse();"
            "sys.exit((before, 'spake2' in sys.modules) != (False, True))"
        )
        self.assertEqual(subprocess.run([sys.executable, "-c", code], timeout=60).returncode, 0)

    def test_an_instance_is_bound_too(self) -> None:
        leader = side(LEADS, LEADER)
        follower = side(Pairing(Identity(FOLLOWS.mine.fingerprint, "1" * 32), FOLLOWS.theirs, TOKEN), FOLLOWER)
        exchange(leader, follower)
        self.assertEqual((leader[1].ends, follower[1].ends), (["unproven"], ["unproven"]))


class LetterTests(SynchronousTestCase):
    @given(st.sampled_from((SECRET, EPHEMERAL)), st.data())
    def test_shares_come_back(self, method: int, data: st.DataObject) -> None:
        size = 33 if method == SECRET else 32
        draw = lambda many: data.draw(st.binary(min_size=many, max_size=many))  # noqa: E731
        letter = Share(method, draw(size), draw(32), draw(64))
        self.assertEqual(letters.decode(letters.encode(letter)), letter)

    @given(st.binary(min_size=32, max_size=32), st.binary(max_size=1200))
    def test_confirmations_come_back(self, mac: bytes, sealed: bytes) -> None:
        letter = Confirmation(mac, sealed)
        self.assertEqual(letters.decode(letters.encode(letter)), letter)

    @given(st.one_of(st.text(), st.binary().map(lambda content: letters.base64.b64encode(content).decode())))
    def test_anything_else_is_told(self, body: str) -> None:
        try:
            letters.decode(body)
        except BadLetter:
            pass

    @given(st.lists(st.one_of(st.binary(max_size=200)), max_size=6))
    def test_a_proof_bears_anything(self, contents: list[bytes]) -> None:
        proof, user = side(LEADS, LEADER, None)
        for content in contents:
            proof.receive(letters.base64.b64encode(content).decode())
        self.assertEqual(user.ends, ["unproven"][: len(contents)])
