"""Answers whoever of this user asks how this peer is, and asks others: one line, and the end."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred, DeferredList
from twisted.internet.endpoints import UNIXClientEndpoint, connectProtocol
from twisted.internet.error import ConnectionRefusedError
from twisted.internet.interfaces import IReactorTime
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.logger import Logger
from twisted.python.failure import Failure

from p2phole.errors import LocalError
from p2phole.peer import status_folder
from p2phole.peer.status import MOST_BYTES, Report, decode, encode

ANSWER_SECONDS = 2.0
"""What a process has to answer, and another one to read the answer."""
MOST_SWEPT = 8
"""Sockets that a process looks at when it starts."""
MOST_QUESTIONS = 32
"""At a time; the rest is turned away."""

_log = Logger()


class Answer(Protocol):
    """One question."""

    def __init__(self, factory: Answers) -> None:
        self._answers = factory

    def connectionMade(self) -> None:
        """Answer."""
        self._answers.open.add(self)
        self._patience = self._answers.clock.callLater(ANSWER_SECONDS, self.abandon)
        transport: Any = self.transport
        transport.write(encode(self._answers.report()))
        transport.loseConnection()

    def abandon(self) -> None:
        """Whoever asked does not read."""
        transport: Any = self.transport
        transport.abortConnection()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """It is read."""
        if self._patience.active():
            self._patience.cancel()
        self._answers.open.discard(self)


class Answers(Factory):
    """All of them.  ``report`` makes the answer."""

    noisy = False

    def __init__(self, clock: IReactorTime, report: Callable[[], Report]) -> None:
        self.clock = clock
        self.report = report
        self.open: set[Answer] = set()

    def buildProtocol(self, addr: object) -> Answer | None:
        """Unless there are too many."""
        return Answer(self) if len(self.open) < MOST_QUESTIONS else None


class StatusSocket:
    """The socket of this process; without one all goes on as well."""

    def __init__(self, reactor: Any, name: str, report: Callable[[], Report], folder: Path) -> None:
        self._reactor = reactor
        self._path = folder / f"{name}{status_folder.SUFFIX}"
        self._answers = Answers(reactor, report)
        self._port: Any = None

    def open(self) -> None:
        """Make it."""
        folder = self._path.parent
        try:
            status_folder.make(folder)
            self._port = self._reactor.listenUNIX(str(self._path), self._answers, mode=0o600)
        except Exception as problem:  # a path that is too long, no room, no right, no such sockets at all
            _log.debug("p2phole status will not show this process: {why}", why=problem)
        else:
            Deferred.fromCoroutine(sweep(self._reactor, folder))

    def close(self) -> Deferred[None] | None:
        """Remove it."""
        port, self._port = self._port, None
        for answer in tuple(self._answers.open):
            answer.abandon()
        closed: Deferred[None] | None = port.stopListening() if port is not None else None
        return closed


class _Question(Protocol):
    def __init__(self) -> None:
        self.answer: Deferred[bytes] = Deferred(lambda _: self._give_up())
        self._data = bytearray()

    def dataReceived(self, data: bytes) -> None:
        self._data += data
        if len(self._data) > MOST_BYTES:
            self._give_up()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        if not self.answer.called:
            self.answer.callback(bytes(self._data))

    def _give_up(self) -> None:
        transport: Any = self.transport
        transport.abortConnection()


async def ask(reactor: Any, path: Path) -> Report | str | None:
    """One process; None: it is no more.  Why not, where it does not answer as it has to."""
    question = _Question()
    try:
        endpoint = UNIXClientEndpoint(reactor, str(path), timeout=ANSWER_SECONDS)
        await connectProtocol(endpoint, question)
    except ConnectionRefusedError:
        status_folder.forget(path)
        return None
    except Exception as problem:
        return str(problem)
    question.answer.addTimeout(ANSWER_SECONDS, reactor)
    try:
        return decode(await question.answer)
    except ValueError as problem:
        return str(problem)
    except Exception:
        return f"no answer within {ANSWER_SECONDS:g} s"


async def sweep(reactor: Any, folder: Path) -> None:
    """Remove what processes that were killed a while ago have left behind; a few at a time."""
    try:
        for path in status_folder.sockets(folder)[:MOST_SWEPT]:
            await ask(reactor, path)
    except (LocalError, OSError) as problem:
        _log.debug("{folder}: {why}", folder=folder, why=problem)


async def ask_all(reactor: Any, folder: Path) -> tuple[list[Report], list[tuple[str, str]]]:
    """All of this user: who has answered, and of whom not the names of their sockets and why.

    Raises :class:`LocalError`.
    """
    try:
        paths = status_folder.sockets(folder)
    except OSError as problem:
        raise LocalError(why=f"{folder}: {problem.strerror}") from None
    asked = [Deferred.fromCoroutine(ask(reactor, path)) for path in paths]
    reports: list[Report] = []
    silent: list[tuple[str, str]] = []
    for path, (_, found) in zip(paths, await DeferredList(asked, consumeErrors=True), strict=True):
        if isinstance(found, Report):
            reports.append(found)
        elif isinstance(found, str):
            silent.append((path.name, found))
    return reports, silent
