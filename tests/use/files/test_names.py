"""Which paths are taken."""

from __future__ import annotations

import os

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from p2phole.text import harmless
from p2phole.use.files.names import MOST_NAME, PART, check_path, numbered, part_name

_NAMES = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="/"), min_size=1, max_size=300)


class NameTests(SynchronousTestCase):
    def test_ordinary_ones(self) -> None:
        for path in (
            "a",
            ".hidden",
            "a/b/c",
            "...",
            "a b",
            "Größe.txt",
            "12:30?.mp3",
            "CON",
            "aux.c",
            "back\\slash",
        ):
            self.assertEqual(check_path(path), tuple(path.split("/")))

    def test_hostile_ones(self) -> None:
        for path in (
            "",
            ".",
            "..",
            "/",
            "/etc/passwd",
            "../x",
            "a/../../x",
            "a/..",
            "a//b",
            "a/",
            "./a",
            "a/./b",
            "a\0b",
            "a\nb",
            "a\x1b[2Jb",
            "a\u202egpj.exe",
            "a\u200bb",
            "\ud800",
            "ä" * 128,
            "/".join("a" * 129),
            "/".join(["a" * 250] * 17),
            f"x{PART}",
            f"x{PART.upper()}",
            f"a/{part_name('f', 'b')}",
        ):
            problem = self.assertRaises(ValueError, check_path, path)
            self.assertEqual(harmless(str(problem)), str(problem))

    @given(st.text(max_size=50))
    def test_whatever_is_taken_stays_inside(self, path: str) -> None:
        try:
            names = check_path(path)
        except ValueError:
            return
        whole = os.path.normpath(os.path.join("/folder", *names))
        self.assertEqual(whole, f"/folder/{path}")

    @given(_NAMES, st.integers(2, 999))
    def test_numbered(self, name: str, number: int) -> None:
        found = numbered(name, number)
        self.assertLessEqual(len(found.encode()), MOST_NAME)
        self.assertIn(f" ({number})", found)

    def test_numbered_before_the_ending(self) -> None:
        self.assertEqual(numbered("report.pdf", 2), "report (2).pdf")
        self.assertEqual(numbered(".profile", 2), ".profile (2)")
        self.assertEqual(numbered("Makefile", 3), "Makefile (3)")

    @given(_NAMES)
    def test_parts(self, name: str) -> None:
        found = part_name("f", f"folder/{name}")
        self.assertTrue(found.startswith(".") and found.endswith(PART) and len(found.encode()) <= MOST_NAME)
        self.assertNotEqual(found, part_name("g", f"folder/{name}"))
        self.assertNotEqual(found, part_name("f", f"other/{name}"))
