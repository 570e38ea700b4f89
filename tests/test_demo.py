"""``p2phole demo``: that it succeeds, what it says, and that it leaves nothing behind."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from p2phole import demo


class DemoTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.folder = Path(self.mktemp()).absolute()
        self.folder.mkdir()

    def start(self, **environment: str) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, "-m", "p2phole", "demo"],
            env={**os.environ, "TMPDIR": str(self.folder), **environment},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.addCleanup(process.communicate)
        self.addCleanup(process.kill)
        return process

    def check_nothing_is_left(self, broker: str) -> None:
        """``broker``: the demonstration's first line, which names the broker's process."""
        self.assertEqual(list(self.folder.iterdir()), [])
        number = int(broker.split()[2])
        self.assertRaises(ProcessLookupError, os.kill, number, 0)

    def test_succeeds(self) -> None:
        process = self.start()
        out, err = process.communicate(timeout=60)
        self.assertEqual((process.returncode, err), (0, ""), out)
        lines = out.splitlines()
        self.assertTrue(lines[-1].startswith("verdict    all witnesses agree"))
        self.assertLess(len(lines), 12)
        self.check_nothing_is_left(lines[0])

    def test_interrupted(self) -> None:
        for number in (signal.SIGINT, signal.SIGTERM):
            process = self.start()
            assert process.stdout is not None
            first = process.stdout.readline()
            process.send_signal(number)
            _out, err = process.communicate(timeout=60)
            self.assertEqual((process.returncode, err), (1, "p2phole demo: stopped before it was done\n"))
            self.check_nothing_is_left(first)

    def test_failure(self) -> None:
        """A peer that cannot start: one line that says which, then the ends of the logs."""
        # Its first line of output is the broker's, so that is up; the peers find no home for anything.
        broken = self.folder / "broken"
        broken.mkdir()
        (broken / "ifaddr.py").write_text("raise ImportError('broken on purpose')")
        process = self.start(PYTHONPATH=str(broken))
        out, err = process.communicate(timeout=60)
        self.assertEqual(process.returncode, 1)
        self.assertRegex(err.splitlines()[0], "^p2phole demo: the process of (alice|bob) has ended with status 1$")
        self.assertIn("broken on purpose", err)
        (broken / "ifaddr.py").unlink()
        for cached in broken.rglob("*.pyc"):
            cached.unlink()
        self.assertEqual([path for path in self.folder.iterdir() if path != broken], [])
        self.assertNotIn("verdict", out)


class PartsTests(SynchronousTestCase):
    def test_free_ports(self) -> None:
        """None that the system gives to a connection meanwhile, and none that is taken at one address only."""
        with socket.create_server(("127.0.0.1", demo.free_ports()[0])) as taken:
            port = taken.getsockname()[1]
            self.patch(demo, "PORTS", range(port, port + 10))
            found = demo.free_ports()
        self.assertNotEqual(*found)
        self.assertLessEqual(set(found), set(demo.PORTS[1:]))

    def test_deadline(self) -> None:
        self.patch(demo, "SECONDS", -1.0)
        run = demo.Demo(Path(self.mktemp()))
        error = self.assertRaises(demo.DemoFailed, run._until, lambda: None, "nothing happened")
        self.assertIn("nothing happened", str(error))

    def test_what_goes_on_may_take_longer(self) -> None:
        run = demo.Demo(Path(self.mktemp()))
        run._begin -= 10 * demo.SECONDS
        self.assertEqual(run._until(iter([None, "it"]).__next__, "nothing happened"), "it")
