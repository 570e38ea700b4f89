"""What goes through a pipe, as one line on a terminal that is drawn anew, and gone at the end."""

from __future__ import annotations

from collections.abc import Callable
from typing import TextIO

from rich.console import Console
from rich.text import Text
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import LoopingCall

from p2phole.terminal import drawn
from p2phole.text import harmless
from p2phole.use.files.pace import Pace, in_bytes

DRAW_SECONDS = 0.5
MOST_WIDTH = 110
_CLEAR = "\r\x1b[2K"


class Gauge:
    """``counts``: bytes that the other side has, and that have come; ``where``: how it is reached, None: it is
    not."""

    def __init__(
        self,
        stream: TextIO,
        clock: IReactorTime,
        counts: Callable[[], tuple[int, int]],
        where: Callable[[], str | None],
    ) -> None:
        self._stream = stream
        self._clock = clock
        self._counts = counts
        self._where = where
        self._pace = Pace()
        self._drawn = False
        self._loop = LoopingCall(self._draw)
        self._loop.clock = clock

    def start(self) -> None:
        """Draw from now on."""
        self._loop.start(DRAW_SECONDS, now=False)

    def stop(self) -> None:
        """No more of it."""
        if self._loop.running:
            self._loop.stop()
        self.erase()
        self._stream.flush()

    def erase(self) -> None:
        """Somebody else is about to write a line; the next picture comes below."""
        if self._drawn:
            self._drawn = False
            self._stream.write(_CLEAR)

    # -- inside

    def _draw(self) -> None:
        sent, received = self._counts()
        where = self._where()
        if where is None:
            self._pace.forget()
        else:
            self._pace.add(self._clock.seconds(), sent + received)
        rate = self._pace.rate
        figures = [where or "connection lost, looking for another one"]
        figures += [f"{in_bytes(sent)} sent", f"{in_bytes(received)} received"]
        if rate is not None:
            figures.append(f"{in_bytes(rate)}/s")
        text = harmless(", ".join(figures))

        def line(console: Console) -> None:
            console.width -= 1  # or some terminals go to the next line
            console.print(Text(text), no_wrap=True, overflow="ellipsis")

        self._stream.write(_CLEAR + drawn(self._stream, 80, MOST_WIDTH, line).rstrip("\n"))
        self._stream.flush()
        self._drawn = True
