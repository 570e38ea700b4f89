"""The writing side of a stream: what waits to be sent, and how much of it credit allows."""

from __future__ import annotations

from typing import TYPE_CHECKING

from p2phole.session.frames import MOST_PAYLOAD, WAITING, Kind
from p2phole.session.halves import INITIAL_WINDOW, Direction
from p2phole.session.waiting import Waiting

if TYPE_CHECKING:
    from p2phole.session.streams import Stream

LEAST_CREDIT = INITIAL_WINDOW // 2
"""With less credit a frame that could be longer waits: whoever reads tells at the latest when half of the window
is consumed, so there is never less for long."""

Item = tuple[Kind, int, tuple[bytes | memoryview, ...]]
"""A frame still without its number: kind, flags, payload in pieces."""


class Outgoing:
    """One stream's writing side."""

    __slots__ = ("_paused", "_stream", "_waiting", "direction", "finishing")

    def __init__(self, stream: Stream) -> None:
        self.direction = Direction()
        self.finishing = False
        """Whether nothing more will be written."""
        self._stream = stream
        self._waiting = Waiting()
        self._paused = False
        """Whether the user was told to pause."""

    @property
    def waiting(self) -> int:
        """Bytes that were written and not sent yet."""
        return self._waiting.size

    @property
    def has_more(self) -> bool:
        """Whether credit could be of use."""
        return bool(self._waiting.size) or (self.finishing and self.direction.flow.open)

    def write(self, data: bytes) -> bool:
        """Whether there is something to send now; the user pauses if a full frame waits already."""
        if self.finishing or not data:
            return False
        self._waiting.add(bytes(data))
        if self._stream.queued_ready:
            self.hold_back()
        return True

    def hold_back(self) -> None:
        """Have the user pause if a full frame still waits."""
        user = self._stream.user
        if self._waiting.size >= MOST_PAYLOAD and not self._paused and user is not None:
            self._paused = True
            user.pause()

    def next(self) -> Item | None:
        """The next frame, as long as credit allows; behind the last one the FINISH."""
        flow = self.direction.flow
        if not flow.open:
            return None
        credit = flow.limit - flow.carried
        size = min(self._waiting.size, credit, MOST_PAYLOAD)
        if size < min(self._waiting.size, LEAST_CREDIT):
            return None
        if size:
            pieces = self._waiting.take(size)
            flow.carry(size)
            # Before the flag is known, since the user may have more; and so the next frame is a full one.
            self._go_on()
            return Kind.DATA, WAITING if credit - size < min(self._waiting.size, LEAST_CREDIT) else 0, pieces
        if self.finishing:
            self.direction.apply(Kind.FINISH)
            return Kind.FINISH, 0, ()
        return None

    def credit(self, consumed: int, limit: int) -> None:
        """CREDIT.  Raises :class:`BadFrame`."""
        before = self.direction.flow.consumed
        self.direction.flow.allow(consumed, limit)
        self._tell(before)
        if self.has_more:
            self._stream.data_is_due()

    def taken(self) -> None:
        """TAKEN.  Raises :class:`BadFrame`."""
        before = self.direction.flow.consumed
        self.direction.apply(Kind.TAKEN)
        self._tell(before)

    def _tell(self, before: int) -> None:
        consumed, user = self.direction.flow.consumed, self._stream.user
        if consumed > before and user is not None and not self._stream.over:
            user.taken(consumed)

    def _go_on(self) -> None:
        user = self._stream.user
        if self._paused and self._waiting.size < MOST_PAYLOAD and user is not None:
            self._paused = False
            user.resume()

    def clear(self) -> None:
        """Nothing more is sent."""
        self._waiting.clear()
