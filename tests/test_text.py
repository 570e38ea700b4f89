"""Text from strangers."""

import json
import unicodedata

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from p2phole.text import check_name, harmless, harmless_json, without_harm

# st.text() leaves out surrogates, which is what invalid UTF-8 becomes in an argument.
ANYTHING = st.text(st.characters(exclude_categories=[]))
# Format characters that are seen: they stand before digits or letters and enclose them.
SEEN = set("\u0600\u0601\u0602\u0603\u0604\u0605\u06dd\u070f\u0890\u0891\u08e2\U000110bd\U000110cd")


class HarmlessTests(SynchronousTestCase):
    def test_escapes(self) -> None:
        for text, shown in {
            "\x1b[2J": r"\x1b[2J",
            "a\x00\n\t\x7f\x9b": r"a\x00\x0a\x09\x7f\x9b",
            "\u202egnp.exe": r"\u202egnp.exe",
            "\u2066a\u2069": r"\u2066a\u2069",
            "a\u200bb\u200dc\ufeff": r"a\u200bb\u200dc\ufeff",
            "\u2028\u2029": r"\u2028\u2029",
            "\U000e0041": r"\U000e0041",
            "\udcff": r"\udcff",
        }.items():
            self.assertEqual(harmless(text), shown)

    def test_leaves_alone(self) -> None:
        for text in ("", "Grüße, 世界 עולם", "\U0001f600\u2764\ufe0f", "e\u0301", "\\x1b", "\u0660\u06dd"):
            self.assertEqual(harmless(text), text)

    def test_no_category_of_control_is_forgotten(self) -> None:
        hieroglyphs = range(0x13430, 0x13440)  # joiners that show as the arrangement of what they join
        for code in range(0x110000):
            character = chr(code)
            if unicodedata.category(character) not in ("Cc", "Cf", "Cs", "Zl", "Zp"):
                continue
            if character not in SEEN and code not in hieroglyphs:
                self.assertNotEqual(harmless(character), character, hex(code))

    @given(ANYTHING)
    def test_one_line_that_can_be_written(self, text: str) -> None:
        shown = harmless(text)
        shown.encode()
        self.assertLessEqual(len(shown.splitlines()), 1)
        self.assertEqual(harmless(shown), shown)

    @given(ANYTHING)
    def test_json_keeps_the_text(self, text: str) -> None:
        line = harmless_json(json.dumps({"text": text}, ensure_ascii=False))
        self.assertEqual(json.loads(line), json.loads(json.dumps({"text": text})))
        self.assertEqual(harmless(line), line)

    def test_json_escapes(self) -> None:
        self.assertEqual(harmless_json('"\x7f\u202e\U000e0041\udcff"'), r'"\u007f\u202e\udb40\udc41\udcff"')

    @given(ANYTHING)
    def test_without_harm(self, text: str) -> None:
        self.assertEqual(harmless(without_harm(text)), without_harm(text))


class CheckNameTests(SynchronousTestCase):
    def test_good(self) -> None:
        for name in ("alice", "Jörg Müller", "x" * 64, "\U0001f98a", "a:b", "\u5c71\u7530"):
            self.assertEqual(check_name(name, "name"), name)

    def test_bad(self) -> None:
        for name, words in {
            "": "room is empty",
            "x" * 65: "65 characters",
            "a\x1b[m": r"\\x1b",
            "a\u202e": r"\\u202e",
            "a\nb": r"\\x0a",
            "\udcff": r"\\udcff",
            "  \u3000 ": "white space",
            "\u2800": "white space",
            "\ufe0f": "white space",
        }.items():
            error = self.assertRaises(ValueError, check_name, name, "room")
            self.assertRegex(str(error), words)

    @given(ANYTHING)
    def test_only_names_that_can_be_shown(self, text: str) -> None:
        try:
            check_name(text, "name")
        except ValueError as error:
            self.assertEqual(harmless(str(error)), str(error))
        else:
            self.assertEqual(harmless(text), text)
