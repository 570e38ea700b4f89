"""The scenario helpers, with programs that only pretend to be the product."""

from __future__ import annotations

import sys
import unittest
import unittest.mock
from pathlib import Path

import pytest
from twisted.trial.unittest import SynchronousTestCase

from tests.natlab import scenario
from tests.natlab.laboratory import Laboratory
from tests.natlab.scenario import Events, Program, ScenarioError, arguments, require_laboratory

pytestmark = pytest.mark.natlab

# Writes an event in two pieces, then one event for each line that it is told.
_FAKE = """
import json, os, sys
def write(text):
    with open(sys.argv[1], "a") as stream:
        stream.write(text)
print("started", file=sys.stderr, flush=True)
write('{"event": "registered", "na')
write('me": "alice"}\\n')
for line in sys.stdin:
    if line == "end\\n":
        print("ends now", file=sys.stderr, flush=True)
        sys.exit(3)
    write(json.dumps({"event": "message", "text": line.strip(), "home": os.environ["HOME"]}) + "\\n")
"""


def _fake(events: Path) -> list[str]:
    return [sys.executable, "-S", "-c", _FAKE, str(events)]


class ScenarioTests(SynchronousTestCase):
    """Programs and their events."""

    def setUp(self) -> None:
        """One host."""
        require_laboratory()
        lab = Laboratory()
        self.addCleanup(lab.close)
        self.alice = lab.site("alice")

    def test_wait(self) -> None:
        """Events are found by kind, by value, by condition and by number, also those of before."""
        program = Program(self.alice, "alice", _fake)
        self.assertEqual(program.wait("registered", name="alice")["name"], "alice")
        for text in ("one", "two", "three"):
            program.say(text)
        self.assertEqual(program.wait("message", text="two")["home"], str(program.home))
        self.assertEqual(program.wait("message", where=lambda event: event["text"] > "p")["text"], "two")
        self.assertEqual(program.wait("message", count=3)["text"], "three")
        self.assertEqual(len(program.events.all()), 4)
        program.wait("registered")

    def test_not_in_time(self) -> None:
        """What does not come ends the scenario with the logs."""
        program = Program(self.alice, "alice", _fake)
        program.wait("registered")
        error = self.assertRaises(ScenarioError, program.wait, "connected", timeout=0.05, peer="bob")
        for expected in (
            "connected",
            "bob",
            "0.05 s",
            "alice/log",
            "started",
            "alice/events",
            '"registered"',
        ):
            self.assertIn(expected, str(error))

    def test_ended(self) -> None:
        """What has ended is not waited for; what it wrote last is still found."""
        program = Program(self.alice, "alice", _fake)
        program.say("last words")
        program.say("end")
        error = self.assertRaises(ScenarioError, program.wait, "connected")
        self.assertIn("status 3", str(error))
        self.assertIn("ends now", str(error))
        self.assertEqual(program.wait("message")["text"], "last words")

    def test_again(self) -> None:
        """A program may be stopped and started again; each start has files of its own."""
        first = Program(self.alice, "alice", _fake)
        first.wait("registered")
        self.assertLess(first.stop(), 0)
        second = Program(self.alice, "alice", _fake)
        second.wait("registered")
        self.assertNotEqual(first.events.path, second.events.path)


class HelperTests(unittest.TestCase):
    """What needs no laboratory."""

    def test_arguments(self) -> None:
        """Options as keywords."""
        self.assertEqual(
            arguments(
                {
                    "probe_port": 9001,
                    "map_port": True,
                    "room": None,
                    "message": ("a", "b"),
                    "key_file": Path("k"),
                }
            ),
            ["--probe-port=9001", "--map-port", "--message=a", "--message=b", "--key-file=k"],
        )

    def test_no_file(self) -> None:
        """An events file that is not there yet holds nothing."""
        self.assertEqual(Events(Path("/nonexistent/events")).all(), [])

    def test_skip(self) -> None:
        """No laboratory: a skip with the reason, but for root in CI a failure."""
        for root, ci, expected in (
            (0, "", unittest.SkipTest),
            (1, "1", unittest.SkipTest),
            (0, "1", AssertionError),
        ):
            with (
                unittest.mock.patch.object(scenario, "unavailable", lambda: "no such thing"),
                unittest.mock.patch.dict("os.environ", {"CI": ci}),
                unittest.mock.patch("os.geteuid", lambda root=root: root),
                self.assertRaisesRegex(expected, "no such thing"),
            ):
                require_laboratory()
