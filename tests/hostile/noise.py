"""Attackers that know nothing and say anything: garbage, raw bytes, and scans of a direct port."""

from __future__ import annotations

import contextlib
import socket
import struct
import time
from argparse import Namespace
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

from tests.hostile.client import Client, Gone
from tests.hostile.lines import RAW, Mutator
from tests.hostile.modes import Told

SOURCES = 32
"""Loopback addresses that an attacker comes from."""
DIRECT_SHARE = 20
"""One connection in so many goes to the direct port, where there is one."""
_RESET = struct.pack("ii", 1, 0)


def connection(target: tuple[str, int], source: str, seconds: float = 5.0) -> socket.socket:
    """A connection whose end is an RST, so that nothing of it stays behind."""
    found = socket.socket()
    found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    found.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
    found.settimeout(seconds)
    found.bind((source, 0))
    found.connect(target)
    return found


def said(target: tuple[str, int], source: str, data: bytes, seconds: float, piece: int = 65_536) -> bytes:
    """Say that, in pieces, and hear what comes until the other side closes, or time is up."""
    heard, end = b"", time.monotonic() + seconds
    with contextlib.suppress(OSError), connection(target, source, seconds) as link:
        with contextlib.suppress(OSError):
            for at in range(0, len(data), piece):
                link.sendall(data[at : at + piece])
        while (left := end - time.monotonic()) > 0:
            link.settimeout(left)
            if not (chunk := link.recv(65_536)):
                break
            heard += chunk
    return heard


def garbage(arguments: Namespace) -> Told:
    """As a stranger, after a greeting, and as a member; a line that can't be read ends each connection."""
    random, mutator = arguments.random, Mutator(arguments.random)
    did: Counter[str] = Counter()
    end = time.monotonic() + arguments.seconds
    while did["lines"] < arguments.count and time.monotonic() < end:
        did["connections"] += 1
        source = f"127.0.0.{100 + did['connections'] % SOURCES}"
        if arguments.target and did["connections"] % DIRECT_SHARE == 0:
            lines = [mutator.line() for _ in range(10)]
            did["lines"] += len(lines)
            did["direct bytes"] += len(said(arguments.target, source, b"\n".join(lines) + b"\n", 1.0))
            continue
        lines = []
        try:
            client = Client(arguments.broker, source)
            with client:
                stage = random.randrange(3)
                if stage:
                    client.greet()
                if stage == 2:
                    client.register(room=("open", f"garbage {random.randrange(50)}"))
                    lines += [mutator.readable(to_peer=False) for _ in range(random.randrange(10, 60))]
                lines.append(mutator.line())
                client.link.sendall(b"\n".join(lines) + b"\n!\n")  # that last one ends it in any case
                did["answers"] += client.hear_out()
        except (OSError, Gone):
            did["refused"] += 1
        did["lines"] += len(lines)
    return {"lines": 0, "connections": 0, **did}


def raw(arguments: Namespace) -> Told:
    """Each at once, and again byte by byte."""
    tries = [
        (target, f"127.0.0.{140 + number}", data[:most], 0.3, piece)
        for number, data in enumerate(RAW.values())
        for piece, most in ((65_536, 1_000_000), (1, 64))
        for target in (arguments.broker, arguments.target)
        if target
    ]
    heard = _all(tries)
    of_target = sum(size for size, each in zip(heard, tries, strict=True) if each[0] == arguments.target)
    return {"sent": len(tries), "direct bytes": of_target, "bytes of the broker": sum(heard) - of_target}


def scanner(arguments: Namespace) -> Told:
    """Silence, the greetings of usual protocols, a preface with a tag of nobody, and all of these halfway."""
    names = ("nothing", "tls", "http", "ssh", "preface of nobody", "preface and tls")
    whole = {RAW[name][:most] for name in names for most in (10_000, 39)}
    tries = [(arguments.target, "127.0.0.180", data, arguments.seconds, 65_536) for data in sorted(whole)]
    return {"tries": len(tries), "direct bytes": sum(_all(tries))}


def _all(tries: list[tuple[tuple[str, int], str, bytes, float, int]]) -> list[int]:
    """Some at a time; how many bytes each has heard."""
    with ThreadPoolExecutor(16) as pool:
        return [len(heard) for heard in pool.map(lambda each: said(*each), tries)]
