"""Names of people."""

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from p2phole.secure.names import check_own_name, claim, looks
from p2phole.text import check_name


class LooksTests(SynchronousTestCase):
    def test_the_same(self) -> None:
        for one, other in (
            ("bob", "BOB"),
            ("bob", " bob\u00a0"),
            ("bob", "bo\ufe0fb"),  # a variation selector is seen by nobody
            ("bob", "\uff42\uff4f\uff42"),  # full width
            ("Ann Lee", "ann\u2003lee"),
            ("Zo\xeb", "Zoe\u0308"),
            ("stra\xdfe", "STRASSE"),
        ):
            self.assertEqual(looks(one), looks(other), other)

    def test_not_the_same(self) -> None:
        for one, other in (("bob", "rob"), ("bob", "bob1"), ("zoe", "zo\xeb"), ("bob", "bob?")):
            self.assertNotEqual(looks(one), looks(other))


class OwnNameTests(SynchronousTestCase):
    def test_refused(self) -> None:
        for name, word in (("", "empty"), (" ", "white space"), ("bob?", "'?'"), ("b#1", "'#'"), ("\x1b", "x1b")):
            self.assertIn(word, str(self.assertRaises(ValueError, check_own_name, name)))
        self.assertEqual(check_own_name("Ann Lee"), "Ann Lee")


class ClaimTests(SynchronousTestCase):
    @given(st.text())
    def test_fit_to_be_shown(self, name: str) -> None:
        self.assertEqual(check_name(claim(name), "name"), claim(name))
        self.assertEqual(claim(claim(name)), claim(name))

    def test_examples(self) -> None:
        for name, shown in (("bob", "bob"), ("", "?"), (" \u2800", "?"), ("\x1b[2J", r"\x1b[2J")):
            self.assertEqual(claim(name), shown)
        self.assertEqual(claim("x" * 99), "x" * 64)
