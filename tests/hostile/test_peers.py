"""What holds against strangers and members: an honest broker and two pairs, who talk before and after each attack.

``P2PHOLE_HOSTILE=20 python -m pytest tests/hostile``: twenty times as much garbage.
"""

from __future__ import annotations

import json
import os
import re
import time
from collections import Counter
from typing import Any, ClassVar

import pytest
from twisted.trial.unittest import SynchronousTestCase

from p2phole.punch.ledger import PER_MINUTE, PER_SECOND
from p2phole.secure.guesses import MOST_GUESSES
from p2phole.wire.messages import Introduction
from tests.hostile.client import Client
from tests.hostile.liars import FORBIDDEN, VICTIM
from tests.hostile.modes import BROKER, PEER
from tests.hostile.stage import WRONG, Attacker, Honest, Process, Stage, talk, until
from tests.punch.test_ledger import busiest

pytestmark = pytest.mark.slow

MANY = int(os.environ.get("P2PHOLE_HOSTILE", "1"))
WORDS = "private words"


class HostilePeerTests(SynchronousTestCase):
    """alice and bob have a secret, carol and dave meet in an open room; erin wants nobody but frank."""

    stage: ClassVar[Stage]
    begun: ClassVar[dict[str, Attacker]]

    @classmethod
    def setUpClass(cls) -> None:
        cls.stage = stage = Stage()
        try:
            cls.broker = stage.broker()
            cls.alice, cls.bob = stage.peer("alice"), stage.peer("bob")
            cls.carol, cls.dave = (stage.peer(name, None, room="lobby") for name in ("carol", "dave"))
            (stage.folder / "erin-keys").mkdir()
            kept = [{"name": "frank", "fingerprint": "f" * 64, "since": 1}]
            known = {"p2phole": "known people", "version": 1, "kept": kept, "met": [], "passing": []}
            stage.file("erin-keys/known.json", json.dumps(known))
            cls.erin = stage.peer("erin", None, "--to", "frank", "--message", WORDS, room="names")
            for each in (cls.alice, cls.bob, cls.carol, cls.dave):
                until(lambda each=each: each.events("connected"), f"{each.name} is connected")
            # These take some seconds, in which they do next to nothing.
            cls.begun = {
                "claim-name": stage.attack("claim-name", "--room", "names", "--name", "frank", "--seconds", "600"),
                "scanner": stage.attack("scanner", "--target", cls.target()),
                "reflect": stage.attack("reflect", "--room", "lobby", "--seconds", "6"),
            }
        except BaseException:
            stage.close()
            raise

    @classmethod
    def tearDownClass(cls) -> None:
        cls.stage.close()

    @classmethod
    def target(cls) -> str:
        return "{}:{}".format(*cls.alice.direct())

    def check(self) -> None:
        """Both pairs talk over a connection that was never lost, and nothing has gone wrong with anybody."""
        for one, two in ((self.alice, self.bob), (self.carol, self.dave)):
            talk(one, two)
            for each, other in ((one, two), (two, one)):
                self.assertEqual(each.events("disconnected", peer=other.name), [])
        for each in self.stage.honest():
            self.assertEqual(each.accidents(), [], each.name)
            self.assertTrue(each.alive(), each.name)

    def attack(self, mode: str, *options: str, seconds: float = 180.0) -> dict[str, Any]:
        """What it says in the end; honest ones are well before and after it."""
        self.check()
        attacker = self.begun.pop(mode, None) or self.stage.attack(mode, *options)
        told = attacker.told(seconds)
        self.assertNotIn("Traceback", attacker.text("err"))
        self.check()
        return told

    def test_wrong_secret(self) -> None:
        """Over all keys, addresses and connections a member gives away ten confirmations, and says so."""
        told = self.attack("wrong-secret", "--room", "family", "--secret-file", self.stage.file("wrong", WRONG))
        self.assertEqual((told["tries"], told["members"], told["proven"]), (13, 2, 0))
        self.assertEqual(told["confirmations"], MOST_GUESSES)
        for each, other in ((self.alice, self.bob), (self.bob, self.alice)):
            reasons = Counter(event["reason"] for event in each.events("failed"))
            self.assertEqual(reasons["secret"], MOST_GUESSES)
            self.assertGreater(reasons["locked"], 0)
            self.assertIn("tried wrongly too often", each.text("log"))
            self.assertEqual({event["peer"] for event in each.events("connected")}, {other.name})

    def test_claim_name(self) -> None:
        """Who is called as one that is kept is refused where that one is wanted, and gets nothing."""
        until(lambda: self.erin.events("failed"), "it is refused")
        self.begun["claim-name"].process.terminate()
        told = self.attack("claim-name")
        self.assertEqual((told["connected"], told["content"]), (0, 0))
        self.assertEqual([event["reason"] for event in self.erin.events("failed")], ["changed"])
        self.assertEqual(self.erin.events("connected"), [])

    def test_impostor(self) -> None:
        told = self.attack("impostor", "--room", "names")
        self.assertEqual((told["let in"], told["refused"], told["beside"]), (0, told["lies"], 1))

    def test_garbage(self) -> None:
        options = ("--room", "lobby", "--target", self.target())
        self.attack("garbage", "--count", "3000", *options)
        watched = (self.broker, self.alice)
        warm = {each: each.memory() for each in watched}
        told = self.attack("garbage", "--count", str(5000 * MANY), "--seed", "2", *options, seconds=600)
        self.assertGreaterEqual(told["lines"], 5000 * MANY)
        self.assertEqual(told["direct bytes"], 0)
        for each in watched:
            self.assertLess(each.memory(), 1.05 * warm[each], each.name)

    def test_raw(self) -> None:
        told = self.attack("raw", "--target", self.target())
        self.assertGreater(told["sent"], 80)
        self.assertEqual(told["direct bytes"], 0)

    def test_scanner(self) -> None:
        told = self.attack("scanner")
        self.assertGreater(told["tries"], 8)
        self.assertEqual(told["direct bytes"], 0)

    def test_slow_and_deaf(self) -> None:
        """Beside them a registration with its introduction takes at most twice as long as alone."""
        alone = self.seconds_to_meet()
        crowds = [
            self.stage.attack("slow", "--target", self.target(), "--seconds", "600"),
            self.stage.attack("deaf", "--seconds", "600"),
        ]
        until(lambda: self.sockets() > 2300, "they are there")
        beside = self.seconds_to_meet()
        self.check()
        slow, deaf = (crowd.called_off() for crowd in crowds)
        self.assertLess(beside, 2 * alone + 0.05, f"{alone} s alone, {slow}, {deaf}")
        self.assertEqual((slow["held"], deaf["registered"]), (PEER["slow"].count, PEER["deaf"].count))

    def sockets(self) -> int:
        return len(os.listdir(f"/proc/{self.broker.process.pid}/fd"))

    def seconds_to_meet(self) -> float:
        """The shortest of some: the others have met a machine with much else to do."""
        address, found = ("127.0.0.1", self.stage.port), []
        for number in range(15):
            room = ("open", f"stopwatch {number}")
            with Client(address, "127.0.0.8") as one, Client(address, "127.0.0.8") as two:
                one.greet()
                one.register(room)
                begin = time.monotonic()
                two.greet()
                two.register(room)
                while not isinstance(two.hear(), Introduction):
                    pass
                found.append(time.monotonic() - begin)
        return min(found)

    def test_burn_codes(self) -> None:
        """From one address no more than the limit; and two others meet by a code meanwhile."""
        told = self.attack("burn-codes")
        self.assertLess(told["given"] + told["own"] + told.get("no-such-code", 0), 40)
        self.assertGreater(told["limit"], 150)
        chat = ("-m", "p2phole", "chat", "--broker", f"127.0.0.1:{self.stage.port}")
        keys = [str(self.stage.folder / name / "key.pem") for name in ("gina", "hugo")]
        gina = Process(self.stage, "gina", *chat, "--key-file", keys[0], "--events", "gina.events", "--invite")
        code = until(lambda: re.findall(r"\b\d+-[a-z]+-[a-z]+\b", gina.text("out", "err")), "a code")[0]
        Process(self.stage, "hugo", *chat, "--key-file", keys[1], "--message", WORDS, code)
        until(lambda: WORDS in gina.text("out"), "they talk")
        self.assertIn('"authenticated": "secret"', gina.text("events"))

    def test_flood(self) -> None:
        told = self.attack("flood", "--room", "lobby")
        self.assertGreaterEqual(told["connected"], told["rules"])
        for each in (self.carol, self.dave):
            self.assertLess(each.memory("VmHWM"), self.alice.memory("VmHWM") + 25_000)

    def test_reflect(self) -> None:
        """At one address no more than the ledger grants, and nowhere where nobody may."""
        told = self.attack("reflect")
        self.assertGreaterEqual(told["introductions"], told["members"] * 2)
        for each in (self.carol, self.dave):
            self.assert_bounded(each)

    def assert_bounded(self, peer: Honest) -> None:
        bad = {tuple(text.rsplit(":", 1)) for text in FORBIDDEN}
        self.assertEqual({(host, str(port)) for _, host, port in peer.dials()} & bad, set())
        tries = [at for at, host, _ in peer.dials() if host == VICTIM]
        self.assertGreater(len(tries), 0)
        self.assertLessEqual(busiest(tries, 1.0), PER_SECOND)
        self.assertLessEqual(busiest(tries, 60.0), PER_MINUTE)


class TableTests(SynchronousTestCase):
    def test_every_mode_is_there(self) -> None:
        for modes in (BROKER, PEER):
            for name, mode in modes.items():
                self.assertTrue(callable(mode.load(name)))
                self.assertTrue(mode.does)
