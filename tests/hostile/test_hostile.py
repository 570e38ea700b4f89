"""What holds while the attackers of :mod:`tests.hostile.modes` are at work: real processes on loopback.

``P2PHOLE_HOSTILE=20 python -m pytest tests/hostile``: twenty times as much garbage.
"""

from __future__ import annotations

import os
import statistics
import time
from collections import Counter
from contextlib import ExitStack
from typing import ClassVar

import pytest
from twisted.trial.unittest import SynchronousTestCase

from p2phole.punch.birthday import MOST_TRIES
from p2phole.punch.birthday import PER_SECOND as TRIES_PER_SECOND
from p2phole.punch.ledger import ALL_PER_SECOND, PER_MINUTE, PER_SECOND
from p2phole.secure.guesses import MOST_GUESSES
from p2phole.wire.messages import Introduction
from tests.hostile.client import Client
from tests.hostile.liars import VICTIM
from tests.hostile.modes import BROKER, PEER
from tests.hostile.stage import SECRET, WRONG, Attacker, Honest, Stage, until
from tests.punch.test_ledger import busiest

pytestmark = pytest.mark.slow

MANY = int(os.environ.get("P2PHOLE_HOSTILE", "1"))
WORDS = "private words"


class Scene:
    """A hostile broker and two honest peers of one room."""

    def __init__(self, mode: str, secret: str | None = SECRET) -> None:
        self.begin = time.monotonic()
        self.stage = Stage()
        self.broker = self.stage.hostile(mode, "--room", "family")
        self.alice, self.bob = (self.stage.peer(name, secret, "--message", WORDS) for name in ("alice", "bob"))
        for each in self.pair:
            until(lambda each=each: each.events("registered"), f"{mode}: {each.name} is registered")

    @property
    def pair(self) -> tuple[Honest, Honest]:
        return self.alice, self.bob

    def told(self, reason: str, seconds: float = 20.0) -> None:
        """Both are told that they have failed, for that reason, and have got no connection."""
        for each in self.pair:
            until(lambda each=each: each.events("failed"), f"{each.name} has failed", seconds)
            assert {event["reason"] for event in each.events("failed")} == {reason}, each.events("failed")
            assert each.events("connected") == []

    def connected(self, how: str) -> None:
        """They have, to each other, and talk."""
        for one, two in (self.pair, self.pair[::-1]):
            [event] = until(lambda one=one: one.events("connected"), f"{one.name} is connected")[:1]
            assert event["authenticated"] == how
            assert event["id"] == two.events("registered")[0]["id"]
        talk(*self.pair)


def talk(one: Honest, two: Honest) -> None:
    """A line each way, over the connection that is there."""
    for speaker, hearer in ((one, two), (two, one)):
        text = f"{speaker.name} at {time.monotonic()}"
        speaker.type(text)
        until(lambda s=speaker, h=hearer, t=text: h.events("message", text=t, direction="in", peer=s.name), text)


