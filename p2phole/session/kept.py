"""The numbered frames that the other side has not acknowledged: one queue for a session.  Pure."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator

from p2phole.session.frames import HEADER, MOST, BadFrame, Kind, encode
from p2phole.session.pool import MODEST, Pool

MOST_KEPT = 4 * 1024 * 1024
"""Bytes of frames that are kept for sending again; above that nothing new is sent."""
RESERVE = 256 * 1024
"""Beyond that, for frames which carry no data: they never wait for those that do."""
OVERHEAD = 64
"""What a frame costs beside its bytes."""
MOST_PIECES = 4
SMALL = 4096

Parts = tuple[bytes | memoryview, ...]
"""A frame in pieces, the header in the first one."""


class Kept:
    """Gives numbers, and keeps what has one until it is acknowledged.  ``woken`` is called when room that was
    missing in the pool is there again."""

    def __init__(self, pool: Pool, woken: Callable[[], None]) -> None:
        self.sent = 0
        """The number that was given last."""
        self.acknowledged = 0
        self._frames: deque[Parts] = deque()
        self.size = 0
        """Bytes that are kept, as they count."""
        self._pool = pool
        self._woken = woken

    def __len__(self) -> int:
        return len(self._frames)

    def has_room(self) -> bool:
        """Whether a full frame of data may be added."""
        if self.size + MOST + OVERHEAD > MOST_KEPT:
            return False
        if self._pool.exhausted and self.size + MOST + OVERHEAD > MODEST:
            self._pool.when_free(self._woken)
            return False
        return True

    def has_room_for_control(self) -> bool:
        """Whether a frame without data may be added."""
        return self.size < MOST_KEPT + RESERVE

    def add(self, kind: Kind, flags: int, stream: int, pieces: tuple[bytes | memoryview, ...]) -> bytes:
        """Give it a number and keep it; as it is to be written."""
        self.sent += 1
        frame = encode(kind, flags, stream, self.sent, pieces)
        size = len(frame) + OVERHEAD
        # What was written is kept as it is: a copy of each large frame for the length of a round trip is fresh
        # memory from the system every time, which costs more than all the rest of a frame.
        parts = (frame,) if size < SMALL or len(pieces) > MOST_PIECES else (frame[: HEADER.size], *pieces)
        self._frames.append(parts)
        self.size += size
        self._pool.take(size)
        return frame

    def release(self, number: int) -> None:
        """The other side has everything up to this number.  Raises :class:`BadFrame`."""
        if not self.acknowledged <= number <= self.sent:
            raise BadFrame(why="it acknowledged what was never sent")
        freed = 0
        for _ in range(number - self.acknowledged):
            freed += sum(map(len, self._frames.popleft())) + OVERHEAD
        self.acknowledged = number
        self._free(freed)

    def forget(self) -> None:
        """Begin anew: the other side has forgotten it all, or it is over."""
        self._frames.clear()
        self.sent = self.acknowledged = 0
        self._pool.never_mind(self._woken)
        self._free(self.size)

    def _free(self, size: int) -> None:
        self.size -= size
        self._pool.give(size)

    def __iter__(self) -> Iterator[Parts]:
        return iter(self._frames)
