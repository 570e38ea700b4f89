"""How the process of a broker or a peer runs and ends, under ``twistd`` and under ``p2phole``.

What twistd leaves to us: with ``-n`` and no log option its log goes to standard error, for standard output
belongs to what is received; two of them in one folder do not fight over ``twistd.pid``; and what goes wrong,
at the start or later, is one line on standard error and status 1, never a traceback.
"""

from __future__ import annotations

import atexit
import gc
import os
import signal
import sys
import time
from collections.abc import Callable
from types import TracebackType
from typing import Any, TextIO

from twisted.application.service import IService, Service
from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.defer import TimeoutError as DeferredTimeout
from twisted.internet.error import ReactorNotRunning
from twisted.logger import (
    FileLogObserver,
    FilteringLogObserver,
    ILogObserver,
    LogEvent,
    Logger,
    LogLevel,
    LogLevelFilterPredicate,
    eventAsText,
    globalLogBeginner,
)
from twisted.python import usage
from twisted.python.failure import Failure

from p2phole.errors import LocalError, P2pholeError
from p2phole.text import harmless

Fail = Callable[[LocalError], None]
"""What a service calls when it cannot go on: the process says why and ends with status 1."""

Build = Callable[[Fail], IService]

STOP_SECONDS = 5.0
"""How long the end of a service may take before the process ends without it."""

_log = Logger()


def tell(text: str) -> None:
    """One line on the real standard error; under twistd :data:`sys.stderr` is the log."""
    tell_lines(f"p2phole: {harmless(text)}")


def tell_lines(text: str) -> None:
    """Lines of our own making, on the same."""
    if sys.__stderr__ is None:
        return
    try:
        sys.__stderr__.write(f"{text}\n")
        sys.__stderr__.flush()
    except (OSError, ValueError):  # nobody is there to be told
        pass


