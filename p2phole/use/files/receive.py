"""Receives files, folders or a text into one folder, from one other side, also when that one is started again."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from twisted.internet.interfaces import IDelayedCall

from p2phole.errors import LocalError, P2pholeError
from p2phole.peer.use import Host, Idle, Partner
from p2phole.session.streams import Stream
from p2phole.use.files.attempt import Ask, Attempt
from p2phole.use.files.errors import BadOffer, BrokenOff, Incomplete, Misbehaved
from p2phole.use.files.feeding import Work
from p2phole.use.files.incoming import Clash
from p2phole.use.files.listing import Entry, Result
from p2phole.use.files.pace import counted, in_numbers, named
from p2phole.use.files.screen import STOPPED, Screen
from p2phole.use.files.send import PURPOSE, in_words

LINGER_SECONDS = 30.0
"""Seconds to wait for the other side to hear that all has arrived."""

ELSEWHERE = "it receives from somebody else"


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
        self.agreed: tuple[str, tuple[Entry, ...], Clash] | None = None
        """What the user has agreed to, of whom: a sender that was restarted need not be asked about again."""
        self._alone = alone
        self._attempt: Attempt | None = None
        """Of which the user was told."""
        self._hopes: dict[str, Attempt] = {}
        """Before there is one, by fingerprints: those that have not said yet what they have."""
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
        chosen, fingerprint = self._attempt, partner.fingerprint
        if self._done:
            stream.abort("it has received all that it wanted")
            return
        if chosen is not None and chosen.partner.fingerprint != fingerprint:
            stream.abort(ELSEWHERE)
            return
        before = chosen or self._hopes.get(fingerprint)
        if before is not None:
            before.abandon("it was begun anew")
        attempt = Attempt(self, partner, stream)
        if chosen is not None:
            self._attempt = attempt
        else:
            self._hopes[fingerprint] = attempt
        self.screen.away("")
        attempt.receiving.begin()

    def choose(self, attempt: Attempt) -> None:
        """It is the first one that has said what it has: nobody is kept waiting by who says nothing."""
        if self._attempt is None:
            self._attempt = attempt
            others, self._hopes = self._hopes.values(), {}
            for other in others:
                if other is not attempt:
                    other.abandon(ELSEWHERE)

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
        if self._alone and not (self._attempt or self._hopes or self._done):
            self.fail(BrokenOff(why=in_words(error)))

    def stop(self) -> None:
        """See :class:`~p2phole.peer.use.Use`."""
        if self._linger is not None and self._linger.active():
            self._linger.cancel()
        for attempt in (self._attempt, *self._hopes.values()):
            if attempt is not None:
                attempt.abandon("it was stopped")
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
        fingerprint = attempt.partner.fingerprint
        if self._hopes.get(fingerprint) is attempt:
            del self._hopes[fingerprint]
        elif attempt is not self._attempt:
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
            if attempt is self._attempt:
                self._attempt = None
            self.screen.say(f"{name}: {error}")

    def fail(self, error: LocalError) -> None:
        """It can't go on."""
        self._done = True
        self.screen.end()
        self.host.fail(error)
