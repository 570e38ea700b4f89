"""Files that are sent and taken within a chat."""

from __future__ import annotations

import shlex
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Any
from typing import Protocol as Interface

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.python.failure import Failure

from p2phole.errors import P2pholeError
from p2phole.peer.use import Partner
from p2phole.session.errors import NotOffered
from p2phole.session.streams import Stream
from p2phole.use.chat.model import Entry, Transcript
from p2phole.use.files.deciding import Proposal
from p2phole.use.files.feeding import Work
from p2phole.use.files.incoming import Clash
from p2phole.use.files.listing import Offer, Result
from p2phole.use.files.pace import Pace, in_bytes, in_numbers, in_time, named
from p2phole.use.files.receiving import Receiving
from p2phole.use.files.send import PURPOSE, in_words
from p2phole.use.files.sending import Sending
from p2phole.use.files.source import Sources, find
from p2phole.use.files.store import Store

MOST_OFFERED = 8
"""Offers of one member that are open, or being taken."""
DRAW_SECONDS = 0.2
"""Between two changes of a line that says how far it is."""


class Progress:
    """A line of the conversation that says how far something is."""

    def __init__(self, transcript: Transcript, clock: IReactorTime, what: str) -> None:
        self.what = what
        self.total = 0
        self._transcript = transcript
        self._clock = clock
        self._entry: Entry = transcript.note(f"{what} ...")
        self._pace = Pace()
        self._drawn = 0.0

    def at(self, done: int, moved: int) -> None:
        """So much of it is done; so many bytes were moved for that."""
        now = self._clock.seconds()
        if now - self._drawn < DRAW_SECONDS:
            return
        self._drawn = now
        self._pace.add(now, moved)
        rate, left = self._pace.rate, self._pace.left(self.total - done)
        text = f"{self.what}: {100 * done // max(self.total, 1)} %"
        if rate is not None and left is not None:
            text += f", {in_bytes(rate)}/s, {in_time(left)} left"
        self._transcript.change(self._entry, text)

    def ends(self, how: str) -> None:
        """That is what came of it."""
        self._transcript.change(self._entry, f"{self.what}: {how}.")


class Around(Interface):
    """The chat, as its files see it."""

    transcript: Transcript
    clock: IReactorTime
    work: Work
    folder: Path
    umask: int

    def name_of(self, partner: Partner) -> str:
        """What somebody is called."""


class Files:
    """All that is offered, sent and taken."""

    def __init__(self, around: Around) -> None:
        self._around = around
        self._going: list[Transfer] = []
        self._asking: deque[Taking] = deque()
        self._stopped = False

    def met(self, partner: Partner) -> None:
        """Somebody may offer something from now on."""
        partner.session.offer(PURPOSE, lambda stream: self._offered(partner, stream))

    def send(self, partner: Partner, typed: str) -> None:
        """Offer a file or a folder, as it was typed."""
        around, path = self._around, path_of(typed)
        finding: Deferred[Sources] = around.work(find, [path], lambda: self._stopped)
        finding.addCallbacks(
            lambda sources: self._found(partner, sources),
            lambda failure: self._not_found(failure),
        )

    def _found(self, partner: Partner, sources: Sources) -> None:
        if self._stopped:
            return
        for line in (*sources.skipped, *sources.unfit):
            self._around.transcript.warn(f"Not sent, {line}.")
        giving = Giving(self, self._around, partner, sources)
        self._going.append(giving)
        giving.begin()

    def _not_found(self, failure: Failure) -> None:
        problem = failure.value
        self._around.transcript.warn(str(problem) if isinstance(problem, P2pholeError) else f"Not sent: {problem}")

    def _offered(self, partner: Partner, stream: Stream) -> None:
        if sum(isinstance(each, Taking) and each.partner is partner for each in self._going) >= MOST_OFFERED:
            stream.abort("too much is offered at a time")
            return
        taking = Taking(self, self._around, partner, stream)
        self._going.append(taking)
        taking.begin()

    def answer(self, taken: bool) -> bool:
        """The user takes what was offered first, or does not; whether anything was."""
        if not self._asking:
            return False
        self._asking.popleft().answer(taken)
        return True

    def ask(self, taking: Taking) -> None:
        """The user is to say whether he wants it."""
        self._asking.append(taking)

    def forget(self, transfer: Transfer) -> None:
        """It is over."""
        if transfer in self._going:
            self._going.remove(transfer)
        if transfer in self._asking:
            self._asking.remove(transfer)  # type: ignore[arg-type]

    def stop(self) -> list[str]:
        """Go on with nothing; what that was."""
        self._stopped = True
        going, self._going = self._going, []
        return [transfer.stop() for transfer in going]