class HostileBrokerTests(SynchronousTestCase):
    """All of them are at work at the same time; each test looks at what one has come to."""

    scenes: ClassVar[dict[str, Scene]] = {}
    stack: ClassVar[ExitStack]

    @classmethod
    def setUpClass(cls) -> None:
        cls.stack = ExitStack()
        try:
            for mode in (
                "withhold-letters",
                "swap-keys",
                "swap-endpoints",
                "swap-both",
                "replay",
                "change-letters",
                "reflect-letters",
                "join",
            ):
                cls.begin(mode, Scene(mode))
            cls.begin("open", Scene("swap-both", secret=None))
        except BaseException:
            cls.stack.close()
            raise

    @classmethod
    def begin(cls, name: str, scene: Scene) -> None:
        cls.stack.callback(scene.stage.close)
        cls.scenes[name] = scene

    @classmethod
    def tearDownClass(cls) -> None:
        cls.stack.close()

    def ended(self, name: str, content: bool = False) -> dict[str, int]:
        """The broker, called off: it has got content, or none; nothing has gone wrong with the others."""
        scene = self.scenes[name]
        told = scene.broker.called_off()
        self.assertEqual(bool(told["content"]), content, told)
        for each in scene.pair:
            self.assertEqual(each.accidents(), [])
            self.assertTrue(each.alive())
        return told

    def test_swap_keys(self) -> None:
        self.scenes["swap-keys"].told("unproven")
        self.assertEqual(self.ended("swap-keys")["introductions"], 2)

    def test_swap_endpoints(self) -> None:
        """Where the true ones are is sealed in what it passes on: they meet there."""
        self.scenes["swap-endpoints"].connected("secret")
        self.assertGreater(self.ended("swap-endpoints")["trapped"], 0)

    def test_swap_both(self) -> None:
        self.scenes["swap-both"].told("secret")
        self.assertEqual(self.ended("swap-both")["connected"], 0)

    def test_swap_both_without_a_secret(self) -> None:
        """That the attack is one: here it gets all, and what the event says is ``tofu``."""
        scene = self.scenes["open"]
        for each in scene.pair:
            [event] = until(lambda each=each: each.events("connected"), "connected")
            self.assertEqual(event["authenticated"], "tofu")
            until(lambda each=each: each.events("message", direction="in", text=WORDS), "the other's words")
        self.assertEqual(self.ended("open", content=True)["connected"], 2)

    def test_change_letters(self) -> None:
        scene = self.scenes["change-letters"]
        for each in scene.pair:
            [event] = until(lambda each=each: each.events("failed"), "failed")
            self.assertIn(event["reason"], ("secret", "unproven"))
            self.assertEqual(each.events("connected"), [])
        self.assertGreaterEqual(self.ended("change-letters")["letters"], 2)

    def test_reflect_letters(self) -> None:
        self.scenes["reflect-letters"].told("unproven")
        self.assertGreaterEqual(self.ended("reflect-letters")["letters"], 2)

    def test_replay(self) -> None:
        scene = self.scenes["replay"]
        scene.connected("secret")
        until(lambda: scene.alice.events("message", direction="out"), "delivered")
        time.sleep(max(0.0, scene.begin + 7 - time.monotonic()))
        talk(*scene.pair)
        for one, two in (scene.pair, scene.pair[::-1]):
            self.assertEqual(
                {event["id"] for event in one.events("connected")}, {two.events("registered")[0]["id"]}
            )
            texts = [event["text"] for event in one.events("message", direction="in")]
            self.assertEqual(len(texts), len(set(texts)))
        self.assertGreater(self.ended("replay")["said again"], 20)

    def test_join(self) -> None:
        scene = self.scenes["join"]
        scene.connected("secret")
        until(lambda: len(scene.alice.events("failed")) >= 3, "three guesses")
        self.assertEqual({event["reason"] for event in scene.alice.events("failed")}, {"secret"})
        talk(*scene.pair)
        told = self.ended("join")
        self.assertEqual((told["members"], told["connected"]), (3, 0))

    def test_withhold_letters(self) -> None:
        self.scenes["withhold-letters"].told("unconfirmed", 30)
        self.ended("withhold-letters")


