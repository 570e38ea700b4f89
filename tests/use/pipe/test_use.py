"""``p2phole pipe`` as a use: whom it takes, and how it ends."""

from __future__ import annotations

import os

from twisted.internet.task import Clock

from p2phole.session.errors import GaveUp, SessionOver
from p2phole.use.pipe.joint import OutputClosed
from p2phole.use.pipe.use import HURRY, LINGER, NoPipe, Pipe, PipeBroken, StartedAgain
from tests.session.sides import flush
from tests.use.descriptors import Watching, drain
from tests.use.partners import FakeHost, Pairing
from tests.use.pipe.test_standard import Descriptors


class Piped:
    """A command with its pipes."""

    def __init__(self, test: PipeTests, name: str, alone: bool, fingerprint: str = "") -> None:
        source, self.keyboard = test.pipe()
        self.screen, sink = test.pipe()
        self.reactor = Watching()
        self.use = Pipe(self.reactor, alone, source, sink)
        self.host = FakeHost(test.clock, name, self.use, fingerprint)

    @property
    def seen(self) -> bytes:
        return drain(self.screen)

    @property
    def status(self) -> int | None:
        return 1 if self.host.error else 0 if self.host.finished else None

    def say(self, data: bytes) -> None:
        os.write(self.keyboard, data)

    def end(self) -> None:
        os.close(self.keyboard)


