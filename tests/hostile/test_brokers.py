"""What holds against brokers that lie: real processes on loopback, all of them at work at the same time."""

from __future__ import annotations

import time
from contextlib import ExitStack
from typing import Any, ClassVar

import pytest
from twisted.trial.unittest import SynchronousTestCase

from p2phole.punch.birthday import MOST_TRIES
from p2phole.punch.birthday import PER_SECOND as TRIES_PER_SECOND
from p2phole.punch.ledger import ALL_PER_SECOND, PER_MINUTE, PER_SECOND
from tests.hostile.liars import VICTIM
from tests.hostile.stage import SECRET, Honest, Stage, talk, until
from tests.punch.test_ledger import busiest

pytestmark = pytest.mark.slow

WORDS = "private words"
PAIRS = {
    "withhold-letters": SECRET,
    "swap-keys": SECRET,
    "swap-endpoints": SECRET,
    "swap-both": SECRET,
    "replay": SECRET,
    "change-letters": SECRET,
    "reflect-letters": SECRET,
    "join": SECRET,
    "swap-both without a secret": None,
}
ALONE = ("forbidden", "victims", "garbage")


class Scene:
    """A hostile broker and the honest peers of one room: two, or one that it makes members up for."""

    def __init__(self, name: str) -> None:
        self.stage = Stage()
        self.broker = self.stage.hostile(name.partition(" ")[0], "--room", "family", "--seconds", "600")
        self.names = ("alice",) if name in ALONE else ("alice", "bob")
        self.secret = PAIRS.get(name)

    def fill(self) -> None:
        """Start the peers."""
        self.stage.listening()
        self.begin = time.monotonic()
        self.peers = [self.stage.peer(name, self.secret, "--message", WORDS) for name in self.names]

    def first(self, kind: str, **keys: object) -> list[dict[str, Any]]:
        """The first such event of each."""
        found = []
        for each in self.peers:
            what = f"{self.broker.name}: {each.name}: {kind}"
            found.append(until(lambda each=each: each.events(kind, **keys), what)[0])
        return found

    def ended(self) -> dict[str, Any]:
        """What the broker says, called off; and nothing has gone wrong with the others."""
        told = self.broker.called_off()
        assert "Traceback" not in self.broker.text("err"), self.broker.text("err")
        for each in self.peers:
            assert each.accidents() == []
            assert each.alive()
        return told


