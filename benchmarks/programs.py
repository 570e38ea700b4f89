"""Whole programs beside each other on loopback: ``p2phole pipe``, ``ssh host cat``, a magic-wormhole file.

``python -m benchmarks.programs [MIB [ROUNDS]]`` prints a table: MiB/s and CPU seconds a GiB, of all processes of a
program together.  Each runs with a small and with the large input; what lies between the two is the rate, so that
nobody's start counts.  By turns in one run, medians.  The first row is the bare Twisted TLS transport of
:mod:`benchmarks.bulk`.  What is not installed is left out with a line.
"""

from __future__ import annotations

import getpass
import json
import os
import re
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from benchmarks.contenders import TLS
from benchmarks.places import LOOPBACK

SMALL = 64 * 2**20
SECONDS = 120.0

Run = Callable[[Path], tuple[float, float]]
"""Gets a file to the other side; seconds and CPU seconds."""


class Missing(Exception):
    """It is not installed."""


def which(*names: str) -> list[str]:
    """Where the programs are."""
    found = [shutil.which(name) or "" for name in names]
    if not all(found):
        raise Missing(f"{names[found.index('')]} is not installed")
    return found


def free_port() -> int:
    """A port of loopback that is free now."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


def listens(port: int) -> None:
    """Wait until somebody does."""
    deadline = time.monotonic() + 20
    while True:
        try:
            socket.create_connection(("127.0.0.1", port)).close()
            return
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)


@contextmanager
def running(*command: str, **options: Any) -> Iterator[subprocess.Popen[bytes]]:
    """A server, for as long as it is needed."""
    with tempfile.TemporaryFile() as told:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=told, stderr=told, **options)
        try:
            yield process
        finally:
            process.terminate()
            process.wait()


def used(pid: int) -> float:
    """CPU seconds of a process and of its children that have ended."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].split()
    return sum(map(int, fields[11:15])) / os.sysconf("SC_CLK_TCK")


def spawn(command: list[str], home: Path, stdin: Any, stdout: Any) -> subprocess.Popen[bytes]:
    """One end of a contender."""
    home.mkdir(exist_ok=True)
    env = {**os.environ, "HOME": str(home), "PYTHONPATH": str(Path(__file__).parents[1])}
    with (home / "told").open("ab") as told:
        return subprocess.Popen(command, stdin=stdin, stdout=stdout, stderr=told, env=env, cwd=home)


def finish(*processes: subprocess.Popen[bytes]) -> float:
    """Wait for them to end well; their CPU seconds."""
    total = 0.0
    for process in processes:
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        assert process.returncode == 0, process.args
        total += usage.ru_utime + usage.ru_stime
    return total


# -- the contenders


@contextmanager
def pipe(folder: Path) -> Iterator[Run]:
    """``cat FILE | p2phole pipe`` and ``p2phole pipe | cat``."""
    ours, port = [sys.executable, "-m", "p2phole"], free_port()

    def run(data: Path) -> tuple[float, float]:
        command = [*ours, "pipe", "--broker", f"127.0.0.1:{port}", "--room", "benchmark", "--name"]
        since = time.monotonic()
        with (
            subprocess.Popen(["cat", data], stdout=subprocess.PIPE) as source,
            subprocess.Popen(["cat"], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL) as sink,
        ):
            assert source.stdout is not None and sink.stdin is not None
            one = spawn([*command, "one"], folder / "one", source.stdout, subprocess.DEVNULL)
            two = spawn([*command, "two"], folder / "two", subprocess.DEVNULL, sink.stdin)
            source.stdout.close()
            sink.stdin.close()
            cpu = finish(one, two)
        return time.monotonic() - since, cpu

    env = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])}
    with running(*ours, "broker", "--listen", f"tcp:{port}:interface=127.0.0.1", env=env):
        listens(port)
        yield run


@contextmanager
def listening_sshd(folder: Path) -> Iterator[tuple[list[str], int]]:
    """An sshd with keys of its own: how to call the client, and its process."""
    client, server, keygen = which("ssh", "sshd", "ssh-keygen")
    port = free_port()
    for name in ("host", "user"):
        subprocess.run([keygen, "-q", "-t", "ed25519", "-N", "", "-f", folder / name], check=True)
    lines = [f"Port {port}", "ListenAddress 127.0.0.1", f"HostKey {folder / 'host'}", "UsePAM no", "PidFile none"]
    lines += [f"AuthorizedKeysFile {folder / 'user.pub'}", "StrictModes no", "PermitRootLogin yes"]
    (folder / "config").write_text("\n".join(lines) + "\n")
    options = ["-F", "none", "-i", str(folder / "user"), "-p", str(port), "-o", "StrictHostKeyChecking=no"]
    options += ["-o", f"UserKnownHostsFile={folder / 'known'}", f"{getpass.getuser()}@127.0.0.1"]
    Path("/run/sshd").mkdir(exist_ok=True)  # sshd insists, and is chrooted there
    with running(server, "-D", "-f", str(folder / "config")) as process:
        listens(port)
        yield [client, *options], process.pid


