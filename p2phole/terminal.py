"""What is drawn by rich, as text for a stream: colours on a terminal, plain lines elsewhere."""

from __future__ import annotations

from collections.abc import Callable
from typing import TextIO

from rich.console import Console


def drawn(stream: TextIO, plain_width: int, most_width: int, draw: Callable[[Console], None]) -> str:
    """What ``draw`` puts on a console for ``stream``: as wide as a terminal, up to ``most_width`` columns;
    ``plain_width`` columns where there is none."""
    terminal = stream.isatty()
    console = Console(
        file=stream,
        force_terminal=terminal,
        force_interactive=False,
        color_system="auto" if terminal else None,
        width=None if terminal else plain_width,
        markup=False,
        emoji=False,
        highlight=False,
    )
    if terminal:
        console.width = min(console.width, most_width)
    with console.capture() as capture:
        draw(console)
    return "\n".join(line.rstrip() for line in capture.get().split("\n"))
