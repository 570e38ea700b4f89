"""What ``p2ppeer`` is for: lines of its input go to everybody, and theirs to its output."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any
from weakref import WeakSet

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall
from twisted.logger import Logger

from p2phole import events
from p2phole.bucket import Bucket, Rate
from p2phole.errors import P2pholeError
from p2phole.peer.console import Console
from p2phole.peer.use import Host, Idle, Partner
from p2phole.session.frames import MOST_PAYLOAD
from p2phole.session.messages import Messages
from p2phole.text import harmless

MESSAGES = Rate(burst=20_000, per_second=2_000)
"""Messages that are read from one member: nobody types as fast, and each costs us some microseconds."""

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
        self._talks: dict[Partner, _Talk] = {}
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
        talk = self._talks[partner] = _Talk(self, self._host, partner)
        talk.messages.use(partner.session)
        if partner not in self._greeted:
            self._greeted.add(partner)
            for text in self._greetings:
                talk.send(text)

    def linked(self, partner: Partner) -> None:
        """See :class:`~p2phole.peer.use.Use`."""
        self.pace()

    def unlinked(self, partner: Partner) -> None:
        """See :class:`~p2phole.peer.use.Use`."""
        self.pace()

    def over(self, partner: Partner, error: P2pholeError) -> None:
        """See :class:`~p2phole.peer.use.Use`."""
        self._talks.pop(partner).stop()
        self.pace()

    def pace(self) -> None:
        """Lines wait while nobody is there to get them, and while somebody can't keep up."""
        linked = self._linked()
        self._console.hold(not linked or any(talk.messages.full for talk in linked))

    def delivered(self) -> None:
        """Somebody has a message."""
        if self._input_over and not any(talk.messages.waiting for talk in self._talks.values()):
            self._input_over = False
            self._said_all()

    def show(self, partner: Partner, text: str, done: Callable[[], None]) -> None:
        """A message for the user; ``done`` is called when it has reached him."""
        if self._shows:
            self._console.show(f"{self._host.label(partner)}: {harmless(text)}", done)
        else:
            done()  # standard output carries the events

    def _linked(self) -> list[_Talk]:
        return [talk for partner, talk in self._talks.items() if partner.path is not None]

    def _typed(self, line: str) -> None:
        for talk in self._linked():
            talk.send(line)
        self.pace()

    def _typed_all(self) -> None:
        self._input_over = True
        self.delivered()


class _Talk:
    """The messages from and to one member."""

    def __init__(self, lines: Lines, host: Host, partner: Partner) -> None:
        self.messages = Messages(self)
        self._lines = lines
        self._host = host
        self._partner = partner
        self._rate = Bucket(MESSAGES)
        self._resting: IDelayedCall | None = None

    def send(self, text: str) -> None:
        """Send a message, or queue it until there is a connection again."""
        self.messages.send(text.encode("utf-8", "replace"))

    def stop(self) -> None:
        """There will be no more."""
        if self._resting is not None:
            self._resting.cancel()
            self._resting = None

    # -- MessagesUser

    def received(self, payload: bytes) -> None:
        """See :class:`~p2phole.session.messages.MessagesUser`."""
        text, partner = payload.decode("utf-8", "replace"), self._partner
        self._host.events.emit(events.Message(partner.name, "in", text, partner.instance))
        wait = self._rate.take(self._host.clock.seconds())
        if wait and self._resting is None:
            self.messages.hold(True)
            self._resting = self._host.clock.callLater(wait, self._go_on)
        self._lines.show(partner, text, self.messages.consumed)

    def acknowledged(self, payload: bytes) -> None:
        """See :class:`~p2phole.session.messages.MessagesUser`."""
        text, partner = payload.decode("utf-8", "replace"), self._partner
        self._host.events.emit(events.Message(partner.name, "out", text, partner.instance))
        self._lines.delivered()

    def drained(self) -> None:
        """See :class:`~p2phole.session.messages.MessagesUser`."""
        self._lines.pace()

    def undelivered(self, count: int) -> None:
        """See :class:`~p2phole.session.messages.MessagesUser`."""
        _log.warn("{count} messages to {name} may not have arrived.", count=count, name=self._partner.name)

    def _go_on(self) -> None:
        self._resting = None
        self.messages.hold(False)
