"""Sending and receiving as uses of peers: whom they take, what they ask, how they end."""

from __future__ import annotations

from io import StringIO
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from p2phole.errors import LocalError, P2pholeError
from p2phole.session.errors import GaveUp, SessionOver
from p2phole.session.session import Session
from p2phole.use.files.errors import BrokenOff, Incomplete, Misbehaved, NotTaken, Refused
from p2phole.use.files.listing import MOST_ENTRIES
from p2phole.use.files.receive import LINGER_SECONDS, Receive
from p2phole.use.files.records import Kind, as_json, record
from p2phole.use.files.screen import STOPPED, Screen
from p2phole.use.files.send import Send
from tests.session.sides import Cable, Side, flush
from tests.use.files.pairs import work


class Partner:
    """One that is met."""

    path = None

    def __init__(self, name: str, session: Session, instance: str, authenticated: str) -> None:
        self.name = name
        self.fingerprint = f"{name} " * 4
        self.session = session
        self.instance = instance
        self.authenticated = authenticated


class Peer:
    """A host and its use; ``said``: all that the user reads."""

    def __init__(self, clock: Clock, name: str) -> None:
        self.clock = clock
        self.name = name
        self.stream = StringIO()
        self.screen = Screen(self.stream)
        self.partners: list[Partner] = []
        self.ended: list[LocalError | None] = []
        self.asked: list[tuple[str, Deferred[str]]] = []
        self.texts: list[str] = []
        self.use: Any

    @property
    def said(self) -> str:
        return self.stream.getvalue()

    def ask(self, question: str) -> Deferred[str]:
        answer: Deferred[str] = Deferred()
        self.asked.append((question, answer))
        return answer

    def answer(self, text: str) -> str:
        """To the question that is open; which that was."""
        question, answer = self.asked.pop()
        answer.callback(text)
        return question

    def start(self) -> Peer:
        self.use.start(self)
        return self

    def label(self, partner: Partner) -> str:
        return partner.name

    def fail(self, error: LocalError) -> None:
        self.ended.append(error)

    def finish(self) -> None:
        self.ended.append(None)

    @property
    def how(self) -> type[LocalError] | None:
        """How it ended, which it did once."""
        [error] = self.ended
        return None if error is None else type(error)


class Meeting:
    """Two peers that have met, each in this run of its process."""

    count = 0

    def __init__(self, clock: Clock, one: Peer, two: Peer, authenticated: str = "secret") -> None:
        Meeting.count += 1
        self.clock = clock
        self.peers = one, two
        self.sides = Side(clock, f"one{self.count}", True), Side(clock, f"two{self.count}", False)
        self.partners = [
            Partner(there.name, side.session, f"{self.count}", authenticated)
            for there, side in zip((two, one), self.sides, strict=True)
        ]
        for peer, partner in zip(self.peers, self.partners, strict=True):
            peer.partners.append(partner)
            peer.use.met(partner)
        self.cable = Cable(*self.sides, room=65_536)
        for peer, partner in zip(self.peers, self.partners, strict=True):
            peer.use.linked(partner)

    def settle(self) -> Meeting:
        flush(self.clock, self.cable)
        return self

    def some(self, size: int) -> None:
        """Until the receiver has so many bytes."""
        while self.peers[1].screen._moved < size:
            assert self.cable.deliver(1, 20_000) + self.cable.deliver(0, 20_000)

    def over(self, error: P2pholeError) -> None:
        """The session, on both sides."""
        for peer, side, partner in zip(self.peers, self.sides, self.partners, strict=True):
            peer.partners.remove(partner)
            peer.use.over(partner, error)
            side.session.end(error)