class LiarTests(SynchronousTestCase):
    """Brokers that make members up, and one peer."""

    def start(self, mode: str, *options: str) -> tuple[Attacker, Honest]:
        stage = Stage()
        self.addCleanup(stage.close)
        broker = stage.hostile(mode, *options)
        alice = stage.peer("alice", None, room="lobby")
        until(lambda: alice.events("registered"), "alice is registered")
        return broker, alice

    def check(self, broker: Attacker, alice: Honest) -> dict[str, int]:
        told = broker.called_off()
        self.assertEqual(alice.accidents(), [])
        self.assertTrue(alice.alive())
        return told

    def test_forbidden(self) -> None:
        broker, alice = self.start("forbidden")
        until(lambda: any(host == VICTIM for _, host, _ in alice.dials()), "what is allowed is dialled")
        time.sleep(3)
        self.assertGreater(self.check(broker, alice)["said"], 15)
        port = alice.direct()[1]
        own = {(host, at) for _, host, at in alice.dials()} - {("127.0.0.1", broker_port(broker))}
        self.assertEqual({(host, at) for host, at in own if at != port}, {(VICTIM, 4000)})

    def test_victims(self) -> None:
        """The bounds of the ledger, and beside them one birthday."""
        broker, alice = self.start("victims")
        time.sleep(8)
        self.assertGreater(self.check(broker, alice)["said"], 300)
        tries = [at for at, host, _ in alice.dials() if host == VICTIM]
        self.assertGreater(len(tries), PER_SECOND)
        self.assertLessEqual(len(tries), PER_MINUTE + MOST_TRIES)
        self.assertLessEqual(busiest(tries, 1.0), PER_SECOND + TRIES_PER_SECOND)
        self.assertLessEqual(busiest([at for at, _, _ in alice.dials()], 1.0), ALL_PER_SECOND + TRIES_PER_SECOND)

    def test_garbage(self) -> None:
        broker, alice = self.start("garbage", "--seconds", str(8 * MANY))
        until(lambda: alice.events("broker-back"), "it comes back")
        time.sleep(2)
        warm = alice.memory()
        until(lambda: len(alice.events("broker-back")) > 2, "and again")
        self.assertLess(alice.memory(), 1.05 * warm)
        self.assertGreater(self.check(broker, alice)["hostile"], 200)


def broker_port(broker: Attacker) -> int:
    """Where it listens."""
    arguments = list(broker.process.args)  # type: ignore[arg-type]
    return int(arguments[arguments.index("--port") + 1])


