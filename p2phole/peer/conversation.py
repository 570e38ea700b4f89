"""What this peer has with one proven member: a session, and the links that come and go under it."""

from __future__ import annotations

from collections.abc import Sequence, Set
from dataclasses import dataclass
from typing import Protocol as Interface

from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from p2phole import events
from p2phole.addresses import Endpoint, IPAddress
from p2phole.errors import P2pholeError
from p2phole.peer.trust import Trust
from p2phole.peer.use import Path, Use
from p2phole.punch.attempt import Success
from p2phole.secure.channel import SecureLink
from p2phole.secure.roles import Identity
from p2phole.session.attachment import Attachment
from p2phole.session.errors import GaveUp, SessionOver
from p2phole.session.frames import BadFrame
from p2phole.session.link import attach
from p2phole.session.pool import Pools
from p2phole.session.session import Session
from p2phole.vitals import Pulse, vitals

_log = Logger()


class Owner(Interface):
    """The encounter that a conversation belongs to."""

    def parted(self, for_good: bool) -> None:
        """There is no link any more; for good: the other side has left."""

    def suspected(self) -> None:
        """The link may be dead: another one is wanted, and this one stays until then."""

    def offended(self) -> None:
        """The other side broke the protocol of the session."""


class Surroundings(Interface):
    """What a conversation needs of the peer."""

    mine: Identity
    clock: IReactorTime
    events: events.EventSink
    trust: Trust
    pools: Pools
    use: Use
    resume_for: float

    def session_ident(self) -> str:
        """Random text that names one session."""


@dataclass(frozen=True, slots=True, eq=False)
class _Link:
    """A proven link, how long and how many starts it took, and what the session has on it."""

    success: Success
    seconds: float
    attempts: int
    attachment: Attachment


