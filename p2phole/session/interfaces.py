"""Whom a stream tells, and what it needs of its session."""

from __future__ import annotations

from typing import TYPE_CHECKING
from typing import Protocol as Interface

from p2phole.errors import P2pholeError

if TYPE_CHECKING:
    from p2phole.session.streams import Stream


class StreamUser(Interface):
    """Whom a stream tells."""

    def accepted(self) -> None:
        """The other side has taken the stream that this side opened."""

    def received(self, data: bytes) -> None:
        """Bytes from the other side, in order, once."""

    def finished(self) -> None:
        """The other side sends no more, and all that it sent was received."""

    def pause(self) -> None:
        """A full frame waits to be sent: write no more for now."""

    def resume(self) -> None:
        """Write on."""

    def taken(self, count: int) -> None:
        """The user on the other side has consumed so many bytes, of all that were ever written."""

    def ended(self, error: P2pholeError | None) -> None:
        """The stream is over: in good order, everything sent and consumed both ways (None), or why not."""


class Board(Interface):
    """What a stream needs of its session."""

    def is_urgent(self, stream: Stream) -> None:
        """The stream has a frame without data to send."""

    def is_ready(self, stream: Stream) -> None:
        """The stream may have data to send."""

    def consumed_some(self, stream: Stream) -> None:
        """The other side should hear what was consumed: call ``tell_consumed`` within the delay."""

    def hold(self, size: int) -> bool:
        """So many bytes more have come and are not consumed; negative: less.  False: there is no room."""

    def grow(self, size: int) -> bool:
        """Whether the window may be so much larger; negative: it no longer is."""

    def forget(self, stream: Stream) -> None:
        """Both sides have sent their last frame on it."""
