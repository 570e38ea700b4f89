"""Sends files, folders or a text to one other side, also when that one is started again."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from p2phole.errors import LocalError, P2pholeError
from p2phole.peer.use import Host, Idle, Partner
from p2phole.session.errors import Aborted, NotOffered
from p2phole.session.errors import Refused as StreamRefused
from p2phole.use.files.errors import BadOffer, BrokenOff, Incomplete, Misbehaved, Refused
from p2phole.use.files.feeding import Work
from p2phole.use.files.listing import Result
from p2phole.use.files.pace import counted, in_numbers, named
from p2phole.use.files.screen import STOPPED, Screen
from p2phole.use.files.sending import Sending
from p2phole.use.files.source import Sources, find

PURPOSE = "files"


class Send(Idle):
    """Sends all of it to the first one who takes it.  ``alone``: nobody but one can come."""

    def __init__(self, paths: Sequence[Path], text: str | None, work: Work, screen: Screen, alone: bool) -> None:
        self.screen = screen
        self.sources: Sources | None = None
        self.text = text
        self.work = work
        self.host: Host
        self._paths = paths
        self._alone = alone
        self._attempts: dict[str, Attempt] = {}
        """By fingerprints."""
        self._chosen: str | None = None
        self._done = self._stopped = False

    # -- Use

    def start(self, host: Host) -> None:
        """See :class:`~p2phole.peer.use.Use`."""
        self.host = host
        if self.text is not None:
            self._found(Sources())
            return
        finding: Deferred[Sources] = self.work(find, self._paths, lambda: self._stopped)
        finding.addCallbacks(self._found, self._not_found)

    def _found(self, sources: Sources) -> None:
        if self._stopped:
            return
        for line in sources.skipped:
            self.screen.say(f"Skipped, {line}.")
        for line in sources.unfit:
            self.screen.say(f"Not sent, {line}.")
        self.sources = sources
        for partner in self.host.partners:
            self.met(partner)

    def _not_found(self, failure: Failure) -> None:
        if isinstance(failure.value, LocalError):
            self.fail(failure.value)
        else:
            failure.raiseException()

    def met(self, partner: Partner) -> None:
        """See :class:`~p2phole.peer.use.Use`: whoever was restarted takes the place of what it was before."""
        if self.sources is None or self._done or self._chosen not in (None, partner.fingerprint):
            return
        before = self._attempts.get(partner.fingerprint)
        if before is not None:
            before.sending.abandon("it was begun anew")
        attempt = self._attempts[partner.fingerprint] = Attempt(self, partner)
        attempt.sending.begin(partner.session.open(PURPOSE, attempt.sending))

    def linked(self, partner: Partner) -> None:
        """See :class:`~p2phole.peer.use.Use`."""
        if self._is_chosen(partner):
            self.screen.away("")

    def unlinked(self, partner: Partner) -> None:
        """See :class:`~p2phole.peer.use.Use`."""
        if self._is_chosen(partner):
            self.screen.away(self.host.label(partner))

    def stop(self) -> None:
        """See :class:`~p2phole.peer.use.Use`."""
        self._stopped = True
        for attempt in self._attempts.values():
            attempt.sending.abandon("it was stopped")
        if not self._done:
            self.screen.say(STOPPED)
        self.screen.end()

    def _is_chosen(self, partner: Partner) -> bool:
        attempt = self._attempts.get(partner.fingerprint)
        return self._chosen == partner.fingerprint and attempt is not None and attempt.partner is partner

    # -- of its attempts

    def chosen(self, attempt: Attempt) -> None:
        """It is taken there."""
        self._chosen = attempt.partner.fingerprint
        for other in self._attempts.values():
            if other is not attempt:
                other.sending.abandon("somebody else has taken it")
        assert self.sources is not None
        name = self.host.label(attempt.partner)
        self.screen.say(f"{name} takes it: {in_numbers(*self._numbers())}.")
        self.screen.begin(self.host.clock, self.sources.offer.size)

    def _numbers(self) -> tuple[int, int, int]:
        assert self.sources is not None
        offer = self.sources.offer
        return offer.files, offer.folders, offer.size

    def over(self, partner: Partner, error: P2pholeError) -> None:
        """See :class:`~p2phole.peer.use.Use`; its attempt is told by its stream, if there is one."""
        if self._alone and partner.fingerprint not in self._attempts and not self._done:
            self.fail(BrokenOff(why=in_words(error)))

    def ended(self, attempt: Attempt, result: Result | None, error: P2pholeError | None) -> None:
        """That is what came of it."""
        name = self.host.label(attempt.partner)
        if result is not None:
            self._concluded(name, result)
        elif self._alone or self._chosen is not None:
            if isinstance(error, BadOffer):
                self.fail(Misbehaved(name=name, why=error.fields["why"]))
            elif isinstance(error, NotOffered):
                self.fail(Refused(why="it was not started with 'p2phole receive'"))
            elif isinstance(error, Aborted | StreamRefused) and self._chosen is None:
                self.fail(Refused(why=error.fields["why"]))
            else:
                self.fail(BrokenOff(why=in_words(error)))
        elif not isinstance(error, NotOffered):
            self.screen.say(f"{name}: {error}")

    def _concluded(self, name: str, result: Result) -> None:
        assert self.sources is not None
        entries, unfit = self.sources.entries, len(self.sources.unfit)
        for at, why in result.failed:
            self.screen.say(f"Not arrived, {entries[at].path if entries else 'the text'}: {why}.")
        missing, count = result.failures + unfit, result.arrived + result.failures + unfit
        if missing:
            self.fail(
                Incomplete(missing=f"{missing:,}", all=counted(count, "file or folder", "files and folders"))
            )
            return
        self._done = True
        self.screen.end()
        if self.text is not None:
            self.screen.say(f"{name} has it.")
        else:
            tops = named(tuple(entry.path for entry in entries if "/" not in entry.path))
            self.screen.say(f"{name} has {tops}, verified: {in_numbers(*self._numbers())}{self.screen.summary}.")
        self.host.finish()

    def fail(self, error: LocalError) -> None:
        """It can't go on."""
        self._done = True
        self.screen.end()
        self.host.fail(error)


class Attempt:
    """One stream to one partner; a :class:`~p2phole.use.files.feeding.SendingUser`."""

    def __init__(self, send: Send, partner: Partner) -> None:
        assert send.sources is not None
        self.partner = partner
        self.sending = Sending(send.sources, send.work, self, send.text)
        self._send = send

    def accepted(self) -> None:
        """See :class:`~p2phole.use.files.feeding.SendingUser`."""
        self._send.chosen(self)

    def file(self, path: str) -> None:
        """See :class:`~p2phole.use.files.feeding.SendingUser`."""
        self._send.screen.file(path)

    def progress(self, done: int, moved: int) -> None:
        """See :class:`~p2phole.use.files.feeding.SendingUser`."""
        self._send.screen.progress(done, moved)

    def failed(self, path: str, why: str) -> None:
        """See :class:`~p2phole.use.files.feeding.SendingUser`: told with the result."""

    def over(self, result: Result | None, error: P2pholeError | None) -> None:
        """See :class:`~p2phole.use.files.feeding.SendingUser`."""
        self._send.ended(self, result, error)


def in_words(error: P2pholeError | None) -> str:
    """Why it ended, as a part of a sentence."""
    if error is None:
        return "for no reason"
    return str(error.fields.get("why", error)).rstrip(".")
