"""What a conversation survives, and how soon it goes on: routers that reboot, networks that change, no broker."""

from __future__ import annotations

import os
import random
import re
import sys
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from functools import partial

import pytest
from twisted.trial.unittest import SynchronousTestCase

from tests.natlab.behaviour import APD, Behaviour
from tests.natlab.laboratory import Laboratory
from tests.natlab.namespace import Host
from tests.natlab.nats import CarrierHome, Nat
from tests.natlab.probes import wait_until
from tests.natlab.roaming import AGAIN, Disruptions, Interruption, Talk, Transfer, cuts, talking
from tests.natlab.routers import Masquerade
from tests.natlab.scenario import require_laboratory, start_broker, start_command
from tests.natlab.sites import Profile

pytestmark = pytest.mark.natlab

LATE = 3.0
"""Seconds that a machine with much else to do may add.  What goes wrong costs more: the 10 s in which a router
lets nobody in after a RST, or the 30 s until peers try again."""
SECONDS = 5.0 + LATE
"""Within which a talk goes on once the path is possible again; in tests/system/test_roaming.py it is the 5 s."""

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
    """Routers of each kind; their reboots one at a time, and at once."""

    def check(self, alice: Profile, bob: Profile) -> None:
        reboot = self.disruptions.reboot
        with self.talk(alice, bob) as talk:
            self.short(talk.interrupt("alice's router", lambda: reboot("alice")))
            self.short(talk.interrupt("both routers", lambda: reboot("alice", "bob")))

    def test_loose(self) -> None:
        """A Linux router takes the connection up again as if nothing had been; a second of silence is nothing."""
        with self.talk(Masquerade(), _RESET) as talk:
            found = talk.interrupt("alice's router", lambda: self.disruptions.reboot("alice"))
            self.short(found, resumed=False)
            found = talk.interrupt("silence", lambda: self.disruptions.blackhole("alice", "bob", 1.0))
            self.short(found, resumed=False)

    def test_linux(self) -> None:
        """Linux routers that take up nothing; one drops what it does not know, the other one answers with RST."""
        self.check(Masquerade(strict=True), Masquerade(strict=True, stray="reset"))

    def test_both_reset(self) -> None:
        """Two that answer with RST: a SYN too many, and neither lets the other side's in for 10 s."""
        reset = Masquerade(strict=True, stray="reset")
        self.check(reset, reset)

    def test_carriers(self) -> None:
        """Two homes behind carriers that reset, one of which forgets all: what the homes' routers still know may
        keep the new connection out, until a side goes on from another port."""
        reset = CarrierHome(Masquerade(stray="reset"), Behaviour(filtering=APD, stray="reset"))
        with self.talk(reset, reset) as talk:
            found = talk.interrupt("a carrier's NAT", lambda: self.lab.reboot_carrier("alice-carrier"))
            # Two seconds in which it might be a pause, and the first start is spent on finding out.
            self.assertLess(found.longest, 2 * SECONDS, str(found))

    def test_user_space(self) -> None:
        """EIM and APDF, which keeps the ports, and one port after the other for each destination."""
        self.check(Nat(Behaviour(mapping=APD, allocation="sequential")), Nat())

    def test_by_code(self) -> None:
        """Where both have to prove something, what a reboot has left half done does not hold up the next proof."""
        alice, bob = self.lab.site("alice", Nat()), self.lab.site("bob", _RESET)
        inviting = start_command(alice, "inviting", "pipe", invite=True)

        def shown() -> re.Match[str] | None:
            return re.search(r"\d+-[a-z]+-[a-z]+", inviting.log.read_text() if inviting.log.exists() else "")

        joining = start_command(bob, "joining", "pipe", wait_until(shown, "a code")[0])
        for program in (inviting, joining):
            program.wait("connected")
        for number, sites in enumerate((["alice"], ["alice", "bob"])):
            self.disruptions.reboot(*sites)
            start, text = time.monotonic(), f"after {number}"
            inviting.say(text)
            joining.say(text)
            for program in (inviting, joining):
                wait_until(lambda: text in program.output.read_text(), text, AGAIN)  # noqa: B023
            self.assertLess(time.monotonic() - start, SECONDS)


class BrokerTests(RoamingCase):
    """The broker goes away at the same time."""

    def test_killed_meanwhile(self) -> None:
        """It comes back on its port, with no memory."""

        def both() -> None:
            self.disruptions.kill_broker()
            self.disruptions.reboot("alice", seconds=1.0)
            self.disruptions.restart_broker()

        with self.talk(Nat()) as talk:
            self.short(talk.interrupt("alice's router and the broker", both))


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
                self.assertLess(punched, 4.0 + LATE)

    def test_just_long_enough(self) -> None:
        """What ends the old connection may get through again: the routers must not shut out the new one for it."""
        with self.talk(_RESET, _RESET) as talk:
            for seconds in (2.3, 2.4):
                silence = partial(self.disruptions.blackhole, "alice", "bob", seconds)
                self.assertLess(talk.interrupt(f"{seconds} s of silence", silence).longest, SECONDS)


class ManyCutsTests(RoamingCase):
    """Whatever happens, whenever it happens."""

    def test_at_random_moments(self) -> None:
        """Numbered messages both ways through a few cuts; each arrives once, in order.

        ``python -m benchmarks.roaming --cuts 20 --messages 10000`` has more of the same.
        """
        seed = int(os.environ.get("ROAMING_SEED") or random.SystemRandom().getrandbits(32))
        sys.stderr.write(f"ROAMING_SEED={seed}\n")
        with self.talk(Nat(), Masquerade(strict=True, stray="reset"), least=300) as talk:
            # How long each takes depends on what the one before has left; what arrives in the end does not.
            self.assertEqual(len(list(cuts(talk, self.disruptions, random.Random(seed), 3))), 3)


class TransferTests(RoamingCase):
    """Much data at once; ``python -m benchmarks.roaming --transfer 1024`` has more of it."""

    def check(self, how: str) -> None:
        alice, bob = self.lab.site("alice", Nat()), self.lab.site("bob", Masquerade(strict=True, stray="reset"))
        transfer = Transfer(self.lab, how, alice, bob, 24 << 20, seed=1)
        self.assertLess(transfer.interrupt(0.2, lambda: self.disruptions.reboot("alice", seconds=0.5)), SECONDS)
        transfer.end(60)

    def test_pipe(self) -> None:
        """What comes out is what went in, once."""
        self.check("pipe")

    def test_send(self) -> None:
        """The same of a file."""
        self.check("send")
