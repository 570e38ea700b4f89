"""A peer of our own code in the attacker's hands, and how a process with such runs and ends."""

from __future__ import annotations

import random
import secrets
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from p2phole import events
from p2phole.peer.lines import Lines
from p2phole.peer.people import Strangers
from p2phole.peer.service import PeerService
from p2phole.peer.settings import BrokerAddress, PeerSettings
from p2phole.secure.identity import Credentials
from tests.system.world import FakeConsole


class Puppet:
    """A peer with a key of its own.  ``room``: its name space and name at the broker, if not from ``secret``.

    ``heard``: gets each text; ``happened``: each event.
    """

    def __init__(
        self,
        broker: tuple[str, int],
        name: str,
        room: str = "lobby",
        secret: bytes | None = None,
        place: tuple[str, str] | None = None,
        heard: Callable[[str], None] = lambda text: None,
        happened: Callable[[events.Event], None] = lambda event: None,
    ) -> None:
        from twisted.internet import reactor

        self.credentials = Credentials.of(Ed25519PrivateKey.generate())
        self.seen: list[events.Event] = []
        self.content = 0
        """Bytes of what others have said to it over a proven connection."""
        self._unsaid: list[str] = []
        self._heard = heard
        self._happened = happened
        with tempfile.NamedTemporaryFile() as file:
            file.write((secret or b"-") + b"\n")
            file.flush()
            settings = PeerSettings(
                broker=BrokerAddress(*broker),
                name=name,
                key_file=Path("unused"),
                room=room,
                secret_file=None if secret is None else Path(file.name),
            )
            self._lines = lines = Lines(reactor, console=FakeConsole)  # type: ignore[arg-type]
            self.service = PeerService(
                reactor,
                settings,
                lambda error: None,
                [lines],
                sink=self,
                credentials=self.credentials,
                instance=secrets.token_hex(16),
                random=random.random,
                people=Strangers(),
            )
            self.service.privilegedStartService()
        if place is not None:
            self.service.trust.room = place
        self.service.startService()

    def emit(self, event: events.Event) -> None:
        """See :class:`~p2phole.events.EventSink`."""
        self.seen.append(event)
        if isinstance(event, events.Message) and event.direction == "in":
            self.content += len(event.text.encode())
            self._heard(event.text)
        if isinstance(event, events.Connected) and self._unsaid:
            self.service.clock.callLater(0, self.say, self._unsaid.pop())
        self._happened(event)

    def say(self, text: str) -> None:
        """To everybody to whom it is connected, or will be first."""
        self._unsaid.append(text)
        if self.service._linked():
            while self._unsaid:
                self._lines._typed(self._unsaid.pop(0))

    def count(self, kind: type[Any], **keys: object) -> int:
        """How many events of that kind there were, with those values."""
        return sum(
            isinstance(event, kind) and all(getattr(event, key) == value for key, value in keys.items())
            for event in self.seen
        )


def secret_of(path: str | None) -> bytes | None:
    """What the file holds."""
    return Path(path).read_bytes().strip() if path else None


def play(seconds: float) -> None:
    """Let the reactor run for so long, or until a signal."""
    from twisted.internet import reactor

    timer = reactor.callLater(seconds, reactor.stop)  # type: ignore[attr-defined]
    reactor.run()  # type: ignore[attr-defined]
    if timer.active():
        timer.cancel()
