"""``p2phole chat``: lines to and from the others, until one side has had enough."""

from __future__ import annotations

import shlex
import time
from functools import partial
from typing import Any

from twisted.application.service import IService

from p2phole import events, launch
from p2phole.peer.settings import PeerSettings
from p2phole.secure.codes import Code
from p2phole.use import options


class Options(options.Options):
    """The options of a chat."""

    longdesc = (
        "Talk directly to who joins by a code, or to everybody in a room: each line goes to all, what they say "
        "goes to standard output. Ends with the input, once all is delivered, or when who came by the code leaves."
    )


def run(given: Options) -> int:
    """What ``p2phole chat`` runs, to its exit status."""
    if given.asks:
        from p2phole.use.ask import ask_for_code

        given.answered(ask_for_code())
    from twisted.internet import reactor

    return launch.run(reactor, lambda fail: _build(reactor, given.settings, fail))


def _build(reactor: Any, settings: PeerSettings, fail: launch.Fail) -> IService:
    # Imported when it is wanted: --help is quick without.
    from p2phole.peer.service import PeerService

    leave = partial(launch.stop, reactor)
    inner: events.EventSink = events.NullSink()
    if settings.events is not None:
        inner = events.open_sink(settings.events, time.time)
    sink = UntilTheyLeave(inner, leave) if settings.code is not None or settings.invite else inner
    return PeerService(
        reactor,
        settings,
        fail,
        sink=sink,
        invited=lambda code: launch.tell_lines(invitation("chat", settings, code)),
        said_all=leave,
    )


class UntilTheyLeave:
    """Passes events on, and calls ``stop`` when the other side has left for good."""

    def __init__(self, inner: events.EventSink, stop: Any) -> None:
        self._inner = inner
        self._stop = stop

    def emit(self, event: events.Event) -> None:
        """See :class:`~p2phole.events.EventSink`."""
        self._inner.emit(event)
        if isinstance(event, events.Disconnected) and event.reason == "left":
            self._stop()


def invitation(command: str, settings: PeerSettings, code: Code) -> str:
    """What to tell the user of who invites; the command as the other side has to type it."""
    broker = ("tls:" if settings.broker.tls else "") + str(settings.broker)
    typed = shlex.join(("p2phole", command, "--broker", broker, str(code)))
    return f"On the other machine, once, within an hour:\n\n    {typed}\n"
