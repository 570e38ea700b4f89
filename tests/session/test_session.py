"""A session and the links under it: greeting, resuming, replacing, giving up, leaving, keep-alive."""

from __future__ import annotations

import json

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from p2phole.peer.settings import RESUME_FOR
from p2phole.session.attachment import LINGER, TICK
from p2phole.session.errors import Forgotten, GaveUp, SessionOver
from p2phole.session.frames import MOST, BadFrame, Frame, Kind
from p2phole.session.kept import MOST_KEPT
from p2phole.session.pool import Pools
from p2phole.session.sender import ACK_BYTES, ACK_FRAMES
from p2phole.session.session import ACK_DELAY
from p2phole.session.silence import AGAIN, DEAD, HUSHES, QUIET, STALLED
from tests.session.sides import Cable, Plug, Side, flush, hello, pair


def shown(frames: list[Frame]) -> list[str]:
    return [f"{frame.kind.name} {frame.number}" for frame in frames]


class OneSide(SynchronousTestCase):
    """The other side is written by hand."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.clock.advance(1e9)  # as a real one, which begins long ago
        self.side = Side(self.clock, "one", True)
        self.session = self.side.session
        self.plug = self.attach()

    def attach(self) -> Plug:
        plug = Plug()
        plug.attachment = self.session.attach(plug)
        return plug

    def receive(self, *frames: Frame | bytes, plug: Plug | None = None) -> None:
        attachment = (plug or self.plug).attachment
        assert attachment is not None
        attachment.receive(b"".join(frame if isinstance(frame, bytes) else frame.encode() for frame in frames))
        while attachment.behind:
            self.clock.advance(0)

    def greeted(self) -> None:
        """The other side has greeted, and offers ``thing``."""
        self.receive(hello(), Frame(Kind.OFFER, 1, b"thing"))
        self.plug.frames()

    def refused(self, *frames: Frame | bytes) -> str:
        """Why the session ends."""
        self.receive(*frames)
        self.assertIsInstance(self.side.error, BadFrame)
        return str(self.side.error)


class GreetingTests(OneSide):
    def test_first_on_the_link(self) -> None:
        frame, *_ = self.plug.frames()
        greeting = json.loads(frame.payload)
        self.assertEqual((frame.kind, frame.number), (Kind.HELLO, 0))
        self.assertEqual((greeting["version"], greeting["session"], greeting["resumes"]), (2, "one", None))

    def test_what_is_offered_goes_with_it_and_nothing_else(self) -> None:
        self.side.open().stream.write(b"early")
        self.assertEqual(shown(self.plug.frames()), ["HELLO 0", "OFFER 1"])
        self.receive(hello())
        self.assertEqual(self.plug.frames(), [])
        self.receive(Frame(Kind.OFFER, 1, b"thing"))
        self.assertEqual(shown(self.plug.frames()), ["OPEN 2", "DATA 3"])

    def test_that_goes_again_where_the_other_side_may_not_have_it(self) -> None:
        self.plug.frames()
        assert self.plug.attachment is not None
        self.plug.attachment.lost()
        self.side.session.offer("more", lambda stream: None)
        self.assertEqual(self.plug.frames(), [])
        self.plug = Plug()
        self.plug.attachment = self.side.session.attach(self.plug)
        self.assertEqual(shown(self.plug.frames()), ["HELLO 0", "OFFER 1", "OFFER 2"])
        self.receive(hello(resumes="one", number=1))
        self.assertEqual(self.plug.frames(), [])

    def test_what_was_missed_waits_for_it(self) -> None:
        self.receive(hello(), Frame(Kind.OFFER, 1, b"thing"))
        self.plug.frames()
        self.side.session.offer("more", lambda stream: None)
        self.plug = Plug()
        self.plug.attachment = self.side.session.attach(self.plug)
        self.assertEqual(shown(self.plug.frames()), ["HELLO 1"])
        self.receive(hello(resumes="one", number=1))
        self.assertEqual(shown(self.plug.frames()), ["OFFER 2"])

    def test_it_must_come_first_and_once(self) -> None:
        for frame in (
            Frame(Kind.OFFER, 1),
            Frame(Kind.ACK, 1),
            Frame(Kind.PING),
            Frame(Kind.BYE),
            Frame(Kind.OPEN, 1, b"thing", 2),
        ):
            self.setUp()
            self.assertIn("did not greet", self.refused(frame))
        self.setUp()
        self.assertIn("greeted twice", self.refused(hello(), hello()))

    def test_no_greeting(self) -> None:
        for payload in (
            b"\xff\xff",
            b"null",
            b"[]",
            b"12",
            b'"version session"',
            b"{}",
            b'{"version":2}',
            b'{"session":"x"}',
            b'{"version":2,"session":null}',
            b'{"version":2,"session":""}',
            b'{"version":2,"session":"' + b"x" * 65 + b'"}',
            b'{"version":2,"session":["x"]}',
            b'{"version":2,"session":"x","resumes":7}',
            b'{"version":2,"session":NaN}',
            b'{"version":' + b"9" * 4000 + b',"session":"x"}',
            b"[" * 4000,
        ):
            self.setUp()
            self.receive(Frame(Kind.HELLO, 0, payload))
            self.clock.advance(LINGER)
            told = self.refused()
            self.assertTrue("makes no sense" in told or "another version" in told, payload)

    def test_another_version_says_which_side_to_update(self) -> None:
        for version, side in ((3, "this"), (1, "the other"), ("x", "the other"), (None, "the other")):
            self.setUp()
            greeting = {"version": version, "session": "two", "software": "p2phole 9.1\x1b[2J" + "!" * 99}
            self.receive(Frame(Kind.HELLO, 0, json.dumps(greeting).encode()))
            # The other side is to read our greeting as well; what else it sends does not matter.
            self.clock.advance(LINGER - 0.1)
            self.assertIsNone(self.side.error)
            self.clock.advance(0.1)
            told = self.refused(Frame(Kind.OFFER, 7))
            self.assertRegex(
                told,
                r"^The other side runs p2phole 9\.1[^\x1b]{0,8}\[2J!{1,52}, this one p2phole [0-9.]+, and the two "
                rf"cannot talk: update {side} side\.$",
            )
            self.assertLess(len(told), 200)

    def test_another_version_that_says_nothing_of_its_software(self) -> None:
        for software in (None, 7, ["x"]):
            self.setUp()
            payload = json.dumps({"version": 3, "software": software}).encode()
            self.receive(Frame(Kind.HELLO, 0, payload))
            self.plug.attachment.lost()
            self.assertIn("runs another version, this one p2phole", self.refused())
            self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_only_this_very_session_is_resumed(self) -> None:
        for greeting in (
            hello("two", "another", 0),
            hello("two", "another", 1),
            hello("two", None, 1),
            hello("two", "one", 99),
        ):
            self.setUp()
            self.greeted()
            self.plug.attachment.lost()
            self.plug = self.attach()
            told = self.refused(greeting)
            self.assertTrue("not this one" in told or "never sent" in told, told)

    def test_a_greeting_that_never_got_through(self) -> None:
        # It knows nothing of us, and we have its name: it has read nothing, and we have counted nothing.
        self.receive(hello())
        self.plug.attachment.lost()
        self.plug = self.attach()
        self.receive(hello("two", None, 0))
        self.assertEqual(shown(self.plug.frames()), ["HELLO 0", "OFFER 1"])
        self.assertIsNone(self.side.error)


class NumberTests(OneSide):
    def test_acknowledged_after_a_while(self) -> None:
        self.greeted()
        self.receive(Frame(Kind.OFFER, 2))
        self.clock.advance(ACK_DELAY / 2)
        self.assertEqual(self.plug.frames(), [])
        self.clock.advance(ACK_DELAY / 2)
        self.assertEqual(shown(self.plug.frames()), ["ACK 2"])
        self.clock.advance(0.5)
        self.assertEqual(self.plug.frames(), [])

    def test_acknowledged_at_once_by_bytes_and_by_count(self) -> None:
        for size, count in ((65_520, ACK_BYTES // MOST), (1, ACK_FRAMES // 2)):
            self.setUp()
            self.side.answer = lambda stream, end: None
            self.greeted()
            frames = []
            for number in range(count):
                frames.append(Frame(Kind.OPEN, 2 + 2 * number, b"thing", 2 + 2 * number))
                frames.append(Frame(Kind.DATA, 3 + 2 * number, bytes(size), 2 + 2 * number))
            self.receive(*frames[:-2])
            self.assertEqual(self.plug.frames(), [])
            self.receive(*frames[-2:])
            self.assertEqual(shown(self.plug.frames()), [f"ACK {1 + len(frames)}"])

    def test_what_came_twice_is_told_apart(self) -> None:
        self.greeted()
        opening = Frame(Kind.OPEN, 2, b"thing", 2)
        self.receive(opening, Frame(Kind.DATA, 3, b"once", 2))
        self.receive(opening, Frame(Kind.DATA, 3, b"once", 2), Frame(Kind.DATA, 4, b" more", 2))
        self.assertEqual(bytes(self.side.ends[0].got), b"once more")

    def test_one_is_missing(self) -> None:
        self.greeted()
        self.assertIn("a frame is missing", self.refused(Frame(Kind.OFFER, 3)))

    def test_acknowledgements_that_make_no_sense(self) -> None:
        for number, why in ((5, "never sent"), (0, "nothing new")):
            self.setUp()
            self.greeted()
            self.assertIn(why, self.refused(Frame(Kind.ACK, number)))
        self.setUp()
        self.greeted()
        self.receive(Frame(Kind.ACK, 1))
        self.assertIn("nothing new", self.refused(Frame(Kind.ACK, 1)))


class ResumeTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.one, self.two, self.cable = pair(self.clock)

    def test_what_was_under_way_comes_once(self) -> None:
        end = self.one.open()
        end.stream.write(b"a")
        self.cable.settle()
        end.stream.write(b"lost on its way")
        self.cable.cut()
        end.stream.write(b", written while apart")
        self.clock.advance(5)
        flush(self.clock, Cable(self.one, self.two))
        self.assertEqual(bytes(self.two.ends[0].got), b"alost on its way, written while apart")
        self.assertEqual((self.one.told, self.two.told), (["resumed 5"], ["resumed 5"]))

    def test_make_before_break(self) -> None:
        end = self.one.open()
        end.stream.write(b"1")
        self.cable.settle()
        newer = Cable(self.one, self.two)
        end.stream.write(b"2")
        # The old link is used until the other side has greeted on the new one.
        self.assertIn(b"2", self.cable.plugs[0].pipe)
        self.cable.settle()
        self.assertEqual(bytes(self.two.ends[0].got), b"12")
        end.stream.write(b"3")
        newer.settle()
        self.assertEqual([plug.closed for plug in self.cable.plugs], [True, True])
        end.stream.write(b"4")
        flush(self.clock, newer)
        self.assertEqual(bytes(self.two.ends[0].got), b"1234")
        self.assertEqual((self.one.told, self.two.told), (["resumed 0"], ["resumed 0"]))
        # What the old one still says is nothing to anybody.
        self.cable.cut()
        self.assertEqual((self.one.told, self.one.error), (["resumed 0"], None))

    def test_what_comes_on_both_links(self) -> None:
        end = self.one.open()
        newer = Cable(self.one, self.two)
        # Its HELLO is older than what still arrives, and is acknowledged, on the old one.
        end.stream.write(b"1")
        flush(self.clock, self.cable)
        end.stream.write(b"2")
        self.cable.settle()
        newer.settle()
        end.stream.write(b"3")
        flush(self.clock, newer)
        self.assertEqual(bytes(self.two.ends[0].got), b"123")
        self.assertEqual((self.one.error, self.two.error), (None, None))

    def test_a_newer_link_that_comes_to_nothing(self) -> None:
        newer = Cable(self.one, self.two)
        newer.cut()
        end = self.one.open()
        end.stream.write(b"as before")
        flush(self.clock, self.cable)
        self.assertEqual(bytes(self.two.ends[0].got), b"as before")

    def test_a_newer_link_that_dies_in_silence(self) -> None:
        newer = Plug()
        newer.attachment = self.one.session.attach(newer)
        for _ in range(int(DEAD / TICK) + 1):
            self.clock.advance(TICK)
            self.cable.settle()
        self.assertEqual((newer.closed, self.one.told), (True, []))

    def test_one_newer_link_after_the_other(self) -> None:
        first, second = Cable(self.one, self.two), Cable(self.one, self.two)
        self.assertEqual([plug.closed for plug in first.plugs], [True, True])
        flush(self.clock, second)
        self.assertEqual([plug.closed for plug in self.cable.plugs], [True, True])

    def test_given_up(self) -> None:
        end, waiting = self.one.open(), self.one.open(purpose="thing")
        self.cable.settle()
        self.cable.cut()
        waiting.stream.write(b"x")
        self.clock.advance(RESUME_FOR / 2)
        # A link on which nobody greets is none.
        plug = Plug()
        self.one.session.attach(plug)
        self.clock.advance(RESUME_FOR / 2)
        for each in (end, waiting):
            self.assertIsInstance(each.error, GaveUp)
        self.assertIn("could not be reached again within 600 s", str(self.one.error))
        self.assertRaises(SessionOver, self.one.open)
        self.assertEqual(self.clock.getDelayedCalls(), [])
        late = Plug()
        self.one.session.attach(late)
        self.assertTrue(late.closed)

    def test_not_given_up_while_there_is_a_link(self) -> None:
        self.cable.cut()
        self.clock.advance(RESUME_FOR - 1)
        cable = Cable(self.one, self.two)
        cable.settle()
        for _ in range(100):
            self.clock.advance(20)
            cable.settle()
        self.assertEqual((self.one.error, self.two.error), (None, None))

    def test_the_other_side_was_started_anew(self) -> None:
        end = self.one.open()
        end.stream.write(b"x")
        self.cable.settle()
        self.cable.cut()
        wanted = self.one.open()
        anew = Side(self.clock, "three", False)
        cable = Cable(self.one, anew)
        cable.settle()
        self.assertIsInstance(end.error, Forgotten)
        self.assertIsInstance(wanted.error, Forgotten)
        self.one.open().stream.write(b"here I am")
        flush(self.clock, cable)
        self.assertEqual([bytes(each.got) for each in anew.ends], [b"here I am"])
        self.assertEqual((self.one.error, anew.error), (None, None))

    def test_it_is_bounded_while_there_is_no_link(self) -> None:
        end = self.one.open()
        self.cable.settle()
        self.cable.cut()
        end.stream.write(bytes(65_519))
        self.assertNotIn("pause", end.told)
        end.stream.write(b"x")
        self.assertEqual(end.told[-1], "pause")

    def test_the_largest_write(self) -> None:
        end = self.one.open()
        end.stream.write(bytes(3_000_000))
        for _ in range(10):
            flush(self.clock, self.cable)
        self.assertEqual(len(self.two.ends[0].got), 3_000_000)
        self.assertLessEqual(self.cable.plugs[0].largest, 128 * 1024)


class LeavingTests(OneSide):
    def test_bye(self) -> None:
        one, two, cable = pair(self.clock)
        end = two.open()
        one.session.say_bye()
        cable.settle()
        self.assertEqual(two.told, ["over", "left"])
        self.assertEqual(str(two.error), "The session with the other side is over: the other side has left.")
        self.assertIsInstance(end.error, SessionOver)
        self.assertIsNone(one.error)
        cable.cut()
        self.assertIn("this side has left", str(one.error))

    def test_what_comes_behind_a_goodbye_is_not_read(self) -> None:
        self.greeted()
        self.receive(Frame(Kind.BYE), Frame(Kind.ACK, 77))
        self.assertEqual(self.side.told, ["over", "left"])

    def test_without_a_link(self) -> None:
        side = Side(self.clock, "one", True)
        side.session.say_bye()
        self.assertEqual(side.told, ["over"])

    def test_what_was_written_before_arrives(self) -> None:
        one, two, cable = pair(self.clock)
        end = one.open()
        end.stream.write(b"last words")
        one.session.say_bye()
        cable.settle()
        self.assertEqual(bytes(two.ends[0].got), b"last words")

    def leave(self, delivered: int, overlap: bool, says: bytes = b"") -> tuple[Side, Side]:
        """The link is replaced, and so many bytes of the greetings have arrived when one side leaves.  The other
        side may close the old link (``overlap``: not before everything on it has arrived)."""
        one, two, older = pair(self.clock)
        end = one.open()
        flush(self.clock, older)
        newer = Cable(one, two)
        for to in (1, 0):
            delivered -= newer.deliver(to, max(delivered, 0))
        if says:
            end.stream.write(says)
        one.session.say_bye()
        if overlap:
            older.settle()
        elif older.plugs[1].closed:
            older.cut(0)
        newer.settle()
        self.assertEqual(bytes(two.ends[0].got), says, delivered)
        newer.cut()
        older.cut()
        return one, two

    def test_in_the_middle_of_a_replacement(self) -> None:
        self.clock = Clock()
        for overlap in (False, True):
            for delivered in range(500):
                one, two = self.leave(delivered, overlap)
                self.assertEqual(two.told[-2:], ["over", "left"], delivered)
                self.assertIn("this side has left", str(one.error))
                one, two = self.leave(delivered, overlap, b"last words")
                self.assertEqual(two.told[-2:], ["over", "left"], delivered)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_over_an_old_link_that_is_dead_already(self) -> None:
        one, two, _dead = pair(self.clock)
        newer = Cable(one, two)
        one.session.say_bye()
        newer.settle()
        self.assertEqual(two.told[-2:], ["over", "left"])

    def test_on_a_link_that_comes_only_then(self) -> None:
        one, two, _dead = pair(self.clock)
        one.session.say_bye()
        Cable(one, two).settle()
        self.assertEqual(two.told[-2:], ["over", "left"])


class KeepAliveTests(OneSide):
    def quiet(self, seconds: float) -> list[tuple[float, str]]:
        """What is sent while nothing comes, and when."""
        said = []
        for tick in range(round(seconds / TICK)):
            self.clock.advance(TICK)
            said.extend((tick + TICK, text) for text in shown(self.plug.frames()))
        return said

    def rest(self) -> None:
        """Nothing numbered for so long that only silence matters."""
        for _ in range(round(HUSHES[-1] / TICK)):
            self.clock.advance(TICK)
        self.receive(Frame(Kind.PONG, 4))
        self.plug.frames()

    def test_a_quiet_link_is_pinged(self) -> None:
        self.greeted()
        self.receive(Frame(Kind.ACK, 1))
        self.rest()
        self.assertEqual(self.quiet(DEAD - TICK), [(QUIET, "PING 5"), (AGAIN, "PING 6")])
        self.assertEqual(self.side.told, [])

    def test_pinged_more_and_more_seldom_when_what_came_has_stopped(self) -> None:
        self.greeted()
        self.receive(Frame(Kind.ACK, 1))
        for number in range(20):
            said = [text for _at, text in self.quiet(TICK)]
            self.assertEqual(any(text.startswith("PING") for text in said), number + TICK in HUSHES, number)
            self.receive(Frame(Kind.PONG, 1), Frame(Kind.PING, number))

    def test_a_part_of_a_frame_counts(self) -> None:
        self.greeted()
        self.receive(Frame(Kind.ACK, 1))
        self.rest()
        self.receive(Frame(Kind.OPEN, 2, b"thing", 2).encode()[:-1])
        # Parts are only seen at the next look.
        self.assertEqual(self.quiet(HUSHES[1]), [(TICK + HUSHES[0], "PING 5")])

    def test_not_while_things_come(self) -> None:
        self.greeted()
        self.receive(Frame(Kind.ACK, 1))
        for number in range(2, 50):
            self.receive(Frame(Kind.OFFER, number, b"thing"))
            self.clock.advance(HUSHES[0] * 0.6)
        self.assertNotIn(Kind.PING, [frame.kind for frame in self.plug.frames()])

    def test_two_idle_sides_rest(self) -> None:
        one, two, cable = pair(self.clock)
        flush(self.clock, cable)
        for _ in range(round(HUSHES[-1] / TICK)):
            self.clock.advance(TICK)
            cable.settle()
        writes = [plug.writes for plug in cable.plugs]
        for _ in range(10):
            self.clock.advance(TICK)
            cable.settle()
        self.assertEqual([plug.writes for plug in cable.plugs], writes)
        self.assertEqual(one.told + two.told, [])

    def test_pong(self) -> None:
        self.greeted()
        self.receive(Frame(Kind.PING, 77))
        self.assertEqual(shown(self.plug.frames())[0], "PONG 77")
        self.receive(Frame(Kind.PONG, 77))

    def test_dead_within_a_minute(self) -> None:
        self.greeted()
        seconds = 0
        while not self.side.told:
            self.clock.advance(1)
            seconds += 1
        self.assertTrue(DEAD <= seconds < 60)
        self.assertEqual(self.side.told, [f"nothing came from the other side for {seconds} s"])
        self.assertTrue(self.plug.closed)

    def test_a_link_that_never_greets_dies_too(self) -> None:
        self.clock.pump([TICK] * int(DEAD))
        self.assertEqual(len(self.side.told), 1)

    def test_alive_while_something_comes(self) -> None:
        one, two, cable = pair(self.clock)
        for _ in range(600):
            self.clock.advance(1)
            cable.settle()
        self.assertEqual(one.told + two.told, [])

    def test_no_clock_is_kept_without_a_link(self) -> None:
        clock = Clock()
        one, two, cable = pair(clock)
        cable.cut()
        # But for the one that gives up.
        self.assertEqual([call.getTime() for call in clock.getDelayedCalls()], [RESUME_FOR] * 2)
        one.session.say_bye()
        two.session.say_bye()
        self.assertEqual(clock.getDelayedCalls(), [])

    def test_one_that_acknowledges_nothing(self) -> None:
        self.greeted()
        for number in range(int(STALLED / TICK) + 2):
            self.receive(Frame(Kind.PONG, number))
            self.clock.advance(TICK)
        self.assertIsInstance(self.side.error, BadFrame)
        self.assertIn("acknowledged nothing", str(self.side.error))

    def test_nothing_to_acknowledge_is_no_offence(self) -> None:
        self.greeted()
        self.receive(Frame(Kind.ACK, 1))
        for number in range(40):
            self.receive(Frame(Kind.PONG, number))
            self.clock.advance(TICK)
        self.assertIsNone(self.side.error)
        # What is due now is due from now on.
        self.side.session.offer("more", self.side.opened)
        self.clock.advance(TICK)
        self.receive(Frame(Kind.PONG, 0))
        self.clock.advance(TICK)
        self.assertIsNone(self.side.error)


class BoundTests(SynchronousTestCase):
    def test_back_pressure_of_a_session(self) -> None:
        clock = Clock()
        one, two, cable = pair(clock)
        ends = [one.open() for _ in range(80)]
        for end in ends:
            end.stream.write(bytes(65_520))
        # Nobody acknowledges: nothing is delivered.
        self.assertLessEqual(one.pools.kept.used, MOST_KEPT)
        self.assertGreater(one.pools.kept.used, MOST_KEPT - MOST * 2)
        self.assertGreater(sum(end.stream.has_more for end in ends), 0)
        for _ in range(10):
            flush(clock, cable)
        self.assertEqual(sum(len(end.got) for end in two.ends), 80 * 65_520)
        self.assertEqual(one.pools.kept.used, 0)

    def test_a_process_that_keeps_as_much_as_it_may(self) -> None:
        clock, pools = Clock(), Pools()
        pools.kept.take(2**40)
        one, two, cable = pair(clock, pools=pools)
        ends = [one.open() for _ in range(40)]
        for end in ends:
            end.stream.write(bytes(65_520))
        # A modest share is everybody's, so nobody stands still.
        self.assertLess(pools.kept.used - 2**40, 1024 * 1024 + 64 * 1024)
        for _ in range(10):
            flush(clock, cable)
        self.assertEqual(sum(len(end.got) for end in two.ends), 40 * 65_520)
        # And whoever waits goes on when there is room.
        for end in ends:
            end.stream.write(bytes(65_520))
        before = cable.plugs[0].total
        pools.kept.give(2**40)
        self.assertGreater(cable.plugs[0].total, before)

    def test_a_process_that_holds_as_much_as_it_may(self) -> None:
        clock, pools = Clock(), Pools()
        pools.unread.take(2**40)
        alice, bob = Side(clock, "a", True), Side(clock, "b", False, pools)
        bob.answer = lambda stream, end: (stream.accept(end), stream.pause())[0]
        cable = Cable(alice, bob)
        ends = [alice.open() for _ in range(40)]
        for end in ends:
            end.stream.write(bytes(65_520))
            flush(clock, cable)
        # Only what nobody reads is broken off, and only beyond a modest share.
        over = [end for end in ends if end.told[-1] == "ended"]
        self.assertEqual(len(over), 40 - 1024 * 1024 // 65_520)
        self.assertIn("memory is short", str(over[0].error))
        self.assertLess(pools.unread.used - 2**40, 1024 * 1024 + 1)
        bob.answer = lambda stream, end: stream.accept(end)
        busy = alice.open()
        busy.stream.write(bytes(1_000_000))
        for _ in range(10):
            flush(clock, cable)
        self.assertEqual(len(bob.ends[-1].got), 1_000_000)
        for end in bob.ends:
            end.stream.resume()
        self.assertEqual((pools.unread.used, alice.error, bob.error), (2**40, None, None))


class AcknowledgedTests(SynchronousTestCase):
    def test_tells_when_everything_was_acknowledged(self) -> None:
        clock, told = Clock(), list[str]()
        one, _two, cable = pair(clock)
        flush(clock, cable)
        one.session.when_acknowledged(lambda: told.append("nothing was due"))
        self.assertEqual(told, ["nothing was due"])
        one.open().stream.write(b"x")
        one.session.when_acknowledged(lambda: told.append("it came"))
        cable.settle()
        self.assertEqual(told[1:], [])
        flush(clock, cable)
        self.assertEqual(told[1:], ["it came"])

    def test_tells_when_that_will_never_be(self) -> None:
        clock, told = Clock(), list[str]()
        one, _two, cable = pair(clock)
        one.open()
        one.session.when_acknowledged(lambda: told.append("over"))
        cable.cut()
        clock.advance(RESUME_FOR - 1)
        self.assertEqual(told, [])
        clock.advance(1)
        self.assertEqual(told, ["over"])
