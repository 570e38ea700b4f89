"""The two ends of a TLS connection as processes, bare or with a session on it, and what is measured over it.

``python -m benchmarks.ends far FOLDER HOW ADDRESS`` says its port; ``near FOLDER HOW ADDRESS PORT PID TASK...``
connects to it and says the result of each task, a line of JSON.  HOW is ``tls`` or ``session``.  Both have their
keys in the folder.
"""

from __future__ import annotations

import json
import os
import secrets
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, cast

from twisted.internet import reactor as _reactor
from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionDone
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.protocols.tls import TLSMemoryBIOFactory
from twisted.python.failure import Failure

from benchmarks.streams import Pinger, Sink, Source, Unread, Visitor
from p2phole.errors import P2pholeError
from p2phole.prompt import PromptTLSFactory
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
HERE = PeerAddress("here", "")
BUSY = 50


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


class Secured(Factory):
    """What it builds runs without Nagle's delay inside TLS: Twisted's, or for a session the product's."""

    noisy = False

    def __init__(self, folder: Path, far: bool, how: str, build: Callable[[], Protocol]) -> None:
        names = ("far", "near") if far else ("near", "far")
        mine, theirs = (load_or_make(folder / f"{name}.pem") for name in names)
        inner = Factory()
        inner.protocol = build  # type: ignore[assignment]
        make = TLSMemoryBIOFactory if how == "tls" else PromptTLSFactory
        self.inner = make(PinnedTLS(mine, theirs.fingerprint), not far, inner, reactor)

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


class UntilEnd:
    """Ends this process when its standard input ends."""

    def fileno(self) -> int:
        return 0

    def doRead(self) -> Exception | None:
        return None if os.read(0, 1) else ConnectionDone()

    def connectionLost(self, reason: Failure) -> None:
        reactor.stop()

    def logPrefix(self) -> str:
        return "parent"


def cpu(*pids: int) -> float:
    """CPU seconds that these processes have used."""
    fields = [Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].split() for pid in pids]
    return sum(int(each[11]) + int(each[12]) for each in fields) / os.sysconf("SC_CLK_TCK")


def peak(*pids: int) -> float:
    """MiB of memory that the largest of these processes has had."""
    found = [Path(f"/proc/{pid}/status").read_text().partition("VmHWM:")[2].split()[0] for pid in pids]
    return max(map(int, found)) / 1024


def open_stream(session: Session, protocol: Protocol) -> None:
    """Put a protocol on a new stream."""
    transport = StreamTransport(reactor, protocol, HERE, HERE)
    transport.stream = session.open("sink", transport)


class Near:
    """Carries out the tasks; ``start`` puts a protocol on a connection or a stream of its own."""

    def __init__(self, start: Callable[[Protocol], object], pids: tuple[int, int]) -> None:
        self.start = start
        self.pids = pids

    async def until(self, make: Callable[[Callable[[], None]], Protocol], count: int = 1) -> float:
        """Seconds until so many of these are done."""
        since = reactor.seconds()
        waiting: list[Deferred[None]] = [Deferred() for _ in range(count)]
        for done in waiting:
            self.start(make(lambda done=done: done.callback(None)))  # type: ignore[misc]
        for done in waiting:
            await done
        return float(reactor.seconds() - since)

    async def bulk(self, size: int) -> dict[str, float]:
        """MiB/s, and CPU seconds a GiB of both ends."""
        await self.until(lambda done: Source(size // 8, done))
        before = cpu(*self.pids)
        seconds = await self.until(lambda done: Source(size, done))
        return {"rate": size / 2**20 / seconds, "cpu": (cpu(*self.pids) - before) / (size / 2**30)}

    async def ping(self, count: int) -> dict[str, float]:
        """Microseconds for 64 bytes there and back."""
        await self.until(lambda done: Pinger(count // 2, done))  # warms up
        return {"ping": await self.until(lambda done: Pinger(count, done)) / count * 1e6}

    async def stalled(self, size: int) -> dict[str, float]:
        """MiB/s of 50 streams together beside one whose reader never reads, as a share of what they have alone;
        the median of three turns."""

        async def busy() -> float:
            return await self.until(lambda done: Source(size // BUSY, done), BUSY)

        await busy()
        alone = [await busy() for _ in range(3)]
        self.start(Unread())
        beside = [await busy() for _ in range(3)]
        return {"stalled": sorted(alone)[1] / sorted(beside)[1]}

    async def many(self, count: int) -> dict[str, float]:
        """MiB of the larger process when so many streams were opened, used for 64 KiB and closed, all at once."""
        seconds = await self.until(Visitor, count)
        return {"many": peak(*self.pids), "many_seconds": seconds}

    async def unread(self, count: int) -> dict[str, float]:
        """MiB of the larger process with so many streams that are written without end and never read."""
        for _ in range(count):
            self.start(Unread())
        await self.until(lambda done: Pinger(200, done))  # by then all that fits has gone, and others still get on
        return {"unread": peak(*self.pids)}


def far(folder: str, how: str, address: str) -> None:
    """The end that listens."""
    build = Sink if how == "tls" else lambda: OverSession(False)
    listening = reactor.listenTCP(0, Secured(Path(folder), True, how, build), interface=address)
    sys.stdout.write(f"{listening.getHost().port}\n")
    sys.stdout.flush()
    reactor.addReader(UntilEnd())


async def near(folder: str, how: str, address: str, port: str, pid: str, *tasks: str) -> None:
    """The end that connects; tasks are like ``bulk=268435456``."""

    def connect(protocol: Protocol) -> None:
        reactor.connectTCP(address, int(port), Secured(Path(folder), False, how, lambda: protocol))

    start: Callable[[Protocol], object] = connect
    if how == "session":
        there: Deferred[Session] = Deferred()
        connect(OverSession(True, there.callback))
        session = await there
        start = lambda protocol: open_stream(session, protocol)  # noqa: E731
    end = Near(start, (os.getpid(), int(pid)))
    for task in tasks:
        name, _, argument = task.partition("=")
        run: Callable[[int], Awaitable[dict[str, float]]] = getattr(end, name)
        sys.stdout.write(json.dumps(await run(int(argument))) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    if sys.argv[1] == "far":
        far(*sys.argv[2:])
    else:
        running = Deferred.fromCoroutine(near(*sys.argv[2:]))
        running.addErrback(lambda failure: sys.stderr.write(failure.getTraceback()))
        running.addBoth(lambda _: reactor.stop())
    reactor.run()
