"""What a conversation survives, and how soon it goes on: routers that reboot, networks that change, no broker."""

from __future__ import annotations

import os
import random
import sys
import time
from collections.abc import Callable
from contextlib import AbstractContextManager

import pytest
from twisted.trial.unittest import SynchronousTestCase

from tests.natlab.behaviour import APD, Behaviour
from tests.natlab.laboratory import Laboratory
from tests.natlab.namespace import Host
from tests.natlab.nats import Nat
from tests.natlab.roaming import Disruptions, Interruption, Talk, cuts, talking
from tests.natlab.routers import Masquerade
from tests.natlab.scenario import require_laboratory, start_broker
from tests.natlab.sites import Profile

pytestmark = pytest.mark.natlab

SECONDS = 5.0
"""Within which a talk goes on once the path is possible again."""

_RESET = Masquerade(stray="reset")


class RoamingCase(SynchronousTestCase):
    """A laboratory with a broker for each test; links of 10 ms."""

    def setUp(self) -> None:
        require_laboratory()
        self.lab = Laboratory(seed=1)
        self.addCleanup(self.lab.close)
        self.disruptions = Disruptions(self.lab, start_broker(self.lab))

    def talk(self, alice: Profile, bob: Profile = _RESET, least: int = 0) -> AbstractContextManager[Talk]:
        """Two that have met; what is missing at the end is an error."""
        return talking(self.lab, self.lab.site("alice", alice), self.lab.site("bob", bob), least=least)

    def short(self, interruption: Interruption, resumed: bool = True) -> None:
        """It goes on in time, by another connection where ``resumed``."""
        self.assertLess(interruption.longest, SECONDS, str(interruption))
        self.assertEqual([each is not None for each in interruption.resumed], [resumed] * 2, str(interruption))


class RebootTests(RoamingCase):
    """Routers of each kind."""

    def check(self, alice: Profile, bob: Profile = _RESET) -> None:
        """The one side's router, the other side's, both at once."""
        reboot = self.disruptions.reboot
        with self.talk(alice, bob) as talk:
            self.short(talk.interrupt("alice's router", lambda: reboot("alice")))
            self.short(talk.interrupt("both routers", lambda: reboot("alice", "bob", seconds=1.0)))

    def test_loose(self) -> None:
        """A Linux router takes the connection up again as if nothing had been, even after a while."""
        with self.talk(Masquerade()) as talk:
            found = talk.interrupt("alice's router", lambda: self.disruptions.reboot("alice"))
            self.short(found, resumed=False)

    def test_silent(self) -> None:
        """A Linux router that takes up nothing and drops what it does not know."""
        self.check(Masquerade(strict=True), Masquerade(strict=True))

    def test_reset(self) -> None:
        """One that answers it with RST."""
        self.check(Masquerade(strict=True, stray="reset"), Masquerade(strict=True, stray="reset"))

    def test_user_space(self) -> None:
        """EIM and APDF, silent, which keeps the ports; and one that hands out others."""
        self.check(Nat(), Nat(Behaviour(allocation="random")))

    def test_symmetric(self) -> None:
        """A port for each destination, one after the other."""
        self.check(Nat(Behaviour(mapping=APD, allocation="sequential")), Masquerade(strict=True))


class BrokerTests(RoamingCase):
    """The broker goes away at the same time."""

    def test_killed_meanwhile(self) -> None:
        """It comes back on its port, with no memory."""

        def both() -> None:
            self.disruptions.kill_broker()
            self.disruptions.reboot("alice", seconds=2.0)
            self.disruptions.restart_broker()

        with self.talk(Nat()) as talk:
            self.short(talk.interrupt("alice's router and the broker", both))
            self.short(talk.interrupt("the same again", both))


class NetworkTests(RoamingCase):
    """A machine that moves."""

    def test_new_address(self) -> None:
        """Another address in the same network."""
        alice = self.lab.site("alice", Masquerade())
        bob = self.lab.site("bob", _RESET)
        with talking(self.lab, alice, bob) as talk:
            new = alice.address[: alice.address.rindex(".")] + ".77"
            self.short(talk.interrupt("a new address", lambda: self.lab.readdress(alice, new)))

    def test_another_network(self) -> None:
        """From home to a cafe and back."""
        alice = self.lab.site("alice", Masquerade())
        bob = self.lab.site("bob", _RESET)
        self.lab.site("cafe", Nat(Behaviour(allocation="random")))
        with talking(self.lab, alice, bob) as talk:
            self.short(talk.interrupt("the cafe", self.move(alice, "cafe")))
            self.short(talk.interrupt("home", self.move(alice, "alice")))

    def move(self, host: Host, site: str) -> Callable[[], None]:
        return lambda: self.lab.move(host, site)


class SilenceTests(RoamingCase):
    """Nothing gets through, and nobody says so."""

    def test_between_the_two(self) -> None:
        """Eight seconds in which both reach the broker: another way is looked for soon."""
        with self.talk(Nat(), Nat()) as talk:
            began: list[float] = []

            def silence() -> None:
                began.append(time.time())
                self.disruptions.blackhole("alice", "bob", 8.0)

            self.short(talk.interrupt("8 s of silence", silence))
            for program in talk.programs:
                punched = program.events.all("introduced")[1]["time"] - began[0]
                self.assertGreater(punched, 2.0)
                self.assertLess(punched, 4.0)

    def test_short(self) -> None:
        """A second of silence is none of anybody's business: the same connection goes on."""
        with self.talk(Nat(), Nat()) as talk:
            silence = lambda: self.disruptions.blackhole("alice", "bob", 1.0)  # noqa: E731
            self.short(talk.interrupt("1 s of silence", silence), resumed=False)


class ManyCutsTests(RoamingCase):
    """Whatever happens, whenever it happens."""

    def test_at_random_moments(self) -> None:
        """Numbered messages both ways through a few cuts; each arrives once, in order.

        ``python -m benchmarks.roaming --cuts 20 --messages 10000`` has more of the same.
        """
        seed = int(os.environ.get("ROAMING_SEED") or random.SystemRandom().getrandbits(32))
        sys.stderr.write(f"ROAMING_SEED={seed}\n")
        with self.talk(Nat(), Masquerade(strict=True, stray="reset"), least=500) as talk:
            for interruption in cuts(talk, self.disruptions, random.Random(seed), 4):
                self.assertLess(interruption.longest, SECONDS, f"seed {seed}: {interruption}")
