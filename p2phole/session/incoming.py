"""What comes in on a stream: held while its user does not read, consumed, and the credit for more."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from p2phole.session.frames import CREDIT, MOST_PAYLOAD, Kind
from p2phole.session.halves import INITIAL_WINDOW, Direction
from p2phole.session.interfaces import Board

if TYPE_CHECKING:
    from p2phole.session.streams import Stream

GROWTH = 4
"""A window that is too small for the path is so many times as large after a round trip."""
LARGEST_WINDOW = 64 * INITIAL_WINDOW
"""Bytes to which a window grows: what a session keeps at the most is under way then."""
CREDIT_BYTES = 16 * MOST_PAYLOAD
"""Bytes that were consumed and not told of, at the most: in bulk, it goes out with an ACK."""


class Incoming:
    """One stream's reading side."""

    __slots__ = (
        "_board",
        "_discarding",
        "_explicit",
        "_held",
        "_pieces",
        "_reading",
        "_short",
        "_stopped",
        "_stream",
        "_told_finished",
        "_window",
        "direction",
        "untold",
    )

    def __init__(self, board: Board, stream: Stream) -> None:
        self.direction = Direction()
        self.untold = 0
        """Bytes that were consumed since the last CREDIT."""
        self._board = board
        self._stream = stream
        self._window = INITIAL_WINDOW
        self._pieces: deque[bytes | bytearray] = deque()
        self._held = 0
        """Bytes that have come and are not consumed."""
        self._stopped = not stream.mine
        """Whether the user does not read now; nor does one that is not there yet."""
        self._explicit = self._discarding = self._short = self._reading = self._told_finished = False
        if not stream.mine:
            self.direction.apply(Kind.OPEN)

    def begin(self, window: int, explicit: bool) -> None:
        """There is somebody to read."""
        self._explicit = explicit
        if window >= 2 * self._window and self._board.grow(window - self._window):
            self._window = window
            self._stream.credit_is_due()
        self.resume()

    def receive(self, data: bytes, short: bool) -> None:
        """DATA; ``short``: the other side has more and no credit.  Raises :class:`BadFrame`."""
        self.direction.flow.carry(len(data))
        self._short |= short
        if self._discarding:
            self._consumed(len(data))
            return
        if self._stopped or self._pieces or self._reading or self._explicit:
            if self._hold(len(data)):
                self._keep(data)
                self._read()
            else:
                self._stream.abort("nobody reads it, and memory is short")
        else:
            # What is read at once need not be accounted for.
            self._give(data)
            self._consumed(len(data))
            if self._pieces:
                self._read()

    def _keep(self, data: bytes) -> None:
        """Small pieces together: each alone costs many times what it counts."""
        last = self._pieces[-1] if self._pieces else b""
        if not last or len(last) + len(data) > MOST_PAYLOAD:
            self._pieces.append(data)
        elif isinstance(last, bytearray):
            last += data
        else:
            self._pieces[-1] = bytearray(last + data)

    def finish(self) -> None:
        """FINISH.  Raises :class:`BadFrame`."""
        self.direction.apply(Kind.FINISH)
        self._read()
        self._settle()

    def pause(self) -> None:
        """The user reads no more for now."""
        self._stopped = True

    def resume(self) -> None:
        """The user reads on."""
        if self._stopped and self._stream.user is not None:
            self._stopped = False
            self._read()

    def _read(self) -> None:
        while self._pieces and not (self._stopped or self._reading):
            data = bytes(self._pieces.popleft())
            self._give(data)
            if not self._explicit:
                self.consume(len(data))
        if self._reading:
            return
        finished = self.direction.flow.finished and not (self._pieces or self._stopped or self._told_finished)
        if finished and not (self._stream.over or self._discarding):
            self._told_finished = True
            self._stream.user.finished()  # type: ignore[union-attr]
            self._settle()

    def _give(self, data: bytes) -> None:
        self._reading = True
        try:
            self._stream.user.received(data)  # type: ignore[union-attr]
        finally:
            self._reading = False

    def consume(self, size: int) -> None:
        """So much of what was held is consumed."""
        size = min(size, self._held)
        self._hold(-size)
        self._consumed(size)

    def _consumed(self, size: int) -> None:
        flow = self.direction.flow
        flow.consumed += size
        self.untold += size
        if flow.finished:
            self._settle()
        elif self.untold >= min(self._window // 2, CREDIT_BYTES):
            self._stream.credit_is_due()
        elif self._explicit and size:
            self._board.consumed_some(self._stream)

    def _settle(self) -> None:
        flow = self.direction.flow
        told = self._told_finished or self._discarding
        if told and flow.finished and flow.consumed == flow.carried and not (flow.taken or flow.is_cut):
            self._stream.all_is_consumed()

    def credit(self) -> bytes:
        """The payload of the CREDIT that goes out now."""
        flow = self.direction.flow
        larger = min(self._window * GROWTH, LARGEST_WINDOW)
        # Only if it is the window that is in the way, and not the reader.
        if self._short and not self._held and self._board.grow(larger - self._window):
            self._window = larger
        self._short = False
        self.untold = 0
        flow.limit = max(flow.limit, flow.consumed + self._window)
        return CREDIT.pack(flow.consumed, flow.limit)

    def discard(self) -> None:
        """Nobody reads: what comes from now on is consumed at once."""
        self._discarding = True
        self._pieces.clear()
        self.consume(self._held)

    def drop(self) -> None:
        """The stream is broken off: nothing is held, and nothing will be told."""
        self._pieces.clear()
        self._hold(-self._held)
        self._discarding = True

    def end(self) -> None:
        """The stream is over: its window is the others'."""
        self._board.grow(INITIAL_WINDOW - self._window)
        self._window = INITIAL_WINDOW

    def _hold(self, size: int) -> bool:
        if not self._board.hold(size):
            return False
        self._held += size
        return True
