"""The command as its user has it: exit status and what is said where."""

import os
import subprocess
import sys
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from p2phole import __version__

ENVIRONMENT = {key: value for key, value in os.environ.items() if key != "P2PHOLE_BROKER"}


def p2phole(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "p2phole", *arguments],
        capture_output=True,
        stdin=subprocess.DEVNULL,
        text=True,
        env=ENVIRONMENT,
    )


class CommandTests(SynchronousTestCase):
    def test_help_and_version(self) -> None:
        below = [["id", command] for command in ("list", "keep", "forget", "rename")]
        for command in (
            [],
            ["broker"],
            ["peer"],
            ["chat"],
            ["status"],
            ["check"],
            ["id"],
            *below,
            ["secret"],
            ["demo"],
        ):
            run = p2phole(*command, "--help")
            self.assertEqual((run.returncode, run.stderr), (0, ""))
            self.assertTrue(run.stdout.startswith(" ".join(["Usage: p2phole", *command])))
            run = p2phole(*command, "--version")
            self.assertEqual((run.returncode, run.stderr, run.stdout), (0, "", f"p2phole {__version__}\n"))

    def test_usage_errors(self) -> None:
        """Status 2, the problem and where help is, on standard error only."""
        for arguments, words, command in (
            ([], "which command", "p2phole"),
            (["dance"], "dance", "p2phole"),
            (["--no-such"], "--no-such", "p2phole"),
            (["peer"], "no broker", "p2phole peer"),
            (["peer", "--broker", "b", "--name", "\x1b[2J"], r"\x1b", "p2phole peer"),
            (["peer", "--broker", "b", "--secret-file", "x"], "--secret-file", "p2phole peer"),
            (["peer", "--broker", "b", b"--name=\xff"], r"\udcff", "p2phole peer"),
            (["status", "--wait", "long"], "--wait: 'long'", "p2phole status"),
            (["status", "stray"], "'stray'", "p2phole status"),
            (["check"], "no broker", "p2phole check"),
            (["check", "--broker", "b", "--room", "den"], "--peer", "p2phole check"),
            (["broker", "--port", "x"], "--port: 'x'", "p2phole broker"),
            (["broker", "stray"], "'stray'", "p2phole broker"),
            (["id", "dance"], "dance", "p2phole id"),
            (["id", "keep"], "NAME [WHO]", "p2phole id"),
            (["id", "keep", "b?"], "'?'", "p2phole id"),
            (["secret", "stray"], "'stray'", "p2phole secret"),
            (["demo", "--port", "1"], "--port", "p2phole demo"),
        ):
            run = p2phole(*arguments)
            self.assertEqual((run.returncode, run.stdout), (2, ""), arguments)
            problem, hint = run.stderr.splitlines()
            self.assertTrue(problem.startswith(f"{command}: "), problem)
            self.assertIn(words, problem)
            self.assertEqual(hint, f"Try '{command} --help'.")

    def test_reader_who_has_gone(self) -> None:
        reading, writing = os.pipe()
        os.close(reading)
        run = subprocess.run(
            [sys.executable, "-m", "p2phole", "peer", "--help"], stdout=writing, stderr=subprocess.PIPE
        )
        os.close(writing)
        self.assertEqual((run.returncode, run.stderr), (0, b""))

    def test_failures_are_one_line(self) -> None:
        key = Path(self.mktemp())
        key.write_text("no key")
        folder = Path(self.mktemp())
        folder.mkdir()
        (folder / "known.json").write_text("{}")
        for arguments in (
            ["peer", "--broker", "127.0.0.1:1", "--key-file", str(key)],
            ["peer", "--broker", "127.0.0.1:1", "--key-file", "/dev/null/key"],
            ["peer", "--broker", "127.0.0.1:1", "--key-file", "new", "--events", "/dev/null/events"],
            ["check", "--broker", "127.0.0.1:1"],
            ["id", "--key-file", str(key)],
            ["id", "list", "--key-file", str(folder / "key.pem")],
            ["id", "--key-file", "/dev/null/key", "forget", "bob"],
            ["broker", "--listen", "tcp:9000:interface=192.0.2.1"],
        ):
            run = p2phole(*arguments)
            self.assertEqual((run.returncode, run.stdout), (1, ""), arguments)
            [line] = run.stderr.splitlines()
            self.assertTrue(line.startswith("p2phole: "), line)
