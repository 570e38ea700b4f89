"""``p2phole pipe`` as processes: what a shell sees of it."""

from __future__ import annotations

import fcntl
import hashlib
import os
import pty
import random
import re
import signal
import socket
import subprocess
import tarfile
import termios
from collections.abc import Iterator
from pathlib import Path
from threading import Thread
from typing import IO, Any

import pytest

from tests.loopback.processes import PYTHON, ROOT, SECONDS, Stage, until

LARGE = 100 * 2**20


class Shell:
    """Starts commands as a shell does, each with a home of its own."""

    def __init__(self, folder: Path, stage: Stage) -> None:
        self.folder = folder
        self.stage = stage
        self.port = stage.broker("tcp:0:interface=127.0.0.1")

    def pipe(self, name: str, *arguments: str, stdin: Any = subprocess.PIPE, stdout: Any = -1) -> Command:
        meets = arguments or ("--room", "team")
        home = self.folder / name
        home.mkdir(exist_ok=True)
        kept = {key: value for key, value in os.environ.items() if not key.startswith(("P2PHOLE_", "XDG_"))}
        told = home / "err"
        with told.open("ab") as stderr:
            process = subprocess.Popen(
                [*PYTHON, "pipe", "--broker", f"127.0.0.1:{self.port}", "--name", name, *meets],
                stdin=stdin,
                stdout=stdout,
                stderr=stderr,
                cwd=home,
                env={**kept, "HOME": str(home), "PYTHONPATH": str(ROOT)},
                start_new_session=True,  # no terminal to ask at, and ctrl-C as only a test sends it
            )
        self.stage.started.append(process)
        return Command(process, told)

    def two(self, **options: Any) -> tuple[Command, Command]:
        """Connected."""
        one, two = self.pipe("one", **options), self.pipe("two")
        for each in (one, two):
            each.line("end of the pipe is")
        return one, two


class Command:
    def __init__(self, process: subprocess.Popen[bytes], told: Path) -> None:
        self.process = process
        self._told = told

    @property
    def told(self) -> str:
        return self._told.read_text()

    def line(self, pattern: str) -> str:
        found = until(lambda: re.search(f".*{pattern}.*", self.told), lambda: (pattern, self.told))
        return found[0]

    @property
    def stdin(self) -> IO[bytes]:
        assert self.process.stdin is not None
        return self.process.stdin

    @property
    def stdout(self) -> IO[bytes]:
        assert self.process.stdout is not None
        return self.process.stdout

    def write(self, data: bytes) -> None:
        self.stdin.write(data)
        self.stdin.flush()

    def status(self) -> int:
        return self.process.wait(SECONDS)

    @property
    def complaint(self) -> str:
        """The one line that it ends with."""
        [line] = [line for line in self.told.splitlines() if line.startswith("p2phole: ")]
        assert "Traceback" not in self.told, self.told
        return line


@pytest.fixture
def shell(tmp_path: Path) -> Iterator[Shell]:
    stage = Stage(tmp_path)
    try:
        yield Shell(tmp_path, stage)
    finally:
        for process in stage.started:
            process.kill()
            for stream in (process.stdin, process.stdout):
                if stream is not None:
                    try:
                        stream.close()
                    except BrokenPipeError:
                        pass
        stage.close()


def test_an_archive_by_a_code(shell: Shell, tmp_path: Path) -> None:
    tree, copy = tmp_path / "tree", tmp_path / "copy"
    (tree / "folder").mkdir(parents=True)
    copy.mkdir()
    (tree / "folder" / "file").write_bytes(os.urandom(3_000_000))
    with subprocess.Popen(["tar", "c", "."], cwd=tree, stdout=subprocess.PIPE) as tar:
        one = shell.pipe("one", "--invite", stdin=tar.stdout)
        code = one.line(r"p2phole pipe --broker").split()[-1]
        # Whoever unpacks sits at a terminal, and has nothing to say.
        keyboard, terminal = pty.openpty()
        two = shell.pipe("two", code, stdin=terminal)
        os.close(terminal)
        with tarfile.open(fileobj=two.stdout, mode="r|") as archive:
            archive.extractall(copy, filter="data")
        assert two.stdout.read().strip(b"\0") == b""
        assert (one.status(), two.status()) == (0, 0), (one.told, two.told)
        os.close(keyboard)
    assert (copy / "folder" / "file").read_bytes() == (tree / "folder" / "file").read_bytes()


def test_much_both_ways(shell: Shell, tmp_path: Path) -> None:
    data = [tmp_path / "a", tmp_path / "b"]
    digests = []
    for each in data:
        each.write_bytes(random.Random(each.name).randbytes(LARGE))
        digests.append(hashlib.sha256(each.read_bytes()).hexdigest())
    with data[0].open("rb") as file:
        one, two = shell.pipe("one", stdin=file), shell.pipe("two")
    found = ["", ""]

    def read(index: int, stream: IO[bytes]) -> None:
        found[index] = hashlib.file_digest(stream, "sha256").hexdigest()

    def write() -> None:
        two.write(data[1].read_bytes())
        two.stdin.close()

    threads = [Thread(target=read, args=(0, two.stdout)), Thread(target=read, args=(1, one.stdout))]
    threads.append(Thread(target=write))
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(SECONDS)
    assert (found, one.status(), two.status()) == (digests, 0, 0)


