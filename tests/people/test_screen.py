"""The known people as they are shown."""

from __future__ import annotations

import os
from io import StringIO
from unittest import mock

from rich.cells import cell_len
from twisted.trial.unittest import SynchronousTestCase

from p2phole.people.screen import NOBODY, TOFU, shown
from p2phole.secure.people import People
from p2phole.secure.words import phrase

ANN, BOB, EVE = ("a1" * 32, "b2" * 32, "e5" * 32)
NOW = 1_800_000_000.0


class Terminal(StringIO):
    """One with 80 columns."""

    def isatty(self) -> bool:
        return True


class ScreenTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.people = (
            People()
            .meet(BOB, "robert", "secret", NOW)
            .keep("zed", BOB, NOW)
            .keep("Ann Lee", ANN, NOW)
            .meet(EVE, "zed", "tofu", NOW)
            .meet("c3" * 32, "\x1b[2J", "code", NOW)
        )

    def test_nobody(self) -> None:
        for stream in (StringIO(), Terminal()):
            self.assertIn("You keep nobody yet", shown(People(), NOW, stream))
        self.assertEqual(shown(People(), NOW, StringIO()), NOBODY)

    def test_one_line_for_each(self) -> None:
        text = shown(self.people, NOW + 7200, StringIO())
        lines = text.splitlines()
        first = ["name", "Ann", "zed", "met", r"\x1b[2J", "zed?e5e5", "tofu:"]
        self.assertEqual([line.split()[0] for line in lines if line], first)
        for line, fingerprint in ((lines[1], ANN), (lines[2], BOB), (lines[6], EVE)):
            self.assertIn(f"  {fingerprint[:8]}  {phrase(fingerprint)}  ", line)
        self.assertTrue(lines[6].endswith("  tofu   2 h ago"), lines[6])
        self.assertNotIn("\x1b", text)
        self.assertFalse([line for line in lines if line != line.rstrip()])

    def test_only_where_there_are_some(self) -> None:
        self.assertNotIn("met as", shown(People().keep("bob", BOB, NOW), NOW, StringIO()))
        self.assertNotIn(TOFU, shown(People().meet(BOB, "bob", "code", NOW), NOW, StringIO()))

    @mock.patch.dict(os.environ, {"COLUMNS": "80", "TERM": "dumb"})
    def test_fits_a_terminal(self) -> None:
        people = self.people.rename("zed", "\u4e2d" * 60).meet("d4" * 32, "W" * 64, "secret", NOW)
        text = shown(people, NOW, Terminal())
        self.assertLessEqual(max(cell_len(line) for line in text.splitlines()), 80)
        for part in (ANN[:8], BOB[:8], EVE[:8], "just now", "secret", "tofu"):
            self.assertIn(part, text)
        self.assertEqual((text.count("\u4e2d"), text.count("W")), (60, 64))

    @mock.patch.dict(os.environ, {"COLUMNS": "80", "TERM": "xterm-256color"})
    def test_colours(self) -> None:
        self.assertIn("\x1b[33mtofu", shown(self.people, NOW, Terminal()))
