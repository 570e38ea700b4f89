"""One stream that somebody has opened to send files, and what the user says to it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Protocol as Interface

from twisted.internet.defer import CancelledError, Deferred, succeed

from p2phole.errors import P2pholeError
from p2phole.peer.use import Host, Partner
from p2phole.session.streams import Stream
from p2phole.use.files.deciding import Proposal
from p2phole.use.files.feeding import Work
from p2phole.use.files.incoming import Clash
from p2phole.use.files.listing import Entry, Offer, Result
from p2phole.use.files.pace import counted, in_bytes, in_numbers, named
from p2phole.use.files.receiving import Receiving
from p2phole.use.files.screen import Screen
from p2phole.use.files.store import Store

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


class Taker(Interface):
    """Who takes what is offered, as an attempt sees it."""

    folder: Path
    umask: int
    work: Work
    screen: Screen
    show: Callable[[str], None]
    ask: Ask | None
    host: Host
    by_code: bool
    agreed: tuple[str, tuple[Entry, ...], Clash] | None
    """What the user has agreed to, of whom."""

    def choose(self, attempt: Attempt) -> None:
        """It has said what it has."""

    def settled(self, attempt: Attempt, result: Result) -> None:
        """All that could arrive has."""

    def ended(self, attempt: Attempt, result: Result | None, error: P2pholeError | None) -> None:
        """That is what came of it."""


class Attempt:
    """One stream of one partner; a :class:`~p2phole.use.files.arriving.ReceivingUser`."""

    def __init__(self, taker: Taker, partner: Partner, stream: Stream) -> None:
        self.partner = partner
        self.offer: Offer | None = None
        self.names: tuple[str, ...] = ()
        self._taker = taker
        self._question: Deferred[str] | None = None
        store = Store(taker.folder, partner.fingerprint, taker.umask)
        self.receiving = Receiving(stream, store, taker.work, self)

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
        taker = self._taker
        taker.choose(self)
        self.offer, self.names = proposal.offer, proposal.names
        agreed = taker.agreed
        if agreed is not None and agreed[:2] == (self.partner.fingerprint, proposal.entries):
            return self._take(proposal, agreed[2])
        if taker.ask is None:
            taker.screen.say(f"{self._who()} sends {self._what(proposal)}.")
            return self._take(proposal, Clash.KEEP_BOTH)
        return Deferred.fromCoroutine(self._ask(proposal, taker.ask))

    async def _ask(self, proposal: Proposal, ask: Ask) -> Clash | None:
        what, folder = self._what(proposal), self._taker.folder
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
        proof = "proven by the code" if self._taker.by_code else PROOFS[self.partner.authenticated]
        return f"{self._taker.host.label(self.partner)} ({proof})"

    def _what(self, proposal: Proposal) -> str:
        offer = proposal.offer
        text = f"{named(proposal.names)}: {in_numbers(offer.files, offer.folders, offer.size)}"
        here = offer.size - proposal.missing
        return f"{text}, of which {in_bytes(here)} are here" if here else text

    def _take(self, proposal: Proposal, clash: Clash) -> Deferred[Clash | None]:
        self._taker.agreed = self.partner.fingerprint, proposal.entries, clash
        self._taker.screen.begin(self._taker.host.clock, proposal.offer.size)
        return succeed(clash)

    def text(self, text: str) -> None:
        """See :class:`~p2phole.use.files.arriving.ReceivingUser`."""
        self._taker.choose(self)
        self._taker.show(text)

    def file(self, path: str) -> None:
        """See :class:`~p2phole.use.files.arriving.ReceivingUser`."""
        self._taker.screen.file(path)

    def progress(self, done: int, moved: int) -> None:
        """See :class:`~p2phole.use.files.arriving.ReceivingUser`."""
        self._taker.screen.progress(done, moved)

    def arrived(self, path: str, name: str) -> None:
        """See :class:`~p2phole.use.files.arriving.ReceivingUser`."""
        if name != path:
            self._taker.screen.say(f"{path} is called {name}, since its name was taken.")

    def failed(self, path: str, why: str) -> None:
        """See :class:`~p2phole.use.files.arriving.ReceivingUser`."""
        self._taker.screen.say(f"Not here, {path}: {why}.")

    def settled(self, result: Result) -> None:
        """See :class:`~p2phole.use.files.arriving.ReceivingUser`."""
        self._taker.settled(self, result)

    def over(self, result: Result | None, error: P2pholeError | None) -> None:
        """See :class:`~p2phole.use.files.arriving.ReceivingUser`."""
        self._never_mind()
        self._taker.ended(self, result, error)
