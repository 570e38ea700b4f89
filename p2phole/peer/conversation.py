"""What this peer has with one proven member: a session, and the links that come and go under it."""

from __future__ import annotations

from collections.abc import Sequence, Set
from typing import Protocol as Interface

from twisted.internet.interfaces import IReactorTime

from p2phole import events
from p2phole.addresses import Endpoint, IPAddress
from p2phole.errors import P2pholeError
from p2phole.peer.proven_link import ProvenLink
from p2phole.peer.telling import Telling
from p2phole.peer.trust import Trust
from p2phole.peer.use import Path, Use
from p2phole.punch.attempt import Success
from p2phole.secure.channel import SecureLink
from p2phole.secure.roles import Identity
from p2phole.session.errors import GaveUp, SessionOver
from p2phole.session.frames import BadFrame
from p2phole.session.link import attach
from p2phole.session.pool import Pools
from p2phole.session.session import Session


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


class Conversation:
    """See above; a :class:`~p2phole.peer.use.Partner`.  ``claimed`` is what the other side calls itself."""

    def __init__(self, peer: Surroundings, owner: Owner, theirs: Identity, claimed: str) -> None:
        self.claimed = claimed
        self.name = peer.trust.people.shown(claimed, theirs.fingerprint)
        self.telling = Telling(peer.events, self)
        self._cut_off_since: float | None = None
        """Since when nothing gets through, whatever links there were."""
        self._peer = peer
        self._owner = owner
        self._theirs = theirs
        self._session: Session | None = None
        self._newest: ProvenLink | None = None
        self._links: list[ProvenLink] = []
        """That one last; those before stay until the other side has greeted on it."""
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
        return self._newest.path if self._newest is not None else None

    # -- what its encounter does

    @property
    def link(self) -> SecureLink | None:
        """The newest one."""
        return self._newest.link if self._newest is not None else None

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
        return self._newest is not None and self._newest.suspect_since is None

    def attach(self, success: Success, seconds: float, attempts: int) -> None:
        """There is a new link; seconds since the introduction, starts that it took."""
        peer, link = self._peer, success.link
        was_linked = self._newest is not None
        if was_linked:
            self.telling.gone("replaced")
        new = ProvenLink(peer.clock, success, seconds, attempts, self._doubted, self._lives)
        self._links.append(new)
        self._use(new)
        new.watch()
        if self._session is None:
            leads = peer.mine > self._theirs
            self._session = Session(peer.clock, peer.session_ident(), leads, self, peer.pools, peer.resume_for)
            peer.use.met(self)
            if self._session is None:  # whoever runs on it has left at once
                self.hang_up("left", for_good=True)
                return
        assert link.transport is not None
        attachment = new.attachment = attach(self._session, link.transport, link.channel.drop)
        link.receiver = attachment.receive
        link.ended = lambda reason: self._ended(new)
        if not was_linked:
            peer.use.linked(self)
        if success.rest:
            attachment.receive(success.rest)

    def _use(self, link: ProvenLink) -> None:
        """This is the link from now on."""
        self._newest = link
        self.telling.connected(link.success, link.seconds, link.attempts)

    def suspect(self) -> None:
        """The path under the link may be dead."""
        if self._newest is not None:
            self._newest.suspect()

    def _doubted(self, link: ProvenLink) -> None:
        if link is self._newest:
            if self._cut_off_since is None:
                self._cut_off_since = link.suspect_since
            self.telling.doubted()
            self._owner.suspected()

    def probe(self) -> None:
        """See to it that something is due on the link, so that it is soon known whether it lives."""
        if self._newest is not None and self._session is not None:
            self._session.probe()

    def make_way(self, endpoints: Sequence[Endpoint], here: Set[IPAddress]) -> None:
        """These are about to be dialled; ``here``: this machine's addresses.

        There can't be two connections with the same ends: where the new one will have those of one that is
        doubtful, the doubtful one goes first.  Else it stays until the new one is proven.
        """
        path = self.path
        if path is None or path.remote not in endpoints or path.local.ip not in here:
            return
        if not self.is_healthy:
            for each in self._links:
                each.link.channel.drop_unheard()
            self.hang_up("lost")
        else:
            self.probe()  # the other side may know more than this one

    def _lives(self) -> None:
        self._cut_off_since = None

    def leave(self) -> None:
        """Say goodbye; the other side closes the link."""
        self._leaving = True
        if self._session is not None:
            self._session.say_bye()

    def hang_up(self, reason: str, for_good: bool = False) -> None:
        """Let go of the link; a word of the ``disconnected`` event."""
        if self._newest is None:
            return
        links, self._links, self._newest = self._links, [], None
        for each in links:
            each.let_go()
        self.telling.disconnected(reason)
        self._peer.use.unlinked(self)
        self._owner.parted(for_good)

    def _ended(self, gone: ProvenLink) -> None:
        older = [each for each in self._links if each is not gone and not each.is_over]
        if gone is self._newest and not older:
            # Who reads our goodbye closes at once.
            if self._leaving:
                self.left()
            else:
                self.hang_up("lost")
            return
        self._links.remove(gone)
        gone.let_go()
        if gone is self._newest:
            # It ended before the other side had greeted on it, and the one before is as good as it was.
            self.telling.gone("lost")
            self._use(older[-1])
            if older[-1].suspect_since is not None:
                self._doubted(older[-1])

    # -- SessionUser

    def left(self) -> None:
        """See :class:`~p2phole.session.session.SessionUser`."""
        self._peer.trust.parted(self._theirs)
        self.hang_up("left", for_good=True)

    def died(self, why: str) -> None:
        """See :class:`~p2phole.session.session.SessionUser`."""
        self.telling.died(why)
        self.hang_up("dead")

    def resumed(self, seconds: float) -> None:
        """See :class:`~p2phole.session.session.SessionUser`."""
        since, self._cut_off_since = self._cut_off_since, None
        if since is not None:  # there was a link, but nothing got through
            seconds = max(seconds, self._peer.clock.seconds() - since)
        self.telling.resumed(seconds)

    def over(self, error: P2pholeError) -> None:
        """See :class:`~p2phole.session.session.SessionUser`."""
        self._session = self._cut_off_since = None
        if type(error) is not SessionOver:  # which is that somebody has left, and told of as such
            self.telling.broken(error)
        if isinstance(error, BadFrame):
            # Before anybody wants another connection: it would end as this one does.
            self._owner.offended()
            self.hang_up("protocol")
        elif isinstance(error, GaveUp):
            self.hang_up("dead")  # a link on which the other side has not greeted
        self._peer.use.over(self, error)  # the meeting goes on: there may be another one