class Transfer(Interface):
    """Something that is sent or taken."""

    partner: Partner

    def stop(self) -> str:
        """Break it off; what it was."""


class Giving:
    """What is sent to one; a :class:`~p2phole.use.files.sending.SendingUser`."""

    def __init__(self, files: Files, around: Around, partner: Partner, sources: Sources) -> None:
        self.partner = partner
        self._files = files
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
        """See :class:`~p2phole.use.files.sending.SendingUser`."""
        self._progress.at(0, 0)

    def file(self, path: str) -> None:
        """See :class:`~p2phole.use.files.sending.SendingUser`."""

    def progress(self, done: int, moved: int) -> None:
        """See :class:`~p2phole.use.files.sending.SendingUser`."""
        self._progress.at(done, moved)

    def failed(self, path: str, why: str) -> None:
        """See :class:`~p2phole.use.files.sending.SendingUser`: told with the result."""

    def over(self, result: Result | None, error: P2pholeError | None) -> None:
        """See :class:`~p2phole.use.files.sending.SendingUser`."""
        self._files.forget(self)
        if result is not None:
            self._progress.ends(_in_short(result, self._sources.offer, "arrived"))
        elif isinstance(error, NotOffered):
            self._progress.ends("not taken, only a chat with a screen takes files")
        else:
            self._progress.ends(f"not arrived, {in_words(error)}")


class Taking:
    """What one offers; a :class:`~p2phole.use.files.receiving.ReceivingUser`."""

    def __init__(self, files: Files, around: Around, partner: Partner, stream: Stream) -> None:
        self.partner = partner
        self._files = files
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
        """See :class:`~p2phole.use.files.receiving.ReceivingUser`."""
        offer = self._offer = proposal.offer
        self._what = f"{named(proposal.names)} from {self._name}"
        numbers = in_numbers(offer.files, offer.folders, offer.size)
        taken = f" The name is taken: it gets a number ({named(proposal.taken)})." if proposal.taken else ""
        self._around.transcript.warn(
            f"{self._name} sends {named(proposal.names)}: {numbers}. /take it into {self._around.folder}, "
            f"or /refuse it.{taken}"
        )
        self._answer = Deferred()
        self._files.ask(self)
        return self._answer

    def text(self, text: str) -> None:
        """See :class:`~p2phole.use.files.receiving.ReceivingUser`."""
        for line in text.splitlines():
            self._around.transcript.heard(self.partner, line)

    def file(self, path: str) -> None:
        """See :class:`~p2phole.use.files.receiving.ReceivingUser`."""

    def progress(self, done: int, moved: int) -> None:
        """See :class:`~p2phole.use.files.receiving.ReceivingUser`."""
        if self._progress is not None:
            self._progress.at(done, moved)

    def arrived(self, path: str, name: str) -> None:
        """See :class:`~p2phole.use.files.receiving.ReceivingUser`."""
        if name != path:
            self._around.transcript.note(f"{path} is called {name}, since its name was taken.")

    def failed(self, path: str, why: str) -> None:
        """See :class:`~p2phole.use.files.receiving.ReceivingUser`."""
        self._around.transcript.warn(f"Not here, {path}: {why}.")

    def settled(self, result: Result) -> None:
        """See :class:`~p2phole.use.files.receiving.ReceivingUser`."""
        if self._progress is not None:
            self._progress.ends(_in_short(result, self._offer, "here, verified"))

    def over(self, result: Result | None, error: P2pholeError | None) -> None:
        """See :class:`~p2phole.use.files.receiving.ReceivingUser`."""
        self._files.forget(self)
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


def path_of(typed: str, exists: Callable[[Path], Any] = Path.exists) -> Path:
    """The path that was typed, or dropped by a desktop, which quotes it as for a shell."""
    path = Path(typed).expanduser()
    if not exists(path):
        try:
            words = shlex.split(typed)
        except ValueError:
            words = []
        if len(words) == 1:
            path = Path(words[0]).expanduser()
    return path
