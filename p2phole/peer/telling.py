"""What is told of one member: the events, and their lines in the log."""

from __future__ import annotations

from twisted.logger import Logger

from p2phole import events
from p2phole.errors import P2pholeError
from p2phole.peer.use import Partner
from p2phole.punch.attempt import Success
from p2phole.punch.verdict import REASONS

_log = Logger()


class Telling:
    """See above."""

    def __init__(self, sink: events.EventSink, partner: Partner) -> None:
        self._sink = sink
        self._partner = partner

    def introduced(self) -> None:
        """A round of starts begins."""
        partner = self._partner
        self._sink.emit(events.Introduced(partner.name, partner.fingerprint, partner.instance))

    def failed(self, word: str) -> None:
        """It has come to nothing; a word of :data:`~p2phole.punch.verdict.REASONS`."""
        partner, detail = self._partner, REASONS[word]
        _log.warn("No direct connection to {name}: {detail}", name=partner.name, detail=detail)
        self._sink.emit(events.Failed(partner.name, word, detail, partner.instance))

    def connected(self, success: Success, seconds: float, attempts: int) -> None:
        """This link is used from now on: seconds since the introduction, starts that it took."""
        partner = self._partner
        where = {"local": str(success.local), "remote": str(success.remote)}
        _log.info(
            "Connected to {name} directly: {local} to {remote}, {candidate}, {seconds} s.",
            name=partner.name,
            candidate=success.candidate,
            seconds=round(seconds, 3),
            **where,
        )
        self._sink.emit(
            events.Connected(
                peer=partner.name,
                id=partner.fingerprint,
                path="direct",
                candidate=success.candidate,
                seconds=round(seconds, 6),
                attempts=attempts,
                authenticated=partner.authenticated,
                instance=partner.instance,
                **where,
            )
        )

    def gone(self, reason: str) -> None:
        """The link that was used is used no more, for that reason: a word of the ``disconnected`` event."""
        self._sink.emit(events.Disconnected(self._partner.name, reason, self._partner.instance))

    def disconnected(self, reason: str) -> None:
        """There is no link any more; a word of the same event."""
        _log.info("Disconnected from {name}: {reason}.", name=self._partner.name, reason=reason)
        self.gone(reason)

    def doubted(self) -> None:
        """The link may be dead."""
        _log.info("Nothing gets through to {name}: looking for another way.", name=self._partner.name)

    def died(self, why: str) -> None:
        """It is dead (a sentence)."""
        _log.info("{name}: {why}.", name=self._partner.name, why=why)

    def broken(self, error: P2pholeError) -> None:
        """The session has come to an end that is none."""
        _log.warn("{name}: {error}", name=self._partner.name, error=error)

    def resumed(self, seconds: float) -> None:
        """The session goes on, after so long."""
        partner, rounded = self._partner, round(seconds, 3)
        _log.info("The session with {name} goes on after {seconds} s.", name=partner.name, seconds=rounded)
        self._sink.emit(events.Resumed(partner.name, round(seconds, 6), partner.instance))
