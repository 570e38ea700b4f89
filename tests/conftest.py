"""What trial does for a test and pytest does not.

Trial's own test cases, which pytest runs as well, get a folder of their own, as under trial.  They account for
the errors that they leave in the log, and for a reactor that is not as they found it; for pytest's functions
that is done here.
"""

from __future__ import annotations

import gc
import os
import sys
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from twisted.logger import LogEvent, globalLogPublisher
from twisted.trial.unittest import SynchronousTestCase

# How long an example takes is the machine's affair.  Where CI is set, hypothesis has such a profile of its own.
settings.register_profile("p2phole", deadline=None, suppress_health_check=[HealthCheck.too_slow], print_blob=True)
if "CI" not in os.environ:
    settings.load_profile("p2phole")


class LoggedErrors:
    """The failures that were logged during a test."""

    def __init__(self) -> None:
        self.events: list[LogEvent] = []

    def __call__(self, event: LogEvent) -> None:
        if event.get("log_failure") is not None:
            self.events.append(event)

    def flush(self, *kinds: type[BaseException]) -> list[Any]:
        """Take the failures of these kinds (without any: all) off the list, as trial's flushLoggedErrors."""
        taken = [event for event in self.events if not kinds or event["log_failure"].check(*kinds)]
        self.events = [event for event in self.events if event not in taken]
        return [event["log_failure"] for event in taken]


def is_trials(request: pytest.FixtureRequest) -> bool:
    return request.cls is not None and issubclass(request.cls, SynchronousTestCase)


@pytest.fixture(autouse=True)
def own_folder(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where trial's mktemp() puts its files."""
    if is_trials(request):
        monkeypatch.chdir(request.getfixturevalue("tmp_path"))


@pytest.fixture(autouse=True)
def logged_errors(request: pytest.FixtureRequest) -> Iterator[LoggedErrors]:
    """Fails the test for errors in the log that it has not flushed."""
    logged = LoggedErrors()
    if is_trials(request):
        yield logged
        return
    globalLogPublisher.addObserver(logged)
    try:
        yield logged
        gc.collect()  # an unhandled failure of a Deferred is logged when that goes
    finally:
        globalLogPublisher.removeObserver(logged)
    if logged.events:
        pytest.fail("\n".join(event["log_failure"].getTraceback() for event in logged.events), pytrace=False)


def in_reactor() -> list[Any]:
    """What the reactor still has to do; nothing as long as nobody has one."""
    reactor: Any = sys.modules.get("twisted.internet.reactor")
    if reactor is None:
        return []
    # The reactor's own, for signals and threads, come when it is first run and stay.
    readers = [each for each in reactor.getReaders() if each not in reactor._internalReaders]
    return [*reactor.getDelayedCalls(), *readers, *reactor.getWriters()]


@pytest.fixture(autouse=True)
def clean_reactor(request: pytest.FixtureRequest) -> Iterator[None]:
    """Fails the test for timers and sockets that it has left in the reactor."""
    before = in_reactor()
    yield
    if not is_trials(request):
        left = [each for each in in_reactor() if each not in before]
        if left:
            pytest.fail("left in the reactor: " + ", ".join(map(str, left)), pytrace=False)
