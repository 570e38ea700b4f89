"""The findings for programs and on the screen."""

from __future__ import annotations

import io
import json
import os
import re
from collections.abc import Mapping
from dataclasses import asdict
from itertools import islice

from twisted.trial.unittest import SynchronousTestCase

from p2phole.check import report
from p2phole.check.findings import Meeting
from p2phole.check.outlook import HOME, KINDS, OPEN, SECONDS
from p2phole.check.report import as_json, error_as_json
from p2phole.check.screen import shown
from p2phole.punch.verdict import REASONS
from tests.check.test_outlook import RANDOM, RANDOM_RESET, RESET
from tests.check.test_words import IPV6, everything, found
from tests.docs import blocks, read

KEYS = ["direct", "broker", "local", "observed", "scope", "nat", "firewall", "ipv6", "summary", "others", "notes"]
KEYS += ["advice", "peer"]


def meetings():
    """Findings with every way in which an attempt ends."""
    for word in REASONS:
        for kind in KINDS:
            yield found(RANDOM, meeting=Meeting("bob", kind.behaviour, reason=word))
            yield found(kind.behaviour, meeting=Meeting("bob", reason=word))
    yield found(HOME, meeting=Meeting("bob", HOME, "srflx", "203.0.113.2:33301", 0.1434))
    yield found(HOME, IPV6, IPV6, meeting=Meeting("b" * 64, HOME, "srflx", str(IPV6), 0.1))


class JsonTests(SynchronousTestCase):
    def test_keys(self) -> None:
        """All are there, always, and documented."""
        for each in (*everything(), *meetings()):
            line = as_json(each)
            self.assertEqual(line.count("\n"), 1)
            told = json.loads(line)
            self.assertEqual(list(told), KEYS)
            self.assertEqual(told["direct"], each.direct)
        for key in (*KEYS, "error"):
            self.assertIn(f"``{key}``", report.__doc__ or "")

    def test_network(self) -> None:
        told = json.loads(as_json(found(RANDOM)))
        self.assertEqual(told["nat"], asdict(RANDOM))
        self.assertEqual(told["peer"], None)
        ways = {each["kind"]: each for each in told["others"]}
        self.assertEqual(list(ways), [kind.word for kind in KINDS])
        self.assertEqual(ways["home"]["seconds"], list(SECONDS["birthday"]))
        self.assertEqual((ways["random"]["technique"], ways["random"]["seconds"]), ("none", None))

    def test_peer(self) -> None:
        told = json.loads(as_json(found(RANDOM, meeting=Meeting("bob", RESET, reason="answers"))))["peer"]
        self.assertEqual((told["name"], told["direct"], told["nat"]), ("bob", False, asdict(RESET)))
        self.assertEqual((told["reason"], told["detail"]), ("answers", REASONS["answers"]))
        self.assertEqual(list(told["advice"]), ["here", "there", "both"])
        told = json.loads(as_json(found(HOME, meeting=Meeting("bob", HOME, "host", "192.0.2.1:5", 0.25))))["peer"]
        self.assertEqual((told["candidate"], told["remote"], told["seconds"]), ("host", "192.0.2.1:5", 0.25))
        self.assertNotIn("reason", told)

    def test_error(self) -> None:
        line = error_as_json("no \x1b[2J broker")
        self.assertEqual(json.loads(line), {"direct": None, "error": "no \x1b[2J broker"})
        self.assertNotIn("\x1b", line)


class Stream(io.TextIOWrapper):
    """A terminal, or none, of some encoding."""

    def __init__(self, terminal: bool = False, encoding: str = "utf-8") -> None:
        super().__init__(io.BytesIO(), encoding=encoding)
        self._terminal = terminal

    def isatty(self) -> bool:
        return self._terminal


class ScreenTests(SynchronousTestCase):
    def test_fits_without_a_terminal(self) -> None:
        """80 columns, nothing that a terminal would obey, and nothing but ASCII of our own."""
        for each in (*islice(everything(), 0, None, 5), *meetings()):
            text = shown(each, Stream())
            self.assertTrue(text.endswith("\n"))
            self.assertRegex(text, r"\A[ -~\n]*\Z")
            self.assertLessEqual(max(map(len, text.splitlines())), 80)

    def test_fits_one_screen(self) -> None:
        """Where nothing is wrong, with the prompt that follows it."""
        self.assertLess(len(shown(found(HOME), Stream()).splitlines()), 24)

    def test_sample(self) -> None:
        """The one in the documents."""
        [sample] = blocks(read("docs/check.md"), "text")
        self.assertEqual(sample.text, shown(found(HOME), Stream()))

    def test_colours_on_a_terminal(self) -> None:
        self.patch_environment(TERM="xterm-256color", COLUMNS="80", NO_COLOR=None)
        text = shown(found(RANDOM), Stream(terminal=True))
        self.assertIn("\x1b[32myes", text)
        self.assertIn("\x1b[31mno", text)
        self.patch_environment(NO_COLOR="1")
        self.assertNotIn("\x1b[3", shown(found(RANDOM), Stream(terminal=True)))

    def test_environment_brings_no_colours_into_a_pipe(self) -> None:
        self.patch_environment(FORCE_COLOR="1", COLUMNS="200", TTY_COMPATIBLE="1", COLORTERM="truecolor")
        text = shown(found(RANDOM), Stream())
        self.assertNotIn("\x1b", text)
        self.assertEqual(text, shown(found(RANDOM), Stream()))
        self.assertLessEqual(max(map(len, text.splitlines())), 80)

    def test_names_are_only_names(self) -> None:
        for name in ("[red]bob[/red]", ":smile:", "[/]", "b\N{LATIN SMALL LETTER O WITH DIAERESIS}b"):
            for result in (
                Meeting(name, RESET, reason="answers"),
                Meeting(name, HOME, "host", "192.0.2.1:5", 0.1),
            ):
                self.assertIn(name, shown(found(RANDOM, meeting=result), Stream()))

    def test_any_encoding(self) -> None:
        text = shown(found(HOME, meeting=Meeting("b\xf6b", HOME, reason="gone")), Stream(encoding="ascii"))
        self.assertIn(r"b\xf6b", text)

    def test_says_it_all(self) -> None:
        text = shown(found(RANDOM_RESET, meeting=Meeting("bob", RESET, reason="answers")), Stream())
        for part in (
            "No direct connection to bob: answers.",
            "at bob: let the router drop",
            "on both sides: use IPv6",
        ):
            self.assertIn(part, text)
        self.assertIn(" ".join(REASONS["answers"].split()), re.sub(r"\s+", " ", text))
        self.assertNotIn("\n- ", shown(found(OPEN), Stream()))

    def patch_environment(self, **variables: str | None) -> None:
        # In place: rich keeps the object.
        before = {key: os.environ.get(key) for key in variables}
        self.addCleanup(self.set_environment, before)
        self.set_environment(variables)

    def set_environment(self, variables: Mapping[str, str | None]) -> None:
        for key, value in variables.items():
            if value is None:
                os.environ.pop(key, None)
            else:
                os.environ[key] = value
