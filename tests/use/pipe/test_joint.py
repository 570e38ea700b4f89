"""Standard input and output of two commands, joined by a session in memory."""

from __future__ import annotations

import os
from unittest.mock import patch

from twisted.internet.task import Clock

from p2phole.errors import P2pholeError
from p2phole.session.errors import Aborted, GaveUp, NotOffered, Refused, SessionOver
from p2phole.session.streams import Stream
from p2phole.use.pipe.joint import InputFailed, Joint, OutputClosed, OutputFailed
from tests.session.sides import Cable, Side, flush
from tests.use.descriptors import Watching, drain, wait_for
from tests.use.pipe.test_standard import Descriptors


class Command:
    """A joint and what is around it.  ``keyboard``, ``screen``: of the test."""

    def __init__(self, test: Descriptors, source: int, keyboard: int, sink: int, screen: int) -> None:
        self.test = test
        self.source, self.keyboard, self.screen = source, keyboard, screen
        self.reactor = Watching()
        self.ends: list[P2pholeError | None] = []
        self.joined = 0
        self.joint = Joint(self.reactor, self.is_joined, self.ends.append, source, sink)
        self.seen = b""

    def is_joined(self) -> None:
        self.joined += 1

    def type(self, data: bytes) -> None:
        os.write(self.keyboard, data)
        if os.isatty(self.keyboard):
            wait_for(self.source)

    def end_input(self) -> None:
        os.close(self.keyboard)

    def has_seen(self, count: int) -> bytes:
        """All, once it is so much."""
        while len(self.seen) < count:
            wait_for(self.screen)
            self.look()
        return self.seen

    def look(self) -> bool:
        new = drain(self.screen)
        self.seen += new
        return bool(new)

    @property
    def screen_ended(self) -> bool:
        os.set_blocking(self.screen, False)
        try:
            return os.read(self.screen, 1) == b""
        except BlockingIOError:
            return False


