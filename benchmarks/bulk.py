"""The session beside a bare Twisted TLS transport: bulk in writes of 64 KiB, and round trips of 64 bytes.

``python -m benchmarks.bulk [MIB [ROUNDS]]`` prints a table: two processes on loopback, the same TLS and the
same two protocols, on the bare transport and on a stream of a session, by turns in one run; medians.
The third row is one stream among 50 that are busy beside one whose reader never reads.
"""

from __future__ import annotations

import json
import os
import resource
import secrets
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

from twisted.internet import reactor as _reactor
from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionDone
from twisted.internet.interfaces import IPushProducer
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.protocols.tls import TLSMemoryBIOFactory
from twisted.python.failure import Failure
from zope.interface import implementer

from p2phole.errors import P2pholeError
from p2phole.secure.identity import load_or_make
from p2phole.secure.tls import PinnedTLS
from p2phole.session.attachment import Attachment
from p2phole.session.link import attach
from p2phole.session.peer_address import PeerAddress
from p2phole.session.pool import Pools
from p2phole.session.session import Session
from p2phole.session.streams import Stream
from p2phole.session.transport import StreamTransport

reactor: Any = _reactor
CHUNK = secrets.token_bytes(65_536)
PINGS = 3000
STREAMS = 50
HERE = PeerAddress("here", "")


@implementer(IPushProducer)
class Source(Protocol):
    """Writes so many bytes as fast as the transport takes them; the sink answers when it has them all."""

    def __init__(self, size: int, done: Callable[[], None]) -> None:
        self.left = size
        self.done = done
        self.paused = True

    def connectionMade(self) -> None:
        self.transport.write(b"bulk %16d " % self.left)  # type: ignore[union-attr]
        self.transport.registerProducer(self, True)  # type: ignore[union-attr]
        self.resumeProducing()

    def pauseProducing(self) -> None:
        self.paused = True

    def resumeProducing(self) -> None:
        self.paused = False
        while self.left and not self.paused:
            self.left -= len(CHUNK)
            self.transport.write(CHUNK)  # type: ignore[union-attr]

    def stopProducing(self) -> None:
        self.paused = True

    def dataReceived(self, data: bytes) -> None:
        self.transport.unregisterProducer()  # type: ignore[union-attr]
        self.done()


class Pinger(Protocol):
    """Sends 64 bytes when the last 64 have come back."""

    def __init__(self, done: Callable[[], None]) -> None:
        self.left = PINGS
        self.done = done
        self.missing = 64

    def connectionMade(self) -> None:
        self.transport.write(b"ping".ljust(22) + CHUNK[:64])  # type: ignore[union-attr]

    def dataReceived(self, data: bytes) -> None:
        self.missing -= len(data)
        if self.missing:
            return
        self.missing = 64
        self.left -= 1
        if self.left:
            self.transport.write(CHUNK[:64])  # type: ignore[union-attr]
        else:
            self.done()


class Sink(Protocol):
    """The other side of both: counts, or echoes, or (``stall``) never reads on."""

    head = b""
    left = 0

    def dataReceived(self, data: bytes) -> None:
        if len(self.head) < 22:
            missing = 22 - len(self.head)
            self.head += data[:missing]
            data = data[missing:]
            if self.head.startswith(b"bulk"):
                self.left = int(self.head.split()[1])
            elif self.head.startswith(b"stall"):
                self.transport.pauseProducing()  # type: ignore[union-attr]
        if self.head.startswith(b"ping"):
            if data:
                self.transport.write(data)  # type: ignore[union-attr]
        elif data and self.left:
            self.left -= len(data)
            if not self.left:
                self.transport.write(b"k")  # type: ignore[union-attr]


