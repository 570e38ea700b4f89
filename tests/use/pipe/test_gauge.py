"""How much goes through a pipe, on a terminal."""

from __future__ import annotations

from io import StringIO
from typing import TextIO, cast

from twisted.internet.task import Clock
from twisted.logger import LogLevel
from twisted.trial.unittest import SynchronousTestCase

from p2phole.use.pipe.command import Options, PipeFace
from p2phole.use.pipe.gauge import DRAW_SECONDS, Gauge


class Terminal(StringIO):
    def isatty(self) -> bool:
        return True

    @property
    def shown(self) -> str:
        """What is on the last line."""
        return self.getvalue().rpartition("\n")[2].rpartition("\x1b[2K")[2]


class GaugeTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.terminal = Terminal()
        self.counts = (0, 0)
        self.where: str | None = "direct to bob at 192.0.2.7:5000"
        self.gauge = Gauge(self.terminal, self.clock, lambda: self.counts, lambda: self.where)
        self.gauge.start()

    def pass_by(self, seconds: float, sent: int = 0) -> str:
        for _ in range(int(seconds / DRAW_SECONDS)):
            self.counts = (self.counts[0] + int(sent * DRAW_SECONDS), 512)
            self.clock.advance(DRAW_SECONDS)
        return self.terminal.shown

    def test_to_whom_how_much_how_fast(self) -> None:
        self.assertEqual(self.pass_by(0.5), "direct to bob at 192.0.2.7:5000, 0 bytes sent, 512 bytes received")
        self.assertIn("MB sent, 512 bytes received, 10 MB/s", self.pass_by(20, 10_000_000))

    def test_while_it_is_not_reached(self) -> None:
        self.pass_by(5, 1_000_000)
        self.where = None
        self.assertEqual(
            self.pass_by(5), "connection lost, looking for another one, 5 MB sent, 512 bytes received"
        )

    def test_one_line_whatever_the_other_side_calls_itself(self) -> None:
        self.where = "direct to \x1b[2J\n" + "x" * 200
        self.assertEqual(len(self.pass_by(1)), 79)
        self.assertNotIn("\x1b[2J", self.terminal.getvalue())

    def test_it_is_gone_at_the_end(self) -> None:
        self.pass_by(1)
        self.gauge.stop()
        self.assertEqual((self.terminal.shown, self.clock.getDelayedCalls()), ("", []))
        self.gauge.stop()

    def test_lines_of_others_come_above(self) -> None:
        self.pass_by(1)
        face = PipeFace(Options(), self.terminal)
        face._gauge = self.gauge
        event = {
            "log_format": "careful",
            "log_level": LogLevel.warn,
            "log_namespace": "p2phole.peer",
            "log_time": 0.0,
        }
        face.log(event)
        self.assertEqual(self.terminal.shown, "")
        self.assertIn("direct to bob", self.pass_by(1))
        self.successResultOf(face.close())
        self.assertEqual(self.terminal.shown, "")
        self.assertTrue(self.terminal.getvalue().rpartition("\n")[0].endswith(" careful"))


class FaceTests(SynchronousTestCase):
    def test_says_what_is_wrong_and_what_it_does_itself(self) -> None:
        stream = StringIO()
        face = PipeFace(Options(), cast(TextIO, stream))
        for namespace, level in (
            ("p2phole.peer.service", LogLevel.info),
            ("p2phole.peer.service", LogLevel.warn),
            ("p2phole.use.pipe.use", LogLevel.info),
            ("p2phole.use.pipe.use", LogLevel.debug),
        ):
            face.log(
                {
                    "log_format": "{log_namespace}",
                    "log_level": level,
                    "log_namespace": namespace,
                    "log_time": 0.0,
                }
            )
        self.assertEqual(
            [line.split()[1] for line in stream.getvalue().splitlines()],
            ["p2phole.peer.service", "p2phole.use.pipe.use"],
        )
