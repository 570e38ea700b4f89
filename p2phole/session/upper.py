"""What a link is to its session, and a session to its links."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING
from typing import Protocol as Interface

from p2phole.session.frames import BadFrame, Frame
from p2phole.session.turns import Reader

if TYPE_CHECKING:
    from p2phole.session.attachment import Attachment


class Link(Reader, Interface):
    """What a session needs of an authenticated connection."""

    def write(self, data: bytes) -> None:
        """Send bytes."""

    def close(self) -> None:
        """Nothing of it is wanted any more: close it at once."""


@dataclass(slots=True)
class Tally:
    """Bytes that have come and gone over all links of a session."""

    came: int = 0
    went: int = 0


class Upper(Interface):
    """What an attachment needs of its session."""

    tally: Tally

    @property
    def received(self) -> int:
        """The number of the last frame that came in order."""

    def greeting(self) -> bytes:
        """The payload of our HELLO."""

    def greeted(self, attachment: Attachment, frame: Frame) -> int:
        """The other side's HELLO; the number that it acknowledges.  Raises :class:`BadFrame`."""

    def handle(self, frame: Frame) -> None:
        """A numbered frame.  Raises :class:`BadFrame`."""

    def acknowledged(self, number: int) -> None:
        """The other side has everything up to there.  Raises :class:`BadFrame`."""

    def due_since(self) -> float | None:
        """Since when the other side has acknowledged nothing of what it should, in seconds of the clock."""

    def goodbye(self) -> None:
        """The other side is leaving."""

    def receiving(self, busy: bool) -> None:
        """Frames that came together begin, or were all handled."""

    def broken(self, error: BadFrame) -> None:
        """The other side broke the protocol."""

    def died(self, attachment: Attachment, why: str) -> None:
        """The link is of no more use."""

    def lost(self, attachment: Attachment) -> None:
        """The link has ended."""

    def pump(self) -> None:
        """There may be something to send."""
