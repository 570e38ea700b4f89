"""Honest brokers and peers as processes on loopback, beside attackers, and what they have done so far."""

from __future__ import annotations

import json
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from p2phole.demo import free_ports

ROOT = Path(__file__).parents[2]
SECRET = "seven hungry otters cross a crimson bridge"
WRONG = "seven hungry otters cross a crimson ridge"
STEP = 0.05
_STOP_SECONDS = 8.0

T = TypeVar("T")


def until(look: Callable[[], T], what: str, seconds: float = 300.0) -> T:
    """What ``look`` finds as soon as it finds anything; files and other processes tell nobody when they change.

    Dozens of processes start at once, which a slow machine with other things to do needs minutes for.
    """
    end = time.monotonic() + seconds
    while not (found := look()):
        if time.monotonic() > end:
            raise AssertionError(f"{what}: not within {seconds:.0f} s")
        time.sleep(STEP)
    return found


def talk(one: Honest, two: Honest) -> None:
    """A line each way, over the connection that is there."""
    for speaker, hearer in ((one, two), (two, one)):
        text = f"{speaker.name} at {time.monotonic()}"
        speaker.type(text)
        until(lambda s=speaker, h=hearer, t=text: h.events("message", text=t, direction="in", peer=s.name), text)


class Process:
    """One process and its files in a folder."""

    def __init__(self, stage: Stage, name: str, *command: str) -> None:
        self.name = name
        self.path = stage.folder / name
        with open(self.path.with_suffix(".out"), "wb") as out, open(self.path.with_suffix(".err"), "wb") as err:
            self.process = subprocess.Popen(
                [sys.executable, *command],
                cwd=stage.folder,
                env={**os.environ, "PYTHONPATH": str(ROOT)},
                stdin=subprocess.PIPE,
                stdout=out,
                stderr=err,
                bufsize=0,
            )
        stage.processes.append(self)

    def text(self, *kinds: str) -> str:
        """What is in its files of these kinds."""
        files = [self.path.with_suffix(f".{kind}") for kind in kinds]
        return "".join(file.read_text("utf-8", "replace") for file in files if file.exists())

    def alive(self) -> bool:
        """Whether it runs."""
        return self.process.poll() is None

    def memory(self, what: str = "VmRSS") -> int:
        """Its resident memory in KiB, or the most that it ever had, ``VmHWM`` (proc(5))."""
        status = Path("/proc", str(self.process.pid), "status").read_text()
        return int(re.findall(rf"{what}:\s+(\d+) kB", status)[0])

    def stop(self) -> None:
        """Ask it to end, and wait for that."""
        if self.alive():
            self.process.terminate()
            try:
                self.process.wait(_STOP_SECONDS)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        assert self.process.stdin is not None
        self.process.stdin.close()


class Attacker(Process):
    """A mode of :mod:`tests.hostile`."""

    def __init__(self, stage: Stage, side: str, mode: str, *options: str) -> None:
        super().__init__(stage, f"{side}-{mode}", "-m", "tests.hostile", side, mode, *options)
        self.told_as = f"{side} {mode}: "

    def told(self, seconds: float = 180.0) -> dict[str, Any]:
        """What it says when it has ended by itself, or was asked to."""
        self.process.wait(seconds)
        lines = self.text("out").splitlines()
        assert lines and lines[-1].startswith(self.told_as), f"{self.name}: {self.text('out', 'err')}"
        parts = [part.rpartition(" ") for part in lines[-1].removeprefix(self.told_as).split(", ")]
        return {what: int(value) if value.isdigit() else value for what, _, value in parts}

    def called_off(self) -> dict[str, Any]:
        """The same, now."""
        self.process.terminate()
        return self.told()


class Honest(Process):
    """A twistd of ours whose dials are written down."""

    def __init__(self, stage: Stage, name: str, *arguments: str) -> None:
        command = ("-m", "tests.hostile.watched", f"{name}.dials", "-n", "--logfile", f"{name}.log")
        super().__init__(stage, name, *command, *arguments)

    def events(self, kind: str, **keys: object) -> list[dict[str, Any]]:
        """Those of a kind, with these values, so far."""
        lines = self.text("events").split("\n")[:-1]
        found = [each for line in lines if (each := json.loads(line))["event"] == kind]
        return [each for each in found if all(each.get(key) == value for key, value in keys.items())]

    def type(self, line: str) -> None:
        """Give it a line of standard input."""
        assert self.process.stdin is not None
        self.process.stdin.write(line.encode() + b"\n")

    def dials(self) -> list[tuple[float, str, int]]:
        """When, and where to, it has called ``connect``."""
        rows = (line.split() for line in self.text("dials").split("\n")[:-1])
        return [(float(at), host, int(port)) for at, host, port in rows]

    def direct(self) -> tuple[str, int]:
        """Its direct port."""
        registered = until(lambda: self.events("registered"), f"{self.name} is registered")
        return "127.0.0.1", int(registered[0]["local"].rpartition(":")[2])

    def accidents(self) -> list[str]:
        """What looks like a defect in its logs."""
        signs = (
            "Traceback",
            "Unhandled",
            "a defect in p2phole",
            "could not be looked at",
            "exceptions.",
            "Error:",
        )
        return [line for line in self.text("log", "err").splitlines() if any(sign in line for sign in signs)]


class Stage:
    """A folder, and what runs in it; all of it is ended by :meth:`close`."""

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="p2phole-hostile-"))
        self.processes: list[Process] = []
        self.port = free_ports()[0]

    def file(self, name: str, content: str) -> str:
        """A file that only its owner can read."""
        path = self.folder / name
        path.write_text(content)
        path.chmod(0o600)
        return str(path)

    def broker(self, *options: str) -> Honest:
        """An honest one, once it listens."""
        listen = f"tcp:{self.port}:interface=127.0.0.1"
        broker = Honest(self, "broker", "p2pbroker", "--listen", listen, *options)
        self.listening()
        return broker

    def hostile(self, mode: str, *options: str) -> Attacker:
        """A hostile one in its place; see :meth:`listening`."""
        return Attacker(self, "broker", mode, "--port", str(self.port), *options)

    def attack(self, mode: str, *options: str) -> Attacker:
        """A hostile peer."""
        return Attacker(self, "peer", mode, "--broker", f"127.0.0.1:{self.port}", *options)

    def listening(self) -> None:
        """Wait for the broker."""

        def answers() -> bool:
            with socket.socket() as one:
                return one.connect_ex(("127.0.0.1", self.port)) == 0

        until(answers, "the broker listens")

    def peer(self, name: str, secret: str | None = SECRET, *options: str, room: str = "family") -> Honest:
        """An honest one; in an open room without a secret."""
        keys = ("--key-file", str(self.folder / f"{name}-keys" / "key.pem"), "--events", f"{name}.events")
        where = ("--broker", f"127.0.0.1:{self.port}", "--room", room, "--name", name)
        proof = () if secret is None else ("--secret-file", self.file(f"{name}.secret", secret + "\n"))
        return Honest(self, name, "p2ppeer", *where, *keys, *proof, *options)

    def honest(self) -> list[Honest]:
        """All of them."""
        return [each for each in self.processes if isinstance(each, Honest)]

    def close(self) -> None:
        """End everything."""
        for process in self.processes:
            process.process.terminate()
        for process in self.processes:
            process.stop()
        shutil.rmtree(self.folder, ignore_errors=True)
