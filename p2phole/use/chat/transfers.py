"""One transfer within a chat: what is given to somebody, or taken from somebody."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol as Interface

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime

from p2phole.errors import P2pholeError
from p2phole.peer.use import Partner
from p2phole.session.errors import NotOffered
from p2phole.session.streams import Stream
from p2phole.use.chat.model import Transcript
from p2phole.use.chat.progress import Progress
from p2phole.use.files.deciding import Proposal
from p2phole.use.files.feeding import Work
from p2phole.use.files.incoming import Clash
from p2phole.use.files.listing import Offer, Result
from p2phole.use.files.pace import in_numbers, named
from p2phole.use.files.receiving import Receiving
from p2phole.use.files.send import PURPOSE, in_words
from p2phole.use.files.sending import Sending
from p2phole.use.files.source import Sources
from p2phole.use.files.store import Store


class Around(Interface):
    """The chat, as its files see it."""

    transcript: Transcript
    clock: IReactorTime
    work: Work
    folder: Path
    umask: int

    def name_of(self, partner: Partner) -> str:
        """What somebody is called."""


class Transfer(Interface):
    """Something that is sent or taken."""

    partner: Partner

    def stop(self) -> str:
        """Break it off; what it was."""


class Desk(Interface):
    """Where transfers are kept."""

    def ask(self, taking: Taking) -> None:
        """The user is to say whether he wants it."""

    def forget(self, transfer: Transfer) -> None:
        """It is over."""


class Giving:
    """What is sent to one; a :class:`~p2phole.use.files.feeding.SendingUser`."""

    def __init__(self, desk: Desk, around: Around, partner: Partner, sources: Sources) -> None:
        self.partner = partner
        self._desk = desk
        self._sources = sources
        self._sending = Sending(sources, around.work, self)
        offer = sources.offer
        names = named(tuple(entry.path for entry in sources.entries if "/" not in entry.path))
        self._progress = Progress(around.transcript, around.clock, f"{names} to {around.name_of(partner)}")
        self._progress.total = offer.size

    def begin(self) -> None:
        """Offer it."""
        self._sending.begin(self.partner.session.open(PURPOSE, self._sending))

    def stop(self) -> str:
        """See :class:`Transfer`."""
        self._sending.abandon("it was stopped")
        return self._progress.what

    def accepted(self) -> None:
        """See :class:`~p2phole.use.files.feeding.SendingUser`."""
        self._progress.at(0, 0)

    def file(self, path: str) -> None:
        """See :class:`~p2phole.use.files.feeding.SendingUser`."""

    def progress(self, done: int, moved: int) -> None:
        """See :class:`~p2phole.use.files.feeding.SendingUser`."""
        self._progress.at(done, moved)

    def failed(self, path: str, why: str) -> None:
        """See :class:`~p2phole.use.files.feeding.SendingUser`: told with the result."""

    def over(self, result: Result | None, error: P2pholeError | None) -> None:
        """See :class:`~p2phole.use.files.feeding.SendingUser`."""
        self._desk.forget(self)
        if result is not None:
            self._progress.ends(_in_short(result, self._sources.offer, "arrived"))
        elif isinstance(error, NotOffered):
            self._progress.ends("not taken, only a chat with a screen takes files")
        else:
            self._progress.ends(f"not arrived, {in_words(error)}")


class Taking:
    """What one offers; a :class:`~p2phole.use.files.arriving.ReceivingUser`."""

    def __init__(self, desk: Desk, around: Around, partner: Partner, stream: Stream) -> None:
        self.partner = partner
        self._desk = desk
        self._around = around
        self._stream = stream
        self._offer = Offer()
        self._progress: Progress | None = None
        self._answer: Deferred[Clash | None] | None = None
        self._name = around.name_of(partner)
        self._what = f"something from {self._name}"
        store = Store(around.folder, partner.fingerprint, around.umask)
        self._receiving = Receiving(stream, store, around.work, self)

    def begin(self) -> None:
        """Hear what it is."""
        self._receiving.begin()

    def stop(self) -> str:
        """See :class:`Transfer`."""
        self._receiving.abandon("it was stopped")
        return self._what

    def answer(self, taken: bool) -> None:
        """The user has decided."""
        answer, self._answer = self._answer, None
        if answer is None:
            return
        if taken:
            self._progress = Progress(self._around.transcript, self._around.clock, self._what)
            self._progress.total = self._offer.size
        answer.callback(Clash.KEEP_BOTH if taken else None)

    def asked(self, proposal: Proposal) -> Deferred[Clash | None]:
        """See :class:`~p2phole.use.files.arriving.ReceivingUser`."""
        offer = self._offer = proposal.offer
        self._what = f"{named(proposal.names)} from {self._name}"
        numbers = in_numbers(offer.files, offer.folders, offer.size)
        taken = f" The name is taken: it gets a number ({named(proposal.taken)})." if proposal.taken else ""
        self._around.transcript.warn(
            f"{self._name} sends {named(proposal.names)}: {numbers}. /take it into {self._around.folder}, "
            f"or /refuse it.{taken}"
        )
        self._answer = Deferred()
        self._desk.ask(self)
        return self._answer

    def text(self, text: str) -> None:
        """See :class:`~p2phole.use.files.arriving.ReceivingUser`."""
        for line in text.splitlines():
            self._around.transcript.heard(self.partner, line)

    def file(self, path: str) -> None:
        """See :class:`~p2phole.use.files.arriving.ReceivingUser`."""

    def progress(self, done: int, moved: int) -> None:
        """See :class:`~p2phole.use.files.arriving.ReceivingUser`."""
        if self._progress is not None:
            self._progress.at(done, moved)

    def arrived(self, path: str, name: str) -> None:
        """See :class:`~p2phole.use.files.arriving.ReceivingUser`."""
        if name != path:
            self._around.transcript.note(f"{path} is called {name}, since its name was taken.")

    def failed(self, path: str, why: str) -> None:
        """See :class:`~p2phole.use.files.arriving.ReceivingUser`."""
        self._around.transcript.warn(f"Not here, {path}: {why}.")

    def settled(self, result: Result) -> None:
        """See :class:`~p2phole.use.files.arriving.ReceivingUser`."""
        if self._progress is not None:
            self._progress.ends(_in_short(result, self._offer, "here, verified"))

    def over(self, result: Result | None, error: P2pholeError | None) -> None:
        """See :class:`~p2phole.use.files.arriving.ReceivingUser`."""
        self._desk.forget(self)
        self._answer = None
        if result is None and self._progress is not None:
            self._progress.ends(f"not here, {in_words(error)}")
        elif result is None:
            self._around.transcript.note(f"{self._what}: not taken, {in_words(error)}.")


def _in_short(result: Result, offer: Offer, how: str) -> str:
    if result.failures:
        why = f", {result.failed[0][1]}" if result.failed else ""
        return f"{result.failures:,} of {result.arrived + result.failures:,} did not arrive{why}"
    return f"{how}, {in_numbers(offer.files, offer.folders, offer.size)}"
