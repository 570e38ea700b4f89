"""One side of a session: ``python -m tests.session.far dial|listen PORT SEED SIZE CUTS RESUME_FOR HOLDS``.

Each side opens three streams, and each carries the same number of bytes both ways, which both sides know
beforehand.  The listening side cuts the link again and again, the dialling one makes the next.  Who HOLDS keeps
the last byte of each stream to itself, so that it is not done however late it is killed.  What comes out on
standard output is JSON, a line each: the port, how much has arrived, and in the end what became of each stream.
"""

from __future__ import annotations

import json
import os
import random
import sys
from typing import Any, cast

from twisted.internet import reactor as _reactor
from twisted.internet.error import ConnectionDone
from twisted.internet.protocol import Factory, Protocol, ReconnectingClientFactory, connectionDone
from twisted.python.failure import Failure

from p2phole.errors import P2pholeError
from p2phole.session.attachment import Attachment
from p2phole.session.link import attach
from p2phole.session.pool import Pools
from p2phole.session.session import Session
from p2phole.session.streams import Stream

reactor: Any = _reactor
STREAMS = 3
CHUNK = 65_536


def data(seed: str, name: str, size: int) -> bytes:
    """What one end of a stream sends; ``name``: of the end."""
    return random.Random(f"{seed}/{name}").randbytes(size)


class End:
    """Sends all it has to, and compares what comes with what should."""

    def __init__(self, side: Side, sends: str, receives: str) -> None:
        self.sends, self.expects = (data(side.seed, name, side.size) for name in (sends, receives))
        self.size = side.size - side.holds
        self.side = side
        self.name = sends
        self.sent = self.got = 0
        self.right = self.may = True
        self.ended_by: str | None = None
        self.stream: Stream

    def write(self) -> None:
        while self.may and self.sent < self.size:
            piece = self.sends[self.sent : min(self.sent + CHUNK, self.size)]
            self.sent += len(piece)
            self.stream.write(piece)
        if self.sent == len(self.sends):
            self.stream.finish()

    def accepted(self) -> None: ...

    def received(self, data: bytes) -> None:
        self.right &= data == self.expects[self.got : self.got + len(data)]
        self.got += len(data)
        self.side.progress(len(data))

    def finished(self) -> None: ...

    def pause(self) -> None:
        self.may = False

    def resume(self) -> None:
        self.may = True
        self.write()

    def taken(self, count: int) -> None: ...

    def ended(self, error: P2pholeError | None) -> None:
        self.ended_by = "" if error is None else str(error)
        self.side.check()


class Side:
    """See above.  The user of its session."""

    def __init__(self, role: str, seed: str, size: int, cuts: int, resume_for: float, holds: bool) -> None:
        self.role, self.seed, self.size, self.cuts, self.holds = role, seed, size, cuts, holds
        self.chance = random.Random(f"{seed}/{role}")
        ident = f"{role} {os.getpid()}"
        self.session = Session(reactor, ident, role == "listen", self, Pools(), resume_for)
        self.session.offer("thing", self.opened)
        self.ends: list[End] = []
        self.total = self.resumes = 0
        self.factory: ReconnectingClientFactory | None = None
        other = {"dial": "listen", "listen": "dial"}[role]
        for number in range(STREAMS):
            end = End(self, f"{role} {number}", f"{other} answers {number}")
            end.stream = self.session.open("thing", end, b"%d" % number)
            self.ends.append(end)
            end.write()

    def opened(self, stream: Stream) -> None:
        number = stream.argument.decode()
        other = {"dial": "listen", "listen": "dial"}[self.role]
        end = End(self, f"{self.role} answers {number}", f"{other} {number}")
        end.stream = stream
        self.ends.append(end)
        stream.accept(end)
        end.write()

    def progress(self, size: int) -> None:
        self.total += size
        tell(at=self.total)

    def check(self) -> None:
        if all(end.ended_by is not None for end in self.ends) and (
            len(self.ends) == 2 * STREAMS or any(end.ended_by for end in self.ends)
        ):
            tell(
                ends={end.name: [end.got, end.right, end.ended_by] for end in self.ends},
                resumes=self.resumes,
                cuts=self.cuts,
            )

    def left(self) -> None: ...

    def died(self, why: str) -> None: ...

    def resumed(self, seconds: float) -> None:
        self.resumes += 1

    def over(self, error: P2pholeError) -> None:
        if self.factory is not None:
            self.factory.stopTrying()


class Wire(Protocol):
    """A link; on the listening side it does not live long."""

    attachment: Attachment

    def __init__(self, side: Side) -> None:
        self.side = side
        self.left = side.chance.choice([50, 2000, 300_000, 1_000_000])

    def connectionMade(self) -> None:
        transport = cast(Any, self.transport)
        self.attachment = attach(self.side.session, transport, transport.abortConnection)

    def dataReceived(self, data: bytes) -> None:
        self.attachment.receive(data)
        self.left -= len(data)
        transport = cast(Any, self.transport)
        if self.side.cuts and self.left < 0 and self.side.role == "listen" and not self.attachment.over:
            self.side.cuts -= 1
            if self.side.chance.random() < 0.5:
                transport.abortConnection()
            else:
                transport.unregisterProducer()
                transport.loseConnection()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self.attachment.lost()


class Dialler(ReconnectingClientFactory):
    """Makes the next link at once."""

    initialDelay = 0.001
    maxDelay = 0.05
    noisy = False

    def __init__(self, side: Side) -> None:
        self.side = side

    def buildProtocol(self, addr: object) -> Wire:
        self.resetDelay()
        return Wire(self.side)


class UntilEnd:
    """Ends the process when standard input does."""

    def fileno(self) -> int:
        return 0

    def doRead(self) -> Exception | None:
        return None if os.read(0, 1) else ConnectionDone()

    def connectionLost(self, reason: Failure) -> None:
        reactor.stop()

    def logPrefix(self) -> str:
        return "parent"


def tell(**keys: object) -> None:
    sys.stdout.write(json.dumps(keys) + "\n")
    sys.stdout.flush()


def main(role: str, port: str, seed: str, size: str, cuts: str, resume_for: str, holds: str) -> None:
    side = Side(role, seed, int(size), int(cuts), float(resume_for), bool(int(holds)))
    if role == "listen":
        factory = Factory()
        factory.buildProtocol = lambda addr: Wire(side)  # type: ignore[method-assign]
        tell(port=reactor.listenTCP(0, factory, interface="127.0.0.1").getHost().port)
    else:
        side.factory = Dialler(side)
        reactor.connectTCP("127.0.0.1", int(port), side.factory)
    reactor.addReader(UntilEnd())
    reactor.run()


if __name__ == "__main__":
    main(*sys.argv[1:])