class JointTests(Descriptors):
    def setUp(self) -> None:
        self.clock = Clock()
        self.sides = Side(self.clock, "one", True, offers=False), Side(self.clock, "two", False, offers=False)
        self.cable: Cable | None = None

    def command(self, source: tuple[int, ...] = (), sink: tuple[int, ...] = ()) -> Command:
        reading, keyboard = source or self.pipe()
        screen, writing = sink or self.pipe()
        return Command(self, reading, keyboard, writing, screen)

    def both(self) -> tuple[Command, Command]:
        one, two = self.command(), self.command()
        self.sides[1].session.offer("pipe", two.joint.take)
        one.joint.open(self.sides[0].session, "pipe")
        return one, two

    def settle(self, *commands: Command) -> None:
        if self.cable is None:
            self.cable = Cable(*self.sides)
        moved = True
        while moved:
            flush(self.clock, self.cable)
            looked = [command.look() for command in commands]
            moved = any([*looked, *(command.reactor.turn() for command in commands)])

    def test_both_ways_and_each_to_its_end(self) -> None:
        one, two = self.both()
        one.type(b"request \0\xff")
        self.settle(one, two)
        self.assertEqual((one.seen, two.seen), (b"", b"request \0\xff"))
        still_open: list[bool] = []
        two.joint.closing = lambda: still_open.append(not two.screen_ended)
        one.end_input()
        self.settle(one, two)
        self.assertEqual(still_open, [True])
        self.assertTrue(two.screen_ended)
        self.assertFalse(one.screen_ended)
        self.assertEqual((one.ends, two.ends), ([], []))
        two.type(b"answer")
        self.settle(one, two)
        self.assertEqual(one.seen, b"answer")
        two.end_input()
        self.settle(one, two)
        self.assertTrue(one.screen_ended)
        self.assertEqual((one.ends, two.ends), ([None], [None]))
        self.assertEqual([(each.joint.consumed, each.joint.written) for each in (one, two)], [(10, 6), (6, 10)])

    def test_what_is_there_already_goes_with_the_opening(self) -> None:
        reading, keyboard = self.pipe()
        os.write(keyboard, b"early")
        os.close(keyboard)
        one, two = self.command((reading, keyboard)), self.command()
        self.sides[1].session.offer("pipe", two.joint.take)
        one.joint.open(self.sides[0].session, "pipe")
        self.cable = cable = Cable(*self.sides)
        for _ in range(3):  # greetings, offers, opening
            cable.deliver(1)
            cable.deliver(0)
        two.look()
        self.assertEqual(two.seen, b"early")

    def test_one_refuses_and_the_next_one_gets_it_all(self) -> None:
        one, two = self.command(), self.command()
        os.set_blocking(one.keyboard, False)
        data = os.urandom(65_536)
        one.type(data)
        refuse = [True]

        def opened(stream: Stream) -> None:
            if refuse.pop():
                stream.abort("another one was quicker")
            else:
                two.joint.take(stream)

        self.sides[1].session.offer("pipe", opened)
        one.joint.open(self.sides[0].session, "pipe")
        self.settle(one, two)
        [error] = one.ends
        self.assertIsInstance(error, Refused)
        refuse.append(False)
        one.end_input()
        one.joint.open(self.sides[0].session, "pipe")
        self.settle(one, two)
        self.assertEqual(two.seen, data)
        two.end_input()
        self.settle(one, two)
        self.assertEqual((one.ends[1:], two.ends), ([None], [None]))

    def test_what_waited_for_an_answer_is_not_lost(self) -> None:
        one, two = self.command(), self.command()
        asked: list[Stream] = []
        self.sides[1].session.offer("pipe", asked.append)
        one.type(b"x" * 1000)
        one.joint.open(self.sides[0].session, "pipe")
        self.settle(one, two)
        self.assertEqual((one.joined, one.joint.joined), (0, False))
        two.joint.take(asked[0])
        two.end_input()
        one.end_input()
        self.settle(one, two)
        self.assertEqual((two.seen, one.ends, two.ends), (b"x" * 1000, [None], [None]))
        self.assertEqual((one.joined, two.joined), (1, 1))

    def test_it_is_not_offered(self) -> None:
        one = self.command()
        one.joint.open(self.sides[0].session, "pipe")
        self.settle(one)
        one.joint.open(self.sides[0].session, "pipe")
        self.assertEqual([type(each) for each in one.ends], [NotOffered] * 2)

    def test_nothing_is_held_beyond_bounds(self) -> None:
        one, two = self.both()
        screen, two.screen = two.screen, self.pipe()[0]  # nobody looks
        os.set_blocking(one.keyboard, False)
        self.settle(one, two)
        written = 0
        while written < 100_000_000:
            try:
                written += os.write(one.keyboard, bytes(65_536))
            except BlockingIOError:
                self.settle(one, two)
                if not two.reactor.writers or one.reactor.readers:
                    continue
                break
        self.assertLess(written, 20_000_000)
        two.screen = screen
        self.settle(one, two)
        one.end_input()
        two.end_input()
        self.settle(one, two)
        self.assertEqual((len(two.seen), one.ends, two.ends), (written, [None], [None]))

    def test_the_end_is_told_when_all_is_written(self) -> None:
        one, two = self.both()
        two.end_input()
        os.set_blocking(one.keyboard, False)
        self.settle(one, two)
        screen, two.screen = two.screen, self.pipe()[0]
        for _ in range(20):
            one.type(bytes(65_536))
            self.settle(one, two)
        one.end_input()
        self.settle(one, two)
        self.assertEqual((one.ends, two.ends), ([], []))
        two.screen = screen
        self.settle(one, two)
        self.assertEqual((len(two.seen), one.ends, two.ends), (20 * 65_536, [None], [None]))

    def test_nobody_reads_the_output(self) -> None:
        one, two = self.both()
        self.settle(one, two)
        os.close(two.screen)
        two.screen = self.pipe()[0]
        one.type(b"x")
        self.settle(one, two)
        self.assertIsInstance(two.ends[0], OutputClosed)
        self.assertIsInstance(one.ends[0], Aborted)
        self.assertIn("nobody reads", str(one.ends[0]))
        one.joint.close()
        self.assertRaises(BrokenPipeError, one.type, b"x")

    def test_a_full_disk(self) -> None:
        (full,) = self.keep(os.open("/dev/full", os.O_WRONLY))
        one, two = self.command(), self.command(sink=(self.pipe()[0], full))
        self.sides[1].session.offer("pipe", two.joint.take)
        one.joint.open(self.sides[0].session, "pipe")
        one.type(b"x")
        self.settle(one, two)
        self.assertIsInstance(two.ends[0], OutputFailed)
        self.assertIn("No space left", str(two.ends[0]))
        self.assertIsInstance(one.ends[0], Aborted)

    def test_it_is_written_only_when_its_file_is_closed(self) -> None:
        one, two = self.both()
        two.end_input()
        one.type(b"x")
        one.end_input()
        with patch.object(two.joint._output, "close", side_effect=OSError(5, "Input/output error")):
            self.settle(one, two)
        self.assertIsInstance(two.ends[0], OutputFailed)
        self.assertIsInstance(one.ends[0], Aborted)

    def test_the_input_cannot_be_read(self) -> None:
        (folder,) = self.keep(os.open(".", os.O_RDONLY))
        one, two = self.command(source=(folder, self.pipe()[1])), self.command()
        self.sides[1].session.offer("pipe", two.joint.take)
        one.joint.open(self.sides[0].session, "pipe")
        self.settle(one, two)
        self.assertIsInstance(one.ends[0], InputFailed)

    def test_the_other_side_leaves_early(self) -> None:
        one, two = self.both()
        self.settle(one, two)
        one.joint.close()
        self.sides[0].session.say_bye()
        self.settle(one, two)
        self.assertIsInstance(two.ends[0], SessionOver)

    def test_the_session_is_lost(self) -> None:
        one, two = self.both()
        self.settle(one, two)
        assert self.cable is not None
        self.cable.cut()
        one.type(b"x" * 100)
        one.reactor.turn()
        self.clock.advance(601)
        self.assertIsInstance(one.ends[0], GaveUp)
        self.assertIsInstance(two.ends[0], GaveUp)

    def test_nothing_is_lost_or_doubled_over_a_new_link(self) -> None:
        one, two = self.both()
        self.settle(one, two)
        assert self.cable is not None
        for each in (b"a", b"b"):
            one.type(each * 1000)
            one.reactor.turn()
            self.cable.cut()
            self.cable = Cable(*self.sides)
        one.end_input()
        two.end_input()
        self.settle(one, two)
        self.assertEqual((two.seen, one.ends, two.ends), (b"a" * 1000 + b"b" * 1000, [None], [None]))

    # -- people at a terminal

    def at_a_terminal(self, sink: tuple[int, ...] = ()) -> tuple[Command, Command]:
        keyboard, slave = self.terminal()
        self.keep(os.dup(slave))  # a terminal that nobody has is gone
        one, two = self.command(), self.command((slave, keyboard), sink or (keyboard, *self.keep(os.dup(slave))))
        self.sides[1].session.offer("pipe", two.joint.take)
        one.joint.open(self.sides[0].session, "pipe")
        self.settle(one, two)
        return one, two

    def test_the_person_need_not_end_what_the_other_side_has_ended(self) -> None:
        one, two = self.at_a_terminal()
        one.type(b"hello")
        one.end_input()
        self.settle(one, two)
        self.assertEqual((two.has_seen(5), one.ends, two.ends), (b"hello", [None], [None]))

    def test_the_person_may_be_the_one_who_sends(self) -> None:
        one, two = self.at_a_terminal()
        one.end_input()
        self.settle(one, two)
        self.assertEqual((one.ends, two.ends), ([], []))
        two.type(b"hello\n")
        self.settle(one, two)
        self.assertEqual(one.seen, b"hello\n")

    def test_an_archive_may_be_empty(self) -> None:
        one, two = self.at_a_terminal(self.pipe())
        one.end_input()
        self.settle(one, two)
        self.assertEqual((one.ends, two.ends), ([None], [None]))
