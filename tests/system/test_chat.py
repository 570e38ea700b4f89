"""A chat on whole peers, on the network in memory; only the screen is missing."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path

from twisted.internet.defer import Deferred, succeed
from twisted.trial.unittest import SynchronousTestCase

from p2phole.errors import LocalError
from p2phole.secure.codes import Code
from p2phole.use.chat import use as chat_use
from p2phole.use.chat.files import MOST_OFFERED, path_of
from p2phole.use.chat.model import Kind, Mark, Transcript
from p2phole.use.chat.use import Chat
from tests.support.network import Nat
from tests.system.world import Peer, World
from tests.use.files.pairs import work


class FakeSurface:
    """In place of the screen."""

    def __init__(self) -> None:
        self.told: list[str] = []

    def start(self, failed: Callable[[LocalError], None]) -> None:
        self.told.append("started")

    def stop(self) -> Deferred[None]:
        self.told.append("stopped")
        return succeed(None)


class Talker:
    """A peer that chats."""

    def __init__(self, world: World, host: str, address: str, called: str = "", **settings: object) -> None:
        self.left: list[None] = []
        greetings = settings.pop("greetings", ())
        self.transcript = Transcript(world.clock.seconds)
        self.folder = Path(tempfile.mkdtemp(dir=".")).resolve()
        self.chat = Chat(
            self.transcript,
            lambda: self.left.append(None),
            "nobody",
            work,
            self.folder,
            0o022,
            greetings,
            pair="invite" in settings or "code" in settings,
        )  # type: ignore[arg-type]
        self.chat.screen = self.surface = FakeSurface()
        self.router = Nat(address, stray="drop", allocation="random")
        self.peer: Peer = world.peer(world.site(host, self.router), called or host, uses=[self.chat], **settings)

    def said(self) -> list[tuple[str, Mark]]:
        return [(entry.text, entry.mark) for entry in self.transcript.entries if entry.kind is Kind.SAID]

    def heard(self) -> list[str]:
        return [f"{entry.who}: {entry.text}" for entry in self.transcript.entries if entry.kind is Kind.HEARD]

    def told(self) -> list[str]:
        return [entry.text for entry in self.transcript.entries if entry.kind in (Kind.NOTE, Kind.WARNING)]

    def arrived(self) -> bool:
        return all(mark is Mark.ARRIVED for _text, mark in self.said())

    def status(self) -> str:
        return self.chat.status(80).strip()


class ChatTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.world = World()
        self.alice = Talker(self.world, "alice", "203.0.113.1")

    def bob(self, **settings: object) -> Talker:
        return Talker(self.world, "bob", "203.0.113.2", **settings)

    def test_from_nobody_to_somebody(self) -> None:
        alice = self.alice
        self.world.net.advance(1)
        self.assertEqual((alice.surface.told, alice.status()), (["started"], "nobody"))
        for text in ("one", "two"):
            self.assertTrue(alice.chat.typed(text))
        self.assertEqual(alice.status(), "nobody · 2 waiting")
        bob = self.bob()
        self.world.until(lambda: len(bob.heard()) == 2 and alice.arrived())
        self.assertEqual(bob.heard(), ["alice: one", "alice: two"])
        self.assertRegex(alice.status(), r"^bob · direct( · \d+ ms)?$")
        bob.chat.typed("hello")
        self.world.until(lambda: alice.heard() == ["bob: hello"] and bob.arrived())

    def test_what_is_typed_while_the_other_is_away_arrives_once_in_order(self) -> None:
        alice, bob = self.alice, self.bob()
        self.world.until(lambda: alice.chat.names and bob.chat.names)
        alice.chat.typed("before")
        self.world.until(alice.arrived)
        self.world.net.isolate(bob.peer.host)
        alice.chat.typed("into nothing")
        self.world.until(lambda: alice.status().startswith("bob · away"), 60)
        texts = [f"{number} while away" for number in range(5)]
        for text in texts:
            alice.chat.typed(text)
        self.assertEqual({mark for _, mark in alice.said()[1:]}, {Mark.QUEUED})
        self.assertEqual(alice.status(), "bob · away · 6 waiting")
        self.world.net.restore(bob.peer.host)
        self.world.until(alice.arrived, 120)
        self.assertEqual(bob.heard(), [f"alice: {text}" for text in ("before", "into nothing", *texts)])
        self.assertRegex(alice.status(), "^bob · direct")

    def test_somebody_who_was_started_again(self) -> None:
        alice, bob = self.alice, self.bob()
        self.world.until(lambda: alice.chat.names and bob.chat.names)
        bob.peer.host.crash()
        self.world.until(lambda: alice.status() == "bob · away")
        alice.chat.typed("while away")
        anew = Talker(self.world, "anew", "203.0.113.3", called="bob", credentials=bob.peer.credentials)
        self.world.until(alice.arrived)
        alice.chat.typed("to one of them")
        self.world.until(alice.arrived)
        self.assertEqual(anew.heard(), ["alice: while away", "alice: to one of them"])
        self.assertRegex(alice.status(), "^bob#[0-9a-f]{4} · direct")

    def test_somebody_who_was_started_again_by_the_same_code(self) -> None:
        codes: list[Code] = []
        alice = Talker(
            self.world, "ann", "203.0.113.4", called="alice", invite=True, invited=codes.append, resume_for=20.0
        )
        self.world.until(lambda: codes)
        bob = self.bob(code=codes[0])
        self.world.until(lambda: alice.chat.names and bob.chat.names)
        bob.peer.host.crash()
        self.world.until(lambda: alice.status() == "bob · away")
        alice.chat.typed("while away")
        mine = {"credentials": bob.peer.credentials, "people": bob.peer.people}
        anew = Talker(self.world, "anew", "203.0.113.3", called="bob", code=codes[0], **mine)
        self.world.until(alice.arrived)
        self.assertEqual(anew.heard(), ["alice: while away"])
        self.world.net.advance(30)  # the first one is given up
        self.assertEqual([text for text in alice.told() if "quit" in text], [])
        anew.peer.stop()
        self.world.until(lambda: alice.told()[-1] == "/quit ends the chat.")
        self.assertEqual(alice.status(), "the other side has left")

    def test_to_one_only(self) -> None:
        alice, bob, carol = self.alice, self.bob(), Talker(self.world, "carol", "203.0.113.3")
        self.world.until(lambda: len(alice.chat.names) == 2)
        alice.chat.typed("/to CAROL")
        self.assertEqual(alice.chat.to, "carol")
        alice.chat.typed("secret")
        self.world.until(alice.arrived)
        carol.peer.stop()
        self.world.until(lambda: alice.chat.names == ["bob"])
        self.assertTrue(alice.chat.typed("another secret"))
        alice.chat.typed("/to dave")
        alice.chat.typed("/to")
        alice.chat.typed("for all")
        self.world.until(alice.arrived)
        self.assertEqual((bob.heard(), carol.heard()), (["alice: for all"], ["alice: secret"]))
        self.assertEqual(
            alice.told(),
            [
                "To carol only.",
                "carol has left: /to talks to everybody again.",
                "There is no dave here: /who lists everybody.",
                "To everybody.",
            ],
        )

    def test_two_of_one_name(self) -> None:
        self.bob()
        other = Talker(self.world, "other", "203.0.113.3", called="bob")
        self.world.until(lambda: len(self.alice.chat.names) == 2)
        self.world.net.advance(2)
        first, second = sorted(self.alice.chat.names)
        self.assertEqual((first, second[:4]), ("bob", "bob#"))
        other.chat.typed("x")
        self.world.until(self.alice.heard)
        [line] = self.alice.heard()
        self.assertIn(line, (f"{first}: x", f"{second}: x"))

    def test_commands(self) -> None:
        alice = self.alice
        for line in ("/who", "/what", "/help", "/quit"):
            self.assertTrue(alice.chat.typed(line))
        told = alice.told()
        self.assertEqual(told[:2], ["Nobody is here.", "There is no command /what: /help lists them."])
        self.assertIn("/quit", "".join(told[2:]))
        self.assertEqual(len(alice.left), 1)

    def test_greetings(self) -> None:
        bob = self.bob(greetings=("welcome",))
        self.world.until(self.alice.heard)
        self.assertEqual(self.alice.heard(), ["bob: welcome"])
        self.world.until(bob.arrived)
        carol = Talker(self.world, "carol", "203.0.113.3")
        self.world.until(carol.heard)
        self.assertEqual(carol.heard(), ["bob: welcome"])

    def test_what_was_said_last_arrives_before_it_ends(self) -> None:
        alice, bob = self.alice, self.bob()
        self.world.until(lambda: alice.chat.names and bob.chat.names)
        alice.chat.typed("last words")
        alice.peer.stop()
        self.assertEqual((alice.said(), alice.surface.told[-1]), ([("last words", Mark.ARRIVED)], "stopped"))
        self.assertEqual(bob.heard(), ["alice: last words"])
        self.world.until(lambda: bob.chat.names == [])

    def test_it_does_not_wait_for_ever(self) -> None:
        alice, bob = self.alice, self.bob()
        self.world.until(lambda: alice.chat.names and bob.chat.names)
        self.world.net.isolate(bob.peer.host)
        alice.chat.typed("into nothing")
        alice.peer.stop()
        self.assertEqual(alice.said(), [("into nothing", Mark.LOST)])

    def test_somebody_who_does_not_read(self) -> None:
        alice, bob = self.alice, self.bob()
        self.world.until(lambda: alice.chat.names and bob.chat.names)
        self.world.net.isolate(bob.peer.host)
        sent = 0
        while alice.chat.typed("x" * 60_000):
            sent += 1
            self.assertLess(sent, 100)
        self.assertIn("Too much is waiting", alice.told()[-1])
        self.world.net.restore(bob.peer.host)
        self.world.until(alice.arrived, 120)
        self.assertEqual(len([line for line in bob.peer.texts() if line[0] == "x"]), sent)

    def test_what_is_pasted(self) -> None:
        alice, bob = self.alice, self.bob()
        self.world.until(lambda: alice.chat.names and bob.chat.names)
        alice.chat.typed("one\n\ntwo\r\n" + "x" * 70_000)
        self.world.until(alice.arrived)
        self.assertEqual([len(text) - len("alice: ") for text in bob.heard()], [3, 3, 65_520, 70_000 - 65_520])

    def test_the_way_is_looked_at(self) -> None:
        alice, bob = self.alice, self.bob()
        self.world.until(lambda: alice.chat.names and bob.chat.names)
        self.world.net.advance(chat_use.LOOK_SECONDS)
        alice.chat.typed("/who")
        self.assertRegex(
            alice.told()[-1], r"^bob: direct, (\d+ ms, )?203\.0\.113\.2:\d+, named by the broker alone$"
        )


class PathTests(SynchronousTestCase):
    def test_what_no_path_can_be(self) -> None:
        """It is said not to be there, like any other: nothing is raised while somebody types."""
        for typed in ("~nobody-of-that-name/f", "x" * 300, "'", "a\0b"):
            self.assertEqual(path_of(typed), Path(typed))


class FilesTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.world = World()
        self.alice = Talker(self.world, "alice", "203.0.113.1")
        self.bob = Talker(self.world, "bob", "203.0.113.2")
        self.world.until(lambda: self.alice.chat.names and self.bob.chat.names)
        self.path = self.alice.folder / "photo one.jpg"
        self.path.write_bytes(bytes(range(256)) * 2000)

    def offered(self) -> None:
        self.world.until(lambda: any("/take it into" in line for line in self.bob.told()))

    def test_taken(self) -> None:
        self.assertTrue(self.alice.chat.typed(f"/send {self.path}"))
        self.offered()
        [line] = self.bob.told()
        self.assertIn(f"alice sends photo one.jpg: 1 file, 512 kB. /take it into {self.bob.folder}", line)
        self.assertEqual(list(self.bob.folder.iterdir()), [])
        self.bob.chat.typed("/take")
        self.world.until(lambda: "photo one.jpg to bob: arrived, 1 file, 512 kB." in self.alice.told())
        self.assertEqual((self.bob.folder / "photo one.jpg").read_bytes(), self.path.read_bytes())
        self.assertEqual(self.bob.told()[1:], ["photo one.jpg from alice: here, verified, 1 file, 512 kB."])
        self.bob.chat.typed("/take")
        self.assertEqual(self.bob.told()[-1], "Nothing is offered.")

    def test_refused(self) -> None:
        self.alice.chat.typed(f"/send '{self.path}'")  # as a desktop quotes it
        self.offered()
        self.bob.chat.typed("/refuse")
        self.world.until(lambda: self.alice.told()[-1].startswith("photo one.jpg to bob: not arrived, "))
        self.assertEqual(list(self.bob.folder.iterdir()), [])
        self.assertIn("photo one.jpg from alice: not taken", self.bob.told()[-1])

    def test_a_name_that_is_taken(self) -> None:
        (self.bob.folder / self.path.name).write_text("mine")
        self.alice.chat.typed(f"/send {self.path}")
        self.offered()
        self.assertIn("The name is taken: it gets a number", self.bob.told()[-1])
        self.bob.chat.typed("/take")
        self.world.until(lambda: "arrived, " in self.alice.told()[-1])
        self.assertEqual((self.bob.folder / self.path.name).read_text(), "mine")
        self.assertEqual((self.bob.folder / "photo one (2).jpg").read_bytes(), self.path.read_bytes())

    def test_while_the_way_is_broken(self) -> None:
        self.alice.chat.typed(f"/send {self.path}")
        self.offered()
        self.world.net.isolate(self.bob.peer.host)
        self.bob.chat.typed("/take")
        self.world.until(lambda: self.alice.status().startswith("bob · away"), 60)
        self.world.net.restore(self.bob.peer.host)
        self.world.until(lambda: "arrived, " in self.alice.told()[-1], 120)

    def test_what_can_not_be_sent(self) -> None:
        for typed, words in (
            ("/send", "Which file?"),
            ("/send missing", "Not to be sent: missing (No such file or directory)."),
            ("/send 'a", "Not to be sent: 'a (No such file or directory)."),
        ):
            self.alice.chat.typed(typed)
            self.assertIn(words, self.alice.told()[-1])

    def test_to_whom(self) -> None:
        Talker(self.world, "carol", "203.0.113.3")
        self.world.until(lambda: len(self.alice.chat.names) == 2)
        self.alice.chat.typed(f"/send {self.path}")
        self.assertIn("There are several here", self.alice.told()[-1])
        self.alice.chat.typed("/to bob")
        self.alice.chat.typed(f"/send {self.path}")
        self.offered()
        self.bob.peer.stop()
        self.world.until(lambda: self.alice.chat.names == ["carol"])
        self.alice.chat.typed(f"/send {self.path}")
        self.assertEqual(self.alice.told()[-1], "Nobody is here to send it to.")

    def test_too_many_offers(self) -> None:
        for _ in range(MOST_OFFERED + 1):
            self.alice.chat.typed(f"/send {self.path}")
        self.world.until(lambda: "too much is offered at a time" in "".join(self.alice.told()))
        self.world.until(lambda: len(self.bob.told()) == MOST_OFFERED)

    def test_one_that_is_not_there_any_more(self) -> None:
        self.alice.chat.typed(f"/send {self.path}")
        self.offered()
        self.alice.peer.stop()
        self.world.until(lambda: self.bob.chat.names == [])
        self.bob.chat.typed("/take")
        self.assertEqual(self.bob.told()[-1], "Nothing is offered.")
