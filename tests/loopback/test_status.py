"""``p2phole status`` and real processes.  Plain functions, for pytest alone."""

from __future__ import annotations

import json
import os
import re
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.loopback.processes import SECONDS, Process, Stage, until


def status(stage: Stage, *options: str) -> tuple[int, str, str]:
    """Exit status, and what was said where."""
    process: Process = stage.process(f"status {len(stage.started)}", "status", *options)
    code = process.process.wait(SECONDS)
    return code, process.output, process.told


def reports(stage: Stage, *options: str) -> dict[str, Any]:
    """By name."""
    code, output, told = status(stage, "--json", *options)
    assert (code, told) == (0, "")
    return {report["name"]: report for report in map(json.loads, output.splitlines())}


def sockets(stage: Stage) -> list[Path]:
    return list((stage.folder / "run" / "p2phole").glob("*"))


def test_whom_they_are_connected_to(stage: Stage) -> None:
    code, output, told = status(stage)
    assert (code, output) == (1, "")
    assert told == "p2phole: No p2phole of yours runs on this machine: start one, 'p2phole chat' for example.\n"
    port = stage.broker("tcp:0:interface=127.0.0.1")
    alice = stage.peer("alice", f"127.0.0.1:{port}", "--room", "team", "--message", "x" * 1000)
    alice.event("registered")
    code, _, told = status(stage, "--wait", "0.3")
    assert (code, told.count("\n")) == (1, 1) and "was connected to anybody within 0.3 s" in told
    bob = stage.peer("bob", f"127.0.0.1:{port}", "--room", "team")
    bob.event("message")
    found = reports(stage, "--wait", "60")
    assert set(found) == {"alice", "bob"}
    for peer, mine, theirs in ((alice, "alice", "bob"), (bob, "bob", "alice")):
        report, [partner] = found[mine], found[mine]["partners"]
        connected, registered = peer.event("connected"), peer.event("registered")
        assert (report["pid"], report["command"], report["room"]) == (peer.process.pid, "peer", "team")
        assert (report["id"], report["registered"]) == (registered["id"], True)
        assert (report["broker"], partner["name"], partner["path"]) == (f"127.0.0.1:{port}", theirs, "lan")
        for key in ("id", "candidate", "local", "remote", "instance", "authenticated"):
            assert partner[key] == connected[key], key
        assert 0 <= partner["round_trip"] < 5
        assert abs(partner["since"] - connected["time"]) < 1
    ours, theirs = found["alice"]["partners"][0], found["bob"]["partners"][0]
    assert ours["bytes_out"] > 1000 and theirs["bytes_in"] > 1000
    code, output, _ = status(stage)
    assert code == 0
    assert re.search(r"(?m)^p2phole peer +alice in room team, key \w{8}, at its broker .* process \d+$", output)
    assert re.search(r"(?m)^alice +\w{8} +lan +\S+:\d+ ", output)
    for peer in (alice, bob):
        peer.process.terminate()
        peer.process.wait(SECONDS)
    assert sockets(stage) == []


def test_one_that_was_killed(stage: Stage) -> None:
    """What it leaves goes when it is found: with the next question, or the next start."""
    port = stage.broker("tcp:0:interface=127.0.0.1")
    for find in (lambda: status(stage), lambda: stage.peer("carol", f"127.0.0.1:{port}").event("registered")):
        alice = stage.peer(f"alice {len(stage.started)}", f"127.0.0.1:{port}")
        alice.event("registered")
        [left] = sockets(stage)
        alice.process.kill()
        alice.process.wait(SECONDS)
        assert status(stage)[0] == 1
        assert sockets(stage) == [left]  # it could be one that is about to listen
        os.utime(left, (0, 0))
        find()
        until(lambda: left not in sockets(stage), lambda: sockets(stage))  # noqa: B023 (called at once)


@contextmanager
def hostile(path: Path, answer: bytes | None, times: int = 1) -> Iterator[None]:
    """Whoever has got into the folder: answers that, so often, or nothing."""
    listening = socket.socket(socket.AF_UNIX)
    listening.bind(str(path))
    listening.listen()

    def serve() -> None:
        try:
            taken, _ = listening.accept()
            with taken:
                for _ in range(times):
                    taken.sendall(answer or b"")
        except OSError:
            pass

    thread = threading.Thread(target=serve, daemon=True)
    if answer is not None:
        thread.start()
    yield
    listening.close()
    if answer is not None:
        thread.join(SECONDS)


def test_others_in_the_folder(stage: Stage) -> None:
    """They cost at most the time that an answer may take, and nothing of theirs reaches the terminal as it is."""
    port = stage.broker("tcp:0:interface=127.0.0.1")
    stage.peer("alice", f"127.0.0.1:{port}").event("registered")
    folder = stage.folder / "run" / "p2phole"
    (folder / "file.status").write_text("x")
    (folder / "link.status").symlink_to("/dev/zero")
    os.mkfifo(folder / "fifo.status")
    with (
        hostile(folder / "silent.status", None),
        hostile(folder / "odd.status", b"\x1b[2J\n"),
        hostile(folder / "endless.status", b"x" * 65536, 1000),
        hostile(folder / "bad\x1bname.status", b"{}\n"),
    ):
        code, output, told = status(stage, "--json")
    assert code == 0
    assert [report["name"] for report in map(json.loads, output.splitlines())] == ["alice"]
    lines = sorted(told.splitlines())
    assert len(lines) == 4 and "\x1b" not in told
    for line, (name, why) in zip(
        lines,
        (
            (r"bad\x1bname", "no list of them"),
            ("endless", "more than 4194304 bytes"),
            ("odd", "not JSON"),
            ("silent", "no answer within 2 s"),
        ),
        strict=True,
    ):
        assert line.startswith(f"p2phole: {folder}/{name}.status does not answer as it should: "), line
        assert why in line
    for name in ("file", "link", "fifo"):
        assert os.path.lexists(folder / f"{name}.status")


def test_a_folder_that_is_not_safe(stage: Stage) -> None:
    """The peer runs all the same."""
    folder = stage.folder / "run" / "p2phole"
    folder.mkdir()
    folder.chmod(0o777)
    port = stage.broker("tcp:0:interface=127.0.0.1")
    alice = stage.peer("alice", f"127.0.0.1:{port}")
    alice.event("registered")
    assert sockets(stage) == []
    code, output, told = status(stage)
    assert (code, output) == (1, "")
    assert told.startswith(f"p2phole: {folder} cannot be used (others may use it)") and told.count("\n") == 1
    assert len(alice.told.splitlines()) == 1
