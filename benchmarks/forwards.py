"""One TCP connection through ``p2phole forward -L``, ``ssh -L`` and fowl, and without any of them, on loopback.

``python -m benchmarks.forwards [MIB [ROUNDS]]`` prints a table: MiB/s from the far side and CPU seconds a GiB of
all processes between client and server, and the median round trip of 64 bytes.  By turns in one run, medians.
What is not installed is left out with a line.  fowl and a mailbox server for it may be in an environment of their
own: ``FOWL=/path/to/its/bin``.
"""

from __future__ import annotations

import json
import os
import re
import socket
import statistics
import struct
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from benchmarks.programs import Missing, free_port, listening_sshd, listens, running, used, which

PINGS = 2000
PING_SECONDS = 3.0
HEAD = struct.Struct("!Q")
PIECE = 2**20

Way = tuple[int, tuple[int, ...]]
"""A port that leads to the server, and the processes on the way."""

SERVER = f"""
import socket, struct, sys, threading
data = memoryview(bytearray({PIECE}))
def serve(connection):
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    with connection:
        head = connection.recv({HEAD.size}, socket.MSG_WAITALL)
        left = struct.unpack("!Q", head)[0] if len(head) == {HEAD.size} else 0
        while left:
            connection.sendall(data[:left])
            left -= min(left, len(data))
        while got := connection.recv(65536):
            connection.sendall(got)
server = socket.create_server(("127.0.0.1", int(sys.argv[1])), backlog=64)
while True:
    threading.Thread(target=serve, args=(server.accept()[0],), daemon=True).start()
"""


def connect(port: int, size: int) -> socket.socket:
    """Ask the server for so many bytes."""
    client = socket.create_connection(("127.0.0.1", port), timeout=60)
    client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    client.sendall(HEAD.pack(size))
    return client


def bulk(way: Way, size: int) -> tuple[float, float]:
    """MiB/s, and CPU seconds a GiB."""
    port, processes = way
    buffer = bytearray(PIECE)
    with connect(port, size) as client:
        left = size
        client.recv_into(buffer, 1)
        left -= 1
        before, since = sum(map(used, processes)), time.monotonic()
        while left:
            count = client.recv_into(buffer)
            assert count
            left -= count
        seconds = time.monotonic() - since
    cpu = sum(map(used, processes)) - before
    return size / 2**20 / seconds, cpu / (size / 2**30)


def round_trip(way: Way) -> float:
    """Seconds."""
    took = []
    with connect(way[0], 0) as client:
        deadline = time.monotonic() + PING_SECONDS
        while len(took) < PINGS and time.monotonic() < deadline:
            since = time.perf_counter()
            client.sendall(bytes(64))
            left = 64
            while left:
                left -= len(client.recv(left))
            took.append(time.perf_counter() - since)
    return statistics.median(took)


# -- the contenders


@contextmanager
def tcp(folder: Path, server: int) -> Iterator[Way]:
    """Nothing in between."""
    yield server, ()


@contextmanager
def forward(folder: Path, server: int) -> Iterator[Way]:
    """``p2phole forward -L``."""
    broker, port = free_port(), free_port()
    ours = [sys.executable, "-m", "p2phole"]
    env = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1]), "HOME": str(folder)}
    meet = [*ours, "forward", "--broker", f"127.0.0.1:{broker}", "--room", "benchmark"]
    with ExitStack() as stack:
        stack.enter_context(running(*ours, "broker", "--listen", f"tcp:{broker}:interface=127.0.0.1", env=env))
        listens(broker)
        ends = [
            stack.enter_context(running(*meet, "--key-file", str(folder / key), *told, env=env))
            for key, *told in (
                ("far", "--allow", f"127.0.0.1:{server}"),
                ("near", "-L", f"{port}:127.0.0.1:{server}"),
            )
        ]
        listens(port)
        yield port, tuple(end.pid for end in ends)


@contextmanager
def ssh(folder: Path, server: int) -> Iterator[Way]:
    """``ssh -N -L``."""
    port = free_port()
    with (
        listening_sshd(folder) as (client, sshd),
        running(*client[:1], "-N", "-L", f"{port}:127.0.0.1:{server}", *client[1:]) as near,
    ):
        listens(port)
        connect(port, 0).close()
        yield port, (near.pid, *children(sshd))


def children(pid: int) -> tuple[int, ...]:
    """A process and all below it."""
    below = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return (pid, *(found for each in below for found in children(int(each))))


@contextmanager
def fowl(folder: Path, server: int) -> Iterator[Way]:
    """``fowl``, all of it local."""
    place = os.environ.get("FOWL")
    program, twist = (f"{place}/{name}" for name in ("fowl", "twist")) if place else which("fowl", "twist")
    mailbox, port = free_port(), free_port()
    told = [program, "--no-logo", "--mailbox", f"ws://127.0.0.1:{mailbox}/v1"]
    with ExitStack() as stack:
        endpoint = f"--port=tcp:{mailbox}:interface=127.0.0.1"
        stack.enter_context(running(twist, "wormhole-mailbox", endpoint, cwd=folder))
        listens(mailbox)
        ends = [
            stack.enter_context(running(*told, *end, "1-one-two", cwd=folder))
            for end in (("--service", f"it:{server}"), ("--client", f"it:{port}"))
        ]
        listens(port)
        yield port, tuple(end.pid for end in ends)


CONTENDERS: dict[str, Callable[[Path, int], object]] = {
    "bare TCP": tcp,
    "p2phole forward -L": forward,
    "ssh -L": ssh,
    "fowl": fowl,
}


def main(size: int, rounds: int) -> None:
    """The whole run."""
    found: dict[str, list[tuple[float, float, float]]] = {}
    with ExitStack() as stack:
        top = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        server = free_port()
        stack.enter_context(running(sys.executable, "-c", SERVER, str(server)))
        listens(server)
        ways: dict[str, Way] = {}
        for name, contender in CONTENDERS.items():
            folder = top / re.sub(r"\W", "-", name)
            folder.mkdir()
            try:
                ways[name] = stack.enter_context(contender(folder, server))  # type: ignore[arg-type]
            except Missing as why:
                sys.stdout.write(f"{name} is left out: {why}\n")
        for way in ways.values():
            bulk(way, size // 8)  # to warm up
        for _ in range(rounds):
            for name, way in ways.items():
                found.setdefault(name, []).append((*bulk(way, size), round_trip(way)))
    sys.stdout.write(f"{'':20}{'MiB/s':>8}{'CPU s/GiB':>11}{'64 B, us':>10}\n")
    for name, results in found.items():
        rate, cpu, seconds = (statistics.median(values) for values in zip(*results, strict=True))
        sys.stdout.write(f"{name:20}{rate:8.0f}{cpu:11.2f}{seconds * 1e6:10.0f}\n")
    sys.stdout.write(json.dumps(found) + "\n")


if __name__ == "__main__":
    mib, rounds = (*map(int, sys.argv[1:]), *(512, 3)[len(sys.argv) - 1 :])
    main(mib * 2**20, rounds)
