"""``p2phole status``: how the peers of this user are that run on this machine.

0: there is one; with ``--wait`` one that is connected to somebody.  1: there is none, and one line on standard
error says so.  2: usage.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from typing import Any, ClassVar

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import deferLater
from twisted.logger import (
    FileLogObserver,
    FilteringLogObserver,
    LogLevel,
    LogLevelFilterPredicate,
    globalLogBeginner,
)
from twisted.python.failure import Failure
from twisted.python.usage import UsageError

from p2phole import launch
from p2phole.coercion import seconds
from p2phole.errors import LocalError
from p2phole.options import PlainOptions
from p2phole.peer.status import Report, encode

LOOK_SECONDS = 0.2
"""Time between two looks, with ``--wait``."""


class NoneRuns(LocalError):
    """No p2phole of yours runs on this machine: start one, 'p2phole chat' for example."""


class NobodyConnected(LocalError):
    """No p2phole of yours was connected to anybody within {seconds:g} s: start the other side, or wait longer."""


class Options(PlainOptions):
    """The options of ``p2phole status``."""

    longdesc = (
        "Shows every p2phole that you have running on this machine: its room and broker, and of everybody it has "
        "met the path, address, round trip and bytes a second, and for how long it has been so."
    )
    optFlags: ClassVar[list[list[Any]]] = [["json", None, "one JSON object for each of them, a line each"]]
    optParameters: ClassVar[list[list[Any]]] = [
        ["wait", None, None, "seconds to wait until one of them is connected"],
    ]
    wait: float | None = None

    def postOptions(self) -> None:
        if self["wait"] is not None:
            try:
                self.wait = seconds(self["wait"])
            except ValueError as problem:
                raise UsageError(f"--wait: {problem}") from None


def run(options: Options) -> int:
    """What ``p2phole status`` runs, to its exit status."""
    from twisted.internet import reactor

    levels = LogLevelFilterPredicate(defaultLogLevel=LogLevel.critical)
    observer = FilteringLogObserver(FileLogObserver(sys.stderr, launch.one_line), [levels])
    globalLogBeginner.beginLoggingTo([observer], redirectStandardIO=False)
    asking = Run(reactor, options)
    asking.reactor.callWhenRunning(asking.start)
    asking.reactor.run()
    return asking.status


class Run:
    """One look at all of them in this process."""

    def __init__(self, reactor: Any, options: Options) -> None:
        self.status = 0
        self.reactor = reactor
        self._options = options

    def start(self) -> None:
        """Look, say what there is, and stop the reactor."""
        looking = Deferred.fromCoroutine(self._look())
        self.reactor.addSystemEventTrigger("before", "shutdown", looking.cancel)
        looking.addErrback(self._failed)
        looking.addBoth(lambda _: launch.stop(self.reactor))

    async def _look(self) -> None:
        from p2phole.peer import status_folder
        from p2phole.peer.status_socket import ask_all

        folder, wait = status_folder.folder(), self._options.wait
        deadline = self.reactor.seconds() + (wait or 0.0)
        while True:
            reports, silent = await ask_all(self.reactor, folder)
            if wait is None or any(is_connected(report) for report in reports):
                break
            if self.reactor.seconds() >= deadline:
                raise NobodyConnected(seconds=wait)
            await deferLater(self.reactor, LOOK_SECONDS)
        for name, why in silent:
            launch.tell(f"{folder / name} does not answer as it should: {why}")
        if not reports:
            raise NoneRuns()
        self._tell(reports)

    def _tell(self, reports: Sequence[Report]) -> None:
        if self._options["json"]:
            text = b"".join(map(encode, reports)).decode()
        else:
            from p2phole.use.status.screen import shown

            text = shown(reports, time.time(), sys.stdout)
        encoding = sys.stdout.encoding or "ascii"
        sys.stdout.write(text.encode(encoding, "backslashreplace").decode(encoding))
        sys.stdout.flush()

    def _failed(self, failure: Failure) -> None:
        if failure.check(CancelledError, BrokenPipeError):
            return
        self.status = 1
        launch.tell(launch.explained(failure.value))  # type: ignore[arg-type]


def is_connected(report: Report) -> bool:
    """Whether there is a connection to somebody."""
    return any(partner.path is not None for partner in report.partners)
