"""How far it is: one line that is drawn anew on a terminal, plain lines now and then elsewhere."""

from __future__ import annotations

import sys
from typing import TextIO

from rich.console import Console
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import LoopingCall

from p2phole.terminal import drawn
from p2phole.text import harmless
from p2phole.use.files.pace import Pace, in_bytes, in_time

DRAW_SECONDS = 0.2
"""Seconds between two pictures on a terminal."""
LINE_SECONDS = 10.0
"""Seconds between two lines elsewhere."""
MOST_WIDTH = 110
LEAST_BAR = 10
"""Columns of the bar, at the least; the name gets the rest."""

_CLEAR = "\r\x1b[2K"

STOPPED = "Stopped before all had arrived: start again on both sides, and it goes on from there."


class Screen:
    """What the user sees of one transfer, on ``stream``; a text stream itself for what others have to say there,
    which then comes above the line."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._clock: IReactorTime
        self._terminal = stream.isatty()
        self._pace = Pace()
        self._loop = LoopingCall(self._tick)
        self._drawn = False
        self._name = ""
        self._away = ""
        self._total = self._done = self._moved = 0
        self._since = 0.0

    # -- a text stream, for the log

    def write(self, text: str) -> int:
        """Lines of others."""
        self._erase()
        return self._stream.write(text)

    def flush(self) -> None:
        """See :class:`TextIO`."""
        self._stream.flush()

    def isatty(self) -> bool:
        """See :class:`TextIO`."""
        return self._terminal

    @property
    def encoding(self) -> str:
        """See :class:`TextIO`."""
        return self._stream.encoding

    # -- what it is told

    def say(self, text: str, end: str = "\n") -> None:
        """One line of ours, or a few."""
        lines = "\n".join(harmless(line) for line in text.split("\n"))
        encoding = self._stream.encoding or "ascii"
        self.write(lines.encode(encoding, "backslashreplace").decode(encoding) + end)
        self.flush()

    def prompt(self, text: str) -> None:
        """A question of ours, with the cursor behind it; nothing is drawn before :meth:`begin`."""
        self.say(text, "")

    def begin(self, clock: IReactorTime, total: int) -> None:
        """So many bytes are to come, or to go."""
        self._clock = self._loop.clock = clock
        self._total, self._done, self._moved = total, 0, 0
        self._since = self._clock.seconds()
        self._pace.forget()
        if not self._loop.running:
            self._loop.start(DRAW_SECONDS if self._terminal else LINE_SECONDS, now=False)

    def file(self, name: str) -> None:
        """The one that is under way."""
        self._name = name

    def progress(self, done: int, moved: int) -> None:
        """So many bytes of all; so many of them moved now."""
        self._done, self._moved = done, moved

    def away(self, name: str) -> None:
        """The other side can't be reached; "": it can."""
        self._away = name
        self._pace.forget()

    @property
    def summary(self) -> str:
        """The end of the last line: how much of it moved, where that is not all, how long it took, how fast."""
        seconds, text = self._clock.seconds() - self._since, ""
        if self._moved < self._total:
            text = f", {in_bytes(self._moved)} of it now"
        if seconds >= 1 and self._moved:
            text += f", in {in_time(seconds)}, {in_bytes(self._moved / seconds)}/s"
        return text

    def end(self) -> None:
        """No more of this."""
        if self._loop.running:
            self._loop.stop()
        self._erase()

    # -- inside

    def _tick(self) -> None:
        if not self._away:
            self._pace.add(self._clock.seconds(), self._moved)
        if not self._terminal:
            self.say(", ".join(self._figures()))
            return
        line = drawn(self._stream, 80, MOST_WIDTH, self._draw).rstrip("\n")
        self._stream.write(_CLEAR + line)
        self._stream.flush()
        self._drawn = True

    def _erase(self) -> None:
        if self._drawn:
            self._drawn = False
            self._stream.write(_CLEAR)

    def _figures(self) -> list[str]:
        share = self._done * 100 // self._total if self._total else 100
        figures = [f"{share} %", f"{in_bytes(self._done)} of {in_bytes(self._total)}"]
        if self._away:
            return [*figures, f"waiting for {self._away}"]
        rate, left = self._pace.rate, self._pace.left(self._total - self._done)
        figures.append(f"{in_bytes(rate)}/s" if rate else "")
        figures.append("" if left is None else f"{in_time(left)} left")
        return [figure for figure in figures if figure] if not self._terminal else figures

    def _draw(self, console: Console) -> None:
        console.width -= 1  # or some terminals go to the next line
        share, *figures = self._figures()
        grid = Table.grid(padding=(0, 1, 0, 0), expand=True)
        grid.add_column(ratio=3, no_wrap=True, overflow="ellipsis")
        grid.add_column(ratio=2, min_width=LEAST_BAR)
        widths = (18, 22) if self._away else (18, 9, 13)
        grid.add_column(width=5, justify="right", no_wrap=True)
        for width in widths:
            grid.add_column(width=width, justify="right", no_wrap=True, overflow="ellipsis")
        bar = ProgressBar(total=max(self._total, 1), completed=self._done if self._total else 1)
        grid.add_row(Text(self._name.rpartition("/")[2]), bar, share, *(Text(figure) for figure in figures))
        console.print(grid)


def take_standard_error() -> Screen:
    """A screen on standard error; on a terminal it also has what others say there from now on, and keeps it
    above its own line."""
    screen = Screen(sys.stderr)
    if screen.isatty():
        sys.stderr = screen
    return screen
