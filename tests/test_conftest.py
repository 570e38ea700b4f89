"""That pytest's functions cannot leave anything behind unnoticed, as test cases under trial cannot."""

from __future__ import annotations

import importlib.util
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from unittest import SkipTest

from twisted.trial.unittest import SynchronousTestCase

SAMPLES = """
import pytest_twisted
from twisted.internet.defer import Deferred, fail
from twisted.internet.protocol import Factory
from twisted.internet.task import deferLater
from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

def log():
    Logger().failure("went wrong", Failure(ValueError("on purpose")))

def test_bad_log():
    log()

def test_bad_deferred():
    fail(ValueError("on purpose"))

@pytest_twisted.inlineCallbacks
def test_bad_timer():
    from twisted.internet import reactor
    reactor.callLater(100, log)
    yield deferLater(reactor, 0)

@pytest_twisted.inlineCallbacks
def test_bad_port():
    from twisted.internet import reactor
    reactor.listenTCP(0, Factory(), interface="127.0.0.1")
    yield deferLater(reactor, 0)

@pytest_twisted.inlineCallbacks
def test_good_reactor():
    from twisted.internet import reactor
    port = reactor.listenTCP(0, Factory(), interface="127.0.0.1")
    yield deferLater(reactor, 0)
    yield port.stopListening()

def test_good_flush(logged_errors):
    log()
    assert len(logged_errors.flush(KeyError)) == 0
    assert len(logged_errors.flush(ValueError)) == 1

class SomeTests(SynchronousTestCase):
    def test_bad_trial(self):
        log()

    def test_good_trial(self):
        log()
        assert len(self.flushLoggedErrors(ValueError)) == 1
"""


class FixtureTests(SynchronousTestCase):
    def test_samples(self) -> None:
        if importlib.util.find_spec("pytest_twisted") is None:
            raise SkipTest("pytest-twisted is not installed: pip install '.[test]'")
        # Not within this checkout, as trial's own folder is: pytest looks for its configuration above it.
        temporary = tempfile.TemporaryDirectory()
        self.addCleanup(temporary.cleanup)
        folder = Path(temporary.name)
        shutil.copy(Path(__file__).parent / "conftest.py", folder)
        (folder / "test_samples.py").write_text(SAMPLES)
        command = (sys.executable, "-m", "pytest", "-v", "-p", "no:cacheprovider")
        out = subprocess.run(command, cwd=folder, capture_output=True, text=True).stdout
        verdicts: dict[str, set[str]] = {}
        for line in out.splitlines():
            if line.startswith("test_samples.py::"):
                test, verdict = line.split()[:2]
                verdicts.setdefault(test, set()).add(verdict)
        self.assertEqual(len(verdicts), SAMPLES.count("def test_"), out)
        for test, given in verdicts.items():
            # What a fixture finds comes as an error after the test itself has passed.
            self.assertEqual(given == {"PASSED"}, "test_good" in test, out)
