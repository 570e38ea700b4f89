"""Receives files, folders or a text into one folder, from one other side, also when that one is started again."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from twisted.internet.defer import CancelledError, Deferred, succeed
from twisted.internet.interfaces import IDelayedCall

from p2phole.errors import LocalError, P2pholeError
from p2phole.peer.use import Host, Idle, Partner
from p2phole.session.streams import Stream
from p2phole.use.files.deciding import Proposal
from p2phole.use.files.errors import BadOffer, BrokenOff, Incomplete, Misbehaved
from p2phole.use.files.feeding import Work
from p2phole.use.files.incoming import Clash
from p2phole.use.files.listing import Offer, Result
from p2phole.use.files.pace import counted, in_bytes, in_numbers, named
from p2phole.use.files.receiving import Receiving
from p2phole.use.files.screen import STOPPED, Screen
from p2phole.use.files.send import PURPOSE, in_words
from p2phole.use.files.store import Store

LINGER_SECONDS = 30.0
"""Seconds to wait for the other side to hear that all has arrived."""

PROOFS = {
    "secret": "proven by the secret",
    "pinned": "whose key you keep",
    "tofu": "whose key only the broker vouches for",
}

_ANSWERS = {
    "k": Clash.KEEP_BOTH,
    "keep": Clash.KEEP_BOTH,
    "": Clash.KEEP_BOTH,
    "r": Clash.REPLACE,
    "replace": Clash.REPLACE,
    "s": Clash.SKIP,
    "skip": Clash.SKIP,
}

Ask = Callable[[str], Deferred[str]]


class Receive(Idle):
    """Takes one offer.  ``ask``: puts a question to the user; None: everything is taken.  ``show``: for a text.
    ``alone``: nobody but one can come."""

    def __init__(
        self,
        folder: Path,
        umask: int,
        work: Work,
        screen: Screen,
        ask: Ask | None,
        show: Callable[[str], None],
        alone: bool,
        by_code: bool,
    ) -> None:
        self.folder = folder
        self.umask = umask
        self.work = work
        self.screen = screen
        self.show = show
        self.ask = ask
        self.host: Host
        self.by_code = by_code
        self.agreed: tuple[str, Offer, tuple[str, ...], Clash] | None = None
        """What the user has agreed to, of whom: a sender that was restarted need not be asked about again."""
        self._alone = alone
        self._attempt: Attempt | None = None
        self._done = False
        self._linger: IDelayedCall | None = None

    # -- Use

    def start(self, host: Host) -> None:
        """See :class:`~p2phole.peer.use.Use`."""
        self.host = host

    def met(self, partner: Partner) -> None:
        """See :class:`~p2phole.peer.use.Use`."""
        partner.session.offer(PURPOSE, lambda stream: self._opened(partner, stream))

    def _opened(self, partner: Partner, stream: Stream) -> None:
        before = self._attempt
        if self._done:
            stream.abort("it has received all that it wanted")
            return
        if before is not None:
            if before.partner.fingerprint != partner.fingerprint:
                stream.abort("it receives from somebody else")
                return
            before.abandon("it was begun anew")
        self._attempt = Attempt(self, partner, stream)
        self.screen.away("")
        self._attempt.receiving.begin()

    def linked(self, partner: Partner) -> None:
        """See :class:`~p2phole.peer.use.Use`."""
        if self._attempt is not None and self._attempt.partner is partner:
            self.screen.away("")

    def unlinked(self, partner: Partner) -> None:
        """See :class:`~p2phole.peer.use.Use`."""
        if self._attempt is not None and self._attempt.partner is partner:
            self.screen.away(self.host.label(partner))

    def over(self, partner: Partner, error: P2pholeError) -> None:
        """See :class:`~p2phole.peer.use.Use`; its attempt is told by its stream, if there is one."""
        if self._alone and self._attempt is None and not self._done:
            self.fail(BrokenOff(why=in_words(error)))

    def stop(self) -> None:
        """See :class:`~p2phole.peer.use.Use`."""
        if self._linger is not None and self._linger.active():
            self._linger.cancel()
        if self._attempt is not None:
            self._attempt.abandon("it was stopped")
        if not self._done:
            self.screen.say(STOPPED)
        self.screen.end()

    # -- of its attempt

    def settled(self, attempt: Attempt, result: Result) -> None:
        """All that could arrive has."""
        self._done = True
        self.screen.end()
        offer = attempt.offer
        if offer is not None and not result.failures:
            where = named(attempt.names)
            numbers = in_numbers(offer.files, offer.folders, offer.size)
            self.screen.say(f"{where} in {self.folder}, verified: {numbers}{self.screen.summary}.")
        self._linger = self.host.clock.callLater(LINGER_SECONDS, self._conclude, result)

    def _conclude(self, result: Result) -> None:
        if self._linger is not None and self._linger.active():
            self._linger.cancel()
        self._linger = None
        if result.failures:
            count = counted(result.arrived + result.failures, "file or folder", "files and folders")
            self.fail(Incomplete(missing=f"{result.failures:,}", all=count))
        else:
            self.host.finish()

    def ended(self, attempt: Attempt, result: Result | None, error: P2pholeError | None) -> None:
        """That is what came of it."""
        if attempt is not self._attempt:
            return
        name = self.host.label(attempt.partner)
        if result is not None:
            self._conclude(result)
        elif isinstance(error, LocalError):
            self.fail(error)
        elif self._alone or self.agreed is not None:
            bad = isinstance(error, BadOffer)
            why = in_words(error)
            self.fail(Misbehaved(name=name, why=why) if bad else BrokenOff(why=why))
        else:
            self._attempt = None
            self.screen.say(f"{name}: {error}")

    def fail(self, error: LocalError) -> None:
        """It can't go on."""
        self._done = True
        self.screen.end()
        self.host.fail(error)


