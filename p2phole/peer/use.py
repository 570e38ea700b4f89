"""What the connections of a peer are for: the two interfaces between a peer and whatever runs on it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol as Interface

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime

from p2phole import events
from p2phole.addresses import Endpoint, is_loopback, is_private
from p2phole.errors import LocalError, P2pholeError
from p2phole.session.session import Session


@dataclass(frozen=True, slots=True)
class Path:
    """The link that is used: both ends as this side sees them, and how it was found (``candidate`` as in the
    ``connected`` event).  ``round_trip``: seconds as the kernel measures them; None: it does not tell."""

    local: Endpoint
    remote: Endpoint
    candidate: str
    round_trip: float | None

    @property
    def kind(self) -> str:
        """In a word for people: ``direct``, ``lan``, ``ipv6`` or ``relayed``."""
        if self.candidate == "relay":
            return "relayed"
        ip = self.remote.ip
        if is_private(ip) or is_loopback(ip):
            return "lan"
        return "ipv6" if ip.version == 6 else "direct"


@dataclass(frozen=True, slots=True)
class Standing:
    """How this peer is known at the broker: its own ``fingerprint``, the ``room``, and whether it is there now."""

    fingerprint: str
    room: str
    registered: bool


class Partner(Interface):
    """Another member of the room, proven; one for each running peer, so a restarted one is another one."""

    @property
    def name(self) -> str:
        """What it is called here; two may have one name."""

    @property
    def fingerprint(self) -> str:
        """Of its key."""

    @property
    def instance(self) -> str:
        """Random text that it has drawn at its start."""

    @property
    def authenticated(self) -> str:
        """How it is proven, as in the ``connected`` event: ``secret``, ``pinned`` or ``tofu``."""

    @property
    def session(self) -> Session:
        """The one that :meth:`Use.met` was called for last."""

    @property
    def path(self) -> Path | None:
        """How it is reached now; None: not at all, the session waits."""


class Host(Interface):
    """The peer, as a use sees it."""

    clock: IReactorTime
    events: events.EventSink

    @property
    def partners(self) -> Sequence[Partner]:
        """All with whom there is a session, linked or waiting, the oldest one first."""

    @property
    def standing(self) -> Standing:
        """With the broker."""

    def label(self, partner: Partner) -> str:
        """The partner's name, and where two have the same one, which of them."""

    def fail(self, error: LocalError) -> None:
        """It can't go on: the process tells the user why, and ends with status 1."""

    def finish(self) -> None:
        """All is done: the peer says goodbye, and the process ends with status 0."""


class Use(Interface):
    """What a peer tells whatever runs on it.  Everything is called in the reactor's thread."""

    def start(self, host: Host) -> None:
        """The peer has started."""

    def met(self, partner: Partner) -> None:
        """A session with this one begins, over a link that is proven: offer purposes on ``partner.session``, and
        open streams.  Called again if that session is over and another one begins."""

    def linked(self, partner: Partner) -> None:
        """There is a link, the first one or after :meth:`unlinked`; behind :meth:`met`."""

    def unlinked(self, partner: Partner) -> None:
        """There is none any more; the session waits for the next, and what is written to its streams waits."""

    def over(self, partner: Partner, error: P2pholeError) -> None:
        """The session is over for good, and why: :class:`~p2phole.session.errors.SessionOver` when the other side
        has left in good order.  Its streams are told by themselves."""

    def stop(self) -> Deferred[None] | None:
        """The peer is about to leave; it waits for the result, for some seconds at the most."""


class Idle:
    """A use that does nothing about anything, to start from."""

    def start(self, host: Host) -> None:
        """See :class:`Use`."""

    def met(self, partner: Partner) -> None:
        """See :class:`Use`."""

    def linked(self, partner: Partner) -> None:
        """See :class:`Use`."""

    def unlinked(self, partner: Partner) -> None:
        """See :class:`Use`."""

    def over(self, partner: Partner, error: P2pholeError) -> None:
        """See :class:`Use`."""

    def stop(self) -> Deferred[None] | None:
        """See :class:`Use`."""
        return None
