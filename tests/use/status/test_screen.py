"""Running peers for people."""

from __future__ import annotations

import io
import os
import re
from dataclasses import replace

from twisted.trial.unittest import SynchronousTestCase

from p2phole.use.status.command import is_connected
from p2phole.use.status.screen import shown
from tests.peer.test_status import BOB, REPORT


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


class ShownTests(SynchronousTestCase):
    def test_a_line_for_each(self) -> None:
        carol = replace(BOB, name="carol", path=None, candidate=None, local=None, remote=None, round_trip=None)
        report = replace(REPORT, partners=(carol, BOB))
        lines = shown([report], REPORT.since + 7200, io.StringIO()).splitlines()
        self.assertEqual(
            [" ".join(line.split()) for line in lines],
            [
                "p2phole chat alice in room team, key aaaaaaaa, at its broker b.example:9000, for 2 h, process 7",
                "name key path address round trip in out streams since",
                "bob bbbbbbbb direct 203.0.113.2:4000 12 ms 1.5 kB/s 0 bytes/s 2 119 min",
                "carol bbbbbbbb away 2 119 min",
            ],
        )

    def test_nobody(self) -> None:
        alone = replace(REPORT, partners=(), registered=False)
        text = shown([alone, replace(alone, name="dave", since=0.0)], REPORT.since, io.StringIO())
        first, second = text.split("\n\n")
        self.assertIn("dave in room team", first)
        self.assertIn("without its broker", second)
        self.assertTrue(text.endswith("nobody else has come yet\n"))
        self.assertEqual([is_connected(each) for each in (alone, REPORT)], [False, True])

    def test_what_strangers_claim_is_harmless(self) -> None:
        bad = "\x1b[2J"
        partner = replace(BOB, name=bad, id=bad, path=bad, remote=bad)
        text = shown(
            [replace(REPORT, command=bad, name=bad, room=bad, broker=bad, id=bad, partners=(partner,))],
            0,
            io.StringIO(),
        )
        self.assertNotIn("\x1b", text)

    def test_it_fits_a_terminal(self) -> None:
        self.patch(os, "environ", {"COLUMNS": "80", "TERM": "xterm"})
        text = shown([REPORT], REPORT.since, Terminal())
        self.assertIn("\x1b[1m", text)
        self.assertLessEqual(max(map(len, re.sub(r"\x1b\[[0-9;]*m", "", text).splitlines()[1:])), 80)
