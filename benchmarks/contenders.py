"""What is compared in :mod:`benchmarks.bulk`: each contender is run in a place and says what it did."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol as Interface

from benchmarks.places import Place
from p2phole.secure.identity import load_or_make

ROOT = Path(__file__).resolve().parents[1]
PINGS = 2000


class Contender(Interface):
    """Something that carries bytes.  A row of the table."""

    name: str

    def run(self, place: Place, size: int) -> dict[str, float]:
        """Carry so many bytes; ``rate`` in MiB/s, ``cpu`` in seconds a GiB of both sides, and if it can tell,
        ``ping`` in microseconds for 64 bytes there and back."""


@dataclass(frozen=True, slots=True)
class Ends:
    """The two processes of :mod:`benchmarks.ends`; ``how``: ``tls`` or ``session``."""

    name: str
    how: str

    def run(self, place: Place, size: int) -> dict[str, float]:
        """See :class:`Contender`."""
        return self.tasks(place, f"bulk={size}", f"ping={PINGS}")

    def tasks(self, place: Place, *tasks: str) -> dict[str, float]:
        """The results of tasks of :class:`benchmarks.ends.Near`, all over one connection."""
        found: dict[str, float] = {}
        with tempfile.TemporaryDirectory() as folder, _far(folder, self.how, place) as (pid, port):
            near = _command(place.near, "near", folder, self.how, place.address, port, pid, *tasks)
            done = subprocess.run(near, stdout=subprocess.PIPE, cwd=ROOT, check=True, timeout=300)
            for line in done.stdout.splitlines():
                found.update(json.loads(line))
        if not found:
            raise RuntimeError(f"{self.name} said nothing")
        return found


@contextmanager
def _far(folder: str, how: str, place: Place) -> Iterator[tuple[str, str]]:
    """The end that listens: its process and its port."""
    for name in ("near", "far"):
        load_or_make(Path(folder, f"{name}.pem"))
    command = _command(place.far, "far", folder, how, place.address)
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT)
    assert process.stdout is not None
    try:
        yield str(process.pid), process.stdout.readline().strip()
    finally:
        process.communicate()


def _command(enter: Sequence[str], *arguments: str) -> list[str]:
    return [*enter, sys.executable, "-m", "benchmarks.ends", *arguments]


TLS = Ends("Twisted TLS", "tls")
SESSION = Ends("session", "session")
CONTENDERS: tuple[Contender, ...] = (TLS, SESSION)
"""The first one is what the others are compared with."""
