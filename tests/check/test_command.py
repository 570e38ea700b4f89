"""``p2phole check`` as its user has it, with a broker on loopback."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

from twisted.python.usage import UsageError
from twisted.trial.unittest import SynchronousTestCase

from p2phole.check.command import Options
from p2phole.check.settings import CheckSettings
from p2phole.demo import free_ports
from p2phole.peer.settings import BrokerAddress

ENVIRONMENT = {key: value for key, value in os.environ.items() if key != "P2PHOLE_BROKER"}


class OptionTests(SynchronousTestCase):
    def parse(self, *arguments: str) -> CheckSettings:
        options = Options()
        options.parseOptions(list(arguments))
        return options.settings

    def setUp(self) -> None:
        self.patch(os, "environ", {"LOGNAME": "alice"})

    def test_defaults(self) -> None:
        broker = BrokerAddress("broker.example", 9000)
        self.assertEqual(self.parse("--broker", "broker.example"), CheckSettings(broker, "alice"))
        os.environ["P2PHOLE_BROKER"] = "broker.example"
        self.assertEqual(self.parse(), CheckSettings(broker, "alice"))

    def test_all(self) -> None:
        path = self.mktemp()
        Path(path).write_text("[p2ppeer]\nbroker = other.example\nroom = garden\nname = ann\nport = 4000\n")
        self.assertEqual(
            self.parse("--config", path, "--peer", "bob", "--json"),
            CheckSettings(BrokerAddress("other.example", 9000), "ann", "bob", "garden", 4000, True),
        )
        given = self.parse("--config", path, "--broker", "b:1", "--peer", "bob", "--room", "den", "--name", "x")
        self.assertEqual((str(given.broker), given.room, given.name), ("b:1", "den", "x"))

    def test_usage(self) -> None:
        for arguments, word in (
            ([], "no broker"),
            (["--broker", "b", "--room", "den"], "--peer"),
            (["--broker", "b", "--name", "ann"], "--peer"),
            (["--broker", "b", "--peer", ""], "--peer: the name is empty"),
            (["--broker", "b", "--peer", "\x1b"], "--peer"),
            (["--broker", "b", "--peer", "x", "--room", "x" * 65], "--room"),
            (["--broker", "http://b"], "--broker"),
            (["--broker", "b", "--json", "yes"], "'yes'"),
            (["--broker", "b", "--config", "/no/such"], "/no/such"),
        ):
            self.assertIn(word, str(self.assertRaises(UsageError, self.parse, *arguments)))


class ProcessTests(SynchronousTestCase):
    def start(self, *command: str, **keywords: object) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            command,
            env=ENVIRONMENT,
            stdin=subprocess.DEVNULL,
            stdout=keywords.get("stdout", subprocess.PIPE),
            stderr=subprocess.PIPE,
            text=True,
        )
        self.addCleanup(process.communicate)
        self.addCleanup(process.kill)
        return process

    def broker(self, *options: str) -> str:
        port, probe = map(str, free_ports())
        arguments = ("broker", "--port", port, "--probe-port", probe, *options)
        process = self.start(sys.executable, "-m", "p2phole", *arguments)
        assert process.stderr is not None
        for _ in range(2):
            self.assertIn("listens", process.stderr.readline())
        return f"127.0.0.1:{port}"

    def check(self, *arguments: str, **keywords: object) -> subprocess.Popen[str]:
        return self.start(sys.executable, "-m", "p2phole", "check", *arguments, **keywords)

    def test_network(self) -> None:
        """A second address of loopback makes it whole; a pipe gets plain text of 80 columns."""
        process = self.check("--broker", self.broker("--probe-address", "127.0.0.2"))
        out, err = process.communicate(timeout=60)
        self.assertEqual((process.returncode, err), (0, ""))
        self.assertTrue(out.startswith("This machine is seen outside as it is, without a NAT, and whoever"))
        self.assertIn("an ordinary home router              yes, one port", out)
        self.assertIn("The broker is on this machine", out)
        self.assertNotIn("\x1b", out)
        self.assertLessEqual(max(map(len, out.splitlines())), 80)

    def test_json_with_one_broker_address(self) -> None:
        process = self.check("--json", "--broker", self.broker())
        out, err = process.communicate(timeout=60)
        self.assertEqual((process.returncode, err), (0, ""))
        told = json.loads(out)
        self.assertEqual((told["direct"], told["scope"]), (True, "machine"))
        self.assertEqual((told["nat"]["mapping"], told["nat"]["filtering"]), ("none", "unknown"))

    def test_two_who_check_each_other(self) -> None:
        broker = self.broker()
        checks = []
        for name, other in (("alice", "bob"), ("bob", "alice")):
            checks.append(self.check("--broker", broker, "--peer", other, "--json", "--name", name))
        for process in checks:
            out, err = process.communicate(timeout=60)
            self.assertEqual((process.returncode, err), (0, ""))
            told = json.loads(out)
            self.assertTrue(told["direct"] and told["peer"]["direct"], told)

    def test_no_result(self) -> None:
        """One line on standard error, also with --json.  How soon: see test_examination.py."""
        for broker in ("127.0.0.1:1", "no-such-host.invalid"):
            for form in ((), ("--json",)):
                process = self.check("--broker", broker, *form)
                out, err = process.communicate(timeout=60)
                self.assertEqual(process.returncode, 1)
                [line] = err.splitlines()
                self.assertTrue(line.startswith("p2phole: "), line)
                if form:
                    error = line.removeprefix("p2phole: ")
                    self.assertEqual(json.loads(out), {"direct": None, "error": error})
                else:
                    self.assertEqual(out, "")

    def test_name_server_that_does_not_answer(self) -> None:
        """Its thread cannot be stopped, and holds up nobody."""
        code = "import socket, sys, time; socket.getaddrinfo = lambda *a, **k: time.sleep(600)\n"
        code += "from p2phole.cli import main; sys.exit(main(sys.argv[1:]))"
        process = self.start(sys.executable, "-c", code, "check", "--broker", "broker.example")
        out, err = process.communicate(timeout=60)
        self.assertEqual((process.returncode, out), (1, ""))
        self.assertIn("name server", err)

    def test_stopped(self) -> None:
        """Quiet, with 0 as every command, and without a report."""
        for number in (signal.SIGINT, signal.SIGTERM):
            with socket.create_server(("127.0.0.1", 0)) as broker:
                process = self.check("--json", "--broker", f"127.0.0.1:{broker.getsockname()[1]}")
                # It comes once to see whether anybody listens, and then for good.
                connections = [broker.accept()[0] for _ in range(2)]
                process.send_signal(number)
                out, err = process.communicate(timeout=60)
                for connection in connections:
                    connection.close()
            self.assertEqual((process.returncode, out, err), (0, "", ""))

    def test_reader_who_has_gone(self) -> None:
        """The exit status is the verdict without a reader too."""
        reading, writing = os.pipe()
        os.close(reading)
        process = self.check("--broker", self.broker(), stdout=writing)
        os.close(writing)
        _out, err = process.communicate(timeout=60)
        self.assertEqual((process.returncode, err), (0, ""))
