"""A chat with a screen: between the sessions with the others, the transcript, and what the user types."""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.defer import Deferred
from twisted.internet.task import LoopingCall

from p2phole.addresses import is_loopback, is_private
from p2phole.errors import P2pholeError
from p2phole.peer.console import LineSplitter
from p2phole.peer.talk import Talk
from p2phole.peer.use import Host, Idle, Partner, Path
from p2phole.session.errors import SessionOver
from p2phole.session.frames import MOST_PAYLOAD
from p2phole.use import chat_typed
from p2phole.use.chat_model import Transcript, Way
from p2phole.use.chat_view import View, status, who

LOOK_SECONDS = 1.0
"""Time between two looks at the round trips."""


class Chat(Idle):
    """See above; ``leave``: the user has had enough."""

    def __init__(self, transcript: Transcript, leave: Callable[[], None]) -> None:
        self.transcript = transcript
        self.view = View(transcript)
        self._leave = leave
        self._talks: dict[Partner, Talk] = {}
        self._looks = LoopingCall(self._look)

    # -- Use

    def start(self, host: Host) -> None:
        """See :class:`~p2phole.peer.use.Use`."""
        self._host = host
        self._looks.clock = host.clock
        self._looks.start(LOOK_SECONDS, now=False)

    def met(self, partner: Partner) -> None:
        """See :class:`~p2phole.peer.use.Use`."""
        transcript = self.transcript
        transcript.came(partner, self._host.label(partner), partner.fingerprint, partner.authenticated)
        talk = self._talks[partner] = Talk(self._host, partner, self)
        for text in transcript.say_the_rest(partner):
            talk.send(text)

    def linked(self, partner: Partner) -> None:
        """See :class:`~p2phole.peer.use.Use`."""
        self._look()

    def unlinked(self, partner: Partner) -> None:
        """See :class:`~p2phole.peer.use.Use`."""
        self.transcript.away(partner)

    def over(self, partner: Partner, error: P2pholeError) -> None:
        """See :class:`~p2phole.peer.use.Use`."""
        self._talks.pop(partner).stop()
        name, left = self.transcript.person(partner).name, isinstance(error, SessionOver)
        self.transcript.left(partner)
        self.transcript.note(f"{name} has left." if left else f"{name} is gone: {error}")

    def stop(self) -> Deferred[None] | None:
        """See :class:`~p2phole.peer.use.Use`."""
        if self._looks.running:
            self._looks.stop()
        for talk in self._talks.values():
            talk.stop()
        return None

    # -- Talker

    def heard(self, partner: Partner, text: str, done: Callable[[], None]) -> None:
        """See :class:`~p2phole.peer.talk.Talker`."""
        self.transcript.heard(partner, text)
        done()

    def arrived(self, partner: Partner) -> None:
        """See :class:`~p2phole.peer.talk.Talker`."""
        self.transcript.arrived(partner)

    def drained(self, partner: Partner) -> None:
        """See :class:`~p2phole.peer.talk.Talker`."""

    def undelivered(self, partner: Partner, count: int) -> None:
        """See :class:`~p2phole.peer.talk.Talker`."""
        self.transcript.lost(partner)

    # -- what the user does

    def typed(self, line: str) -> bool:
        """A line; whether it was taken: else it is to stay where it is."""
        read = chat_typed.read(line)
        if isinstance(read, chat_typed.Said):
            return self._say(read.text)
        if isinstance(read, chat_typed.Command):
            self._do(read)
        else:
            self.transcript.warn(f"There is no command /{read.name}: /help lists them.")
        return True

    @property
    def names(self) -> list[str]:
        """Of those who are in it."""
        return [person.name for person in self.transcript.people]

    @property
    def to(self) -> str:
        """To whom alone the user talks; empty: to everybody."""
        person = self.transcript.to
        return person.name if person is not None else ""

    def status(self, nobody: str, width: int) -> str:
        """The status line."""
        return status(self.transcript, nobody, self.view.unread, width)

    def _say(self, text: str) -> bool:
        if any(talk.messages.full for talk in self._talks.values()):
            self.transcript.warn("Too much is waiting to be read by the others: try again in a while.")
            return False
        # A line that is pasted may be several, and longer than a message can be.
        for piece in LineSplitter(MOST_PAYLOAD, self.transcript.note).feed(text.encode("utf-8", "replace"), True):
            if piece:
                self._say_one(piece)
        return True

    def _say_one(self, text: str) -> None:
        try:
            partners = self.transcript.say(text)
        except LookupError as missing:
            self.transcript.warn(f"{missing.args[0]} has left: /to talks to everybody again.")
            return
        for partner in partners:
            self._talks[partner].send(text)  # type: ignore[index]

    def _do(self, command: chat_typed.Command) -> None:
        transcript = self.transcript
        if command.name == "quit":
            self._leave()
        elif command.name == "who":
            for line in who(transcript):
                transcript.note(line)
        elif command.name == "help":
            for line in chat_typed.HELP:
                transcript.note(line)
        elif not command.argument:
            transcript.to = None
            transcript.note("To everybody.")
        elif (person := transcript.named(command.argument)) is not None:
            transcript.to = person
            transcript.note(f"To {person.name} only.")
        else:
            transcript.warn(f"There is no {command.argument} here: /who lists everybody.")

    # -- how the others are reached

    def _look(self) -> None:
        for partner in self._talks:
            path = partner.path
            self.transcript.renamed(partner, self._host.label(partner))
            if path is None:
                self.transcript.away(partner)
            else:
                self.transcript.here(partner, Way(kind_of(path), str(path.remote), path.round_trip))


def kind_of(path: Path) -> str:
    """In a word, as people have it."""
    if path.candidate == "relay":
        return "relayed"
    ip = path.remote.ip
    if is_private(ip) or is_loopback(ip):
        return "lan"
    return "ipv6" if ip.version == 6 else "direct"
