"""How far something is, as a line of the conversation."""

from __future__ import annotations

from twisted.internet.interfaces import IReactorTime

from p2phole.use.chat.model import Entry, Transcript
from p2phole.use.files.pace import Pace, in_bytes, in_time

DRAW_SECONDS = 0.2
"""Between two changes of a line that says how far it is."""


class Progress:
    """A line of the conversation that says how far something is."""

    def __init__(self, transcript: Transcript, clock: IReactorTime, what: str) -> None:
        self.what = what
        self.total = 0
        self._transcript = transcript
        self._clock = clock
        self._entry: Entry = transcript.note(f"{what} ...")
        self._pace = Pace()
        self._drawn = 0.0

    def at(self, done: int, moved: int) -> None:
        """So much of it is done; so many bytes were moved for that."""
        now = self._clock.seconds()
        if now - self._drawn < DRAW_SECONDS:
            return
        self._drawn = now
        self._pace.add(now, moved)
        rate, left = self._pace.rate, self._pace.left(self.total - done)
        text = f"{self.what}: {100 * done // max(self.total, 1)} %"
        if rate is not None and left is not None:
            text += f", {in_bytes(rate)}/s, {in_time(left)} left"
        self._transcript.change(self._entry, text)

    def ends(self, how: str) -> None:
        """That is what came of it."""
        self._transcript.change(self._entry, f"{self.what}: {how}.")
