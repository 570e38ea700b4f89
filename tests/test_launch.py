"""How the processes run and end: the real twistd and the real command, with a service that does as it is told."""

from __future__ import annotations

import gc
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from twisted.application.service import Service
from twisted.internet.defer import Deferred
from twisted.internet.error import ReactorNotRunning
from twisted.internet.testing import MemoryReactorClock
from twisted.logger import LogLevel
from twisted.python.failure import Failure
from twisted.python.usage import Options
from twisted.trial.unittest import SynchronousTestCase

from p2phole import launch
from p2phole.errors import LocalError
from p2phole.launch import STOP_SECONDS, Bounded, Ending, one_line, prepare

# The broker's service is replaced by one that behaves as the first argument says.
STAND_IN = """
import os, sys, time, types
from twisted.application.service import Service
from twisted.internet.defer import Deferred
from twisted.logger import Logger
from p2phole import launch
from p2phole.errors import LocalError

mode, command, *sys.argv[1:] = sys.argv[1:]
problem = LocalError(why="it is\\nMonday")

def ready():
    os.write(2, b"ready\\n")

class StandIn(Service):
    def __init__(self, reactor, fail):
        self.reactor, self.fail = reactor, fail
    def privilegedStartService(self):
        if mode == "privileged":
            raise problem
        if mode == "defect":
            1 / 0
    def startService(self):
        if mode == "start":
            raise problem
        if mode == "early":
            self.fail(problem)
        if mode == "late":
            self.reactor.callLater(0, self.late)
        if mode == "print":
            print("printed")
        if mode in ("wait", "stubborn"):
            self.reactor.callWhenRunning(ready)
    def late(self):
        try:
            1 / 0
        except ZeroDivisionError:
            Logger("p2phole.test").failure("went wrong \\x1b[2J")
        self.fail(problem)
        self.fail(LocalError(why="second"))
        return Deferred()
    def stopService(self):
        if mode in ("late", "stubborn"):
            os.write(2, b"stopping\\n")
            launch.STOP_SECONDS = 0.2
            return Deferred()

def make_broker(reactor, settings, fail):
    if mode == "make":
        raise problem
    if mode == "slow":
        ready()
        time.sleep(10)
    return StandIn(reactor, fail)

module = types.ModuleType("p2phole.broker.service")
module.make_broker = make_broker
sys.modules[module.__name__] = module
if command == "twistd":
    from twisted.scripts.twistd import run
    run()
else:
    from p2phole.cli import main
    sys.exit(main())
"""
SENTENCE = r"p2phole: This machine, its configuration or its network is in the way: it is\x0aMonday."


class ProcessTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.folder = Path(self.mktemp())
        self.folder.mkdir()

    def start(self, mode: str, command: str, *arguments: str) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, "-c", STAND_IN, mode, command, *arguments],
            cwd=self.folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.addCleanup(process.communicate)
        self.addCleanup(process.kill)
        return process

    def until_ready(self, mode: str, command: str, *arguments: str) -> subprocess.Popen[str]:
        process = self.start(mode, command, *arguments)
        assert process.stderr is not None
        for line in process.stderr:
            if line == "ready\n":
                return process
        raise AssertionError("it has ended")

    def check_failure(self, mode: str, command: str, *arguments: str) -> list[str]:
        """Status 1, nothing on standard output, one line that is not the log; returns all lines."""
        process = self.start(mode, command, *arguments)
        out, err = process.communicate(timeout=60)
        self.assertEqual((process.returncode, out), (1, ""), err)
        self.assertNotIn("Traceback", err)
        self.assertEqual([line for line in err.splitlines() if "p2phole:" in line][:-1], [])
        return err.splitlines()

    def test_failed_start(self) -> None:
        for mode in ("make", "privileged", "start", "early"):
            self.assertIn(SENTENCE, self.check_failure(mode, "twistd", "-n", "p2pbroker"))
            self.assertEqual(self.check_failure(mode, "p2phole", "broker"), [SENTENCE])

    def test_failed_start_with_a_log_and_a_pid_file(self) -> None:
        options = ("-n", "--logfile", "log", "--pidfile", "pid")
        self.assertEqual(self.check_failure("privileged", "twistd", *options, "p2pbroker"), [SENTENCE])
        self.assertEqual([path.name for path in self.folder.iterdir()], ["log"])
        self.assertIn("The service did not start: This machine", (self.folder / "log").read_text())

    def test_failed_start_of_a_daemon(self) -> None:
        lines = self.check_failure("privileged", "twistd", "--originalname", "p2pbroker")
        self.assertIn("it is", " ".join(lines))
        # The daemon removes its pid file only after it has told the process that we have waited for.
        deadline = time.monotonic() + 60
        while (self.folder / "twistd.pid").exists() and time.monotonic() < deadline:
            time.sleep(0.01)
        self.assertEqual([path.name for path in self.folder.iterdir()], ["twistd.log"])

    def test_defect_at_the_start(self) -> None:
        told = "p2phole: a defect in p2phole, please report it: ZeroDivisionError: division by zero"
        self.assertIn(told, self.check_failure("defect", "twistd", "-n", "p2pbroker"))
        self.assertEqual(self.check_failure("defect", "p2phole", "broker"), [told])
        self.assertEqual(self.check_failure("defect", "twistd", "-n", "-l", "log", "p2pbroker"), [told])
        self.assertIn("Traceback", (self.folder / "log").read_text())

    def test_failed_run(self) -> None:
        """Also when the service logs a failure, fails twice and does not stop."""
        for arguments in (("twistd", "-n", "p2pbroker"), ("p2phole", "broker")):
            lines = self.check_failure("late", *arguments)
            self.assertEqual(lines.count(SENTENCE), 1)
            self.assertIn(r"went wrong \x1b[2J", " ".join(lines))
            self.assertIn("not done after 0.2 s", " ".join(lines))

    def test_nothing_on_standard_output(self) -> None:
        process = self.start("print", "twistd", "-n", "p2pbroker")
        assert process.stderr is not None
        for line in process.stderr:
            if "printed" in line:
                break
        process.terminate()
        out, _err = process.communicate()
        self.assertEqual((process.returncode, out), (-signal.SIGTERM, ""))

    def test_log_on_standard_output_for_who_asks(self) -> None:
        process = self.until_ready("wait", "twistd", "-n", "--logfile", "-", "p2pbroker")
        process.terminate()
        out, err = process.communicate()
        self.assertIn("starting up", out)
        self.assertEqual(err, "")

    def test_signals(self) -> None:
        for mode in ("wait", "slow"):
            for number in (signal.SIGINT, signal.SIGTERM):
                for command, status in (("twistd", -number), ("p2phole", 0)):
                    arguments = ("-n", "p2pbroker") if command == "twistd" else ("broker",)
                    process = self.until_ready(mode, command, *arguments)
                    process.send_signal(number)
                    out, err = process.communicate(timeout=60)
                    self.assertEqual((process.returncode, out), (status, ""), (mode, command))
                    self.assertNotIn("Traceback", err)

    def test_a_closed_terminal_is_an_end_in_good_order(self) -> None:
        process = self.until_ready("wait", "p2phole", "broker")
        process.send_signal(signal.SIGHUP)
        _out, err = process.communicate(timeout=60)
        self.assertEqual(process.returncode, 0, err)

    def test_second_signal_while_stopping(self) -> None:
        process = self.until_ready("stubborn", "p2phole", "broker")
        assert process.stderr is not None
        process.send_signal(signal.SIGINT)
        while process.stderr.readline() != "stopping\n":
            pass
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
        self.assertEqual((process.returncode, out), (0, ""))
        self.assertEqual(
            [line[9:] for line in err.splitlines()], ["The service did not stop in order: not done after 0.2 s"]
        )

    def test_two_in_one_folder(self) -> None:
        for _ in range(2):
            self.until_ready("wait", "twistd", "-n", "p2pbroker")
        self.assertEqual(list(self.folder.iterdir()), [])

    def test_pid_file_for_who_asks(self) -> None:
        process = self.until_ready("wait", "twistd", "-n", "--pidfile", "twistd.pid", "p2pbroker")
        self.assertEqual((self.folder / "twistd.pid").read_text(), str(process.pid))

    def test_usage(self) -> None:
        process = self.start("wait", "twistd", "-n", "p2pbroker", "--port", "x")
        out, err = process.communicate()
        self.assertEqual((process.returncode, err), (1, ""))
        self.assertIn("--port: 'x' is not a port", out.splitlines()[-1])


class EndingTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.told: list[str] = []
        self.patch(launch, "tell", self.told.append)
        self.reactor = MemoryReactorClock()

    def test_tells_the_first_and_stops(self) -> None:
        ending = Ending(self.reactor)
        for why in ("one", "two"):
            ending.fail(LocalError(why=why))
        self.reactor.run()
        self.assertTrue(ending.failed and self.reactor.hasStopped)
        self.assertEqual(len(self.told), 1)
        self.assertIn("one", self.told[0])

    def test_bounded_stop(self) -> None:
        class Stubborn(Service):
            def stopService(self) -> Deferred[None]:
                return Deferred()

        stopped = Bounded(Stubborn(), self.reactor).stopService()
        self.assertNoResult(stopped)
        self.reactor.advance(STOP_SECONDS)
        self.assertIsNone(self.successResultOf(stopped))

    def test_what_is_loaded_is_left_to_itself(self) -> None:
        """By the garbage collector, once the service has started."""
        called: list[str] = []
        self.patch(gc, "freeze", lambda: called.append("freeze"))
        self.patch(gc, "enable", lambda: called.append("enable"))
        service = Bounded(Service(), self.reactor)
        service.startService()
        self.assertEqual(called, [])
        self.reactor.run()
        self.assertEqual(called, ["freeze", "enable"])

    def test_stop(self) -> None:
        service = Bounded(Service(), self.reactor)
        service.startService()
        self.assertIsNone(self.successResultOf(service.stopService()))


class LogTests(SynchronousTestCase):
    def test_one_line_whatever_was_logged(self) -> None:
        failure = Failure(ValueError("a\nb"))
        for event, shown in (
            ({"log_format": "a\n{b}\x1b", "b": "\u202e"}, r"a\x0a\u202e\x1b"),
            (
                {"log_format": "oh", "log_failure": failure},
                r"oh a defect in p2phole, please report it: ValueError: a\x0ab",
            ),
            (
                {"log_format": "oh", "log_failure": Failure(LocalError(why="x"))},
                "oh This machine, its configuration or its network is in the way: x.",
            ),
            (
                {"log_format": "Unhandled Error\nTraceback (most recent call last)\n", "log_failure": failure},
                r"Unhandled Error a defect in p2phole, please report it: ValueError: a\x0ab",
            ),
            ({"log_format": "{missing}"}, None),
        ):
            line = one_line({"log_level": LogLevel.info, "log_time": 0.0, **event})
            self.assertEqual((line.count("\n"), line[-1]), (1, "\n"))
            if shown is not None:
                self.assertEqual(line[9:-1], shown)

    def test_second_signal(self) -> None:
        self.assertEqual(one_line({"log_format": "oh", "log_failure": Failure(ReactorNotRunning())}), "")


class PrepareTests(SynchronousTestCase):
    def test_other_commands_than_twistd(self) -> None:
        hook = sys.excepthook
        for parent in (None, Options()):
            prepare(parent)
        self.assertIs(sys.excepthook, hook)


class TellTests(SynchronousTestCase):
    def test_nobody_there(self) -> None:
        self.patch(sys, "__stderr__", None)
        launch.tell("x")
        with open(os.devnull, "w") as stream:
            pass
        self.patch(sys, "__stderr__", stream)
        launch.tell("x")