class Case(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.here, self.there = Path(self.mktemp()).absolute(), Path(self.mktemp()).absolute()
        self.here.mkdir(parents=True)
        self.file = self.here / "file"
        self.file.write_bytes(b"0123456789" * 100_000)

    def sender(self, *paths: Path, text: str | None = None, alone: bool = True, name: str = "alice") -> Peer:
        peer = Peer(self.clock, name)
        peer.use = Send(paths or ((self.file,) if text is None else ()), text, work, peer.screen, alone)
        return peer.start()

    def receiver(
        self, asks: bool = False, alone: bool = True, folder: Path | None = None, name: str = "bob"
    ) -> Peer:
        peer = Peer(self.clock, name)
        ask = peer.ask if asks else None
        where = folder or self.there
        peer.use = Receive(where, 0o022, work, peer.screen, ask, peer.texts.append, alone, alone)
        return peer.start()

    def tearDown(self) -> None:
        for call in self.clock.getDelayedCalls():
            call.cancel()

    def arrived(self) -> None:
        self.assertEqual((self.there / "file").read_bytes(), self.file.read_bytes())
        self.assertEqual([path.name for path in self.there.iterdir()], ["file"])


class GoodTests(Case):
    def test_both_know(self) -> None:
        one, two = self.sender(), self.receiver()
        Meeting(self.clock, one, two).settle()
        self.assertEqual((one.how, two.how), (None, None))
        self.arrived()
        self.assertIn("alice (proven by the code) sends file: 1 file, 1 MB.\n", two.said)
        self.assertIn(f"file in {self.there}, verified: 1 file, 1 MB.\n", two.said)
        self.assertIn("bob takes it: 1 file, 1 MB.\nbob has file, verified: 1 file, 1 MB.\n", one.said)
        for peer in (one, two):
            peer.use.stop()
        self.assertEqual((one.how, two.how), (None, None))
        links = [call for call in self.clock.getDelayedCalls() if "Attachment" in str(call)]
        self.assertEqual(self.clock.getDelayedCalls(), links)

    def test_the_sender_has_left_when_it_knows(self) -> None:
        one, two = self.sender(), self.receiver()
        meeting = Meeting(self.clock, one, two)
        while not one.ended:
            meeting.cable.deliver(1)
            meeting.cable.deliver(0)
        meeting.over(SessionOver(why="the other side has left"))
        self.assertEqual((one.how, two.how), (None, None))

    def test_nobody_hears_of_it(self) -> None:
        one, two = self.sender(), self.receiver()
        meeting = Meeting(self.clock, one, two)
        while "verified" not in two.said:
            meeting.cable.deliver(1)
            if "verified" not in two.said:
                meeting.cable.deliver(0)
        meeting.cable.cut()
        self.clock.advance(LINGER_SECONDS)
        self.assertEqual((one.ended, two.how), ([], None))

    def test_a_text(self) -> None:
        one, two = self.sender(text="hello"), self.receiver(asks=True)
        Meeting(self.clock, one, two).settle()
        self.assertEqual((one.how, two.how, two.texts, two.asked), (None, None, ["hello"], []))
        self.assertIn("bob has it.", one.said)

    def test_met_before_the_files_are_found(self) -> None:
        waiting: Deferred[Any] = Deferred()
        one = Peer(self.clock, "alice")
        one.use = Send(
            [self.file], None, lambda call, *given: waiting.addCallback(lambda _: call(*given)), one.screen, True
        )
        one.start()
        two = self.receiver()
        meeting = Meeting(self.clock, one, two).settle()
        self.assertFalse(self.there.exists())
        waiting.callback(None)
        meeting.settle()
        self.arrived()


class AskTests(Case):
    def test_yes(self) -> None:
        one, two = self.sender(), self.receiver(asks=True)
        meeting = Meeting(self.clock, one, two).settle()
        self.assertFalse(self.there.exists())
        question = two.answer("y")
        self.assertEqual(
            question,
            f"alice (proven by the code) sends file: 1 file, 1 MB.\nTake it into {self.there}? [y/N] ",
        )
        meeting.settle()
        self.arrived()
        self.assertEqual((one.how, two.how), (None, None))

    def test_no(self) -> None:
        for text in ("", "n", "what?"):
            one, two = self.sender(), self.receiver(asks=True)
            meeting = Meeting(self.clock, one, two).settle()
            two.answer(text)
            meeting.settle()
            self.assertEqual((one.how, two.how), (Refused, NotTaken))
            self.assertIn("its user does not take it", str(one.ended[0]))
            self.assertFalse(self.there.exists())

    def test_a_name_that_is_taken(self) -> None:
        for text, names in (
            ("r", ["file"]),
            ("s", ["file"]),
            ("q", ["file"]),
            ("", ["file", "file (2)"]),
        ):
            self.there.mkdir(exist_ok=True)
            (self.there / "file").write_bytes(b"mine")
            one, two = self.sender(), self.receiver(asks=True)
            meeting = Meeting(self.clock, one, two).settle()
            two.answer("yes")
            self.assertIn("1 name is taken: file.", two.asked[0][0])
            two.answer(text)
            meeting.settle()
            self.assertEqual(sorted(path.name for path in self.there.iterdir()), names)
            replaced = (self.there / "file").read_bytes() != b"mine"
            self.assertEqual(replaced, text == "r")
            ends = {"r": (None, None), "s": (Incomplete, Incomplete), "q": (Refused, NotTaken), "": (None, None)}
            self.assertEqual((one.how, two.how), ends[text])
        self.assertIn("file is called file (2), since its name was taken.", two.said)

    def test_the_sender_goes_while_the_user_thinks(self) -> None:
        one, two = self.sender(), self.receiver(asks=True)
        meeting = Meeting(self.clock, one, two).settle()
        one.use.stop()
        meeting.settle()
        self.assertIn(STOPPED, one.said)
        self.assertEqual((one.ended, two.how), ([], BrokenOff))
        self.assertFalse(self.there.exists())

    def test_the_sender_goes_while_the_disk_is_looked_at(self) -> None:
        """Nobody is asked about what does not come."""
        waiting: list[Deferred[Any]] = []

        def later(call: Any, *given: Any) -> Deferred[Any]:
            waiting.append(Deferred().addCallback(lambda _: call(*given)))
            return waiting[-1]

        two = self.receiver(asks=True, alone=False)
        two.use.work = later
        one = self.sender()
        meeting = Meeting(self.clock, one, two).settle()
        one.use.stop()
        meeting.settle()
        [look] = waiting
        look.callback(None)
        self.assertEqual(two.asked, [])

    def test_stopped_when_all_is_here(self) -> None:
        one, two = self.sender(), self.receiver()
        meeting = Meeting(self.clock, one, two)
        while "verified" not in two.said:
            meeting.cable.deliver(0, 20_000)
            if "verified" not in two.said:
                meeting.cable.deliver(1, 20_000)
        two.use.stop()
        meeting.settle()
        self.assertEqual((one.how, two.ended), (None, []))


class AgainTests(Case):
    """Either process was killed and started again, the other one still runs."""

    def test_the_sender(self) -> None:
        two = self.receiver(asks=True)
        first = Meeting(self.clock, self.sender(), two).settle()
        two.answer("y")
        first.some(400_000)
        two.use.unlinked(first.partners[1])
        self.clock.advance(0.1)
        one = self.sender()
        Meeting(self.clock, one, two).settle()
        self.assertEqual(two.asked, [])
        self.arrived()
        self.assertEqual((one.how, two.how), (None, None))
        self.assertRegex(one.said, "verified: 1 file, 1 MB, 5.. kB of it now")

    def test_the_receiver(self) -> None:
        one = self.sender()
        Meeting(self.clock, one, self.receiver()).some(400_000)
        two = self.receiver()
        # The one before was killed, so its lock is gone; here it is in the same process.
        for part in self.there.iterdir():
            content = part.read_bytes()
            part.unlink()
            part.write_bytes(content)
        Meeting(self.clock, one, two).settle()
        self.arrived()
        self.assertEqual((one.how, two.how), (None, None))
        self.assertRegex(two.said, "of which 4.. kB are here.")

    def test_another_offer_is_asked_about(self) -> None:
        two = self.receiver(asks=True)
        Meeting(self.clock, self.sender(), two).settle()
        two.answer("y")
        other = self.here / "other"
        other.write_bytes(b"x")
        Meeting(self.clock, self.sender(other), two).settle()
        self.assertIn("sends other: 1 file, 1 bytes.", two.asked[0][0])

    def test_other_files_of_the_same_names_and_sizes_are_asked_about(self) -> None:
        """Else who was agreed to could replace what nobody was asked about."""
        folder, there = self.here / "folder", self.there / "folder"
        for each in (folder, there):
            each.mkdir(parents=True)
        self.file.rename(folder / "a")
        for name in "ab":
            (there / name).write_bytes(b"mine")
        two = self.receiver(asks=True)
        first = Meeting(self.clock, self.sender(folder), two).settle()
        two.answer("y")
        two.answer("r")
        first.some(400_000)
        (folder / "a").rename(folder / "b")
        Meeting(self.clock, self.sender(folder), two).settle()
        self.assertIn("Take it into", two.asked[0][0])
        self.assertEqual((there / "b").read_bytes(), b"mine")


class BadTests(Case):
    def test_stopped(self) -> None:
        for which in (0, 1):
            peers = self.sender(), self.receiver(folder=self.there / str(which))
            meeting = Meeting(self.clock, *peers)
            meeting.some(200_000)
            peers[which].use.stop()
            meeting.settle()
            self.assertIn(STOPPED, peers[which].said)
            self.assertEqual(peers[which].ended, [])
            self.assertEqual(peers[1 - which].how, BrokenOff)
            self.assertIn("it was stopped", str(peers[1 - which].ended[0]))

    def test_stopped_before_anybody_came(self) -> None:
        for peer in (self.sender(), self.receiver()):
            peer.use.stop()
            self.assertIn(STOPPED, peer.said)
            self.assertEqual(peer.ended, [])

    def test_the_session_is_over(self) -> None:
        one, two = self.sender(), self.receiver()
        meeting = Meeting(self.clock, one, two)
        meeting.some(200_000)
        meeting.over(GaveUp(seconds=600))
        self.assertEqual((one.how, two.how), (BrokenOff, BrokenOff))

    def test_it_is_over_before_there_was_an_offer(self) -> None:
        two = self.receiver()
        one = self.sender(text="x")
        meeting = Meeting(self.clock, one, two)
        meeting.over(SessionOver(why="the other side has left"))
        self.assertEqual((one.how, two.how), (BrokenOff, BrokenOff))

    def test_who_does_not_receive(self) -> None:
        one = self.sender()
        other = Peer(self.clock, "bob")
        other.use = Send([], "text", work, other.screen, True)
        other.start()
        Meeting(self.clock, one, other).settle()
        self.assertEqual((one.how, other.how), (Refused, Refused))
        self.assertIn("p2phole receive", str(one.ended[0]))

    def test_what_can_not_be_sent(self) -> None:
        (self.here / "bad\nname").write_bytes(b"x")
        (self.here / "link").symlink_to("file")
        one, two = self.sender(self.here), self.receiver()
        Meeting(self.clock, one, two).settle()
        self.assertIn("Not sent, bad\\x0aname has a character", one.said)
        self.assertIn("link: a link.", one.said)
        self.assertEqual((one.how, two.how), (Incomplete, None))

    def test_nothing_to_send(self) -> None:
        one = self.sender(self.here / "not there")
        self.assertIn("No such file", str(one.ended[0]))

    def test_a_hostile_sender(self) -> None:
        for alone in (True, False):
            two = self.receiver(alone=alone)
            one = Peer(self.clock, "mallory")
            one.use = Send([], "", work, one.screen, True)
            meeting = Meeting(self.clock, one, two)
            end = meeting.sides[0].open(purpose="files")
            offer = {"version": 1, "files": MOST_ENTRIES + 1, "folders": 0, "bytes": 0}
            end.stream.write(record(Kind.OFFER, as_json(offer)))
            meeting.settle()
            self.assertFalse(self.there.exists())
            if alone:
                self.assertEqual(two.how, Misbehaved)
                self.assertIn("mallory", str(two.ended[0]))
        # In a room others may come.
        self.assertEqual(two.ended, [])
        self.assertIn("mallory: What the other side sends", two.said)
        good = self.sender()
        Meeting(self.clock, good, two).settle()
        self.assertEqual((good.how, two.how), (None, None))
        self.arrived()


class RoomTests(Case):
    def test_the_first_one_who_takes_it(self) -> None:
        one = self.sender(alone=False)
        chatting = Peer(self.clock, "carol")
        chatting.use = Send([], "hi", work, chatting.screen, False)
        two, three = self.receiver(True, alone=False), self.receiver(True, alone=False, name="dave")
        meetings = [Meeting(self.clock, one, two).settle(), Meeting(self.clock, one, three).settle()]
        three.answer("y")
        for meeting in reversed(meetings):
            meeting.settle()
        self.assertEqual((one.how, three.how, two.ended), (None, None, []))
        self.assertIn("somebody else has taken it", two.said)
        self.arrived()

    def test_from_one_at_a_time(self) -> None:
        two = self.receiver(True, alone=False)
        one, other = self.sender(alone=False), self.sender(alone=False, name="carol")
        first = Meeting(self.clock, one, two, "tofu").settle()
        Meeting(self.clock, other, two, "pinned").settle()
        self.assertIn("carol", one.name + other.name)
        self.assertIn("it receives from somebody else", other.said)
        self.assertIn("alice (whose key only the broker vouches for)", two.answer("y"))
        first.settle()
        self.assertEqual((one.how, two.how, other.ended), (None, None, []))

    def test_one_who_says_nothing_keeps_nobody_waiting(self) -> None:
        two = self.receiver(True, alone=False)
        silent = Peer(self.clock, "mallory")
        silent.use = Send([], "", work, silent.screen, True)
        meeting = Meeting(self.clock, silent, two)
        end = meeting.sides[0].open(purpose="files")
        meeting.settle()
        one = self.sender(alone=False)
        second = Meeting(self.clock, one, two).settle()
        meeting.settle()
        self.assertIn("it receives from somebody else", str(end.error))
        two.answer("y")
        second.settle()
        self.assertEqual((one.how, two.how), (None, None))
        self.arrived()

    def test_one_who_refuses(self) -> None:
        one = self.sender(alone=False)
        two, three = self.receiver(True, alone=False), self.receiver(alone=False, name="dave")
        first = Meeting(self.clock, one, two).settle()
        two.answer("n")
        first.settle()
        self.assertEqual((one.ended, two.how), ([], NotTaken))
        Meeting(self.clock, one, three).settle()
        self.assertEqual((one.how, three.how), (None, None))
