"""Nothing of a laboratory is left behind, and nothing outside of it is touched."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from twisted.trial.unittest import SynchronousTestCase

from tests.natlab import kernel
from tests.natlab.laboratory import Laboratory
from tests.natlab.namespace import ROOT, LaboratoryError
from tests.natlab.probes import DEADLINE, wait_until
from tests.natlab.routers import Masquerade
from tests.natlab.scenario import require_laboratory

pytestmark = pytest.mark.natlab


class Leftovers(SynchronousTestCase):
    """Processes, namespaces and files end with a laboratory, however it ends."""

    def setUp(self) -> None:
        """Skip where there is no laboratory."""
        require_laboratory()

    def hold(self) -> tuple[subprocess.Popen[str], dict[str, list[int]], Path]:
        """A laboratory in a process of its own; what it consists of, and its folder."""
        holder = subprocess.Popen(
            [sys.executable, "-m", "tests.natlab", "hold"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=ROOT,
            start_new_session=True,
        )
        self.addCleanup(self._end, holder)
        assert holder.stdout is not None
        made = json.loads(holder.stdout.readline())
        self.assertEqual(len(made["namespaces"]), 5)
        self.assertTrue(all(_alive(pid) for pid in made["pids"]))
        self.assertTrue(kernel.processes_in(set(made["namespaces"])))
        return holder, made, Path(made["folder"])

    def _end(self, holder: subprocess.Popen[str]) -> None:
        with holder:
            holder.kill()

    def assert_gone(self, made: dict[str, list[int]], folder: Path) -> None:
        """Soon no process, no way into the namespaces and no folder is left."""
        inodes = set(made["namespaces"])

        def gone() -> bool:
            alive = [pid for pid in made["pids"] if _alive(pid)]
            return not (alive or kernel.processes_in(inodes) or _held(inodes) or folder.exists())

        wait_until(gone, "everything of the laboratory gone")

    def test_end(self) -> None:
        """At the end of the with block."""
        holder, made, folder = self.hold()
        assert holder.stdin is not None
        holder.stdin.close()
        self.assertEqual(holder.wait(DEADLINE), 0)
        self.assert_gone(made, folder)

    def test_killed(self) -> None:
        """When its process is killed and can do nothing more."""
        holder, made, folder = self.hold()
        holder.kill()
        self.assert_gone(made, folder)

    def test_group_killed(self) -> None:
        """When its whole process group is."""
        holder, made, folder = self.hold()
        os.killpg(holder.pid, signal.SIGKILL)
        self.assert_gone(made, folder)

    def test_interrupted(self) -> None:
        """On ctrl-C."""
        holder, made, folder = self.hold()
        os.killpg(holder.pid, signal.SIGINT)
        self.assert_gone(made, folder)

    def test_helper_killed(self) -> None:
        """When somebody kills its keeper: the core goes too, and the laboratory says so."""
        with Laboratory() as lab:
            alice = lab.site("alice")
            process = alice.start(["sleep", "1000"])
            made = {"pids": lab.helper_pids, "namespaces": [alice.inode]}
            os.kill(lab.helper_pids[0], signal.SIGKILL)
            self.assertIn("has ended", str(self.assertRaises(LaboratoryError, alice.forget_connections)))
            wait_until(lambda: not _alive(lab.helper_pids[1]), "the core's end")
            lab.folder.rmdir()
        self.assertIsNotNone(process.returncode)
        self.assert_gone(made, lab.folder)

    def test_failure(self) -> None:
        """When the with block raises, whatever it has built by then."""

        def fail() -> None:
            with Laboratory() as lab:
                made["pids"] += [
                    *lab.helper_pids,
                    lab.site("alice", Masquerade()).start(["sleep", "1000"]).pid,
                ]
                made["namespaces"] += [namespace.inode for namespace in lab.namespaces()]
                folders.append(lab.folder)
                raise KeyError("on purpose")

        made: dict[str, list[int]] = {"pids": [], "namespaces": []}
        folders: list[Path] = []
        self.assertRaises(KeyError, fail)
        self.assert_gone(made, folders[0])

    def test_machine_untouched(self) -> None:
        """The machine's own network is as it was, also while a laboratory is there."""
        before = _machine()
        with Laboratory() as lab:
            lab.broker()
            lab.site("alice", Masquerade(stray="reset"))
            self.assertEqual(_machine(), before)
        self.assertEqual(_machine(), before)


def _alive(pid: int) -> bool:
    try:
        # The state follows the name, which is in parentheses and may hold anything.
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def _held(inodes: set[int]) -> list[str]:
    """Open descriptors that keep one of these namespaces, in whatever process."""
    found = []
    for process in Path("/proc").iterdir():
        if process.name.isdigit():
            try:
                descriptors = os.listdir(process / "fd")
            except OSError:
                continue
            paths = [f"{process}/fd/{descriptor}" for descriptor in descriptors]
            found += [path for path in paths if kernel.network_namespace(path) in inodes]
    return found


def _machine() -> list[str]:
    """How long an address of DHCP or IPv6 is valid yet changes by itself."""
    commands = (["ip", "-o", "link"], ["ip", "-o", "address"], ["ip", "route"], ["nft", "list", "ruleset"])
    settings = ("net/ipv4/ip_forward", "net/ipv4/conf/all/rp_filter", "net/ipv6/conf/all/accept_dad")
    return [
        *(
            re.sub(r"(_lft|expires) \d+sec", "", subprocess.run(argv, capture_output=True, text=True).stdout)
            for argv in commands
        ),
        *(Path("/proc/sys", setting).read_text() for setting in settings),
    ]
