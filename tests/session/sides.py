"""Two sessions in memory, and cables between them that can be cut anywhere."""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.task import Clock

from p2phole.errors import P2pholeError
from p2phole.peer.settings import RESUME_FOR
from p2phole.session.attachment import Attachment
from p2phole.session.frames import Frame, FrameReader, Kind
from p2phole.session.greeting import Greeting
from p2phole.session.pool import Pools
from p2phole.session.session import Session
from p2phole.session.streams import Stream


class Plug:
    """One end of a cable: a link, and what was written to it and not delivered yet."""

    def __init__(self) -> None:
        self.pipe = bytearray()
        self.total = self.writes = 0
        self.room: int | None = None
        """Bytes that fit into the pipe before the writer is told to wait; None: any."""
        self.attachment: Attachment | None = None
        self.closed = self.paused = False
        self.largest = 0

    def write(self, data: bytes) -> None:
        self.pipe += data
        self.total += len(data)
        self.writes += 1
        self.largest = max(self.largest, len(data))
        if self.room is not None and len(self.pipe) >= self.room and self.attachment is not None:
            self.attachment.block()

    def pause(self) -> None:
        self.paused = True

    def resume(self) -> None:
        self.paused = False

    def close(self) -> None:
        self.closed = True

    def take(self, size: int) -> bytes:
        """What arrives at the other end now."""
        data = bytes(self.pipe[:size])
        del self.pipe[:size]
        attachment = self.attachment
        if attachment is not None and attachment.blocked and not self.pipe:
            attachment.unblock()
        return data

    def frames(self) -> list[Frame]:
        """All that was written since the last time."""
        return FrameReader().feed(self.take(len(self.pipe)))


class End:
    """A stream's user that keeps what it is told, and reads on or not."""

    def __init__(self) -> None:
        self.got = bytearray()
        self.told: list[str] = []
        self.error: P2pholeError | None = None
        self.consumed = 0
        self.stream: Stream
        self.when_ended: Callable[[], None] = lambda: None

    def accepted(self) -> None:
        self.told.append("accepted")

    def received(self, data: bytes) -> None:
        self.got += data

    def finished(self) -> None:
        self.told.append("finished")

    def pause(self) -> None:
        self.told.append("pause")

    def resume(self) -> None:
        self.told.append("resume")

    def taken(self, count: int) -> None:
        assert count > self.consumed
        self.consumed = count

    def ended(self, error: P2pholeError | None) -> None:
        assert "ended" not in self.told
        self.told.append("ended")
        self.error = error
        self.when_ended()


class Side:
    """A session and its user; offers ``echo-less`` streams for ``thing``."""

    def __init__(
        self,
        clock: Clock,
        name: str,
        leads: bool,
        pools: Pools | None = None,
        resume_for: float = RESUME_FOR,
        offers: bool = True,
    ) -> None:
        self.clock = clock
        self.told: list[str] = []
        self.error: P2pholeError | None = None
        self.pools = pools or Pools()
        self.session = Session(clock, name, leads, self, self.pools, resume_for)
        self.ends: list[End] = []
        """Of the streams that the other side has opened, in order."""
        self.answer: Callable[[Stream, End], None] = lambda stream, end: stream.accept(end)
        if offers:
            self.session.offer("thing", self.opened)

    def opened(self, stream: Stream) -> None:
        end = End()
        end.stream = stream
        self.ends.append(end)
        self.answer(stream, end)

    def open(self, argument: bytes = b"", purpose: str = "thing") -> End:
        end = End()
        end.stream = self.session.open(purpose, end, argument)
        return end

    def left(self) -> None:
        self.told.append("left")

    def died(self, why: str) -> None:
        self.told.append(why)

    def resumed(self, seconds: float) -> None:
        self.told.append(f"resumed {seconds:g}")

    def over(self, error: P2pholeError) -> None:
        assert self.error is None
        self.told.append("over")
        self.error = error


class Cable:
    """A link between two sides; it lives until it is cut."""

    def __init__(self, one: Side, two: Side, room: int | None = None) -> None:
        self.sides = one, two
        self.plugs = Plug(), Plug()
        for side, plug in zip(self.sides, self.plugs, strict=True):
            plug.room = room
            plug.attachment = side.session.attach(plug)

    def deliver(self, to: int, size: int = 2**40) -> int:
        """Let so many bytes arrive at one end; how many there were."""
        receiver, sender = self.plugs[to], self.plugs[1 - to]
        data = sender.take(size)
        assert receiver.attachment is not None
        if data:
            receiver.attachment.receive(data)
        while receiver.attachment.behind:
            self.sides[to].clock.advance(0)
        return len(data)

    def settle(self) -> None:
        """Let everything arrive that is under way, and what comes of it."""
        while self.deliver(1) + self.deliver(0):
            pass

    def cut(self, *ends: int) -> None:
        """What is under way is lost; the ends (both, if none is named) notice."""
        for end in ends or (0, 1):
            attachment = self.plugs[end].attachment
            assert attachment is not None
            attachment.lost()


def pair(clock: Clock, room: int | None = None, pools: Pools | None = None) -> tuple[Side, Side, Cable]:
    """Two sides that have greeted."""
    one, two = Side(clock, "one", True, pools), Side(clock, "two", False, pools)
    cable = Cable(one, two, room)
    cable.settle()
    return one, two, cable


def flush(clock: Clock, cable: Cable) -> None:
    """Let delayed acknowledgements go out, and everything arrive."""
    cable.settle()
    for _ in range(3):
        clock.advance(0.05)
        cable.settle()


def hello(session: str = "two", resumes: str | None = None, number: int = 0) -> bytes:
    """A HELLO."""
    return Frame(Kind.HELLO, number, Greeting(session, resumes).encode()).encode()
