"""One link under a session, from the greeting to its end: frames in and out, and whether it still lives.

No transport is seen: a :class:`Link` is written to, and tells back what came
(:meth:`Attachment.receive`), when it takes no more (:meth:`Attachment.block`) and again does
(:meth:`Attachment.unblock`), and that it has ended (:meth:`Attachment.lost`).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable

from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.internet.task import LoopingCall

from p2phole.bucket import Bucket, Rate
from p2phole.session.frames import BadFrame, Frame, FrameReader, Kind
from p2phole.session.greeting import OtherVersion
from p2phole.session.kept import Parts
from p2phole.session.silence import Finding, Silence
from p2phole.session.turns import Turns
from p2phole.session.upper import Link, Upper

TICK = 1.0
"""Seconds between looks at how quiet the link is."""
LINGER = 1.0
"""Seconds for which a link to another version stays, so that the other side reads of this one's as well."""
PINGS = Rate(burst=20, per_second=2)
"""Pings that are answered: each costs us a frame."""


class Attachment:
    """See above.  A :class:`~p2phole.session.sender.Line`."""

    def __init__(self, clock: IReactorTime, link: Link, upper: Upper) -> None:
        self.blocked = self.has_due = False
        self.told = upper.received
        self.missed: deque[Parts] = deque()
        self.over = False
        self.has_greeted = False
        """Whether the other side has."""
        self._clock = clock
        self._link = link
        self._upper = upper
        self._reader = FrameReader()
        self._turns = Turns(clock, link, self._handle)
        self._pings = Bucket(PINGS)
        self._ping: int | None = None
        self._pong: int | None = None
        self._pinged = self._answered = 0
        self._acknowledged = 0
        self._silence = Silence(clock.seconds())
        self._refused: OtherVersion | None = None
        """Why the link ends soon."""
        self._lingering: IDelayedCall | None = None
        self._watch = LoopingCall(self._look)
        self._watch.clock = clock

    # -- out

    def greet(self) -> None:
        """Say HELLO; everything that the other side may have had before waits for its own."""
        self._watch.start(TICK, now=False)
        self.write(Frame(Kind.HELLO, self.told, self._upper.greeting()).encode())

    def write(self, data: bytes) -> None:
        """See :class:`~p2phole.session.sender.Line`."""
        if not self.over:
            self._upper.tally.went += len(data)
            self._link.write(data)

    def due(self) -> bytes | None:
        """See :class:`~p2phole.session.sender.Line`."""
        self.has_due = False
        if self._pong is not None:
            number, self._pong = self._pong, None
            self.has_due = self._ping is not None
            return Frame(Kind.PONG, number).encode()
        if self._ping is not None:
            number, self._ping = self._ping, None
            return Frame(Kind.PING, number).encode()
        return None

    def block(self) -> None:
        """The link takes no more for now."""
        self.blocked = True

    def unblock(self) -> None:
        """It does again."""
        self.blocked = False
        self._upper.pump()

    # -- in

    def receive(self, data: bytes) -> None:
        """Bytes from the link.  If they break the protocol, the session is over."""
        if self.over or self._refused is not None:
            return
        self._upper.tally.came += len(data)
        try:
            frames = self._reader.feed(data)
        except BadFrame as error:
            self._upper.broken(error)
            return
        if not frames:
            self._silence.part()
            return  # as for three of four TLS records in bulk
        self._silence.ended(self._clock.seconds())
        self._turns.add(frames)

    @property
    def behind(self) -> bool:
        """Whether frames have come that wait for their turn."""
        return len(self._turns) > 0

    def _handle(self, frames: Iterable[Frame]) -> None:
        self._upper.receiving(True)
        try:
            for frame in frames:
                if self.over or self._refused is not None:
                    break
                self._take(frame)
        except OtherVersion as error:
            self._refused = error
            self._lingering = self._clock.callLater(LINGER, self._upper.broken, error)
        except BadFrame as error:
            self._upper.broken(error)
        finally:
            self._upper.receiving(False)

    def _take(self, frame: Frame) -> None:
        if frame.stream and self.has_greeted:
            self._silence.numbered()
            self._upper.handle(frame)
            return  # as for nearly all of them
        kind = frame.kind
        if kind is Kind.HELLO:
            if self.has_greeted:
                raise BadFrame(why="it greeted twice")
            self.has_greeted = True
            self._acknowledged = self._upper.greeted(self, frame)
        elif not self.has_greeted:
            raise BadFrame(why="it did not greet")
        elif kind is Kind.ACK:
            if frame.number <= self._acknowledged:
                raise BadFrame(why="an acknowledgement of nothing new")
            self._acknowledged = frame.number
            self._upper.acknowledged(frame.number)
        elif kind is Kind.PING:
            if self._pings.take(self._silence.began):
                raise BadFrame(why="it pings without end")
            self._pong = frame.number
            self.has_due = True
        elif kind is Kind.BYE:
            self._upper.goodbye()
        elif kind is Kind.PONG:
            self._answered = self._pinged
        else:
            self._silence.numbered()
            self._upper.handle(frame)

    # -- the end

    def lost(self) -> None:
        """The link has ended."""
        if not self.over:
            self.stop()
            if self._refused is not None:
                self._upper.broken(self._refused)
            else:
                self._upper.lost(self)

    def stop(self) -> None:
        """Have nothing to do with the link any more."""
        self.over = True
        self._turns.stop()
        if self._watch.running:
            self._watch.stop()
        if self._lingering is not None and self._lingering.active():
            self._lingering.cancel()

    def fail(self) -> None:
        """The link is of no more use."""
        if not self.over:
            self.drop()
            self._upper.lost(self)

    def drop(self) -> None:
        """The same, and close it."""
        if not self.over:
            self.stop()
            self._link.close()

    def _look(self) -> None:
        if self._refused is not None:
            return
        now, since = self._clock.seconds(), self._upper.due_since()
        found = self._silence.look(now, since if self.has_greeted else None)
        if found is Finding.ASK:
            self._say_ping()
        elif found is Finding.DEAD:
            quiet = self._silence.seconds(now)
            self._upper.died(self, f"nothing came from the other side for {int(quiet)} s")
        elif found is Finding.STALLED and since is not None:
            self._upper.broken(BadFrame(why=f"it acknowledged nothing for {int(now - since)} s"))

    def probe(self) -> None:
        """See to it that something is due: where no PING is unanswered, say one."""
        if self._answered == self._pinged:
            self._say_ping()

    def _say_ping(self) -> None:
        self._pinged += 1
        self._ping = self._pinged
        self.has_due = True
        if not self.has_greeted:
            self._ping = None
            self.write(Frame(Kind.PING, self._pinged).encode())
        self._upper.pump()