class PipeTests(Descriptors):
    def setUp(self) -> None:
        self.clock = Clock()
        self.commands: list[Piped] = []
        self.pairings: list[Pairing] = []

    def command(self, name: str, alone: bool = False, fingerprint: str = "") -> Piped:
        command = Piped(self, name, alone, fingerprint)
        self.commands.append(command)
        return command

    def meet(self, one: Piped, two: Piped, instances: tuple[str, str] = ("i", "i")) -> Pairing:
        pairing = Pairing(one.host, two.host, instances)
        self.pairings.append(pairing)
        return pairing

    def settle(self) -> None:
        moved = True
        while moved:
            moved = any([*(command.reactor.turn() for command in self.commands)])
            for pairing in self.pairings:
                flush(self.clock, pairing.cable)

    def two(self, alone: bool = True) -> tuple[Piped, Piped, Pairing]:
        one, two = self.command("one", alone), self.command("two", alone)
        pairing = self.meet(one, two)
        self.settle()
        return one, two, pairing

    def finish(self, one: Piped, two: Piped) -> None:
        """They are connected, and come to a good end."""
        one.say(b"to " + two.host.name.encode())
        two.say(b"to " + one.host.name.encode())
        one.end()
        two.end()
        self.settle()
        self.assertEqual((one.seen, two.seen), (b"to one", b"to " + two.host.name.encode()))
        self.assertEqual((one.status, two.status), (0, 0))

    def test_both_ways_and_then_both_end(self) -> None:
        for alone in (False, True):
            one, two, _ = self.two(alone)
            self.finish(one, two)
            self.clock.advance(LINGER + HURRY)
            self.assertEqual((one.host.finished, two.host.finished), (1, 1))

    def test_in_a_room_with_more_the_others_are_refused(self) -> None:
        one, two, three = map(self.command, ("one", "two", "three"))
        self.meet(one, two)
        self.settle()
        refused = self.meet(three, one)
        self.settle()
        three.say(b"for anybody")
        self.settle()
        self.assertIsNone(three.status)
        self.finish(one, two)
        # What it had said is for the next one.
        four = self.command("four")
        refused.cut()
        self.meet(three, four)
        three.end()
        four.end()
        self.settle()
        self.assertEqual((four.seen, three.status, four.status), (b"for anybody", 0, 0))

    def test_nobody_waits_in_a_circle(self) -> None:
        three = [self.command(name) for name in ("one", "two", "three")]
        for first, second in ((0, 1), (1, 2), (0, 2)):  # whom the first one asks
            self.meet(three[first], three[second])
        for command in three:
            command.end()
        self.settle()
        self.assertEqual(sorted(command.status is None for command in three), [False, False, True])

    def test_a_request_waits_for_the_answer_to_ones_own(self) -> None:
        one, two, chat = self.command("one"), self.command("two"), self.command("chat")
        chat.use.stop()  # declines whatever comes
        self.meet(two, chat)
        self.meet(one, two)
        self.settle()
        self.finish(one, two)

    def test_whoever_does_something_else_is_not_the_one(self) -> None:
        one, two = self.command("one"), self.command("two")
        other = FakeHost(self.clock, "chat", _Nothing())
        self.pairings.append(Pairing(one.host, other))
        self.settle()
        self.assertIsNone(one.status)
        self.meet(one, two)
        self.settle()
        self.finish(one, two)

    def test_with_a_code_there_is_nobody_else_to_come(self) -> None:
        for leads in (True, False):
            one = self.command("one", True)
            other = FakeHost(self.clock, "chat", _Nothing())
            self.pairings.append(Pairing(*((one.host, other) if leads else (other, one.host))))
            self.settle()
            self.clock.advance(HURRY)
            self.settle()
            self.assertIsInstance(one.host.error, NoPipe)
            self.assertIn("does not offer pipe", str(one.host.error))

    def test_it_leaves_before_anything_began(self) -> None:
        one = self.command("one", True)
        other = FakeHost(self.clock, "chat", _Nothing())
        pairing = Pairing(other, one.host)
        self.pairings.append(pairing)
        flush(self.clock, pairing.cable)
        pairing.partners[0].session.say_bye()
        flush(self.clock, pairing.cable)
        self.assertIsInstance(one.host.error, NoPipe)
        self.clock.advance(HURRY)

    def test_the_other_side_leaves_early(self) -> None:
        one, two, pairing = self.two()
        one.use.stop()
        pairing.partners[0].session.say_bye()
        self.settle()
        self.assertIsInstance(two.host.error, PipeBroken)
        self.assertIn("the other side has left", str(two.host.error))
        self.assertIsNone(one.status)

    def test_the_session_is_lost(self) -> None:
        one, _two, pairing = self.two()
        pairing.end(0, GaveUp(seconds=600.0))
        self.assertIsInstance(one.host.error, PipeBroken)

    def test_nobody_reads_the_output(self) -> None:
        one, two, _ = self.two()
        os.close(one.screen)
        two.say(b"x")
        self.settle()
        self.assertIsInstance(one.host.error, OutputClosed)
        self.assertIsInstance(two.host.error, PipeBroken)
        two.use.stop()
        self.assertRaises(BrokenPipeError, two.say, b"x")

    def test_the_other_side_is_started_again(self) -> None:
        one, _two, pairing = self.two(False)
        pairing.cut()
        again = self.command("again", fingerprint="two")
        self.meet(one, again, ("i", "j"))
        self.assertIsInstance(one.host.error, StartedAgain)

    def test_the_other_side_is_started_again_before_it_was_missed(self) -> None:
        for alone in (True, False):
            one, _two, pairing = self.two(alone)
            again = self.command("again", alone, fingerprint="two")
            self.meet(one, again, ("i", "j"))
            self.assertIsNone(one.host.error)
            pairing.cut()
            # In a room it may be another one, and the first one may come back.
            self.assertEqual(isinstance(one.host.error, StartedAgain), alone)

    def test_another_one_with_the_same_key_is_not_the_same(self) -> None:
        one, two, _pairing = self.two(False)
        again = self.command("again", fingerprint="two")
        self.meet(one, again, ("i", "j"))
        self.settle()
        self.finish(one, two)

    def test_leaves_when_the_other_side_knows_that_all_has_come(self) -> None:
        one, two, pairing = self.two()
        one.end()
        self.settle()
        two.end()
        two.reactor.turn()
        for _ in range(4):  # FINISH, and TAKEN, and no time for an acknowledgement
            pairing.cable.deliver(0)
            self.clock.advance(0)
        self.assertEqual((one.use.joint.joined, one.status), (True, None))
        pairing.cut()
        pairing.relink()
        self.settle()
        self.assertEqual((one.status, two.status), (0, 0))

    def test_does_not_wait_for_ever_for_that(self) -> None:
        one, two, pairing = self.two()
        one.end()
        self.settle()
        two.end()
        two.reactor.turn()
        pairing.cable.deliver(0)
        self.clock.advance(0)
        pairing.cut()
        self.clock.advance(LINGER)
        self.assertEqual((one.status, two.status), (0, None))
        pairing.end(0, SessionOver(why="it has left"))
        self.assertEqual((one.status, one.host.finished), (0, 1))


class _Nothing:
    """A use without any."""

    def __getattr__(self, name: str) -> object:
        return lambda *_: None
