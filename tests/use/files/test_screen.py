"""What is drawn, character by character."""

from __future__ import annotations

import os
import re
from io import StringIO
from unittest import mock

from rich.cells import cell_len
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from p2phole.use.files.screen import DRAW_SECONDS, LINE_SECONDS, Screen


class Stream(StringIO):
    encoding = "utf-8"

    def __init__(self, terminal: bool) -> None:
        super().__init__()
        self.terminal = terminal

    def isatty(self) -> bool:
        return self.terminal


class ScreenTests(SynchronousTestCase):
    def screen(self, terminal: bool = True, columns: int = 80) -> tuple[Screen, Stream, Clock]:
        environment = mock.patch.dict(os.environ, COLUMNS=str(columns))
        environment.start()
        self.addCleanup(environment.stop)
        stream, clock = Stream(terminal), Clock()
        return Screen(stream), stream, clock

    def run_to(self, screen: Screen, clock: Clock, *moved: int) -> None:
        for count in moved:
            screen.progress(count, count)
            clock.advance(DRAW_SECONDS)

    def last(self, stream: Stream) -> str:
        line = stream.getvalue().rpartition("\r\x1b[2K")[2]
        return re.sub(r"\x1b\[[0-9;]*m", "", line)

    def test_a_terminal(self) -> None:
        for columns in (80, 110, 60):
            screen, stream, clock = self.screen(columns=columns)
            screen.begin(clock, 100_000_000)
            screen.file("photos/海の写真 which has a name that is far too long for it.jpg")
            self.run_to(screen, clock, *range(0, 50_000_001, 5_000_000))
            line = self.last(stream)
            self.assertNotIn("\n", line)
            self.assertLess(cell_len(line), columns)
            for figure in (" 50 %", "50 MB of 100 MB", "25 MB/s", "0:02 left", "━"):
                self.assertIn(figure, line)
            screen.end()
            self.assertEqual(clock.getDelayedCalls(), [])

    def test_the_other_side_is_away(self) -> None:
        screen, stream, clock = self.screen()
        screen.begin(clock, 100)
        self.run_to(screen, clock, *range(10, 80, 10))
        screen.away("bob")
        self.run_to(screen, clock, 80)
        self.assertIn("waiting for bob", self.last(stream))
        self.assertNotIn("left", self.last(stream))
        screen.away("")
        self.run_to(screen, clock, 80)
        self.assertNotIn("bob", self.last(stream))
        screen.end()

    def test_lines_of_others_come_above(self) -> None:
        screen, stream, clock = self.screen()
        screen.begin(clock, 100)
        self.run_to(screen, clock, 50)
        screen.write("12:00:00 something\n")
        self.assertTrue(stream.getvalue().endswith("\r\x1b[2K12:00:00 something\n"))
        screen.write("more\n")
        self.assertTrue(stream.getvalue().endswith("something\nmore\n"))
        screen.end()

    def test_no_terminal(self) -> None:
        screen, stream, clock = self.screen(terminal=False)
        screen.begin(clock, 100_000_000)
        for second in range(int(2 * LINE_SECONDS)):
            screen.progress(second * 1_000_000, second * 1_000_000)
            clock.advance(1)
        screen.away("bob")
        clock.advance(LINE_SECONDS)
        screen.end()
        self.assertEqual(
            stream.getvalue(),
            "9 %, 9 MB of 100 MB\n19 %, 19 MB of 100 MB, 1 MB/s, 1:21 left\n"
            "19 %, 19 MB of 100 MB, waiting for bob\n",
        )

    def test_nothing_at_all_is_all(self) -> None:
        screen, stream, clock = self.screen()
        screen.begin(clock, 0)
        clock.advance(DRAW_SECONDS)
        self.assertIn("100 %", self.last(stream))
        screen.end()

    def test_what_strangers_are_called(self) -> None:
        screen, stream, _ = self.screen(terminal=False)
        screen.say("a\x1b[2Jb\nc")
        self.assertEqual(stream.getvalue(), "a\\x1b[2Jb\nc\n")

    def test_summary(self) -> None:
        screen, _, clock = self.screen(terminal=False)
        screen.begin(clock, 10_000_000)
        screen.progress(10_000_000, 10_000_000)
        self.assertEqual(screen.summary, "")
        clock.advance(5)
        self.assertEqual(screen.summary, ", in 0:05, 2 MB/s")
        screen.progress(10_000_000, 5_000_000)
        self.assertEqual(screen.summary, ", 5 MB of it now, in 0:05, 1 MB/s")
        screen.end()
