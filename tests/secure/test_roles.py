"""Who is who in a pair."""

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from p2phole.secure.roles import Identity, Pairing
from tests.strategies import hexadecimal

# Few different ones, so that some are alike.
identities = st.builds(
    Identity, st.one_of(st.just("a" * 64), hexadecimal(64)), st.one_of(st.just("b" * 32), hexadecimal(32))
)
ALICE, BOB = Identity("a" * 64, "1" * 32), Identity("b" * 64, "0" * 32)


class PairingTests(SynchronousTestCase):
    @given(identities, identities, st.binary(min_size=16, max_size=16))
    @settings(deadline=None, max_examples=100)
    def test_both_sides_agree(self, one: Identity, two: Identity, token: bytes) -> None:
        mine, theirs = Pairing(one, two, token), Pairing(two, one, token)
        self.assertEqual((mine.my_tag, mine.their_tag), (theirs.their_tag, theirs.my_tag))
        self.assertEqual(len(mine.my_tag), 32)
        if one != two:
            self.assertNotEqual(mine.leads, theirs.leads)
            self.assertNotEqual(mine.my_tag, mine.their_tag)
        else:
            self.assertFalse(mine.leads)

    def test_the_greater_one_leads(self) -> None:
        self.assertTrue(Pairing(BOB, ALICE, b"").leads)
        self.assertFalse(Pairing(ALICE, BOB, b"").leads)

    def test_two_instances_of_one_key(self) -> None:
        first, second = Identity("a" * 64, "1" * 32), Identity("a" * 64, "2" * 32)
        self.assertTrue(Pairing(second, first, b"").leads)
        self.assertNotEqual(Pairing(first, second, b"").my_tag, Pairing(first, second, b"").their_tag)

    def test_each_attempt_has_its_own_tags(self) -> None:
        tags = {
            Pairing(*who, token).my_tag for who in ((ALICE, BOB), (BOB, ALICE)) for token in (b"1" * 16, b"2" * 16)
        }
        self.assertEqual(len(tags), 4)

    def test_no_tag_tells_the_token(self) -> None:
        pairing = Pairing(ALICE, BOB, b"token of 16 byte")
        self.assertNotIn(pairing.token, pairing.my_tag + pairing.their_tag)

    def test_it_stays_what_it_is(self) -> None:
        # A change of this would keep peers of two versions from knowing each other.
        self.assertEqual(
            Pairing(ALICE, BOB, b"t" * 16).my_tag.hex(),
            TAG,
        )


TAG = "8ff3ca4823ec5297916007478619728b54388ac44c45763c4d2b51720d2c4ae9"
