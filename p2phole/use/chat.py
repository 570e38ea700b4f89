"""``p2phole chat``: lines to and from the others, until one side has had enough."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

from p2phole import launch
from p2phole.peer.use import Use
from p2phole.use import options, running


class Options(options.Options):
    """The options of a chat."""

    longdesc = (
        "Talk directly to who joins by a code, or to everybody in a room: each line goes to all, what they say "
        "goes to standard output. Ends with the input, once all is delivered, or when who came by the code leaves."
    )


def run(given: Options) -> int:
    """What ``p2phole chat`` runs, to its exit status."""
    return running.run("chat", given, lambda reactor: _uses(given, reactor))


def _uses(given: Options, reactor: Any) -> Sequence[Use]:
    from p2phole.peer.lines import Lines

    settings = given.settings
    leave = partial(launch.stop, reactor)
    lines = Lines(reactor, settings.messages, shows=settings.events != "-", said_all=leave)
    by_code = settings.code is not None or settings.invite
    return [lines, running.UntilTheyLeave()] if by_code else [lines]
