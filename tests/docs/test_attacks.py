"""Every test and every mode that the page of attacks names is there; and every mode is named."""

from __future__ import annotations

import ast
import re

from twisted.trial.unittest import SynchronousTestCase

from tests.docs import ROOT, read, table
from tests.hostile.modes import MODES

PAGE = "docs/attacks.md"


def spans(cell: str) -> list[str]:
    """What is shown as code in a cell."""
    return re.findall(r"`([^`]+)`", cell)


class AttackTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.rows = table(read(PAGE), "attack")

    def test_modes(self) -> None:
        named = {name for row in self.rows for name in spans(row[3])}
        self.assertEqual(named, {f"{side} {mode}" for side, modes in MODES.items() for mode in modes})

    def test_commands(self) -> None:
        for side, mode in re.findall(r"python -m tests\.hostile (\w+) ([\w-]+)", read(PAGE)):
            self.assertIn(mode, MODES[side])

    def test_tests(self) -> None:
        for row in self.rows:
            names = spans(row[4])
            self.assertTrue(names, row[0])
            for name in names:
                path, case, test = name.split("::")
                tree = ast.parse((ROOT / path).read_text("utf-8"))
                [found] = [node for node in tree.body if isinstance(node, ast.ClassDef) and node.name == case]
                self.assertIn(test, [each.name for each in found.body if isinstance(each, ast.FunctionDef)], name)