class HostileBrokerTests(SynchronousTestCase):
    """Each test looks at what one of them has come to."""

    scenes: ClassVar[dict[str, Scene]]
    stack: ClassVar[ExitStack]

    @classmethod
    def setUpClass(cls) -> None:
        cls.stack = ExitStack()
        try:
            cls.scenes = {name: Scene(name) for name in (*PAIRS, *ALONE)}
            for scene in cls.scenes.values():
                cls.stack.callback(scene.stage.close)
            for scene in cls.scenes.values():
                scene.fill()
            for scene in cls.scenes.values():
                scene.first("registered")
        except BaseException:
            cls.stack.close()
            raise

    @classmethod
    def tearDownClass(cls) -> None:
        cls.stack.close()

    def assert_failed(self, name: str, *reasons: str) -> dict[str, Any]:
        """Both are told that they have failed and why; they have no connection, and the broker no content."""
        scene = self.scenes[name]
        for event, each in zip(scene.first("failed"), scene.peers, strict=True):
            self.assertIn(event["reason"], reasons)
            self.assertEqual(each.events("connected"), [])
        told = scene.ended()
        self.assertEqual(told["content"], 0, told)
        return told

    def assert_connected(self, scene: Scene) -> None:
        """Each has connections to the other one only, and they talk."""
        for event in scene.first("connected"):
            self.assertEqual(event["authenticated"], "secret")
        talk(*scene.peers)
        alice, bob = scene.peers
        for one, two in ((alice, bob), (bob, alice)):
            self.assertEqual(
                {event["id"] for event in one.events("connected")}, {two.events("registered")[0]["id"]}
            )

    def test_swap_keys(self) -> None:
        self.assertGreaterEqual(self.assert_failed("swap-keys", "unproven")["introductions"], 2)

    def test_swap_endpoints(self) -> None:
        """Where the true ones are is sealed in what it passes on: they meet there."""
        scene = self.scenes["swap-endpoints"]
        self.assert_connected(scene)
        told = scene.ended()
        self.assertGreater(told["trapped"], 0)
        self.assertEqual(told["content"], 0)

    def test_swap_both(self) -> None:
        self.assertEqual(self.assert_failed("swap-both", "secret")["connected"], 0)

    def test_swap_both_without_a_secret(self) -> None:
        """That the attack is one: here it gets all, and the event says ``tofu``."""
        scene = self.scenes["swap-both without a secret"]
        self.assertEqual({event["authenticated"] for event in scene.first("connected")}, {"tofu"})
        scene.first("message", direction="in", text=WORDS)
        told = scene.ended()
        self.assertEqual(told["connected"], 2)
        self.assertGreaterEqual(told["content"], 2 * len(WORDS))

    def test_change_letters(self) -> None:
        self.assertGreaterEqual(self.assert_failed("change-letters", "secret", "unproven")["letters"], 2)

    def test_reflect_letters(self) -> None:
        self.assertGreaterEqual(self.assert_failed("reflect-letters", "unproven")["letters"], 2)

    def test_withhold_letters(self) -> None:
        self.assertGreaterEqual(self.assert_failed("withhold-letters", "unconfirmed")["letters"], 2)

    def test_replay(self) -> None:
        """What was delivered is not delivered again."""
        scene = self.scenes["replay"]
        scene.first("connected")
        until(lambda: "all said again" in scene.broker.text("out"), "it is said again")
        self.assert_connected(scene)
        for each in scene.peers:
            texts = [event["text"] for event in each.events("message", direction="in")]
            self.assertEqual(len(texts), len(set(texts)))
        told = scene.ended()
        self.assertGreater(told["said again"], 20)
        self.assertEqual(told["content"], 0)

    def test_join(self) -> None:
        scene = self.scenes["join"]
        until(lambda: all(len(each.events("failed")) >= 3 for each in scene.peers), "three guesses")
        for each in scene.peers:
            self.assertEqual({event["reason"] for event in each.events("failed")}, {"secret"})
        self.assert_connected(scene)
        told = scene.ended()
        self.assertEqual((told["members"], told["connected"], told["content"]), (3, 0, 0))

    def alone(self, name: str, dials: int) -> tuple[Honest, list[float], dict[str, Any]]:
        """The one peer, once all is said and the third address was dialled so often; when it was; the broker."""
        scene = self.scenes[name]
        [alice] = scene.peers

        def tries() -> list[float]:
            return [at for at, host, _ in alice.dials() if host == VICTIM]

        until(lambda: len(tries()) > dials, f"{name}: more than {dials} dials")
        until(lambda: "all said" in scene.broker.text("out"), f"{name}: all is said")
        return alice, tries(), scene.ended()

    def test_forbidden(self) -> None:
        """What goes to the third address itself is allowed, and shows that they were all looked at."""
        alice, _tries, told = self.alone("forbidden", 0)
        self.assertGreater(told["said"], 15)
        broker = ("127.0.0.1", self.scenes["forbidden"].stage.port)
        dials = {(host, port) for _, host, port in alice.dials()} - {broker}
        self.assertEqual(dials, {(VICTIM, 4000)})

    def test_victims(self) -> None:
        """The bounds of the ledger, and beside them one birthday, for which it has been baited."""
        alice, tries, told = self.alone("victims", 5 * PER_MINUTE)
        self.assertGreater(told["said"], 300)
        # In any minute: the attackers of all these tests may run for longer than one.
        self.assertLessEqual(busiest(tries, 60.0), PER_MINUTE + MOST_TRIES)
        self.assertLessEqual(busiest(tries, 1.0), PER_SECOND + TRIES_PER_SECOND)
        self.assertLessEqual(busiest([at for at, _, _ in alice.dials()], 1.0), ALL_PER_SECOND + TRIES_PER_SECOND)

    def test_garbage(self) -> None:
        """It goes, comes back for more, and is no larger for it."""
        scene = self.scenes["garbage"]
        [alice] = scene.peers
        until(lambda: len(alice.events("broker-back")) > 1, "it comes back")
        warm = alice.memory()
        until(lambda: len(alice.events("broker-back")) > 3, "and again")
        self.assertLess(alice.memory(), 1.05 * warm)
        self.assertGreater(scene.ended()["hostile"], 500)
