"""Cold start: from the start of ``p2phole pipe`` to the first byte, on a path of 50 ms, in the laboratory.

``python -m benchmarks.start [ROUNDS]``, as root, prints a table: one side waits already, the other one is started.
Round trips are 50 ms between the two, and from each to the broker.

- *first byte*: from exec to the first byte of what the other side had ready;
- *echoed*: from its ``introduced`` event until a byte of its own has come back;
- *imports*: a Python that imports Twisted's reactor, and one that imports all that a pipe does, in CPU seconds:
  what the machine is busy with otherwise does not count there, and does in the rest.
"""

from __future__ import annotations

import json
import os
import re
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from threading import Thread
from typing import Any

from tests.natlab.laboratory import Laboratory
from tests.natlab.namespace import ROOT, Host
from tests.natlab.routers import Masquerade
from tests.natlab.scenario import BROKER, start_broker

ROUND_TRIP = 0.05
PIPE = "p2phole.cli, p2phole.use.pipe.use, p2phole.peer.service"
"""What the command imports before it does anything."""
SECRET = "correct-horse-battery-staple-benchmark-only"
ENVIRONMENT = {key: value for key, value in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"}
"""Nobody installs a package without its compiled modules; here they are made at the first start."""
Found = dict[str, float]


class Side:
    """One ``p2phole pipe``."""

    def __init__(self, host: Host, folder: Path, *whom: str) -> None:
        self.folder = folder
        folder.mkdir(exist_ok=True)
        self.events, self.told = folder / "events", folder / "told"
        for path in (self.events, self.told):
            path.unlink(missing_ok=True)
        env = {**ENVIRONMENT, "HOME": str(folder), "PYTHONPATH": str(ROOT)}
        options = ["--broker", BROKER, "--name", host.name, "--events", str(self.events), *whom]
        self.began = time.time()
        self.process = host.start(
            [sys.executable, "-m", "p2phole", "pipe", *options],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self.told,
            env=env,
            cwd=folder,
        )

    def write(self, data: bytes) -> None:
        """To its standard input."""
        assert self.process.stdin is not None
        self.process.stdin.write(data)
        self.process.stdin.flush()

    def read(self) -> bytes:
        """One byte of its standard output."""
        assert self.process.stdout is not None
        return self.process.stdout.read(1)

    def wait(self, path: Path, pattern: str) -> str:
        """The first group of what it writes somewhere."""
        deadline = time.monotonic() + 20
        while True:
            found = re.search(pattern, path.read_text() if path.exists() else "")
            if found:
                return found[1]
            assert time.monotonic() < deadline and self.process.poll() is None, self.told.read_text()
            time.sleep(0.01)

    def event(self, kind: str) -> dict[str, Any]:
        """The first such event."""
        for line in self.events.read_text().splitlines():
            if (event := json.loads(line))["event"] == kind:
                return dict(event)
        raise AssertionError(self.events.read_text())

    def end(self) -> None:
        """It is not needed any more."""
        self.process.kill()
        self.process.wait()
        for stream in (self.process.stdin, self.process.stdout):
            assert stream is not None
            stream.close()


def trial(waiting: Host, starting: Host, folder: Path, how: str) -> Found:
    """One start."""
    secret = folder / "secret"
    secret.touch(0o600)
    secret.write_text(SECRET + "\n")
    whom = {
        "open room": ["--room", "r"],
        "room with a secret": ["--room", "r", "--secret-file", str(secret)],
        "by a code": ["--invite"],
    }[how]
    two = Side(waiting, folder / "two", *whom)
    two.write(b"2")
    two.wait(two.events, "(registered)")
    if how == "by a code":
        whom = [two.wait(two.told, r"p2phole pipe .* (\S+)\n")]
    two.wait(two.events, '"(nat)"')
    time.sleep(0.5)  # until what it does at its own start is done
    echo = Thread(target=lambda: two.write(two.read()), daemon=True)
    echo.start()
    one = Side(starting, folder / "one", *whom)
    one.write(b"1")
    assert one.read() == b"2"
    first = time.time()
    assert one.read() == b"1"
    echoed = time.time()
    introduced, connected = one.event("introduced")["time"], one.event("connected")
    registered = one.event("registered")["time"]
    for side in (one, two):
        side.end()
    return {
        "first byte": first - one.began,
        "registered": registered - one.began,
        "introduced": introduced - one.began,
        "connected": connected["time"] - introduced,
        "echoed": echoed - introduced,
    }


def imports(code: str) -> float:
    """CPU seconds of a Python that runs this."""
    process = subprocess.Popen([sys.executable, "-c", code], cwd=ROOT, env=ENVIRONMENT)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0
    return usage.ru_utime + usage.ru_stime


def starts(how: str, rounds: int) -> Iterator[Found]:
    """Several, in one laboratory."""
    with Laboratory(one_way=ROUND_TRIP / 4) as lab:
        start_broker(lab, lab.broker(one_way=ROUND_TRIP / 4))
        hosts = [lab.site(name, Masquerade()) for name in ("two", "one")]
        for _ in range(rounds):
            yield trial(hosts[0], hosts[1], lab.folder, how)


def main(rounds: int) -> None:
    """The whole run."""
    for name, code in (
        ("Twisted's reactor", "import twisted.internet.reactor"),
        ("a pipe", f"import gc; gc.disable(); import twisted.internet.reactor, {PIPE}"),
    ):
        taken = [imports(code) for _ in range(rounds + 1)][1:]
        sys.stdout.write(
            f"imports of {name}: {statistics.median(taken):.3f} s of CPU, at least {min(taken):.3f} s\n"
        )
    sys.stdout.write(f"\n{'':20}{'':12}{'median':>8}{'best':>8}{'worst':>8}   round trips of the median\n")
    for how, bounds in (
        ("open room", (6.5, 5)),
        ("room with a secret", (6.5, 6)),
        ("by a code", (8, 6)),
    ):
        found = list(starts(how, rounds))
        for what in found[0]:
            values = [each[what] for each in found]
            middle = statistics.median(values)
            trips = ""
            if what == "first byte":
                trips = f"0.4 s + {(middle - 0.4) / ROUND_TRIP:.1f}; {bounds[0]} at the most"
            elif what == "echoed":
                trips = f"20 ms + {(middle - 0.02) / ROUND_TRIP:.1f}; {bounds[1]} at the most"
            sys.stdout.write(f"{how:20}{what:12}{middle:8.3f}{min(values):8.3f}{max(values):8.3f}   {trips}\n")
            how = ""
        sys.stdout.flush()


if __name__ == "__main__":
    main(int((sys.argv[1:] or ["5"])[0]))