class HostilePeerTests(SynchronousTestCase):
    """One honest broker, a pair with a secret and a pair without: they talk before and after each attack."""

    stage: ClassVar[Stage]

    @classmethod
    def setUpClass(cls) -> None:
        cls.stage = stage = Stage()
        try:
            cls.broker = stage.broker()
            cls.alice, cls.bob = stage.peer("alice"), stage.peer("bob")
            cls.carol, cls.dave = (stage.peer(name, None, room="lobby") for name in ("carol", "dave"))
            for each in (cls.alice, cls.bob, cls.carol, cls.dave):
                until(lambda each=each: each.events("connected"), f"{each.name} is connected")
        except BaseException:
            stage.close()
            raise

    @classmethod
    def tearDownClass(cls) -> None:
        cls.stage.close()

    def setUp(self) -> None:
        self.talk()

    def talk(self) -> None:
        for one, two in ((self.alice, self.bob), (self.carol, self.dave)):
            talk(one, two)
            for each, other in ((one, two), (two, one)):
                self.assertEqual(len(each.events("connected", peer=other.name)), 1)
                self.assertEqual(each.events("disconnected", peer=other.name), [])

    def attack(self, mode: str, *options: str, seconds: float = 60.0) -> dict[str, int]:
        told = self.stage.attack(mode, *options).told(seconds)
        self.talk()
        for each in self.stage.honest():
            self.assertEqual(each.accidents(), [], each.name)
            self.assertTrue(each.alive())
        return told

    @property
    def target(self) -> tuple[str, str]:
        return "--target", "{}:{}".format(*self.alice.direct())

    def test_wrong_secret(self) -> None:
        """Over all keys, addresses and connections a member gives away ten confirmations, and says so."""
        told = self.attack("wrong-secret", "--room", "family", "--secret-file", self.stage.file("wrong", WRONG))
        self.assertEqual((told["tries"], told["members"], told["proven"]), (13, 2, 0))
        self.assertLessEqual(told["confirmations"], MOST_GUESSES)
        for each, other in ((self.alice, self.bob), (self.bob, self.alice)):
            reasons = Counter(event["reason"] for event in each.events("failed"))
            self.assertEqual(reasons["secret"], MOST_GUESSES)
            self.assertGreater(reasons["locked"], 0)
            self.assertIn("tried wrongly too often", each.text("log"))
            self.assertEqual({event["peer"] for event in each.events("connected")}, {other.name})

    def test_claim_name(self) -> None:
        """Who is called as one that is kept is refused where that one is wanted, and gets nothing."""
        frank_id = self.dave.events("registered")[0]["id"]
        (self.stage.folder / "erin-keys").mkdir()
        known = {
            "p2phole": "known people",
            "version": 1,
            "met": [],
            "passing": [],
            "kept": [{"name": "frank", "fingerprint": frank_id, "since": 1}],
        }
        self.stage.file("erin-keys/known.json", json_of(known))
        erin = self.stage.peer("erin", None, "--to", "frank", "--message", WORDS, room="names")
        told = self.attack("claim-name", "--room", "names", "--name", "frank")
        self.assertEqual((told["connected"], told["content"]), (0, 0))
        self.assertEqual([event["reason"] for event in erin.events("failed")], ["changed"])
        self.assertEqual(erin.events("connected"), [])

    def test_impostor(self) -> None:
        told = self.attack("impostor", "--room", "lobby")
        self.assertEqual((told["let in"], told["refused"], told["beside"]), (0, told["lies"], 1))

    def test_garbage(self) -> None:
        options = ("--room", "lobby", *self.target)
        self.attack("garbage", "--count", "2500", *options)
        watched = (self.broker, self.alice)
        warm = {each: each.memory() for each in watched}
        told = self.attack("garbage", "--count", str(5000 * MANY), "--seed", "2", *options, seconds=600)
        self.assertGreaterEqual(told["lines"], 5000 * MANY)
        self.assertEqual(told["direct bytes"], 0)
        for each in watched:
            self.assertLess(each.memory(), 1.05 * warm[each], each.name)

    def test_raw(self) -> None:
        told = self.attack("raw", *self.target)
        self.assertGreater(told["sent"], 80)
        self.assertEqual(told["direct bytes"], 0)

    def test_scanner(self) -> None:
        self.assertEqual(self.attack("scanner", *self.target)["direct bytes"], 0)

    def test_slow_and_deaf(self) -> None:
        """Beside them a registration with its introduction takes at most twice as long as alone."""
        alone = self.seconds_to_meet()
        crowds = [self.stage.attack("slow", *self.target), self.stage.attack("deaf")]
        until(lambda: self.sockets() > 2000, "they are there", 30)
        beside = self.seconds_to_meet()
        self.talk()
        told = [crowd.called_off() if crowd.alive() else crowd.told() for crowd in crowds]
        self.assertLess(beside, 2 * alone + 0.05, f"{alone} s alone, {told}")
        self.attack("scanner", "--seconds", "0.1", *self.target)

    def sockets(self) -> int:
        return len(os.listdir(f"/proc/{self.broker.process.pid}/fd"))

    def seconds_to_meet(self) -> float:
        """The median of some."""
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
        return statistics.median(found)

    def test_flood(self) -> None:
        before = self.carol.memory()
        told = self.attack("flood", "--room", "lobby", "--seconds", "14")
        self.assertGreaterEqual(told["connected"], told["rules"])
        self.assertLess(self.carol.memory() - before, 40_000)

    def test_reflect(self) -> None:
        begin = time.monotonic()
        told = self.attack("reflect", "--room", "lobby", "--seconds", "5")
        self.assertGreaterEqual(told["introductions"], told["members"] * 2)
        for each in (self.carol, self.dave):
            dials = [(at, host, port) for at, host, port in each.dials() if at >= begin]
            self.assertEqual({host for _, host, port in dials if not host.startswith("127.0.0.")}, set())
            tries = [at for at, host, _ in dials if host == VICTIM]
            self.assertGreater(len(tries), 0)
            self.assertLessEqual(busiest(tries, 1.0), PER_SECOND)
            self.assertLessEqual(len(tries), PER_MINUTE)


def json_of(value: object) -> str:
    import json

    return json.dumps(value)


class TableTests(SynchronousTestCase):
    def test_every_mode_is_there(self) -> None:
        for modes in (BROKER, PEER):
            for name, mode in modes.items():
                self.assertTrue(callable(mode.load(name)))
                self.assertTrue(mode.does)