class OverSession(Protocol):
    """A session on the transport; streams for ``sink`` become sinks."""

    attachment: Attachment

    def __init__(self, leads: bool, ready: Callable[[Session], None] = lambda session: None) -> None:
        self.session = Session(reactor, secrets.token_hex(16), leads, self, Pools(), 600)
        self.session.offer("sink", self.opened)
        self.ready = ready

    def opened(self, stream: Stream) -> None:
        StreamTransport(reactor, Sink(), HERE, HERE).take(stream)

    def connectionMade(self) -> None:
        transport = cast(Any, self.transport)
        self.attachment = attach(self.session, transport, transport.abortConnection)
        self.ready(self.session)

    def dataReceived(self, data: bytes) -> None:
        self.attachment.receive(data)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self.attachment.lost()

    def left(self) -> None: ...

    def died(self, why: str) -> None: ...

    def resumed(self, seconds: float) -> None: ...

    def over(self, error: P2pholeError) -> None:
        sys.stderr.write(f"{error}\n")


def open_stream(session: Session, protocol: Protocol) -> None:
    """Put a protocol on a new stream."""
    transport = StreamTransport(reactor, protocol, HERE, HERE)
    transport.stream = session.open("sink", transport)


def child(folder: str, how: str) -> None:
    """The receiving process."""
    mine, theirs = load_or_make(Path(folder, "child.pem")), load_or_make(Path(folder, "parent.pem"))
    factory = Factory()
    factory.protocol = Sink if how == "tls" else lambda: OverSession(False)  # type: ignore[assignment]
    context = PinnedTLS(mine, theirs.fingerprint)
    wrapped = _Undelayed(TLSMemoryBIOFactory(context, False, factory, reactor))
    listening = reactor.listenTCP(0, wrapped, interface="127.0.0.1")
    sys.stdout.write(f"{listening.getHost().port}\n")
    sys.stdout.flush()
    reactor.addReader(_UntilEnd())
    reactor.run()


class _UntilEnd:
    """Ends the child when the parent closes its standard input."""

    def fileno(self) -> int:
        return 0

    def doRead(self) -> Exception | None:
        return None if os.read(0, 1) else ConnectionDone()

    def connectionLost(self, reason: Failure) -> None:
        reactor.stop()

    def logPrefix(self) -> str:
        return "parent"


