"""What the check says of networks of real kernels and of a user-space NAT, and whether it is true."""

from __future__ import annotations

import json
import subprocess
import sys
from itertools import combinations_with_replacement
from pathlib import Path
from typing import Any

import pytest
from twisted.trial.unittest import SynchronousTestCase

from p2phole.behaviour import Behaviour
from p2phole.check.outlook import outlook
from tests.natlab.laboratory import Laboratory
from tests.natlab.namespace import Host
from tests.natlab.nature import nature
from tests.natlab.profiles import PROFILES
from tests.natlab.scenario import require_laboratory, start_broker

pytestmark = pytest.mark.natlab

NETWORKS = (
    "open",
    "eim-adf",
    "eim-apdf-icmp",
    "sym-seq1",
    "sym-random",
    "kernel-masq-silent",
    "kernel-masq-reset",
    "firewall4-drop",
    "firewall6-reject",
    "cgn-home",
)
PAIRED = ("eim-adf", "kernel-masq-silent", "kernel-masq-reset", "sym-seq1", "sym-random")


class LaboratoryCase(SynchronousTestCase):
    """A laboratory with a broker of two addresses."""

    def setUp(self) -> None:
        require_laboratory()
        self.lab = Laboratory(seed=1)
        self.lab.__enter__()
        self.addCleanup(self.lab.close)
        start_broker(self.lab, probe_address="198.51.100.2")

    def start(self, host: Host, *arguments: str) -> subprocess.Popen[Any]:
        command = [sys.executable, "-m", "p2phole", "check", "--json", *arguments]
        return host.start(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)

    def told(self, process: subprocess.Popen[Any]) -> dict[str, Any]:
        """What it says; its exit status agrees."""
        out, err = process.communicate(timeout=180)
        self.assertEqual(err, b"")
        told: dict[str, Any] = json.loads(out)
        self.assertEqual(process.returncode, 0 if told["direct"] else 1)
        return told


class NetworkTests(LaboratoryCase):
    def test_networks(self) -> None:
        """The words are what each was built to be."""
        for name in NETWORKS:
            what = nature(PROFILES[name], nature(PROFILES[name]).families[0])
            host = self.lab.site(name, PROFILES[name])
            broker = "198.51.100.1" if 4 in what.families else "[2001:db8:ffff::1]:9000"
            told = self.told(self.start(host, "--broker", broker))
            found = told["nat"]
            with self.subTest(name=name, found=found):
                self.assertEqual(found["mapping"], what.mapping)
                open_to_all = what.filtering == "endpoint-independent"
                filtering = "none" if open_to_all and what.mapping == "none" else what.filtering
                self.assertEqual(found["filtering"], filtering)
                self.assertEqual(found["unsolicited"], "unknown" if open_to_all else what.unsolicited)
                self.assertEqual(told["firewall"], name.startswith("firewall"))
                self.assertEqual(told["scope"], "ipv4" if 4 in what.families else "ipv6")


class PairTests(LaboratoryCase):
    def test_pairs(self) -> None:
        """What it says works does, what it says fails does; both sides try it."""
        hosts = {(name, side): self.lab.site(f"{name}-{side}", PROFILES[name]) for name in PAIRED for side in "ab"}
        for first, second in combinations_with_replacement(PAIRED, 2):
            room = f"{first} {second}"
            checks = []
            for name, side, other in ((first, "a", "b"), (second, "b", "a")):
                config = Path(self.mktemp())
                config.write_text(f"[p2ppeer]\nname = {side}\nbroker = 198.51.100.1\nroom = {room}\n")
                checks.append(self.start(hosts[name, side], "--config", str(config.absolute()), "--peer", other))
            for process in checks:
                told = self.told(process)
                mine, theirs = Behaviour(**told["nat"]), Behaviour(**told["peer"]["nat"])
                with self.subTest(pair=room, told=told["peer"]):
                    expected = outlook(mine, theirs)
                    if expected.sure:
                        self.assertEqual(told["direct"], expected.direct, (room, told))
                    if not told["direct"]:
                        self.assertIn(told["peer"]["reason"], ("symmetric", "answers"))
                        self.assertEqual(told["peer"]["unexpected"], "")
