"""Codes for two people."""

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from p2phole.secure.codes import MOST_NUMBER, Code, complete, make, mark, parse
from p2phole.secure.words import word_list
from p2phole.text import harmless

codes = st.builds(
    make, st.integers(1, MOST_NUMBER), st.binary(min_size=3, max_size=3).map(lambda data: lambda _: data)
)
VELVET = Code(7, ("velvet", "ocean"))


class MakeTests(SynchronousTestCase):
    def test_every_pair_of_words_is_as_likely(self) -> None:
        """The two last bits of three bytes are of no use, and all others are."""
        self.assertEqual(str(make(1, lambda size: b"\xff" * size)), "1-zoo-zoo")
        self.assertEqual(str(make(1, lambda size: b"\x00\x00\x03"[:size])), "1-abandon-abandon")
        self.assertEqual(str(make(1, lambda size: b"\x00\x20\x04"[:size])), "1-ability-ability")

    def test_number(self) -> None:
        for number in (-1, 0, MOST_NUMBER + 1):
            self.assertRaises(ValueError, make, number, bytes)

    def test_the_secret_is_the_words(self) -> None:
        self.assertEqual(VELVET.secret, b"velvet-ocean")
        self.assertEqual(parse("8 VELVET ocean").secret, VELVET.secret)


class MarkTests(SynchronousTestCase):
    def test_of_this_code_and_this_key(self) -> None:
        key, other = Ed25519PrivateKey.generate(), Ed25519PrivateKey.generate()
        found = mark(VELVET, key)
        self.assertEqual(mark(parse("07 VELVET ocean"), key), found)
        self.assertRegex(found, "^[0-9a-f]{64}$")
        different = {mark(parse(text), key) for text in ("8-velvet-ocean", "7-ocean-velvet", "7-velvet-ability")}
        self.assertEqual(len({found, mark(VELVET, other)} | different), 5)


class ParseTests(SynchronousTestCase):
    @given(codes)
    def test_round_trip(self, code: Code) -> None:
        self.assertEqual(parse(str(code)), code)

    def test_as_people_type(self) -> None:
        for text in (
            "7-velvet-ocean",
            "  7-Velvet-OCEAN \r\n",
            "7 velvet ocean",
            "7 - velvet - ocean",
            "7\tvelvet\u00a0ocean",
            "07_velvet_ocean",
            "7\u2013velvet\u2014ocean",
        ):
            self.assertEqual(parse(text), VELVET, text)

    def test_says_what_is_wrong(self) -> None:
        for text, *words in (
            ("7-velvt-ocean", "'velvt' is not a word", "is it velvet?"),
            ("7-velvet-oceans", "'oceans'", "is it ocean or"),
            ("7-velvet-zzzzzz", "'zzzzzz'", "a code is like"),
            ("velvet-ocean", "in front"),
            ("0-velvet-ocean", "in front"),
            ("1000000-velvet-ocean", "up to 999999"),
            ("\u0667-velvet-ocean", "in front"),  # a digit, but an Arabic one
            ("", "in front"),
            ("7", "has not 2 words"),
            ("7-velvet", "has not 2 words"),
            ("7-velvet-ocean-zoo", "has not 2 words"),
            ("7-velvet-ocean-", "'' is not a word"),
            ("x" * 100_000, "..."),
            ("7-\x1b[2J-ocean", r"'\x1b[2j' is not a word"),
        ):
            error = str(self.assertRaises(ValueError, parse, text))
            for word in words:
                self.assertIn(word, error)
            self.assertLess(len(error), 200)

    @given(st.text() | st.text(alphabet="7 -velvtocan\n\x00\u202e"))
    def test_any_text(self, text: str) -> None:
        try:
            code = parse(text)
        except ValueError as error:
            self.assertEqual(str(error), harmless(str(error)))
        else:
            self.assertEqual(parse(str(code)), code)


class CompleteTests(SynchronousTestCase):
    def test_words(self) -> None:
        for text, found in (
            ("7-velv", ["7-velvet"]),
            ("7 Velvet OC", ["7-velvet-occur", "7-velvet-ocean", "7-velvet-october"]),
            ("7-velvet", ["7-velvet"]),
            ("7-nope-oc", []),
            ("7-velvet-ocean-", []),
            ("7-x-", []),
            ("7", []),
            ("", []),
            ("velv", []),
        ):
            self.assertEqual(complete(text), found, text)
        self.assertEqual(len(complete("7-")), len(word_list()))
        self.assertEqual(len(complete("7-velvet-")), len(word_list()))

    @given(codes, st.data())
    def test_leads_to_the_code(self, code: Code, data: st.DataObject) -> None:
        whole = str(code)
        begun = whole[: data.draw(st.integers(len(str(code.number)) + 1, len(whole)))]
        found = complete(begun)
        self.assertTrue(any(whole.startswith(one) for one in found))
        self.assertTrue(all(one.startswith(begun) for one in found))
