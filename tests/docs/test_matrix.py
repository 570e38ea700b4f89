"""README, docs/nat.md and docs/nat-matrix.json tell the same of the matrix."""

from __future__ import annotations

import json
import re
from statistics import median
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from benchmarks.matrix_page import BEGIN, END, PAGES, pair_table, placed, sentence, shown
from benchmarks.pairs import PUNCHERS, TRUE_REASONS, expected
from tests.docs import ROOT, read, table
from tests.natlab.profiles import PROFILES


class MatrixTests(SynchronousTestCase):
    """The published matrix."""

    def setUp(self) -> None:
        self.document: dict[str, Any] = json.loads(read("docs/nat-matrix.json"))
        self.pairs: list[dict[str, Any]] = self.document["pairs"]

    def test_pages(self) -> None:
        """Both pages are what the renderer makes of the JSON."""
        for page in PAGES:
            text = read(page)
            self.assertEqual((text.count(BEGIN), text.count(END)), (1, 1), page)
            self.assertEqual(placed(text, self.document, page), text, page)

    def test_picture(self) -> None:
        """It is there, and both pages show it."""
        self.assertEqual((ROOT / "docs" / "nat-matrix.png").read_bytes()[:8], b"\x89PNG\r\n\x1a\n")
        for page, path in (("README.md", "docs/nat-matrix.png"), ("docs/nat.md", "nat-matrix.png")):
            self.assertIn(f"]({path})", read(page))

    def test_counts(self) -> None:
        """The sentence's figures, counted once more."""
        hopeful = [pair for pair in self.pairs if pair["expected"] not in TRUE_REASONS]
        wanted = [len(self.pairs), len(hopeful)]
        for name in PUNCHERS:
            results = [pair["punchers"][name] for pair in hopeful]
            wanted += [sum(each["successes"] for each in results), sum(each["trials"] for each in results)]
        numbers = [int(number) for number in re.findall(r"\b\d+\b", sentence(self.document))]
        self.assertEqual(numbers[: len(wanted)], wanted)
        for page in PAGES:
            self.assertIn(sentence(self.document), read(page))

    def test_seconds(self) -> None:
        """The cells of the table are the medians of the JSON."""
        rows = {row[1].strip("`"): row[2:] for row in table("|#" + pair_table(self.document)[1:], "#")}
        profiles = self.document["profiles"]
        self.assertEqual(list(rows), profiles)
        for pair in self.pairs:
            seconds = pair["punchers"]["p2phole"]["seconds"]
            if seconds:
                cell = rows[pair["first"]][profiles.index(pair["second"])]
                self.assertEqual(cell.partition(" ")[0], shown(seconds))
                self.assertLessEqual(abs(float(shown(seconds)) - median(seconds)), 0.5)

    def test_schema(self) -> None:
        """Each result is whole, and each pair of profiles is there once."""
        self.assertEqual(self.document["schema"], 1)
        self.assertRegex(self.document["commit"], r"^[0-9a-f]{40}$")
        profiles = self.document["profiles"]
        self.assertLessEqual(set(profiles), set(PROFILES))
        names = [(pair["first"], pair["second"]) for pair in self.pairs]
        self.assertEqual(len(set(map(frozenset, names))), len(profiles) * (len(profiles) + 1) // 2)
        for pair in self.pairs:
            self.assertEqual(pair["expected"], expected(pair["first"], pair["second"]))
            self.assertEqual(tuple(pair["punchers"]), PUNCHERS)
            for result in pair["punchers"].values():
                self.assertEqual(result["trials"], self.document["trials"])
                self.assertEqual(result["successes"], len(result["seconds"]))
                self.assertEqual(result["trials"] - result["successes"], len(result["reasons"]))
