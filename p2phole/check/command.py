"""``p2phole check``: its options, and a run from its start to its exit status.

0: a direct connection is possible; with ``--peer`` there was one.  1: it is not, or the check came to no
result (then one line on standard error says why).  2: usage.  A signal ends it with 0, as every command, and
without a word: there is no report then.
"""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable
from typing import Any, ClassVar

from twisted.internet.defer import CancelledError, Deferred, ensureDeferred
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
from p2phole.check.settings import CheckSettings
from p2phole.coercion import broker_address, port_or_zero
from p2phole.options import ConfigurableOptions, coerced
from p2phole.peer.tap import user_name
from p2phole.text import check_name

EXIT_SECONDS = 0.5
"""How long the end of the process may take once everything is said: a name server that does not answer holds
a thread that nobody can stop."""


class Options(ConfigurableOptions):
    """What a check can be told; checked, it is in :attr:`settings`."""

    section = "p2ppeer"
    humane = True
    variables = {"broker": "P2PHOLE_BROKER"}
    longdesc = (
        "Says what this network does to direct connections and with which kinds of other sides they will work; "
        "with --peer, tries it with that one. Exit status: 0 direct is possible, 1 it is not, 2 usage."
    )
    optParameters: ClassVar[list[list[Any]]] = [
        ["broker", None, None, "HOST[:PORT], tcp:HOST:PORT or tls:HOST:PORT (required)"],
        ["peer", None, None, "whom to try a direct connection with"],
        ["name", None, None, "shown to --peer (default: your user name)"],
        ["room", None, None, "where to meet --peer (default: lobby)"],
    ]
    optFlags: ClassVar[list[list[Any]]] = [["json", None, "one JSON object instead of text"]]
    settings: CheckSettings

    def settle(self) -> None:
        broker = self.given("broker")
        if broker is None:
            raise UsageError("no broker: give --broker HOST:PORT, or set P2PHOLE_BROKER")
        peer = self.value("peer", lambda text: check_name(text, "name"), None)
        for option, what in (("room", "where to meet somebody"), ("name", "what somebody is shown")):
            if peer is None and self[option] is not None:
                raise UsageError(f"--{option} is {what}: give --peer NAME with it")
        self.settings = CheckSettings(
            broker=coerced(broker, broker_address),
            name=self.value("name", lambda text: check_name(text, "name"), None) or user_name(),
            peer=peer,
            room=self.value("room", lambda text: check_name(text, "room"), "lobby"),
            port=self.value("port", port_or_zero, 0),
            json=bool(self["json"]),
        )


def run(options: Options) -> int:
    """What ``p2phole check`` runs, to its exit status."""
    from twisted.internet import reactor

    # Of the log only what nobody expects; the rest is said by the report, or by its one line.
    levels = LogLevelFilterPredicate(defaultLogLevel=LogLevel.critical)
    observer = FilteringLogObserver(FileLogObserver(sys.stderr, launch.one_line), [levels])
    globalLogBeginner.beginLoggingTo([observer], redirectStandardIO=False)
    checking = Run(reactor, options.settings)
    reactor.callWhenRunning(checking.start)
    reactor.run()
    return checking.status


class Run:
    """One check in this process."""

    def __init__(self, reactor: Any, settings: CheckSettings) -> None:
        self.status = 0
        self._reactor = reactor
        self._settings = settings
        self._examination: Deferred[Any] | None = None
        self._over: Deferred[None] = Deferred()

    def start(self) -> None:
        """Examine, report, and stop the reactor; a signal in between stops everything in order."""
        # Imported when it is wanted: --help is quick without.
        from p2phole.check.examination import examine

        self._reactor.addSystemEventTrigger("before", "shutdown", self._stop)
        self._examination = ensureDeferred(examine(self._reactor, self._settings, self._waiting))
        self._examination.addCallbacks(self._report, self._failed)
        self._examination.addErrback(self._failed)
        self._examination.addBoth(self._end)

    def _waiting(self) -> None:
        if sys.stderr.isatty():
            launch.tell(f"waiting for {self._settings.peer} in room {self._settings.room} ...")

    def _report(self, found: Any) -> None:
        if self._settings.json:
            from p2phole.check.report import as_json

            write(as_json(found))
        else:
            from p2phole.check.screen import shown

            write(shown(found, sys.stdout))
        self.status = 0 if found.direct else 1

    def _failed(self, failure: Failure) -> None:
        if failure.check(CancelledError):
            return
        self.status = 1
        line = launch.explained(failure.value)  # type: ignore[arg-type]
        if self._settings.json:
            from p2phole.check.report import error_as_json

            write(error_as_json(line))
        launch.tell(line)

    def _end(self, _: object) -> None:
        self._over.callback(None)
        launch.stop(self._reactor)

    def _stop(self) -> Deferred[None]:
        if not self._over.called and self._examination is not None:
            self._examination.cancel()
        return self._over.addCallback(lambda _: leave_soon(lambda: self.status))


def leave_soon(status: Callable[[], int]) -> None:
    """End the process after :data:`EXIT_SECONDS` if it has not ended by itself."""
    timer = threading.Timer(EXIT_SECONDS, lambda: os._exit(status()))
    timer.daemon = True
    timer.start()


def write(text: str) -> None:
    """To standard output.  The exit status is the verdict too: it stands without a reader."""
    try:
        sys.stdout.write(text)
        sys.stdout.flush()
    except BrokenPipeError:
        pass
