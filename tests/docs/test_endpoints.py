"""``docs/endpoints.md`` is executed: its strings, its programs, and its tables."""

from __future__ import annotations

import inspect
import unittest
from typing import Any

from twisted.internet.endpoints import clientFromString, serverFromString
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from p2phole.endpoints import P2PClientEndpoint, P2PServerEndpoint, options
from p2phole.peer.settings import RESUME_FOR
from p2phole.testing import MemoryPair, MemoryPeer
from tests.docs import blocks, read, table

PAGE = read("docs/endpoints.md")


class EndpointPageTests(SynchronousTestCase):
    def test_strings(self) -> None:
        server, client = (block.text.strip() for block in blocks(PAGE, "endpoint"))
        self.assertIsInstance(serverFromString(Clock(), server), P2PServerEndpoint)
        self.assertIsInstance(clientFromString(Clock(), client), P2PClientEndpoint)
        self.assertRaises(ValueError, serverFromString, Clock(), client)

    def test_options(self) -> None:
        rows = {row[0].strip("`"): row[1] for row in table(PAGE, "option")}
        self.assertEqual(set(list(rows)[1:]), set(options._OF_CLIENT))
        self.assertIn(f"default {options.TIMEOUT:g}", rows["timeout"])
        self.assertIn(f"default {RESUME_FOR:g}", rows["resumeFor"])

    def test_programs(self) -> None:
        classes, test = (block.text for block in blocks(PAGE, "python"))
        made: dict[str, Any] = {}
        exec(classes, made)
        self.assertIsInstance(made["client"], P2PClientEndpoint)
        self.assertIsInstance(made["server"], P2PServerEndpoint)
        shown: dict[str, Any] = {}
        exec(test, shown)
        result = unittest.TestResult()
        shown["EchoTests"]("test_through_a_cut").run(result)
        self.assertEqual((result.testsRun, result.errors, result.failures), (1, [], []))

    def test_calls(self) -> None:
        """The table has every public name of the pair, with its arguments."""
        shown = ", ".join(row[0] for row in table(PAGE, "call")).replace("`", "").replace("alice.", "")
        for kind in (MemoryPair, MemoryPeer):
            for name, member in inspect.getmembers(kind):
                if name.startswith("_"):
                    continue
                if isinstance(member, property):
                    self.assertIn(name, shown)
                    continue
                arguments = list(inspect.signature(member).parameters)[1:]
                self.assertIn(f"{name}({'alice' if name == 'leave' else ', '.join(arguments)})", shown)
        for name in vars(MemoryPair().alice):
            self.assertIn(name, f"{shown} pair board")
        self.assertIn(f"MemoryPair({', '.join(inspect.signature(MemoryPair).parameters)})", shown)
