"""Two hundred links cut at random: what comes out of each stream is what went in, equal to the last byte."""

from __future__ import annotations

import random
import secrets
from collections import Counter
from hashlib import sha256

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from p2phole.session.frames import HEADER
from tests.session.sides import Cable, End, Side

CUTS = 200
STREAMS = 6
"""Under way at one time, on each side."""
WHERE = "greeting", "header", "payload", "between", "two links"


class Writer(End):
    """Sends so many random bytes in chunks of any size, as far as it may, and finishes; remembers what."""

    def __init__(self, chance: random.Random) -> None:
        super().__init__()
        self.data = chance.randbytes(chance.choice([0, 1, 300, 70_000, 400_000]))
        self.at = 0
        self.may = True
        self.chance = chance

    def pause(self) -> None:
        self.may = False

    def resume(self) -> None:
        self.may = True

    def write_some(self) -> None:
        """One chunk."""
        if not self.may:
            return
        size = self.chance.choice([1, 100, 16_384, 65_520, 65_536, 100_000])
        self.stream.write(self.data[self.at : self.at + size])
        self.at = min(self.at + size, len(self.data))
        if self.at == len(self.data):
            self.stream.finish()


class CutsTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.seed = secrets.randbits(32)
        self.chance = chance = random.Random(self.seed)
        self.clock = Clock()
        self.sides = Side(self.clock, "one", True), Side(self.clock, "two", False)
        for side in self.sides:
            side.answer = lambda stream, end, side=side: self.answer(side)
        self.pairs: dict[bytes, tuple[Writer, Writer]] = {}
        self.opened: dict[bytes, Writer] = {}
        self.chance = chance
        self.cable = Cable(*self.sides, room=100_000)
        self.dying: list[Cable] = []
        self.where: Counter[str] = Counter()

    def answer(self, side: Side) -> None:
        stream = side.ends.pop().stream
        there = Writer(self.chance)
        there.stream = stream
        self.assertNotIn(stream.argument, self.pairs, "opened twice")
        self.pairs[stream.argument] = (self.opened.pop(stream.argument), there)
        stream.accept(there)

    def open(self) -> None:
        for side in self.sides:
            under_way = [end for each in self.pairs.values() for end in each if not end.stream.over]
            if len(under_way) + len(self.opened) < 2 * STREAMS:
                writer = Writer(self.chance)
                name = b"%d" % (len(self.pairs) + len(self.opened))
                self.opened[name] = writer
                writer.stream = side.session.open("thing", writer, name)

    def step(self, cable: Cable, limit: int) -> None:
        """Something is written, somebody reads on or not, and up to so many bytes arrive somewhere."""
        for writer in [*self.opened.values(), *(end for pair in self.pairs.values() for end in pair)]:
            if not writer.stream.over:
                writer.write_some()
                if self.chance.random() < 0.1:
                    writer.stream.pause()
                else:
                    writer.stream.resume()
        for to in self.chance.sample((0, 1), 2):
            cable.deliver(to, self.chance.randint(1, limit))
        self.clock.advance(self.chance.choice([0, 0, 0.005, 0.03]))

    def place(self, cable: Cable) -> str:
        """What the next cut of this link would cut through, at the end that has read less."""
        attachments = [plug.attachment for plug in cable.plugs]
        if not all(attachment and attachment.has_greeted for attachment in attachments):
            return "greeting"
        readers = [attachment._reader for attachment in attachments if attachment is not None]
        if any(reader._head for reader in readers):
            return "header"
        return "payload" if any(reader._frame for reader in readers) else "between"

    def cut(self) -> None:
        """As soon as the link is where it is to be cut."""
        where = self.chance.choice(WHERE)
        older = self.cable
        if where == "two links":
            self.cable = Cable(*self.sides, room=100_000)
            self.step(older, 5000)
            self.step(self.cable, 100)
            self.step(older, 5000)
        elif where != "greeting":
            for _ in range(60):
                if self.place(older) == where:
                    break
                # First until both have greeted, then a byte more or less.
                self.step(older, 400 if where == "payload" else HEADER.size - 1)
        self.where[where if where == "two links" else self.place(older)] += 1
        first = self.chance.choice([(0,), (1,), (0, 1)])
        older.cut(*first)
        for other in {0, 1} - set(first):
            self.clock.callLater(self.chance.choice([0, 0.02, 1]), older.cut, other)
        if older is self.cable:
            self.clock.advance(self.chance.choice([0, 0.02, 2]))
            self.cable = Cable(*self.sides, room=100_000)

    def test_two_hundred(self) -> None:
        try:
            for _ in range(CUTS):
                self.open()
                for _ in range(self.chance.choice([0, 1, 6])):
                    self.step(self.cable, self.chance.choice([100, 20_000, 300_000]))
                self.cut()
            for _ in range(2000):
                self.step(self.cable, 2**40)
                if not self.opened and all(end.stream.over for pair in self.pairs.values() for end in pair):
                    break
            for one, two in self.pairs.values():
                for writer, reader in ((one, two), (two, one)):
                    self.assertEqual(sha256(reader.got).digest(), sha256(writer.data).digest())
                    self.assertEqual(reader.got, writer.data)
                    self.assertEqual((writer.consumed, writer.error), (len(writer.data), None))
            self.assertEqual(([side.error for side in self.sides], self.opened), ([None, None], {}))
            self.assertGreater(len(self.pairs), 2 * STREAMS)
            self.assertEqual(set(self.where), set(WHERE))
        except BaseException as error:
            error.add_note(f"seed {self.seed}, after cuts {dict(self.where)}")
            raise
