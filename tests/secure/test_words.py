"""Numbers as words."""

import subprocess
import sys

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from p2phole.secure.words import BITS, PHRASE_WORDS, phrase, secret, word_list, words_of


class ListTests(SynchronousTestCase):
    def test_the_list(self) -> None:
        words = word_list()
        self.assertEqual(len(words), 1 << BITS)
        self.assertEqual(list(words), sorted(words))
        self.assertEqual(len({word[:4] for word in words}), len(words))
        for word in words:
            self.assertRegex(word, r"^[a-z]{3,8}$")

    def test_imported_when_it_is_wanted(self) -> None:
        code = "import sys, p2phole.secure.words; sys.exit('mnemonic' in sys.modules)"
        self.assertEqual(subprocess.run([sys.executable, "-c", code], timeout=60).returncode, 0)


class SecretTests(SynchronousTestCase):
    def test_vectors(self) -> None:
        """Of BIP 39's own test vectors."""
        for entropy, words in (
            ("00" * 16, "abandon " * 11 + "about"),
            ("7f" * 16, "legal winner thank year wave sausage worth useful legal winner thank yellow"),
            ("ff" * 16, "zoo " * 11 + "wrong"),
            (
                "9e885d952ad362caeb4efe34a8e91bd2",
                "ozone drill grab fiber curtain grace pudding thank cruise elder eight picnic",
            ),
        ):
            made = secret(lambda size, entropy=entropy: bytes.fromhex(entropy)[:size])  # type: ignore[misc]
            self.assertEqual(made, words.replace(" ", "-"))

    @given(st.binary(min_size=16, max_size=16))
    def test_nothing_of_the_entropy_is_lost(self, entropy: bytes) -> None:
        number = 0
        for word in secret(lambda size: entropy[:size]).split("-"):
            number = number << BITS | word_list().index(word)
        self.assertEqual(number >> 4, int.from_bytes(entropy, "big"))


class PhraseTests(SynchronousTestCase):
    def test_by_hand(self) -> None:
        self.assertEqual(phrase("f" * 64), "zoo zoo zoo zoo zoo zoo")
        # 000 0000 0001 | 000 0000 0010 | ... as 66 bits, and two more that do not count.
        bits = "".join(f"{number:011b}" for number in (1, 2, 3, 2047, 0, 5)) + "11"
        self.assertEqual(phrase(f"{int(bits, 2):017x}".ljust(64, "9")), "ability able about zoo abandon absent")

    @given(st.integers(0, 2**256 - 1), st.integers(0, 255))
    def test_the_first_66_bits_and_no_others(self, number: int, bit: int) -> None:
        one, other = (phrase(f"{value:064x}") for value in (number, number ^ 1 << bit))
        self.assertEqual(len(one.split()), PHRASE_WORDS)
        self.assertEqual(one != other, bit >= 256 - 66)

    @given(st.integers(0, 2**22 - 1))
    def test_words_of(self, number: int) -> None:
        first, second = words_of(number, 2)
        self.assertEqual(word_list().index(first) << BITS | word_list().index(second), number)
