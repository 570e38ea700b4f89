"""The laboratory itself: each of its behaviours, programs on its hosts, and all of it without being root."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import unittest
from collections.abc import Callable
from pathlib import Path

import pytest
from twisted.trial.unittest import SynchronousTestCase

from tests.natlab.behaviours import BEHAVIOURS, internet, routers
from tests.natlab.laboratory import Laboratory
from tests.natlab.namespace import ROOT, LaboratoryError
from tests.natlab.probes import connected, fence, listening, wait_until
from tests.natlab.routers import Masquerade
from tests.natlab.scenario import require_laboratory

pytestmark = pytest.mark.natlab

_NOBODY = 65534


class Behaviours(SynchronousTestCase):
    """Every behaviour of the self-test; the methods are added below."""

    def setUp(self) -> None:
        """Skip where there is no laboratory."""
        require_laboratory()


def _test(behaviour: Callable[[], str]) -> Callable[[Behaviours], None]:
    def test(_case: Behaviours) -> None:
        behaviour()

    test.__doc__ = behaviour.__doc__
    return test


for _behaviour in BEHAVIOURS:
    setattr(Behaviours, f"test_{_behaviour.__name__}", _test(_behaviour))


class Programs(SynchronousTestCase):
    """Programs on hosts, and captures of what they send."""

    def setUp(self) -> None:
        """Skip where there is no laboratory."""
        require_laboratory()

    def test_run(self) -> None:
        """A program sees its host's addresses and no others."""
        with Laboratory() as lab:
            alice = lab.site("alice", Masquerade())
            done = alice.run(["ip", "-4", "-o", "address"])
            self.assertEqual((done.returncode, done.stderr), (0, ""))
            addresses = [line.split()[3] for line in done.stdout.splitlines()]
            self.assertEqual(addresses, ["127.0.0.1/8", f"{alice.address}/24"])
            echoed = alice.run(["cat"], input="to itself")
            self.assertEqual(echoed.stdout, "to itself")

    def test_start(self) -> None:
        """The program has the pid that is returned, and its output goes where it was told to."""
        with Laboratory() as lab:
            bob = lab.site("bob")
            output = lab.folder / "output"
            command = ["sh", "-c", 'echo $$; echo $NAME >&2; pwd; exec sleep "$0"', "1000"]
            process = bob.start(command, stdout=output, stderr=output, env={**os.environ, "NAME": "x"}, cwd="/")
            lines = wait_until(lambda: (read := output.read_text().split())[2:] and read, "three lines")
            self.assertEqual(lines, [str(process.pid), "x", "/"])
        self.assertEqual(process.returncode, -signal.SIGTERM)

    def test_stubborn_program(self) -> None:
        """What ignores SIGTERM is killed."""
        with Laboratory() as lab:
            output = lab.folder / "output"
            command = ["sh", "-c", "trap '' TERM; echo ready; while :; do sleep 1000; done"]
            process = lab.site("bob").start(command, stdout=output)
            wait_until(lambda: output.exists() and output.read_text(), "the trap")
        self.assertEqual(process.returncode, -signal.SIGKILL)

    def test_capture_file(self) -> None:
        """A capture can be saved for other tools, and stays as it was when the laboratory has gone."""
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder, "core.pcap")
            with Laboratory() as lab:
                broker, alice = lab.broker(), lab.site("alice")
                with lab.capture() as core:
                    fence(alice, broker.address)
                fence(alice, broker.address)
            self.assertEqual([packet.sender for packet in core.packets()], ["alice", "broker"])
            core.save(path)
            self.assertEqual(path.stat().st_size, 24 + sum(16 + len(packet.raw) for packet in core.packets()))

    def test_refusals(self) -> None:
        """What cannot be is said."""
        with Laboratory() as lab:
            alice = lab.site("alice")
            for wrong, text in (
                (lambda: lab.site("alice"), "already"),
                (lambda: alice.site.host("second"), "one host"),
                (lambda: lab.reboot_router("alice"), "no router"),
                (lambda: lab.one_way("alice", "nobody", 0.1), "nobody"),
                (lambda: lab.site("bob", Masquerade(lan="10.0.0.0/8")), "/24"),
                (lambda: alice.configure(ip=["link set nothing up"]), "nothing"),
            ):
                self.assertIn(text, str(self.assertRaises(LaboratoryError, wrong)))

    def test_ten_sites(self) -> None:
        """Ten routers and a broker, all of them working."""
        with Laboratory() as lab:
            broker = lab.broker()
            hosts = [lab.site(f"peer{number}", Masquerade(stray="reset")) for number in range(10)]
            with listening(broker, broker.address, 9000) as listener:
                seen = set()
                for host in hosts:
                    with connected(host, broker.address, 9000):
                        accepted, address = listener.accept()
                        accepted.close()
                        seen.add(address[0])
        self.assertEqual(seen, {host.site.ipv4[0] for host in hosts})


class OrdinaryUser(SynchronousTestCase):
    """The laboratory of somebody who is not root, in a user namespace."""

    shown = [
        *(behaviour.__name__ for behaviour in (*internet.BEHAVIOURS, *routers.BEHAVIOURS)),
        "profiles_kernel",
        "profiles_carriers",
        "isolated_lan",
        "topologies",
    ]
    # A root's /dev/net/tun may be closed to others; most distributions open it. Nobody else sees this one.
    prepare = (
        'mount -t tmpfs -o mode=755 tmpfs "$0" && mknod -m 666 "$0/tun" c 10 200'
        ' && mount --bind "$0/tun" /dev/net/tun && exec "$@"'
    )

    def test_selftest(self) -> None:
        """The self-test as the user nobody: all that is built in different ways."""
        require_laboratory()
        if os.geteuid() != 0:
            raise unittest.SkipTest("not root: all the other tests have just shown it")
        with tempfile.TemporaryDirectory() as folder:
            become = ["setpriv", f"--reuid={_NOBODY}", f"--regid={_NOBODY}", "--clear-groups", "--"]
            enter = ["unshare", "--mount", "--", "sh", "-c", self.prepare, folder, *become]
            for python in (sys.executable, "/usr/bin/python3"):
                probe = [
                    *enter,
                    python,
                    "-c",
                    "from tests.natlab import laboratory as l; print(l.unavailable())",
                ]
                tried = _run(probe)
                if tried.stdout == "None\n":
                    break
            else:
                raise unittest.SkipTest(f"not here: {(tried.stdout or tried.stderr).strip().splitlines()[-1]}")
            done = _run([*enter, python, "-m", "tests.natlab", "selftest", *self.shown])
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        self.assertEqual(done.stdout.count("ok  "), len(self.shown), done.stdout)


def _run(argv: list[str]) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1", "PYTHONPATH": str(ROOT), "TMPDIR": "/tmp"}
    return subprocess.run(argv, capture_output=True, text=True, timeout=600, check=False, cwd="/", env=environment)
