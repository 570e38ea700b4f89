"""Messages from and to one member, for whatever shows them: a console, a screen."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol as Interface

from twisted.internet.interfaces import IDelayedCall

from p2phole import events
from p2phole.bucket import Bucket, Rate
from p2phole.peer.use import Host, Partner
from p2phole.session.messages import Messages

MESSAGES = Rate(burst=20_000, per_second=2_000)
"""Messages that are read from one member: nobody types as fast, and each costs us some microseconds."""


class Talker(Interface):
    """Whom a talk tells."""

    def heard(self, partner: Partner, text: str, done: Callable[[], None]) -> None:
        """A message; ``done`` is to be called when it has reached the user."""

    def arrived(self, partner: Partner) -> None:
        """The oldest message that was sent there, and of which this was not told, has reached its user."""

    def drained(self, partner: Partner) -> None:
        """Messages to this one may be sent again, after they were too many."""

    def undelivered(self, partner: Partner, count: int) -> None:
        """So many messages may not have arrived, and never will."""


class Talk:
    """See above; over one session."""

    def __init__(self, host: Host, partner: Partner, talker: Talker) -> None:
        self.messages = Messages(self)
        self.messages.use(partner.session)
        self._host = host
        self._partner = partner
        self._talker = talker
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
        self._talker.heard(partner, text, self.messages.consumed)

    def acknowledged(self, payload: bytes) -> None:
        """See :class:`~p2phole.session.messages.MessagesUser`."""
        text, partner = payload.decode("utf-8", "replace"), self._partner
        self._host.events.emit(events.Message(partner.name, "out", text, partner.instance))
        self._talker.arrived(partner)

    def drained(self) -> None:
        """See :class:`~p2phole.session.messages.MessagesUser`."""
        self._talker.drained(self._partner)

    def undelivered(self, count: int) -> None:
        """See :class:`~p2phole.session.messages.MessagesUser`."""
        self._talker.undelivered(self._partner, count)

    def _go_on(self) -> None:
        self._resting = None
        self.messages.hold(False)
