"""``p2phole demo``: a broker and two peers on this machine, and whether all witnesses agree on what they did.

Three ``twistd`` processes in a temporary folder.  The witnesses are both peers' events and standard output,
and the kernel's list of connections.  That the broker carries nothing is shown by ending it before the last
lines are sent.
"""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

from p2phole.kernel import Socket, sockets_of
from p2phole.options import PlainOptions
from p2phole.witness import (
    Event,
    NotDirect,
    Statement,
    contradiction,
    disagreement,
    disagreement_after,
    has_message,
    parse_events,
    statement,
)

T = TypeVar("T")

SECONDS = 30.0
"""For each thing that is waited for.  All together take two seconds; ten times that, on a machine with much else
to do, is no failure."""

PORTS = range(10_000, 32_768)
"""Systems take the local ports of connections from above: Linux from 32,768 on, others from 49,152 (RFC 6335)."""

_STOP_SECONDS = 0.8
_LOOK_AGAIN_SECONDS = 0.02
_TWISTD = [sys.executable, "-c", "from twisted.scripts.twistd import run; run()", "-n"]


class DemoFailed(Exception):
    """What was not as it should be, in a sentence."""


class Member:
    """A ``twistd`` process and its files in ``folder``."""

    def __init__(self, folder: Path, name: str, *arguments: str) -> None:
        self.name = name
        self._path = folder / name
        self.ending = False
        with open(self._file("out"), "wb") as out, open(self._file("err"), "wb") as err:
            self.process = subprocess.Popen(
                [*_TWISTD, "--logfile", str(self._file("log")), *arguments],
                cwd=folder,
                env={**os.environ, "XDG_RUNTIME_DIR": str(folder)},  # what is made there goes with it
                bufsize=0,
                stdin=subprocess.PIPE,
                stdout=out,
                stderr=err,
            )

    def _file(self, kind: str) -> Path:
        return self._path.with_suffix(f".{kind}")

    def _read(self, kind: str) -> bytes:
        path = self._file(kind)
        return path.read_bytes() if path.exists() else b""

    def events(self) -> list[Event]:
        """What it has told so far."""
        return parse_events(self._read("events"))

    def shows(self, line: str) -> bool:
        """Whether its standard output has this line."""
        return line.encode() in self._read("out").split(b"\n")[:-1]

    def type(self, line: str) -> None:
        """Give it a line of standard input."""
        assert self.process.stdin is not None
        try:
            self.process.stdin.write(line.encode() + b"\n")
        except BrokenPipeError:  # it has ended, which whoever waits for the answer finds out
            pass

    def sockets(self) -> list[Socket] | None:
        """What the kernel has of it; None where this system does not tell."""
        return sockets_of(self.process.pid)

    def stop(self) -> None:
        """Ask it to end."""
        self.ending = True
        self.process.terminate()

    def end(self) -> None:
        """End it, by force if it takes long."""
        self.stop()
        try:
            self.process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        assert self.process.stdin is not None
        self.process.stdin.close()

    def tail(self) -> str:
        """The last lines that it wrote down."""
        text = (self._read("log") + self._read("err")).decode(errors="replace")
        return "".join(f"  {self.name}: {line}\n" for line in text.splitlines()[-8:])


