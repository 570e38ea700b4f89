"""``p2phole chat``: on a screen of its own at a terminal, else lines to and from the others."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from functools import partial
from typing import Any

from p2phole import launch
from p2phole.peer.tap import MessageOptions
from p2phole.peer.use import Use
from p2phole.use import options, running

DUMB = ("", "dumb", "unknown")
"""Kinds of terminals that can't place anything."""


class Options(MessageOptions, options.Options):
    """The options of a chat."""

    longdesc = (
        "Talk directly to who joins by a code, or to everybody in a room. At a terminal it has its own screen: "
        "/help says more. Else each line of standard input goes to all, what they say goes to standard output; "
        "it ends with the input, once all is delivered, or when who came by the code leaves."
    )


def run(given: Options) -> int:
    """What ``p2phole chat`` runs, to its exit status."""
    if not has_screen(given):
        return running.run("chat", given, lambda reactor: _lines(given, reactor))
    # Imported when it is wanted: it takes its time.
    from p2phole.use.chat.face import ChatFace

    face = ChatFace(given)
    return running.run("chat", given, face.uses, face)


def has_screen(given: Options) -> bool:
    """Whether the chat has the terminal for itself."""
    if given.settings.events == "-" or os.environ.get("TERM", "").lower() in DUMB:
        return False
    return all(stream is not None and stream.isatty() for stream in (sys.stdin, sys.stdout))


def _lines(given: Options, reactor: Any) -> Sequence[Use]:
    from p2phole.peer.lines import Lines

    settings = given.settings
    leave = partial(launch.stop, reactor)
    lines = Lines(reactor, settings.messages, shows=settings.events != "-", said_all=leave)
    return [lines, running.UntilTheyLeave()] if given.by_code else [lines]
