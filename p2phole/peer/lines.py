"""What ``p2ppeer`` is for: lines of its input go to everybody, and theirs to its output."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any
from weakref import WeakSet

from twisted.internet.defer import Deferred
from twisted.logger import Logger

from p2phole.errors import P2pholeError
from p2phole.peer.console import Console
from p2phole.peer.talk import Talk
from p2phole.peer.use import Host, Idle, Partner
from p2phole.session.frames import MOST_PAYLOAD
from p2phole.text import harmless

_log = Logger()

MakeConsole = Callable[[int, Callable[[str], None], Callable[[], None]], Console]


class Lines(Idle):
    """See above.  ``greetings`` go to each member once.  ``shows``: whether what comes goes to standard output.
    ``said_all``: called when the input is over and everybody has everything."""

    def __init__(
        self,
        reactor: Any,
        greetings: Sequence[str] = (),
        shows: bool = True,
        console: MakeConsole = Console,
        said_all: Callable[[], None] = lambda: None,
    ) -> None:
        self._reactor = reactor
        self._greetings = greetings
        self._shows = shows
        self._said_all = said_all
        self._input_over = False
        self._talks: dict[Partner, Talk] = {}
        self._greeted: WeakSet[Partner] = WeakSet()
        self._console = console(MOST_PAYLOAD, self._typed, self._typed_all)

    def start(self, host: Host) -> None:
        """See :class:`~p2phole.peer.use.Use`."""
        self._host = host
        self._console.start(self._reactor)

    def stop(self) -> Deferred[None] | None:
        """See :class:`~p2phole.peer.use.Use`."""
        self._console.stop()
        for talk in self._talks.values():
            talk.stop()
        return None

    def met(self, partner: Partner) -> None:
        """See :class:`~p2phole.peer.use.Use`."""
        talk = self._talks[partner] = Talk(self._host, partner, self)
        if partner not in self._greeted:
            self._greeted.add(partner)
            for text in self._greetings:
                talk.send(text)

    def linked(self, partner: Partner) -> None:
        """See :class:`~p2phole.peer.use.Use`."""
        self._pace()

    def unlinked(self, partner: Partner) -> None:
        """See :class:`~p2phole.peer.use.Use`."""
        self._pace()

    def over(self, partner: Partner, error: P2pholeError) -> None:
        """See :class:`~p2phole.peer.use.Use`."""
        self._talks.pop(partner).stop()
        self._pace()

    # -- Talker

    def heard(self, partner: Partner, text: str, done: Callable[[], None]) -> None:
        """See :class:`~p2phole.peer.talk.Talker`."""
        if self._shows:
            self._console.show(f"{self._host.label(partner)}: {harmless(text)}", done)
        else:
            done()  # standard output carries the events

    def arrived(self, partner: Partner) -> None:
        """See :class:`~p2phole.peer.talk.Talker`."""
        self._look_whether_all_is_said()

    def drained(self, partner: Partner) -> None:
        """See :class:`~p2phole.peer.talk.Talker`."""
        self._pace()

    def undelivered(self, partner: Partner, count: int) -> None:
        """See :class:`~p2phole.peer.talk.Talker`."""
        _log.warn("{count} messages to {name} may not have arrived.", count=count, name=partner.name)

    # -- lines

    def _pace(self) -> None:
        # Lines wait while nobody is there to get them, and while somebody can't keep up.
        linked = self._linked()
        self._console.hold(not linked or any(talk.messages.full for talk in linked))

    def _look_whether_all_is_said(self) -> None:
        if self._input_over and not any(talk.messages.waiting for talk in self._talks.values()):
            self._input_over = False
            self._said_all()

    def _linked(self) -> list[Talk]:
        return [talk for partner, talk in self._talks.items() if partner.path is not None]

    def _typed(self, line: str) -> None:
        for talk in self._linked():
            talk.send(line)
        self._pace()

    def _typed_all(self) -> None:
        self._input_over = True
        self._look_whether_all_is_said()