class Demo:
    """One run.  :attr:`members` are the processes that it has started, to be ended by its user."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._begin = time.monotonic()
        self.members: list[Member] = []

    def run(self) -> None:
        """Start everything and hear the witnesses; :class:`DemoFailed` if they do not agree."""
        port, probe_port = free_ports()
        broker = self._start("broker", "p2pbroker", "--port", str(port), "--probe-port", str(probe_port))
        self._until(lambda: _answers(port) or None, "the broker does not listen")
        say("broker", f"process {broker.process.pid} on port {port}, probe port {probe_port}")
        texts = {name: f"hello from {name}, {secrets.token_hex(4)}" for name in ("alice", "bob")}
        alice, bob = (self._peer(name, port, text) for name, text in texts.items())
        told = [self._statement(alice, bob), self._statement(bob, alice)]
        if problem := contradiction(*told):
            raise DemoFailed(problem)
        a, b = told
        say("direct", f"{a.local} to {b.local}, in {a.seconds:.3f} s and {b.seconds:.3f} s as either side saw it")
        self._exchanged(alice, bob, texts)
        say("messages", "each side has the other's, acknowledged")
        if self._kernel_agrees(disagreement, told, port):
            ports = " and ".join(f"{each.shared_port} ({each.name})" for each in told)
            say("kernel", "agrees on both ends of that connection, and that one local port each,")
            say("", f"{ports}, is the broker connection's, the acceptor's and the direct one's")
        else:
            say("kernel", "does not show its connections here (no /proc/net/tcp): only the events are witnesses")

        broker.end()
        lines = {name: f"{name} without a broker, {secrets.token_hex(4)}" for name in texts}
        for member in (alice, bob):
            member.type(lines[member.name])
        self._exchanged(alice, bob, lines)
        self._kernel_agrees(disagreement_after, told, port)
        say("no broker", "its process was ended, and a line each way came through all the same:")
        say("", "it carries none of what they say")
        say("verdict", f"all witnesses agree, after {time.monotonic() - self._begin:.1f} s")

    def _start(self, name: str, *arguments: str) -> Member:
        member = Member(self._folder, name, *arguments)
        self.members.append(member)
        return member

    def _peer(self, name: str, port: int, text: str) -> Member:
        files = ("--events", f"{name}.events", "--key-file", f"{name}.pem")
        broker = ("--broker", f"127.0.0.1:{port}", "--room", "demo")
        return self._start(name, "p2ppeer", *broker, "--name", name, "--message", text, *files)

    def _statement(self, member: Member, other: Member) -> Statement:
        return self._until(
            lambda: statement(member.name, member.events(), other.name),
            f"{member.name} is not connected to {other.name}",
        )

    def _exchanged(self, one: Member, two: Member, texts: dict[str, str]) -> None:
        for sender, receiver in ((one, two), (two, one)):
            text = texts[sender.name]

            def arrived(sender: Member = sender, receiver: Member = receiver, text: str = text) -> bool:
                return (
                    has_message(sender.events(), "out", text)
                    and has_message(receiver.events(), "in", text)
                    and receiver.shows(f"{sender.name}: {text}")
                )

            self._until(lambda: arrived() or None, f"{text!r} did not get from {sender.name} to {receiver.name}")

    def _kernel_agrees(
        self,
        judge: Callable[[Statement, Sequence[Socket], int], str | None],
        told: Sequence[Statement],
        port: int,
    ) -> bool:
        """Whether the kernel could be asked; it agrees, or else :class:`DemoFailed`."""
        members = {member.name: member for member in self.members}
        for each in told:
            sockets = members[each.name].sockets()
            if sockets is None:
                return False
            if problem := judge(each, sockets, port):
                raise DemoFailed(problem)
        return True

    def _until(self, look: Callable[[], T | None], otherwise: str) -> T:
        """What ``look`` finds, as soon as it finds anything.

        Files and the kernel's list tell nobody when they change, so this looks again and again.
        """
        end = time.monotonic() + SECONDS
        while (found := look()) is None:
            for member in self.members:
                status = member.process.poll()
                if status is not None and not member.ending:
                    raise DemoFailed(f"the process of {member.name} has ended with status {status}")
            if time.monotonic() > end:
                raise DemoFailed(f"{otherwise} after {SECONDS:.0f} s")
            time.sleep(_LOOK_AGAIN_SECONDS)
        return found


def free_ports() -> tuple[int, int]:
    """Two of :data:`PORTS` that are free now: what the system would pick, the next connection may have got when
    they are listened on."""
    with contextlib.ExitStack() as held:
        found: list[int] = []
        while len(found) < 2:
            port = secrets.choice(PORTS)
            try:
                held.enter_context(socket.create_server(("", port)))
            except OSError as problem:
                if problem.errno != errno.EADDRINUSE:
                    raise
            else:
                found.append(port)
        return found[0], found[1]


def say(topic: str, text: str) -> None:
    """A line of the report.  The verdict is the exit status too: it stands without a reader."""
    with contextlib.suppress(BrokenPipeError):
        sys.stdout.write(f"{topic:<10} {text}\n")
        sys.stdout.flush()


class Options(PlainOptions):
    """The demonstration has nothing to choose."""

    longdesc = "A broker and two peers on this machine, talking directly; says what it saw, and 0 if all is well."


def run(options: Options) -> int:
    """What ``p2phole demo`` runs; status 0 only if everything was as it should be.  Leaves nothing behind."""
    folder = Path(tempfile.mkdtemp(prefix="p2phole-demo-"))
    demo = Demo(folder)
    try:
        demo.run()
        return 0
    except (DemoFailed, NotDirect) as problem:
        sys.stderr.write(f"p2phole demo: {problem}\n{''.join(member.tail() for member in demo.members)}")
    except KeyboardInterrupt:
        sys.stderr.write("p2phole demo: stopped before it was done\n")
    finally:
        # From here on a second ctrl-C must not leave processes behind.
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.SIG_IGN)
        for member in demo.members:
            member.stop()
        for member in demo.members:
            member.end()
        shutil.rmtree(folder, ignore_errors=True)
    return 1


def _answers(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True