class Conversation:
    """See above; a :class:`~p2phole.peer.use.Partner`.  ``claimed`` is what the other side calls itself."""

    def __init__(self, peer: Surroundings, owner: Owner, theirs: Identity, claimed: str) -> None:
        self.claimed = claimed
        self.name = peer.trust.people.shown(claimed, theirs.fingerprint)
        self.link: SecureLink | None = None
        self.suspect_since: float | None = None
        """Since when the link may be dead."""
        self._cut_off_since: float | None = None
        """Since when nothing gets through, whatever links there were."""
        self._peer = peer
        self._owner = owner
        self._theirs = theirs
        self._session: Session | None = None
        self._success: Success | None = None
        self._links: list[_Link] = []
        """The newest last; those before stay until the other side has greeted on it."""
        self._pulse: Pulse | None = None
        self._leaving = False

    # -- Partner

    @property
    def fingerprint(self) -> str:
        """See :class:`~p2phole.peer.use.Partner`."""
        return self._theirs.fingerprint

    @property
    def instance(self) -> str:
        """See :class:`~p2phole.peer.use.Partner`."""
        return self._theirs.instance

    @property
    def authenticated(self) -> str:
        """See :class:`~p2phole.peer.use.Partner`."""
        return self._peer.trust.authenticated(self._theirs)

    @property
    def session(self) -> Session:
        """See :class:`~p2phole.peer.use.Partner`."""
        assert self._session is not None
        return self._session

    @property
    def path(self) -> Path | None:
        """See :class:`~p2phole.peer.use.Partner`."""
        if self.link is None or self._success is None:
            return None
        found = self._success
        last = self._pulse.last if self._pulse is not None else None
        return Path(found.local, found.remote, found.candidate, last.round_trip if last is not None else None)

    # -- what its encounter does

    @property
    def is_open(self) -> bool:
        """Whether there is a session, linked or not."""
        return self._session is not None

    @property
    def is_awaited(self) -> bool:
        """Whether there is a session that waits for another link."""
        return self.is_open and not self.is_healthy

    @property
    def is_healthy(self) -> bool:
        """Whether there is a link, of which nobody doubts that it lives."""
        return self.link is not None and self.suspect_since is None

    def attach(self, success: Success, seconds: float, attempts: int) -> None:
        """There is a new link; seconds since the introduction, starts that it took."""
        peer, link = self._peer, success.link
        was_linked = self.link is not None
        if was_linked:
            self._tell_gone("replaced")
        self._use(success, seconds, attempts)
        if self._session is None:
            leads = peer.mine > self._theirs
            self._session = Session(peer.clock, peer.session_ident(), leads, self, peer.pools, peer.resume_for)
            peer.use.met(self)
            if self._session is None:  # whoever runs on it has left at once
                link.channel.drop()
                self.hang_up("left", for_good=True)
                return
        assert link.transport is not None
        attachment = attach(self._session, link.transport, link.channel.drop)
        self._links.append(_Link(success, seconds, attempts, attachment))
        link.receiver = attachment.receive
        link.ended = lambda reason: self._ended(link)
        if not was_linked:
            peer.use.linked(self)
        if success.rest:
            attachment.receive(success.rest)

    def _use(self, success: Success, seconds: float, attempts: int) -> None:
        """This is the link from now on."""
        peer, link = self._peer, success.link
        self._stop_pulse()
        self.link, self._success, self.suspect_since = link, success, None
        where = {"local": str(success.local), "remote": str(success.remote)}
        _log.info(
            "Connected to {name} directly: {local} to {remote}, {candidate}, {seconds} s.",
            name=self.name,
            candidate=success.candidate,
            seconds=round(seconds, 3),
            **where,
        )
        peer.events.emit(
            events.Connected(
                peer=self.name,
                id=self.fingerprint,
                path="direct",
                candidate=success.candidate,
                seconds=round(seconds, 6),
                attempts=attempts,
                authenticated=self.authenticated,
                instance=self.instance,
                **where,
            )
        )
        self._pulse = Pulse(peer.clock, lambda: vitals(link.channel.transport), self.suspect, self._lives)
        self._pulse.start()

    def suspect(self) -> None:
        """The path under the link may be dead."""
        if self.is_healthy:
            self.suspect_since = self._cut_off_since = self._peer.clock.seconds()
            _log.info("Nothing gets through to {name}: looking for another way.", name=self.name)
            self._owner.suspected()

    def probe(self) -> None:
        """See to it that something is due on the link, so that it is soon known whether it lives."""
        if self.link is not None and self._session is not None:
            self._session.probe()

    def make_way(self, endpoints: Sequence[Endpoint], here: Set[IPAddress]) -> None:
        """These are about to be dialled; ``here``: this machine's addresses.

        There can't be two connections with the same ends: where the new one will have those of one that is
        doubtful, the doubtful one goes first.  Else it stays until the new one is proven.
        """
        path = self.path
        if path is None or path.remote not in endpoints or path.local.ip not in here:
            return
        if self.suspect_since is not None:
            for each in self._links:
                each.success.link.channel.drop_unheard()
            self.hang_up("lost")
        else:
            self.probe()  # the other side may know more than this one

    def _lives(self) -> None:
        self.suspect_since = self._cut_off_since = None

    def leave(self) -> None:
        """Say goodbye; the other side closes the link."""
        self._leaving = True
        if self._session is not None:
            self._session.say_bye()

    def hang_up(self, reason: str, for_good: bool = False) -> None:
        """Let go of the link; a word of the ``disconnected`` event."""
        if self.link is None:
            return
        self._stop_pulse()
        self.link = self.suspect_since = None
        links, self._links = self._links, []
        for each in links:
            link = each.success.link
            link.receiver = lambda data: None
            link.ended = lambda reason: None
            each.attachment.lost()
            link.channel.drop()
        _log.info("Disconnected from {name}: {reason}.", name=self.name, reason=reason)
        self._tell_gone(reason)
        self._peer.use.unlinked(self)
        self._owner.parted(for_good)

    def _ended(self, link: SecureLink) -> None:
        older = [each for each in self._links if each.success.link is not link and not each.attachment.over]
        if link is self.link and not older:
            # Who reads our goodbye closes at once.
            if self._leaving:
                self.hang_up("left", for_good=True)
            else:
                self.hang_up("lost")
            return
        gone = [each for each in self._links if each.success.link is link]
        self._links = [each for each in self._links if each not in gone]
        for each in gone:
            each.attachment.lost()
        if link is self.link:
            # It ended before the other side had greeted on it, and the one before is as good as it was.
            self._tell_gone("lost")
            self._use(older[-1].success, older[-1].seconds, older[-1].attempts)

    def _tell_gone(self, reason: str) -> None:
        self._peer.events.emit(events.Disconnected(self.name, reason, self.instance))

    def _stop_pulse(self) -> None:
        if self._pulse is not None:
            self._pulse.stop()
            self._pulse = None

    # -- SessionUser

    def left(self) -> None:
        """See :class:`~p2phole.session.session.SessionUser`."""
        self.hang_up("left", for_good=True)

    def died(self, why: str) -> None:
        """See :class:`~p2phole.session.session.SessionUser`."""
        _log.info("{name}: {why}.", name=self.name, why=why)
        self.hang_up("dead")

    def resumed(self, seconds: float) -> None:
        """See :class:`~p2phole.session.session.SessionUser`."""
        since, self._cut_off_since = self._cut_off_since, None
        if since is not None:  # there was a link, but nothing got through
            seconds = max(seconds, self._peer.clock.seconds() - since)
        _log.info("The session with {name} goes on after {seconds} s.", name=self.name, seconds=round(seconds, 3))
        self._peer.events.emit(events.Resumed(self.name, round(seconds, 6), self.instance))

    def over(self, error: P2pholeError) -> None:
        """See :class:`~p2phole.session.session.SessionUser`."""
        self._session = None
        if isinstance(error, BadFrame):
            _log.warn("{name}: {error}", name=self.name, error=error)
            # Before anybody wants another connection: it would end as this one does.
            self._owner.offended()
            self.hang_up("protocol")
        elif type(error) is not SessionOver:  # which is that somebody has left, and told of as such
            _log.warn("{name}: {error}", name=self.name, error=error)
            if isinstance(error, GaveUp):
                self.hang_up("dead")  # a link on which the other side has not greeted
        self._peer.use.over(self, error)  # the meeting goes on: there may be another one
