"""Two processes on loopback: links that are killed while data flows, and a process that is."""

from __future__ import annotations

import json
import secrets
import subprocess
import sys
from pathlib import Path
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

ROOT = Path(__file__).parents[2]
STREAMS = 6
RESUME_FOR = 0.6


class Process:
    """One side; see :mod:`tests.session.far`."""

    def __init__(
        self,
        case: ProcessTests,
        role: str,
        port: int = 0,
        cuts: int = 0,
        resume_for: float = 60,
        holds: bool = False,
    ) -> None:
        arguments = [role, port, case.seed, case.size, cuts, resume_for, int(holds)]
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.session.far", *map(str, arguments)],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        case.addCleanup(self.close)

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.communicate()

    def until(self, key: str, least: int = 0) -> Any:
        """What it says of this."""
        assert self.process.stdout is not None and self.process.stderr is not None
        for line in self.process.stdout:
            said = json.loads(line)
            if key in said and (key != "at" or said[key] >= least):
                return said if key == "ends" else said[key]
        raise AssertionError(f"it ended: {self.process.stderr.read().decode()}")

    def end(self) -> str:
        """Have it end; what was on its standard error."""
        return self.process.communicate(timeout=60)[1].decode()


class ProcessTests(SynchronousTestCase):
    size = 1_500_000

    def setUp(self) -> None:
        self.seed = secrets.token_hex(8)

    def start(self, cuts: int, resume_for: float = 60) -> tuple[Process, Process]:
        listening = Process(self, "listen", cuts=cuts, resume_for=resume_for)
        return listening, Process(self, "dial", listening.until("port"))

    def test_links_killed_while_data_flows(self) -> None:
        for process in (sides := self.start(cuts=30)):
            said = process.until("ends")
            ends = said["ends"]
            self.assertEqual(list(ends.values()), [[self.size, True, ""]] * STREAMS, f"seed {self.seed}")
            self.assertGreater(said["resumes"], 5)
        for process in sides:
            self.assertEqual(process.end(), "")

    def killed(self, at: int, anew: bool) -> None:
        """The other process is killed; what the one that lives has got is the beginning of what was sent."""
        self.size = 5_000_000
        listening = Process(self, "listen", resume_for=60 if anew else RESUME_FOR)
        port = listening.until("port")
        dialling = Process(self, "dial", port, holds=True)
        listening.until("at", at)
        dialling.process.kill()
        if anew:
            Process(self, "dial", port)
        ends = listening.until("ends")["ends"]
        why = "was started anew" if anew else "could not be reached again within 1 s"
        for got, right, error in ends.values():
            self.assertTrue(right, f"seed {self.seed}")
            self.assertLess(got, self.size)
            self.assertIn(why, error)
        self.assertGreaterEqual(sum(got for got, _, _ in ends.values()), at)
        self.assertEqual(listening.end(), "")

    def test_a_process_killed(self) -> None:
        self.killed(1_000_000, anew=False)

    def test_a_process_killed_and_started_anew(self) -> None:
        self.killed(1, anew=True)