async def measure(folder: str, how: str, size: int) -> dict[str, float]:
    """One run of one kind: MiB/s, CPU seconds a GiB of both processes, microseconds a round trip."""
    process = subprocess.Popen(
        [sys.executable, "-m", "benchmarks.bulk", "child", folder, how],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None and process.stdin is not None
    port = int(process.stdout.readline())
    mine, theirs = load_or_make(Path(folder, "parent.pem")), load_or_make(Path(folder, "child.pem"))
    result: dict[str, float] = {}

    async def connect(protocol: Protocol) -> Any:
        factory = Factory()
        factory.protocol = lambda: protocol  # type: ignore[assignment]
        wrapped = TLSMemoryBIOFactory(PinnedTLS(mine, theirs.fingerprint), True, factory, reactor)
        return reactor.connectTCP("127.0.0.1", port, _Undelayed(wrapped))

    async def run(make: Callable[[Callable[[], None]], Protocol], session: Session | None) -> float:
        done: Deferred[None] = Deferred()
        since = reactor.seconds()
        protocol = make(lambda: done.callback(None))
        if session is None:
            await connect(protocol)
        else:
            open_stream(session, protocol)
        await done
        return float(reactor.seconds() - since)

    session: Session | None = None
    if how == "session":
        there: Deferred[Session] = Deferred()
        await connect(OverSession(True, there.callback))
        session = await there
    for _ in range(2):  # the first one warms up
        result["ping"] = await run(Pinger, session) / PINGS * 1e6
    await run(lambda done: Source(size // 8, done), session)
    before = cpu(process.pid)
    seconds = await run(lambda done: Source(size, done), session)
    result["cpu"] = (cpu(process.pid) - before) / (size / 2**30)
    result["rate"] = size / 2**20 / seconds
    if session is not None:
        result["many"] = await many(session, size)
    process.stdin.close()
    process.stdout.close()
    process.wait()
    return result


async def many(session: Session, size: int) -> float:
    """MiB/s of 50 streams together, beside one that stalls; as a share of the same without that one."""
    rates = []
    for stalled in (False, True):
        if stalled:
            open_stream(session, Stalled())
        since, dones = reactor.seconds(), [Deferred[None]() for _ in range(STREAMS)]
        each = size // STREAMS // len(CHUNK) * len(CHUNK)
        for done in dones:
            open_stream(session, Source(each, lambda done=done: done.callback(None)))  # type: ignore[misc]
        for done in dones:
            await done
        rates.append(each * STREAMS / (reactor.seconds() - since))
    return rates[1] / rates[0]


class Stalled(Source):
    """Writes to somebody who never reads."""

    def __init__(self) -> None:
        super().__init__(2**40, lambda: None)

    def connectionMade(self) -> None:
        self.transport.write(b"stall".ljust(22))  # type: ignore[union-attr]
        self.transport.registerProducer(self, True)  # type: ignore[union-attr]
        self.resumeProducing()


class _Undelayed(Factory):
    """Builds what another factory does, on a connection without Nagle's delay, as the product's are."""

    noisy = False

    def __init__(self, inner: Factory) -> None:
        self.inner = inner

    def buildProtocol(self, addr: Any) -> Any:
        protocol: Any = self.inner.buildProtocol(addr)
        connect = protocol.makeConnection

        def make_connection(transport: Any) -> None:
            transport.setTcpNoDelay(True)
            connect(transport)

        protocol.makeConnection = make_connection
        return protocol

    def startedConnecting(self, connector: Any) -> None: ...

    def clientConnectionFailed(self, connector: Any, reason: Failure) -> None:
        sys.stderr.write(f"{reason.getErrorMessage()}\n")
        reactor.stop()

    def clientConnectionLost(self, connector: Any, reason: Failure) -> None: ...


def cpu(pid: int) -> float:
    """CPU seconds that this process and the child have used."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].split()
    mine = resource.getrusage(resource.RUSAGE_SELF)
    return mine.ru_utime + mine.ru_stime + (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


async def main(size: int, rounds: int) -> None:
    """The whole run."""
    found: dict[str, list[dict[str, float]]] = {"tls": [], "session": []}
    with tempfile.TemporaryDirectory() as folder:
        for name in ("parent", "child"):
            load_or_make(Path(folder, f"{name}.pem"))
        for _ in range(rounds):
            for how in found:
                found[how].append(await measure(folder, how, size))

    def median(how: str, what: str) -> float:
        return statistics.median(each[what] for each in found[how])

    lines = [f"{'':34}{'TLS':>9}{'session':>9}{'ratio':>7}"]
    rows = (("rate", "MiB/s"), ("cpu", "CPU s/GiB, both sides"), ("ping", "64 bytes there and back, us"))
    for what, title in rows:
        tls, ours = median("tls", what), median("session", what)
        lines.append(f"{title:34}{tls:9.2f}{ours:9.2f}{ours / tls:7.2f}")
    lines.append(f"{'50 streams beside a stalled one, to without it':50}{median('session', 'many'):9.2f}")
    sys.stdout.write("\n".join(lines) + "\n" + json.dumps(found) + "\n")


if __name__ == "__main__":
    if sys.argv[1:2] == ["child"]:
        child(*sys.argv[2:])
    else:
        mib, rounds = (*map(int, sys.argv[1:]), *(1024, 5)[len(sys.argv) - 1 :])
        running = Deferred.fromCoroutine(main(mib * 2**20, rounds))
        running.addErrback(lambda failure: sys.stderr.write(failure.getTraceback()))
        running.addBoth(lambda _: reactor.stop())
        reactor.run()
