"""A file from one process to another as ``p2phole send`` and ``receive`` do it, beside the bare TLS of
:mod:`benchmarks.bulk`.

``python -m benchmarks.files [MIB [ROUNDS]]`` prints a table: two processes on loopback, by turns in one run;
medians.  Reading, SHA-256 on both sides, writing and ``fsync`` are in it.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
from functools import partial
from pathlib import Path
from typing import Any

from twisted.internet import reactor as _reactor
from twisted.internet.defer import Deferred, succeed
from twisted.internet.threads import deferToThreadPool

from benchmarks.contenders import TLS
from benchmarks.ends import OverSession, Secured, UntilEnd, cpu
from benchmarks.places import LOOPBACK
from benchmarks.streams import CHUNK
from p2phole.errors import P2pholeError
from p2phole.secure.identity import load_or_make
from p2phole.session.session import Session
from p2phole.session.streams import Stream
from p2phole.use.files.deciding import Proposal
from p2phole.use.files.incoming import Clash
from p2phole.use.files.listing import Result
from p2phole.use.files.receiving import Receiving
from p2phole.use.files.sending import Sending
from p2phole.use.files.source import find
from p2phole.use.files.store import Store

reactor: Any = _reactor
work = partial(deferToThreadPool, reactor, reactor.getThreadPool())


class User:
    """Of either side: takes all, and tells when it is over."""

    def __init__(self, done: Deferred[Result]) -> None:
        self.done = done

    def asked(self, proposal: Proposal) -> Deferred[Clash | None]:
        return succeed(Clash.KEEP_BOTH)

    def accepted(self) -> None: ...

    def file(self, path: str) -> None: ...

    def progress(self, done: int, moved: int) -> None: ...

    def arrived(self, path: str, name: str) -> None: ...

    def failed(self, path: str, why: str) -> None:
        sys.stderr.write(f"{path}: {why}\n")

    def settled(self, result: Result) -> None: ...

    def over(self, result: Result | None, error: P2pholeError | None) -> None:
        if result is not None:
            self.done.callback(result)
        else:
            sys.stderr.write(f"{error}\n")
            reactor.stop()


def child(folder: str) -> None:
    """The receiving process; each stream goes into a folder of its own."""
    count = iter(range(1000))

    def opened(stream: Stream) -> None:
        store = Store(Path(folder, f"received {next(count)}"), "s" * 64, 0o022)
        Receiving(stream, store, work, User(Deferred())).begin()

    def build() -> OverSession:
        protocol = OverSession(False)
        protocol.session.offer("files", opened)
        return protocol

    listening = reactor.listenTCP(0, Secured(Path(folder), True, build), interface="127.0.0.1")
    sys.stdout.write(f"{listening.getHost().port}\n")
    sys.stdout.flush()
    reactor.addReader(UntilEnd())
    reactor.run()


async def measure(folder: str, paths: list[Path]) -> dict[str, float]:
    """One run over a new connection: MiB/s, and CPU seconds a GiB of both processes."""
    command = [sys.executable, "-m", "benchmarks.files", "child", folder]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None and process.stdin is not None
    port = int(process.stdout.readline())
    there: Deferred[Session] = Deferred()
    factory = Secured(Path(folder), False, lambda: OverSession(True, there.callback))
    reactor.connectTCP("127.0.0.1", port, factory)
    session = await there
    since, before = reactor.seconds(), cpu(os.getpid(), process.pid)
    sources = find(paths, lambda: False)
    done: Deferred[Result] = Deferred()
    sending = Sending(sources, work, User(done))
    sending.begin(session.open("files", sending))
    result = await done
    seconds, used = reactor.seconds() - since, cpu(os.getpid(), process.pid) - before
    assert not result.failures
    process.stdin.close()
    process.stdout.close()
    process.wait()
    size = sources.offer.size
    return {"rate": size / 2**20 / seconds, "cpu": used / (size / 2**30), "seconds": seconds}


async def main(size: int, rounds: int) -> None:
    """The whole run."""
    found: dict[str, list[dict[str, float]]] = {"tls": [], "file": [], "many": []}
    with tempfile.TemporaryDirectory() as folder:
        for name in ("near", "far"):
            load_or_make(Path(folder, f"{name}.pem"))
        large, many = Path(folder, "large"), Path(folder, "many")
        with large.open("wb") as file:
            for _ in range(size // len(CHUNK)):
                file.write(CHUNK)
        many.mkdir()
        for number in range(5000):
            (many / f"{number}").write_bytes(CHUNK[:4096])
        for number in range(rounds):
            place = Path(folder, f"round {number}")
            place.mkdir()
            for name in ("near", "far"):
                Path(place, f"{name}.pem").hardlink_to(Path(folder, f"{name}.pem"))
            found["tls"].append(TLS.run(LOOPBACK, size))
            found["file"].append(await measure(str(place), [large]))
            (place / "received 0" / "large").unlink()
            found["many"].append(await measure(str(place), [many]))
    tls, file = (
        {key: statistics.median(each[key] for each in found[how]) for key in ("rate", "cpu")}
        for how in ("tls", "file")
    )
    lines = [f"{'':34}{'TLS':>9}{'files':>9}{'ratio':>7}"]
    for what, title in (("rate", "MiB/s"), ("cpu", "CPU s/GiB, both sides")):
        lines.append(f"{title:34}{tls[what]:9.2f}{file[what]:9.2f}{file[what] / tls[what]:7.2f}")
    seconds = statistics.median(each["seconds"] for each in found["many"])
    lines.append(f"{'5,000 files of 4 KiB, s':34}{'':9}{seconds:9.2f}")
    sys.stdout.write("\n".join(lines) + "\n" + json.dumps(found) + "\n")


if __name__ == "__main__":
    if sys.argv[1:2] == ["child"]:
        child(*sys.argv[2:])
    else:
        mib, rounds = (*map(int, sys.argv[1:]), *(512, 3)[len(sys.argv) - 1 :])
        running = Deferred.fromCoroutine(main(mib * 2**20, rounds))
        running.addErrback(lambda failure: sys.stderr.write(failure.getTraceback()))
        running.addBoth(lambda _: reactor.stop())
        reactor.run()