def open_standard_streams() -> None:
    """See to it that descriptors 0 to 2 are open, on nothing where they were closed.

    Else the next socket has such a number, and what is meant for a terminal goes into it.
    """
    for descriptor in range(3):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest number that is free
    for name in ("stdin", "stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, "r+"))  # noqa: SIM115 (open to the end)


def explained(problem: BaseException) -> str:
    """What to tell a user of an exception."""
    if isinstance(problem, P2pholeError):
        return str(problem)
    if isinstance(problem, OSError) and problem.strerror:
        return f"This machine is in the way: {problem}"
    return f"a defect in p2phole, please report it: {type(problem).__name__}: {problem}"


# The log on standard error.


def in_words(event: LogEvent) -> str:
    """A log event on one line, or nothing: no traceback, and nothing in it that a terminal would obey."""
    text = eventAsText(event, includeTraceback=False, includeTimestamp=False, includeSystem=False)
    failure: Failure | None = event.get("log_failure")
    if failure is not None and failure.value is not None:
        if failure.check(ReactorNotRunning):
            return ""  # a second signal while the reactor stops for the first
        # Events of twisted.python.log come with the traceback in their text, whole or as its escapes.
        what = text.partition("Traceback (most recent call last)")[0].strip()
        text = f"{what} {explained(failure.value)}"
    elif event.get("isError"):
        # The same, from the oldest callers, without the failure: its last line says what it was.
        what, trace, rest = text.partition("Traceback (most recent call last)")
        text = f"{what.strip()} {rest.strip().splitlines()[-1].strip()}" if trace and rest.strip() else text
    return harmless(text.strip())


def one_line(event: LogEvent) -> str:
    """The same with its time, as a line."""
    text = in_words(event)
    moment = time.strftime("%H:%M:%S", time.localtime(event.get("log_time")))
    return f"{moment} {text}\n" if text else ""


def log_to_stderr() -> ILogObserver:
    """The log but for its details; twistd finds this by its name."""
    levels = LogLevelFilterPredicate(defaultLogLevel=LogLevel.info)
    return FilteringLogObserver(FileLogObserver(sys.stderr, one_line), [levels])


def of_interest(observer: ILogObserver, quiet: bool = False) -> ILogObserver:
    """What p2phole says, and the warnings of everybody; ``quiet``: of p2phole, too, only those."""
    levels = LogLevelFilterPredicate(defaultLogLevel=LogLevel.warn)
    levels.setLogLevelForNamespace("p2phole", LogLevel.warn if quiet else LogLevel.info)
    return FilteringLogObserver(observer, [levels])


def console_log(stream: TextIO, quiet: bool = False) -> ILogObserver:
    """The same on a stream."""
    return of_interest(FileLogObserver(stream, one_line), quiet)


# The end of the process.


class Ending:
    """Whether the process has failed, and how it is stopped then."""

    def __init__(self, reactor: Any) -> None:
        self._reactor = reactor
        self.failed = False

    def fail(self, error: LocalError) -> None:
        """Tell the user of the first error, and stop the reactor, now or once it runs."""
        if not self.failed:
            self.failed = True
            tell(explained(error))
            self._reactor.callWhenRunning(stop, self._reactor)
        _log.debug("The service cannot go on: {error}", error=error)


def stop(reactor: Any) -> None:
    """Stop the reactor, unless a signal was quicker."""
    try:
        reactor.stop()
    except ReactorNotRunning:
        pass


class Bounded(Service):
    """The service inside, which may take :data:`STOP_SECONDS` to stop and no more."""

    def __init__(self, inner: IService, reactor: Any) -> None:
        self._inner = inner
        self._reactor = reactor

    def privilegedStartService(self) -> None:
        super().privilegedStartService()  # type: ignore[no-untyped-call]
        self._inner.privilegedStartService()

    def startService(self) -> None:
        super().startService()  # type: ignore[no-untyped-call]
        self._inner.startService()
        self._reactor.callWhenRunning(_keep_what_is_loaded)

    def stopService(self) -> Deferred[None]:
        super().stopService()  # type: ignore[no-untyped-call]
        stopped: Deferred[None] = maybeDeferred(self._inner.stopService)
        stopped.addTimeout(STOP_SECONDS, self._reactor)
        stopped.addErrback(self._not_in_order)
        return stopped

    def _not_in_order(self, failure: Failure) -> None:
        late = failure.check(DeferredTimeout)
        why = f"not done after {STOP_SECONDS:g} s" if late else explained(failure.value)  # type: ignore[arg-type]
        _log.warn("The service did not stop in order: {why}", why=why)


def run(reactor: Any, build: Build, log: ILogObserver | None = None) -> int:
    """Run a service until a signal ends it or it fails; the exit status of ``p2phole``.  ``log``: None: standard
    error has it."""
    globalLogBeginner.beginLoggingTo([log or console_log(sys.stderr)], redirectStandardIO=False)
    _stop_at_hangup(reactor)
    ending = Ending(reactor)
    try:
        service = Bounded(build(ending.fail), reactor)
        service.privilegedStartService()
        service.startService()
    except Exception as problem:
        tell(explained(problem))
        return 1
    reactor.addSystemEventTrigger("before", "shutdown", service.stopService)
    reactor.run()
    return 1 if ending.failed else 0


def _stop_at_hangup(reactor: Any) -> None:
    """A terminal that is closed, and ssh when it needs its ``ProxyCommand`` no longer, say so by SIGHUP: it is an
    end in good order, unless it is to be ignored (``nohup``)."""
    number = getattr(signal, "SIGHUP", None)  # not on Windows
    if number is not None and signal.getsignal(number) is signal.SIG_DFL:
        signal.signal(number, lambda number, frame: reactor.callFromThread(stop, reactor))


def _keep_what_is_loaded() -> None:
    """A full collection would go through all of it, for 40 ms, and mostly in the middle of the first start, where
    a SYN is to leave at an instant."""
    gc.freeze()
    gc.enable()  # cli has switched it off


# What is particular to twistd.


def prepare(parent: usage.Options | None) -> None:
    """Set the options of twistd itself as the services need them; ``parent`` may be some other command."""
    if parent is None or "nodaemon" not in parent:
        return
    sys.excepthook = _last_words
    open_standard_streams()
    if not (parent["nodaemon"] or parent["debug"]):
        return
    if not (parent["logfile"] or parent["logger"] or parent.get("syslog")):
        # By name: twistd looks it up after the options of its commands.
        parent["logger"] = f"{__name__}.{log_to_stderr.__name__}"
    # The very object that is the default: a user who asks for this name gets the file.
    if parent["pidfile"] is parent.defaults["pidfile"]:
        parent["pidfile"] = ""


def under_twistd(reactor: Any, build: Build) -> IService:
    """The service for twistd; failures of its start leave it as they are, for :func:`_last_words`."""
    ending = Ending(reactor)
    # twistd ends with 0 whenever its reactor has stopped, and swallows sys.exit() inside of it.  Registered
    # now, so that it comes after what others have at the exit: nothing runs after os._exit().
    atexit.register(_exit_as, ending)
    return Bounded(build(ending.fail), reactor)


def _exit_as(ending: Ending) -> None:
    if not ending.failed:
        return
    for stream in (sys.__stdout__, sys.__stderr__):
        try:
            if stream is not None:
                stream.flush()
        except (OSError, ValueError):
            pass
    os._exit(1)


def _last_words(kind: type[BaseException], problem: BaseException, trace: TracebackType | None) -> None:
    """In place of Python's traceback: one line.  The rest is in the log where that is a file."""
    if issubclass(kind, KeyboardInterrupt):
        return
    tell(explained(problem))
    if isinstance(problem, P2pholeError):
        _log.debug("The service did not start: {error}", error=problem)
    else:
        _log.debug("The service did not start.", log_failure=Failure(problem, kind, trace))
