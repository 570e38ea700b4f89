"""A chat with a screen: between the sessions with the others, the transcript, and what the user types."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol as Interface
from weakref import WeakSet

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import LoopingCall
from twisted.logger import Logger

from p2phole.errors import LocalError, P2pholeError
from p2phole.peer.console import LineSplitter
from p2phole.peer.talk import Talk
from p2phole.peer.use import Host, Idle, Partner
from p2phole.session.frames import MOST_PAYLOAD
from p2phole.use.chat import typed as chat_typed
from p2phole.use.chat.files import Files
from p2phole.use.chat.model import Transcript, Way
from p2phole.use.chat.view import View, status, who
from p2phole.use.files.feeding import Work

LOOK_SECONDS = 1.0
"""Time between two looks at the round trips."""
LAST_SECONDS = 1.0
"""What the others have to say that the last words have arrived."""

_log = Logger()


class Surface(Interface):
    """Where a chat shows."""

    def start(self, failed: Callable[[LocalError], None]) -> None:
        """Show it, from within the reactor's loop; ``failed``: that is not possible any more."""

    def stop(self) -> Deferred[None]:
        """No longer; fires when that is done."""


class Chat(Idle):
    """See above.  ``leave``: the user has had enough.  ``nobody``: what to say where nobody is here.
    ``work`` calls what blocks elsewhere.  ``folder``, ``umask``: for files that are taken.
    ``greetings`` go to each one once.  ``pair``: there is only one to meet."""

    screen: Surface
    clock: IReactorTime

    def __init__(
        self,
        transcript: Transcript,
        leave: Callable[[], None],
        nobody: str,
        work: Work,
        folder: Path,
        umask: int,
        greetings: Sequence[str] = (),
        pair: bool = False,
    ) -> None:
        self.transcript = transcript
        self.view = View(transcript)
        self.leave = leave
        self.work = work
        self.folder = folder
        self.umask = umask
        self._nobody = nobody
        self._greetings = greetings
        self._pair = pair
        self._greeted: WeakSet[Partner] = WeakSet()
        self._talks: dict[Partner, Talk] = {}
        self._files = Files(self)
        self._looks = LoopingCall(self._look)
        self._all_said: Deferred[None] | None = None
        """While stopping: fires when everybody who is here has everything."""

    # -- Use

    def start(self, host: Host) -> None:
        """See :class:`~p2phole.peer.use.Use`."""
        self._host = host
        self.clock = self._looks.clock = host.clock
        self._looks.start(LOOK_SECONDS, now=False)
        host.clock.callLater(0, self.screen.start, host.fail)

    def met(self, partner: Partner) -> None:
        """See :class:`~p2phole.peer.use.Use`."""
        transcript = self.transcript
        transcript.came(partner, self._host.label(partner), partner.fingerprint, partner.authenticated)
        self._talks[partner] = Talk(self._host, partner, self)
        self._files.met(partner)
        if partner not in self._greeted:
            self._greeted.add(partner)
            for text in self._greetings:
                transcript.greet(partner, text)

    def linked(self, partner: Partner) -> None:
        """See :class:`~p2phole.peer.use.Use`."""
        self._look()

    def unlinked(self, partner: Partner) -> None:
        """See :class:`~p2phole.peer.use.Use`."""
        if partner in self._talks:  # else it is over
            self.transcript.away(partner)

    def over(self, partner: Partner, error: P2pholeError) -> None:
        """See :class:`~p2phole.peer.use.Use`."""
        self._talks.pop(partner).stop()
        self.transcript.left(partner)
        if self._pair and not self._talks:  # else it was a process that was started again
            self._nobody = "the other side has left"
            self.transcript.note("/quit ends the chat.")

    def stop(self) -> Deferred[None]:
        """See :class:`~p2phole.peer.use.Use`."""
        if self._looks.running:
            self._looks.stop()
        return Deferred.fromCoroutine(self._stop())

    async def _stop(self) -> None:
        await self.screen.stop()
        for what in self._files.stop():
            _log.warn("{what} has not arrived: sent again, it goes on from there.", what=what)
        if self._is_due():
            self._all_said = Deferred()
            await self._all_said.addTimeout(LAST_SECONDS, self._host.clock, lambda result, seconds: None)
        for talk in self._talks.values():
            talk.stop()
        count = self.transcript.undelivered
        if count:
            _log.warn("{what} not arrived.", what="1 message has" if count == 1 else f"{count} messages have")

    def _is_due(self) -> bool:
        return any(person.due and person.way is not None for person in self.transcript.people)

    # -- Talker

    def heard(self, partner: Partner, text: str, done: Callable[[], None]) -> None:
        """See :class:`~p2phole.peer.talk.Talker`."""
        self.transcript.heard(partner, text)
        done()

    def arrived(self, partner: Partner) -> None:
        """See :class:`~p2phole.peer.talk.Talker`."""
        self.transcript.arrived(partner)
        if self._all_said is not None and not self._all_said.called and not self._is_due():
            self._all_said.callback(None)

    def drained(self, partner: Partner) -> None:
        """See :class:`~p2phole.peer.talk.Talker`."""

    def undelivered(self, partner: Partner, count: int) -> None:
        """See :class:`~p2phole.peer.talk.Talker`."""
        if partner in self._talks:  # else it was told already
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

    def status(self, width: int) -> str:
        """The status line."""
        return status(self.transcript, self._nobody, self.view.unread, width)

    def _say(self, text: str) -> bool:
        if self.transcript.is_full or any(talk.messages.full for talk in self._talks.values()):
            self.transcript.warn("Too much is waiting to be read by the others: try again in a while.")
            return False
        # A line that is pasted may be several, and longer than a message can be.
        for piece in LineSplitter(MOST_PAYLOAD, self.transcript.warn).feed(text.encode("utf-8", "replace"), True):
            if piece:
                self._say_one(piece)
        return True

    def _say_one(self, text: str) -> None:
        try:
            partners = self.transcript.say(text)
        except LookupError as missing:
            self.transcript.warn(f"{missing.args[0]} has left: /to talks to everybody again.")
            return
        for partner, talk in self._talks.items():
            if partner in partners:
                talk.send(text)

    def _do(self, command: chat_typed.Command) -> None:
        transcript = self.transcript
        if command.name == "quit":
            self.leave()
        elif command.name == "who":
            for line in who(transcript):
                transcript.note(line)
        elif command.name == "help":
            for line in chat_typed.HELP:
                transcript.note(line)
        elif command.name in ("take", "refuse"):
            if not self._files.answer(command.name == "take"):
                transcript.warn("Nothing is offered.")
        elif command.name == "send":
            self._send(command.argument)
        elif not command.argument:
            transcript.to = None
            transcript.note("To everybody.")
        elif (person := transcript.named(command.argument)) is not None:
            transcript.to = person
            transcript.note(f"To {person.name} only.")
        else:
            transcript.warn(f"There is no {command.argument} here: /who lists everybody.")

    def _send(self, typed: str) -> None:
        to = self.transcript.to
        people = [to] if to is not None else [one for one in self.transcript.people if not one.replaced]
        partners = [partner for partner in self._talks if self.transcript.person(partner) in people]
        if not typed:
            self.transcript.warn("Which file? /send FILE")
        elif len(partners) != 1:
            why = (
                "There are several here: choose one by /to NAME first."
                if partners
                else "Nobody is here to send it to."
            )
            self.transcript.warn(why)
        else:
            self._files.send(partners[0], typed)

    def name_of(self, partner: Partner) -> str:
        """See :class:`~p2phole.use.chat.transfers.Around`."""
        return self.transcript.person(partner).name

    # -- how the others are reached

    def _look(self) -> None:
        transcript = self.transcript
        for partner, talk in self._talks.items():
            path = partner.path
            transcript.renamed(partner, self._host.label(partner))
            if path is None:
                transcript.away(partner)
            else:
                transcript.here(partner, Way(path.kind, str(path.remote), path.round_trip))
                for text in transcript.release(partner):
                    talk.send(text)
