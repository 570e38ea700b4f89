"""What is sent next, as long as the link takes it: what it missed, acknowledgements, then the streams in turn."""

from __future__ import annotations

from collections import deque
from typing import Protocol as Interface

from p2phole.session.frames import HEADER, Frame, Kind
from p2phole.session.kept import Kept, Parts
from p2phole.session.outgoing import Item
from p2phole.session.pool import Pool

LARGE = 32 * 1024
"""Smaller frames are written together.  A larger one is written alone, so that a full one stays four TLS
records, and one write never has more than 128 KiB, which costs Twisted's TLS half of its speed."""
ACK_BYTES = 1024 * 1024
"""Bytes that may come without an ACK going out at once."""
ACK_FRAMES = 64
"""And frames."""


class Line(Interface):
    """The link that is written to."""

    blocked: bool
    """Whether it takes no more for now; :meth:`Sender.pump` is due when it does."""
    has_due: bool
    """Whether :meth:`due` has something."""
    told: int
    """The number that was acknowledged last on it."""
    missed: deque[Parts]
    """Frames that have to be sent again on it, and come before all others."""

    def write(self, data: bytes) -> None:
        """Send bytes; may set :attr:`blocked`."""

    def due(self) -> bytes | None:
        """What the link itself has to say."""


class Source(Interface):
    """What makes frames: a stream, or the list of offers."""

    ident: int
    queued_urgent: bool
    queued_ready: bool

    @property
    def has_more(self) -> bool:
        """Whether there may be data behind the frame that was made last."""

    def next_urgent(self) -> Item | None:
        """See :class:`~p2phole.session.streams.Stream`."""

    def next_data(self) -> Item | None:
        """See :class:`~p2phole.session.streams.Stream`."""


class Sender:
    """The writing side of a session."""

    def __init__(self, pool: Pool) -> None:
        self.kept = Kept(pool, self.pump)
        self.received = 0
        """The number of the last frame that came in order."""
        self.acknowledge = False
        """Whether an ACK goes out now, however little it is for."""
        self._due_bytes = self._due_frames = 0
        self._line: Line | None = None
        self._urgent: deque[Source] = deque()
        self._ready: deque[Source] = deque()
        self._pumping = self._held = False

    def use(self, line: Line | None) -> None:
        """Write to this from now on, first what it missed; None: to nothing."""
        if line is not None and line is not self._line:
            line.missed = deque(self.kept)
        self._line = line

    def would_overtake(self, line: Line) -> bool:
        """Whether what is said on this line now would overtake a numbered frame."""
        return line is not self._line and len(self.kept) > 0

    def hold(self, held: bool) -> None:
        """Whether to gather frames: between two frames that came together there is nothing to send."""
        self._held = held
        if not held:
            self.pump()

    def forget(self) -> None:
        """Numbers begin anew."""
        self.kept.forget()
        self.received = self._due_bytes = self._due_frames = 0
        for queue in (self._urgent, self._ready):
            for source in queue:
                source.queued_urgent = source.queued_ready = False
            queue.clear()

    def came(self, size: int) -> None:
        """A numbered frame came, of so many bytes."""
        self.received += 1
        self._due_bytes += size
        self._due_frames += 1

    def urgent(self, source: Source) -> None:
        """It has a frame without data."""
        if not source.queued_urgent:
            source.queued_urgent = True
            self._urgent.append(source)
        self.pump()

    def ready(self, source: Source) -> None:
        """It may have data."""
        if not source.queued_ready:
            source.queued_ready = True
            self._ready.append(source)
        self.pump()

    def pump(self) -> None:
        """Send what can be sent."""
        line = self._line
        if line is None or self._pumping or self._held:
            return
        self._pumping = True
        small: list[bytes] = []
        size = 0
        try:
            while line is self._line and not line.blocked:
                frame = self._next(line)
                if frame is None:
                    break
                if len(frame) >= LARGE:
                    self._flush(line, small)
                    line.write(frame)
                    size = 0
                else:
                    small.append(frame)
                    size += len(frame)
                    if size >= LARGE:
                        self._flush(line, small)
                        size = 0
        finally:
            self._pumping = False
            if line is self._line:
                self._flush(line, small)

    def _flush(self, line: Line, small: list[bytes]) -> None:
        if small:
            line.write(b"".join(small))
            small.clear()

    def _next(self, line: Line) -> bytes | None:
        if line.has_due:
            return line.due()
        if line.told != self.received and (
            self.acknowledge or self._due_bytes >= ACK_BYTES or self._due_frames >= ACK_FRAMES
        ):
            return self._ack(line)
        if line.missed:
            return self._again(line)
        while self._urgent and self.kept.has_room_for_control():
            source = self._urgent[0]
            item = source.next_urgent()
            if item is not None:
                # In bulk both are due about as often, and one write costs the other side half of what two do.
                self.acknowledge = self.acknowledge or self._due_bytes >= LARGE
                return self.kept.add(item[0], item[1], source.ident, item[2])
            if self._urgent and self._urgent[0] is source:
                self._urgent.popleft()
                source.queued_urgent = False
        while self._ready and self.kept.has_room():
            source = self._ready.popleft()
            item = source.next_data()
            if item is None:
                source.queued_ready = False
            else:
                # In turn: the others first, then again.
                if source.has_more:
                    self._ready.append(source)
                else:
                    source.queued_ready = False
                return self.kept.add(item[0], item[1], source.ident, item[2])
        return None

    def _ack(self, line: Line) -> bytes:
        line.told = self.received
        self.acknowledge = False
        self._due_bytes = self._due_frames = 0
        return Frame(Kind.ACK, self.received).encode()

    def _again(self, line: Line) -> bytes | None:
        while line.missed:
            parts = line.missed.popleft()
            if HEADER.unpack_from(parts[0])[4] > self.kept.acknowledged:
                return b"".join(parts)
        return self._next(line)