def test_one_direction_ends_and_the_other_goes_on(shell: Shell) -> None:
    one, two = shell.two()
    one.write(b"request")
    one.stdin.close()
    assert two.stdout.read() == b"request"
    for part in (b"first", b"second"):
        two.write(part)
        assert one.stdout.read(len(part)) == part
    assert one.process.poll() is None
    two.stdin.close()
    assert (one.stdout.read(), one.status(), two.status()) == (b"", 0, 0)


def test_nothing_to_send_at_all(shell: Shell) -> None:
    # What is closed, as by <&- in a shell, has nothing to say; nor has /dev/null.
    closed = [*PYTHON, "pipe", "--broker", f"127.0.0.1:{shell.port}", "--room", "team", "--key-file", "key"]
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    one = subprocess.Popen(
        ["sh", "-c", 'exec "$@" <&-', "sh", *closed], cwd=shell.folder, stdout=subprocess.DEVNULL, env=env
    )
    shell.stage.started.append(one)
    two = shell.pipe("two", stdin=subprocess.DEVNULL)
    assert (one.wait(SECONDS), two.stdout.read(), two.status()) == (0, b"", 0)


def test_output_that_was_closed_is_not_delivered_to(shell: Shell) -> None:
    closed = [*PYTHON, "pipe", "--broker", f"127.0.0.1:{shell.port}", "--room", "team", "--key-file", "key"]
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    one = subprocess.Popen(
        ["sh", "-c", 'exec "$@" >&-', "sh", *closed], cwd=shell.folder, stdin=subprocess.DEVNULL, env=env
    )
    shell.stage.started.append(one)
    two = shell.pipe("two")
    two.write(b"x")
    assert (one.wait(SECONDS), two.status()) == (1, 1)
    assert "it cannot be written there" in two.complaint


def test_whoever_has_read_enough(shell: Shell) -> None:
    one, two = shell.two()
    pump = Thread(target=_write_for_ever, args=(two,))
    pump.start()
    assert len(one.stdout.read(1000)) == 1000
    one.stdout.close()
    assert (one.status(), two.status()) == (1, 1)
    pump.join(SECONDS)  # it was told, by SIGPIPE or EPIPE, as by any pipe
    assert not pump.is_alive()
    assert "Nobody reads standard output" in one.complaint
    assert "nobody reads it there" in two.complaint


def _write_for_ever(command: Command) -> None:
    try:
        while True:
            command.write(bytes(65_536))
    except BrokenPipeError:
        pass


def test_a_full_disk(shell: Shell) -> None:
    with open("/dev/full", "wb") as full:
        one, two = shell.two(stdout=full)
    two.write(b"x")
    assert (one.status(), two.status()) == (1, 1)
    assert "No space left" in one.complaint


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_stopped(shell: Shell, number: signal.Signals) -> None:
    one, two = shell.two()
    one.write(b"x")
    assert two.stdout.read(1) == b"x"
    one.process.send_signal(number)
    assert (one.status(), two.status()) == (0, 1)
    assert "p2phole: " not in one.told
    assert "the other side has left" in two.complaint


def test_killed_and_started_again(shell: Shell) -> None:
    one, two = shell.two()
    one.write(b"x")
    assert two.stdout.read(1) == b"x"
    one.process.kill()
    again = shell.pipe("one")
    assert two.status() == 1
    assert "started again" in two.complaint
    again.process.terminate()
    assert again.status() == 0


def test_nothing_is_left_as_it_was_not(shell: Shell) -> None:
    """A terminal and a socket, shared with others as by a shell."""
    keyboard, terminal = pty.openpty()
    ours, theirs = socket.socketpair()
    before = [fcntl.fcntl(each, fcntl.F_GETFL) for each in (terminal, theirs.fileno())]
    modes = termios.tcgetattr(terminal)
    one = shell.pipe("one", stdin=terminal, stdout=terminal)
    two = shell.pipe("two", stdin=theirs, stdout=theirs)
    ours.sendall(b"hello\n")
    ours.settimeout(SECONDS)
    got = b""
    while b"hello" not in got:
        got += os.read(keyboard, 100)
    os.write(keyboard, b"typed\n")
    assert ours.recv(100) == b"typed\n"
    assert [fcntl.fcntl(each, fcntl.F_GETFL) for each in (terminal, theirs.fileno())] == before
    one.process.kill()
    one.status()
    assert [fcntl.fcntl(each, fcntl.F_GETFL) for each in (terminal, theirs.fileno())] == before
    assert termios.tcgetattr(terminal) == modes
    two.process.terminate()
    assert two.status() == 0
    for each in (ours, theirs):
        each.close()
    os.close(keyboard)
    os.close(terminal)


def test_a_socket_is_told_the_end_of_one_direction(shell: Shell) -> None:
    ours, theirs = socket.socketpair()
    one = shell.pipe("one", stdin=theirs, stdout=theirs)
    two = shell.pipe("two")
    two.stdin.close()
    ours.settimeout(SECONDS)
    assert ours.recv(1) == b""
    ours.sendall(b"still")
    ours.shutdown(socket.SHUT_WR)
    assert (two.stdout.read(), one.status(), two.status()) == (b"still", 0, 0)
    ours.close()
    theirs.close()


def test_standard_output_is_for_data_only(shell: Shell) -> None:
    for option, what in ((("--events", "-"), "name a file"), (("--message", "x"), "message")):
        one = shell.pipe("one", "--room", "team", *option)
        assert one.status() == 2
        assert what in one.told
    nobody = shell.pipe("nobody", "--name", "x")  # there is no terminal to ask for a code at
    assert nobody.status() == 2
