"""Processes in terminals of their own, and what is on the screens of these."""

from __future__ import annotations

import fcntl
import os
import pty
import select
import struct
import termios
import time
from collections.abc import Callable
from pathlib import Path

import pyte

from tests.loopback.processes import ROOT, SECONDS

TAKE_SCREEN, LEAVE_SCREEN = b"\x1b[?1049h", b"\x1b[?1049l"
"""What takes another screen of a terminal, and gives it back."""


class Terminal:
    """A process in a terminal of so many columns and rows."""

    def __init__(self, home: Path, *command: str, columns: int = 80, rows: int = 24, kind: str = "xterm") -> None:
        home.mkdir(exist_ok=True)
        self.screen = pyte.Screen(columns, rows)
        self.written = b""
        self.status: int | None = None
        self._stream = pyte.ByteStream(self.screen)
        mine = ("P2PHOLE_", "XDG_", "SSL_", "NO_COLOR", "PROMPT_TOOLKIT")
        kept = {key: value for key, value in os.environ.items() if not key.startswith(mine)}
        places = {"HOME": str(home), "XDG_RUNTIME_DIR": str(home.parent / "run"), "PYTHONPATH": str(ROOT)}
        environment = {**kept, **places, "TERM": kind, "LC_ALL": "C.UTF-8"}
        master, self._slave = pty.openpty()
        self._master = master
        self._resize(columns, rows)
        self.before = termios.tcgetattr(self._slave)
        self.pid = os.fork()
        if not self.pid:  # pragma: no cover (another process)
            try:
                os.login_tty(self._slave)
                os.chdir(home)
                os.execvpe(command[0], command, environment)
            finally:
                os._exit(127)

    def _resize(self, columns: int, rows: int) -> None:
        fcntl.ioctl(self._slave, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def resize(self, columns: int, rows: int) -> None:
        """As a user does it with the mouse; the kernel tells the process."""
        self.screen.resize(rows, columns)
        self._resize(columns, rows)

    def type(self, text: str) -> None:
        """Press keys."""
        os.write(self._master, text.encode())

    @property
    def rows(self) -> list[str]:
        """What shows, without the spaces at the ends."""
        return [row.rstrip() for row in self.screen.display]

    def until(self, found: Callable[[list[str]], object]) -> list[str]:
        """Look on until that is on the screen; all of it."""
        deadline = time.monotonic() + SECONDS
        while not found(self.rows):
            self._read(deadline)
        return self.rows

    def shows(self, *texts: str) -> list[str]:
        """Look on until all of these show."""
        return self.until(lambda rows: all(any(text in row for row in rows) for text in texts))

    def ends(self) -> int:
        """Its exit status, once it has ended; the terminal is to be as it was."""
        deadline = time.monotonic() + SECONDS
        while self.status is None:
            self._read(deadline)
            done, status = os.waitpid(self.pid, os.WNOHANG)
            if done:
                self.status = os.waitstatus_to_exitcode(status)
        while select.select([self._master], [], [], 0)[0]:
            self._read(deadline)
        return self.status

    @property
    def is_restored(self) -> bool:
        """Whether all modes are as before, and the other screen was given back."""
        is_back = self.written.rfind(TAKE_SCREEN) <= self.written.rfind(LEAVE_SCREEN)
        return is_back and termios.tcgetattr(self._slave) == self.before

    @property
    def last_words(self) -> str:
        """What was written behind the screen."""
        return self.written.rpartition(LEAVE_SCREEN)[2].decode()

    def hang_up(self) -> None:
        """The window is closed."""
        os.close(self._slave)
        os.close(self._master)
        self._master = -1

    def close(self) -> None:
        """End it, however it is."""
        if self.status is None:
            os.kill(self.pid, 9)
            os.waitpid(self.pid, 0)
        if self._master >= 0:
            self.hang_up()

    def _read(self, deadline: float) -> None:
        assert time.monotonic() < deadline, "\n".join(self.rows)
        if select.select([self._master], [], [], 0.05)[0]:
            data = os.read(self._master, 65536)
            self.written += data
            self._stream.feed(data)
