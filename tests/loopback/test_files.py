"""Files between real processes on loopback, one of them killed.  Plain functions, for pytest alone."""

from __future__ import annotations

import hashlib
import os
import re
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from p2phole.use.files.names import PART
from p2phole.use.files.pace import in_bytes
from tests.loopback.processes import PYTHON, SECONDS, Process, Stage, until

MIB = 2**20
SIZE = 100 * MIB

# A disk that takes about 30 MiB a second, so that there is a middle to kill somebody in.
SLOW = """
import runpy, sys, time
from p2phole.use.files.incoming import Incoming
write = Incoming.write
def slow(incoming, data):
    time.sleep(0.002 * len(data) / 65536)
    write(incoming, data)
Incoming.write = slow
sys.argv[0] = "p2phole"
runpy.run_module("p2phole", run_name="__main__", alter_sys=True)
"""
SLOWLY = (sys.executable, "-c", SLOW)


class Scene:
    """A broker, a file of 100 MiB, and a folder to receive it into; in a room with a secret, where each may come
    again."""

    def __init__(self, stage: Stage) -> None:
        self.stage = stage
        self.broker = f"localhost:{stage.broker('tcp:0:interface=127.0.0.1', '--probe-port', '0')}"
        self.secret = stage.folder / "secret"
        self.secret.write_text("a secret that both of them have\n")
        self.secret.chmod(0o600)
        self.file = stage.folder / "large.bin"
        self.file.write_bytes(hashlib.shake_128(b"large").digest(MIB) * 99 + os.urandom(MIB))
        self.folder = stage.folder / "received"
        self.count = 0

    def start(
        self, name: str, command: str, *arguments: str, python: Sequence[str] = PYTHON, room: bool = True
    ) -> Process:
        self.count += 1
        whom = ("--room", "r", "--secret-file", str(self.secret)) if room else ()
        key = ("--key-file", str(self.stage.folder / f"{name}.pem"))
        told = ("--broker", self.broker, "--name", name, *key, *whom)
        return self.stage.process(f"{name} {self.count}", command, *told, *arguments, python=python)

    def send(self, *code: str, room: bool = True) -> Process:
        return self.start("alice", "send", str(self.file), *code, room=room and not code)

    def receive(self, *code: str, python: Sequence[str] = PYTHON) -> Process:
        return self.start("bob", "receive", "-y", "-o", str(self.folder), *code, python=python, room=not code)

    def half(self) -> None:
        """Wait until about half of it is there."""

        def size() -> bool:
            return any(part.stat().st_size > 40 * MIB for part in self.folder.glob(f".*{PART}"))

        until(size, lambda: list(self.folder.iterdir()) if self.folder.exists() else "nothing")

    def kept(self) -> int:
        [part] = self.folder.glob(f".*{PART}")
        return part.stat().st_size

    def check(self) -> None:
        assert [path.name for path in self.folder.iterdir()] == ["large.bin"]
        digests = [hashlib.sha256(path.read_bytes()).digest() for path in (self.file, self.folder / "large.bin")]
        assert digests[0] == digests[1]


@pytest.fixture
def scene(stage: Stage) -> Scene:
    return Scene(stage)


def kill(process: Process) -> None:
    process.process.kill()
    process.process.wait()


def sent_now(told: str) -> float:
    """Bytes, as far as three digits tell."""
    found = re.search(r"([0-9.]+) MB of it now", told)
    assert found is not None, told
    return float(found[1]) * 1e6


def code_of(process: Process) -> str:
    return process.line(r"p2phole receive --broker \S+ (\S+)")


def test_by_a_code(scene: Scene) -> None:
    folder = scene.stage.folder / "things"
    (folder / "empty").mkdir(parents=True)
    (folder / "run.sh").write_text("#!/bin/sh\n")
    (folder / "run.sh").chmod(0o755)
    os.utime(folder / "run.sh", ns=(1, 1_234_567_890_123_456_789))
    alice = scene.start("alice", "send", str(folder), room=False)
    bob = scene.receive(code_of(alice))
    assert bob.end()[0] == alice.end()[0] == 0
    status = (scene.folder / "things" / "run.sh").stat()
    assert (status.st_mtime_ns, bool(status.st_mode & 0o100)) == (1_234_567_890_123_456_789, True)
    assert sorted(str(path.relative_to(scene.folder)) for path in scene.folder.rglob("*")) == [
        "things",
        "things/empty",
        "things/run.sh",
    ]


def test_a_text(scene: Scene) -> None:
    alice = scene.start("alice", "send", "--text", "hello \u001b[2J", room=False)
    bob = scene.receive(code_of(alice))
    assert bob.process.wait(SECONDS) == alice.process.wait(SECONDS) == 0
    assert bob.output == "hello \\x1b[2J\n"


