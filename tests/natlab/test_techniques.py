"""Prediction, birthday and the verdicts through NATs of every kind; discovery against what each is built to be."""

from __future__ import annotations

import pytest
from twisted.trial.unittest import SynchronousTestCase

from tests.natlab.laboratory import Laboratory
from tests.natlab.nature import nature
from tests.natlab.probes import wait_until
from tests.natlab.profiles import PROFILES
from tests.natlab.scenario import (
    Event,
    Program,
    ScenarioError,
    report,
    require_laboratory,
    start_broker,
    start_peer,
)

pytestmark = pytest.mark.natlab


class TechniqueCase(SynchronousTestCase):
    """A laboratory with a broker of two addresses."""

    def setUp(self) -> None:
        require_laboratory()
        self.lab = Laboratory(seed=1)
        self.lab.__enter__()
        self.addCleanup(self.lab.close)
        start_broker(self.lab, probe_address="198.51.100.2")

    def meet(self, first: str, second: str, room: str = "lobby") -> list[Event]:
        """Peers behind those profiles; how it ended for either."""
        hosts = [self.lab.site(f"{room}-{side}", PROFILES[name]) for side, name in enumerate((first, second))]
        alice = start_peer(hosts[0], "alice", room=room)
        alice.wait("nat")
        bob = start_peer(hosts[1], "bob", room=room)
        return [self.end(alice), self.end(bob)]

    def end(self, program: Program) -> Event:
        """Its first ``connected`` or ``failed``."""

        def ended() -> Event | None:
            found = [event for event in program.events.all() if event["event"] in ("connected", "failed")]
            return found[0] if found else None

        try:
            return wait_until(ended, f"{program.name}: how it ends")
        except AssertionError as error:
            raise ScenarioError(f"{error}\n{report(self.lab.folder)}") from None

    def connects(self, first: str, second: str, room: str = "lobby") -> None:
        """Directly, at the first start."""
        for event in self.meet(first, second, room):
            self.assertEqual(event["event"], "connected", event)
            self.assertEqual(event["attempts"], 1)


class PredictionTests(TechniqueCase):
    """The next ports can be told."""

    def test_one_side(self) -> None:
        self.connects("sym-seq1", "eim-apdf-reset")

    def test_steps_of_two(self) -> None:
        self.connects("eim-apdf-silent", "sym-seq2")

    def test_both_sides(self) -> None:
        self.connects("sym-seq1", "sym-seq1")

    def test_behind_a_carrier(self) -> None:
        self.connects("cgn-home-sym", "kernel-masq-reset")


class BirthdayTests(TechniqueCase):
    """The next ports can't be told."""

    def by_chance(self, first: str, second: str) -> None:
        """At the first start, or other peers' first: one in 3,000 misses, and more on a machine that is late for
        most of its 200 tries a second."""
        try:
            self.connects(first, second)
        except self.failureException:
            self.connects(first, second, "again")

    def test_user_space(self) -> None:
        self.by_chance("sym-random", "eim-apdf-silent")

    def test_kernel(self) -> None:
        self.by_chance("kernel-masq-silent", "kernel-fully-random")


class ImpossibleTests(TechniqueCase):
    """Nothing will do, and both sides are told why."""

    def test_both_random(self) -> None:
        for event in self.meet("sym-random", "kernel-random"):
            self.assertEqual((event["event"], event.get("reason")), ("failed", "symmetric"))


class DiscoveryTests(TechniqueCase):
    """The ``nat`` event names what each profile is built to be."""

    def test_profiles(self) -> None:
        kinds = ["eim-eif", "eim-adf", "eim-apdf-icmp", "eim-apdf-random", "adm-apdf-seq1", "sym-seq2"]
        kinds += ["sym-preserved", "kernel-random", "firewall4-drop"]
        for name in kinds:
            with self.subTest(profile=name):
                built = nature(PROFILES[name], 4)
                found = start_peer(self.lab.site(name, PROFILES[name]), name, room=name).wait("nat")
                self.assertEqual(found["mapping"], built.mapping)
                self.assertEqual(found["filtering"], built.filtering)
                if built.mapping != "none":
                    self.assertEqual(found["allocation"], built.allocation)
                if built.filtering != "endpoint-independent":
                    self.assertEqual(found["unsolicited"], built.unsolicited)
