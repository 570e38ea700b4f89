"""What a peer has with one member: the session, and the links that come and go under it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from p2phole import events
from p2phole.addresses import Endpoint
from p2phole.errors import P2pholeError
from p2phole.peer.conversation import Conversation
from p2phole.peer.use import Idle, Partner
from p2phole.punch.attempt import Success
from p2phole.secure.roles import Identity
from p2phole.session.errors import GaveUp, SessionOver
from p2phole.session.frames import Frame, FrameReader, Kind
from p2phole.session.greeting import Greeting
from p2phole.session.pool import Pools
from tests.doubles import FakePeople

HERE, THERE = Endpoint.parse("192.0.2.1:4000"), Endpoint.parse("192.0.2.2:4000")
RESUME_FOR = 60.0


class Transport:
    """What a link writes on."""

    def __init__(self) -> None:
        self.written = bytearray()

    def write(self, data: bytes) -> None:
        self.written += data

    def registerProducer(self, producer: object, streaming: bool) -> None:
        """Never full."""


class Link:
    """A proven link, whose other end is the test."""

    def __init__(self) -> None:
        self.transport = Transport()
        self.channel: Any = self
        self.dropped = False
        self.receiver: Callable[[bytes], None] = lambda data: None
        self.ended: Callable[[object], None] = lambda reason: None

    def drop(self) -> None:
        self.dropped = True

    def greet(self) -> None:
        """As a peer that has heard of no session yet."""
        self.receiver(Frame(Kind.HELLO, 0, Greeting("theirs", None).encode()).encode())

    def ping(self) -> None:
        self.receiver(Frame(Kind.PING, 1).encode())

    @property
    def success(self) -> Success:
        return Success(self, b"", "srflx", HERE, THERE)  # type: ignore[arg-type]

    def kinds(self) -> list[Kind]:
        """What was written on it."""
        return [frame.kind for frame in FrameReader().feed(bytes(self.transport.written))]


class Told(Idle):
    """A use that keeps what it is told."""

    def __init__(self) -> None:
        self.log: list[str] = []
        self.errors: list[P2pholeError] = []
        self.at_met: Callable[[Partner], None] = lambda partner: None

    def met(self, partner: Partner) -> None:
        self.log.append("met")
        self.at_met(partner)

    def linked(self, partner: Partner) -> None:
        self.log.append("linked")

    def unlinked(self, partner: Partner) -> None:
        self.log.append("unlinked")

    def over(self, partner: Partner, error: P2pholeError) -> None:
        self.log.append("over")
        self.errors.append(error)


class Trust:
    people = FakePeople()

    def authenticated(self, theirs: Identity) -> str:
        return "tofu"

    def parted(self, theirs: Identity) -> None:
        pass


class Peer:
    """What a conversation needs, and whom it belongs to."""

    mine = Identity("a" * 64, "a" * 32)
    resume_for = RESUME_FOR

    def __init__(self) -> None:
        self.clock = Clock()
        self.events: Any = self
        self.trust: Any = Trust()
        self.pools = Pools()
        self.use = Told()
        self.seen: list[events.Event] = []
        self.log: list[str] = []

    def emit(self, event: events.Event) -> None:
        self.seen.append(event)

    def session_ident(self) -> str:
        return f"ours {self.clock.seconds()}"

    def parted(self, for_good: bool) -> None:
        self.log.append("parted for good" if for_good else "parted")

    def suspected(self) -> None:
        self.log.append("suspected")

    def offended(self) -> None:
        self.log.append("offended")


class ConversationTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.peer = Peer()
        self.clock, self.use = self.peer.clock, self.peer.use
        self.conversation = Conversation(self.peer, self.peer, Identity("b" * 64, "b" * 32), "bob")

    def attach(self, greets: bool = True) -> Link:
        link = Link()
        self.conversation.attach(link.success, 0.1, 1)
        if greets:
            link.greet()
        return link

    def lose(self, link: Link) -> None:
        link.ended(None)

    def check_nothing_is_left(self) -> None:
        self.assertFalse(self.conversation.is_open)
        self.assertIsNone(self.conversation.path)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_given_up_where_the_other_side_never_greeted(self) -> None:
        self.lose(self.attach(greets=False))
        self.assertTrue(self.conversation.is_open)
        self.clock.advance(RESUME_FOR)
        self.assertEqual(self.use.log, ["met", "linked", "unlinked", "over"])
        self.assertIsInstance(self.use.errors[0], GaveUp)
        self.check_nothing_is_left()

    def test_given_up_while_a_link_waits_for_the_greeting(self) -> None:
        self.lose(self.attach())
        self.clock.advance(RESUME_FOR - 1)
        link = self.attach(greets=False)
        self.clock.advance(1)
        self.assertTrue(link.dropped)
        self.assertEqual(self.use.log, ["met", "linked", "unlinked", "linked", "unlinked", "over"])
        self.assertEqual(self.peer.log, ["parted", "parted"])
        self.check_nothing_is_left()

    def test_over_as_soon_as_it_has_begun(self) -> None:
        self.use.at_met = lambda partner: self.conversation.leave()
        link = self.attach(greets=False)
        self.assertTrue(link.dropped)
        self.assertIsInstance(self.use.errors[0], SessionOver)
        self.check_nothing_is_left()

    def test_both_links_end_one_after_the_other(self) -> None:
        old = self.attach()
        new = self.attach(greets=False)
        self.lose(old)
        self.lose(new)
        self.assertEqual(self.use.log, ["met", "linked", "unlinked"])
        self.clock.advance(10)
        self.attach()
        [resumed] = [event for event in self.peer.seen if isinstance(event, events.Resumed)]
        self.assertEqual(resumed.seconds, 10)

    def test_the_old_link_is_found_dead_while_the_new_one_waits_for_the_greeting(self) -> None:
        old = self.attach()
        self.clock.pump([1] * 38)
        new = self.attach(greets=False)
        self.clock.pump([1] * 5)
        self.assertTrue(old.dropped)
        self.assertFalse(new.dropped)
        new.greet()
        self.assertIsNotNone(self.conversation.path)
        self.assertEqual(self.use.log, ["met", "linked"])

    def test_a_new_link_that_ends_before_the_greeting_leaves_the_old_one_as_it_was(self) -> None:
        """Else whoever can introduce, and then cut, could end what it can't touch."""
        old = self.attach()
        for _ in range(3):
            self.lose(self.attach(greets=False))
        self.assertEqual((old.dropped, self.conversation.link), (False, old))
        self.assertEqual((self.use.log, self.peer.log), (["met", "linked"], []))
        told = [event.event for event in self.peer.seen]
        self.assertEqual(told, ["connected", *(["disconnected", "connected"] * 6)])
        self.lose(old)
        self.assertEqual(self.peer.log, ["parted"])

    def test_a_doubt_outlives_a_new_link_that_comes_to_nothing(self) -> None:
        old = self.attach()
        self.conversation.suspect()
        self.clock.advance(1)
        new = self.attach(greets=False)
        self.assertTrue(self.conversation.is_healthy)
        self.clock.advance(1)
        self.lose(new)
        self.assertEqual((self.conversation.link, self.conversation.is_awaited), (old, True))
        self.assertEqual(self.peer.log, ["suspected", "suspected"])
        self.clock.advance(1)
        self.attach()
        [resumed] = [event for event in self.peer.seen if isinstance(event, events.Resumed)]
        self.assertEqual(resumed.seconds, 3)

    def test_how_long_nothing_got_through_is_counted_in_each_session(self) -> None:
        self.attach()
        self.conversation.suspect()
        self.conversation.hang_up("lost")
        self.clock.advance(RESUME_FOR)
        self.assertFalse(self.conversation.is_open)
        self.lose(self.attach())
        self.clock.advance(2)
        self.attach()
        [resumed] = [event for event in self.peer.seen if isinstance(event, events.Resumed)]
        self.assertEqual(resumed.seconds, 2)