def test_the_receiver_is_killed(scene: Scene) -> None:
    alice, bob = scene.send(), scene.receive(python=SLOWLY)
    scene.half()
    kill(bob)
    kept = scene.kept()
    bob = scene.receive()
    assert bob.end()[0] == 0
    status, told = alice.end()
    assert status == 0
    assert abs(sent_now(told) - (SIZE - kept)) < MIB / 10
    scene.check()


def test_the_sender_is_killed(scene: Scene) -> None:
    alice, bob = scene.send(), scene.receive(python=SLOWLY)
    scene.half()
    kill(alice)
    kept = scene.kept()
    alice = scene.send()
    status, told = alice.end()
    assert status == bob.end()[0] == 0
    # What was under way may still have come.
    assert 0 < sent_now(told) < SIZE - kept + MIB / 10
    scene.check()


def test_both_are_killed_and_meet_by_another_code(scene: Scene) -> None:
    alice = scene.send(room=False)
    bob = scene.receive(code_of(alice), python=SLOWLY)
    scene.half()
    kill(bob)
    kill(alice)
    kept = scene.kept()
    alice = scene.send(room=False)
    bob = scene.receive(code_of(alice))
    assert bob.end()[0] == 0
    assert abs(sent_now(alice.end()[1]) - (SIZE - kept)) < MIB / 10
    assert f"of which {in_bytes(kept)} are here" in bob.told
    scene.check()


def test_the_receiver_is_killed_and_types_the_same_code(scene: Scene) -> None:
    alice = scene.send(room=False)
    code = code_of(alice)
    bob = scene.receive(code, python=SLOWLY)
    scene.half()
    kill(bob)
    kept = scene.kept()
    bob = scene.receive(code)
    status, told = bob.end()
    assert status == 0, told
    assert "go on with the same one" in told
    assert f"of which {in_bytes(kept)} are here" in told
    status, told = alice.end()
    assert status == 0, told
    assert abs(sent_now(told) - (SIZE - kept)) < MIB / 10
    scene.check()
    # All is done, and the code with it.
    status, told = scene.receive(code).end()
    assert (status, "you have used this invitation already" in told) == (1, True), told


def test_the_sender_is_killed_and_types_the_same_code(scene: Scene) -> None:
    bob = scene.receive("--invite", python=SLOWLY)
    code = bob.line(r"p2phole send FILE --broker \S+ (\S+)")
    alice = scene.send(code)
    scene.half()
    kill(alice)
    kept = scene.kept()
    alice = scene.send(code)
    status, told = alice.end()
    assert status == bob.end()[0] == 0, told
    assert 0 < sent_now(told) < SIZE - kept + MIB / 10
    scene.check()


def test_the_inviter_is_killed_and_the_old_receiver_still_runs(scene: Scene) -> None:
    """A second one leaves its part alone, and says so.  When it is gone, another one goes on from there."""
    alice = scene.send(room=False)
    old = scene.receive(code_of(alice), python=SLOWLY)
    scene.half()
    kill(alice)
    alice = scene.send(room=False)
    new = scene.receive(code_of(alice))
    status, told = new.end()
    assert (status, "another p2phole receives it at this moment" in told) == (1, True), told
    assert alice.end()[0] == 1
    old.process.send_signal(signal.SIGINT)
    assert old.end()[0] == 0
    kept = scene.kept()
    alice = scene.send(room=False)
    assert scene.receive(code_of(alice)).end()[0] == 0
    assert abs(sent_now(alice.end()[1]) - (SIZE - kept)) < MIB / 10
    scene.check()


@pytest.mark.parametrize("which", ["sender", "receiver"])
def test_stopped(scene: Scene, which: str) -> None:
    """Neither ends with 0, whatever the signal says."""
    alice = scene.send(room=False)
    bob = scene.receive(code_of(alice), python=SLOWLY)
    scene.half()
    stopped, other = (alice, bob) if which == "sender" else (bob, alice)
    stopped.process.send_signal(signal.SIGINT)
    for process in (stopped, other):
        status, told = process.end()
        assert status == (0 if process is stopped else 1), told  # a signal is no failure
        assert "start again on both sides" in told
    assert [path.name.endswith(PART) for path in scene.folder.iterdir()] == [True]


def test_nobody_to_ask(scene: Scene) -> None:
    bob = scene.start("bob", "receive", "7-velvet-ocean", room=False)
    status, told = bob.end()
    assert status == 2
    assert "give --yes" in told


def test_nothing_to_send(scene: Scene) -> None:
    for arguments in ([], ["/not/there"], [str(Path("/")), "--text", "x"]):
        status, told = scene.start("alice", "send", *arguments, room=False).end()
        assert (status, told.startswith("p2phole send: ")) == (2, True), told