class Attempt:
    """One stream of one partner; a :class:`~p2phole.use.files.arriving.ReceivingUser`."""

    def __init__(self, receive: Receive, partner: Partner, stream: Stream) -> None:
        self.partner = partner
        self.offer: Offer | None = None
        self.names: tuple[str, ...] = ()
        self._receive = receive
        self._question: Deferred[str] | None = None
        store = Store(receive.folder, partner.fingerprint, receive.umask)
        self.receiving = Receiving(stream, store, receive.work, self)

    def abandon(self, reason: str) -> None:
        """Take no more of it."""
        self._never_mind()
        self.receiving.abandon(reason)

    def _never_mind(self) -> None:
        question, self._question = self._question, None
        if question is not None:
            question.cancel()

    # -- ReceivingUser

    def asked(self, proposal: Proposal) -> Deferred[Clash | None]:
        """See :class:`~p2phole.use.files.arriving.ReceivingUser`."""
        receive = self._receive
        self.offer, self.names = proposal.offer, proposal.names
        agreed = receive.agreed
        if agreed is not None and agreed[:3] == (self.partner.fingerprint, proposal.offer, proposal.names):
            return self._take(proposal, agreed[3])
        if receive.ask is None:
            receive.screen.say(f"{self._who()} sends {self._what(proposal)}.")
            return self._take(proposal, Clash.KEEP_BOTH)
        return Deferred.fromCoroutine(self._ask(proposal, receive.ask))

    async def _ask(self, proposal: Proposal, ask: Ask) -> Clash | None:
        what, folder = self._what(proposal), self._receive.folder
        answer = await self._answer(ask, f"{self._who()} sends {what}.\nTake it into {folder}? [y/N] ")
        if answer not in ("y", "yes"):
            return None
        clash: Clash | None = Clash.KEEP_BOTH
        if proposal.taken:
            taken = counted(len(proposal.taken), "name is", "names are")
            question = (
                f"{taken} taken: {named(proposal.taken)}. What is the same stays as it is; of the others\n"
                "[k]eep both, [r]eplace what is there, [s]kip what comes, or [q]uit? [K/r/s/q] "
            )
            clash = _ANSWERS.get(await self._answer(ask, question))
        return None if clash is None else await self._take(proposal, clash)

    async def _answer(self, ask: Ask, question: str) -> str:
        self._question = ask(question)
        try:
            return await self._question
        except CancelledError:
            return "q"
        finally:
            self._question = None

    def _who(self) -> str:
        proof = "proven by the code" if self._receive.by_code else PROOFS[self.partner.authenticated]
        return f"{self._receive.host.label(self.partner)} ({proof})"

    def _what(self, proposal: Proposal) -> str:
        offer = proposal.offer
        text = f"{named(proposal.names)}: {in_numbers(offer.files, offer.folders, offer.size)}"
        here = offer.size - proposal.missing
        return f"{text}, of which {in_bytes(here)} are here" if here else text

    def _take(self, proposal: Proposal, clash: Clash) -> Deferred[Clash | None]:
        self._receive.agreed = self.partner.fingerprint, proposal.offer, proposal.names, clash
        self._receive.screen.begin(self._receive.host.clock, proposal.offer.size)
        return succeed(clash)

    def text(self, text: str) -> None:
        """See :class:`~p2phole.use.files.arriving.ReceivingUser`."""
        self._receive.show(text)

    def file(self, path: str) -> None:
        """See :class:`~p2phole.use.files.arriving.ReceivingUser`."""
        self._receive.screen.file(path)

    def progress(self, done: int, moved: int) -> None:
        """See :class:`~p2phole.use.files.arriving.ReceivingUser`."""
        self._receive.screen.progress(done, moved)

    def arrived(self, path: str, name: str) -> None:
        """See :class:`~p2phole.use.files.arriving.ReceivingUser`."""
        if name != path:
            self._receive.screen.say(f"{path} is called {name}, since its name was taken.")

    def failed(self, path: str, why: str) -> None:
        """See :class:`~p2phole.use.files.arriving.ReceivingUser`."""
        self._receive.screen.say(f"Not here, {path}: {why}.")

    def settled(self, result: Result) -> None:
        """See :class:`~p2phole.use.files.arriving.ReceivingUser`."""
        self._receive.settled(self, result)

    def over(self, result: Result | None, error: P2pholeError | None) -> None:
        """See :class:`~p2phole.use.files.arriving.ReceivingUser`."""
        self._never_mind()
        self._receive.ended(self, result, error)