@contextmanager
def ssh(folder: Path) -> Iterator[Run]:
    """``ssh host cat FILE | cat``."""
    with listening_sshd(folder) as (client, sshd):

        def run(data: Path) -> tuple[float, float]:
            since, before = time.monotonic(), used(sshd)
            with subprocess.Popen(["cat"], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL) as sink:
                assert sink.stdin is not None
                one = spawn([*client, f"cat {data}"], folder, subprocess.DEVNULL, sink.stdin)
                sink.stdin.close()
                cpu = finish(one)
            seconds = time.monotonic() - since
            time.sleep(0.3)  # until sshd has seen the end of its child
            return seconds, cpu + used(sshd) - before

        yield run


@contextmanager
def wormhole(folder: Path) -> Iterator[Run]:
    """``wormhole send FILE``, all of it local."""
    [program] = which("wormhole")
    twist = Path(program).with_name("twist")
    if not twist.exists():
        raise Missing("magic-wormhole's servers are not installed")
    mailbox, transit = free_port(), free_port()
    told = [f"--relay-url=ws://127.0.0.1:{mailbox}/v1", f"--transit-helper=tcp:127.0.0.1:{transit}"]
    number = iter(range(1, 1000))

    def run(data: Path) -> tuple[float, float]:
        out, code = folder / "received", f"{next(number)}-one-two"
        since = time.monotonic()
        null = subprocess.DEVNULL
        one = spawn([program, *told, "send", "--hide-progress", "--code", code, str(data)], folder, null, null)
        receive = ["receive", "--hide-progress", "--accept-file", "-o", str(out), code]
        two = spawn([program, *told, *receive], folder, null, null)
        cpu = finish(one, two)
        seconds = time.monotonic() - since
        out.unlink()
        return seconds, cpu

    here = {"cwd": folder}
    with (
        running(str(twist), "wormhole-mailbox", f"--port=tcp:{mailbox}:interface=127.0.0.1", **here),
        running(str(twist), "transitrelay", f"--port=tcp:{transit}:interface=127.0.0.1", **here),
    ):
        listens(mailbox)
        listens(transit)
        yield run


CONTENDERS = {"p2phole pipe": pipe, "ssh host cat": ssh, "wormhole send": wormhole}


def tls(size: int) -> tuple[float, float]:
    """MiB/s and CPU seconds a GiB of the bare transport."""
    found = TLS.run(LOOPBACK, size)
    return found["rate"], found["cpu"]


def main(size: int, rounds: int) -> None:
    """The whole run."""
    found: dict[str, list[tuple[float, float]]] = {"bare Twisted TLS": []}
    with ExitStack() as stack:
        # In memory where there is such a place: no disk is measured.
        place = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
        top = Path(stack.enter_context(tempfile.TemporaryDirectory(dir=place)))
        files = top / "small", top / "large"
        for path, length in zip(files, (SMALL, SMALL + size), strict=True):
            with path.open("wb") as file:
                for _ in range(length // 2**20):
                    file.write(os.urandom(2**20))
        runs: dict[str, Run] = {}
        for name, contender in CONTENDERS.items():
            folder = top / re.sub(r"\W", "-", name)
            folder.mkdir()
            try:
                runs[name] = stack.enter_context(contender(folder))
            except Missing as why:
                sys.stdout.write(f"{name} is left out: {why}\n")
        for _ in range(rounds):
            found["bare Twisted TLS"].append(tls(size))
            for name, run in runs.items():
                (begin, begin_cpu), (end, end_cpu) = (run(path) for path in files)
                rate = size / 2**20 / max(end - begin, 0.001)
                found.setdefault(name, []).append((rate, (end_cpu - begin_cpu) / (size / 2**30)))
    titles = ("MiB/s", "of TLS", "pipe is", "CPU s/GiB", "of TLS")
    sys.stdout.write(f"{'':20}" + "".join(f"{title:>11}" for title in titles) + "\n")
    bare, ours = found["bare Twisted TLS"], found["p2phole pipe"]
    for name, results in found.items():
        # Within a round: what else the machine did in the meantime it did to all of them.
        rounded = zip(results, bare, ours, strict=True)
        rows = [(rate, rate / base[0], mine[0] / rate, cpu, cpu / base[1]) for (rate, cpu), base, mine in rounded]
        medians = map(statistics.median, zip(*rows, strict=True))
        sys.stdout.write(f"{name:20}" + "".join(f"{median:11.2f}" for median in medians) + "\n")
    sys.stdout.write(json.dumps(found) + "\n")


if __name__ == "__main__":
    mib, rounds = (*map(int, sys.argv[1:]), *(1024, 3)[len(sys.argv) - 1 :])
    main(mib * 2**20, rounds)
