"""For tests of programs that run on p2phole: two peers in memory, joined by a real session.

No running reactor, no sockets, no broker, no keys; time is a :class:`~twisted.internet.task.Clock`, and nothing
moves before the test says so.  An example is in ``docs/endpoints.md``.
"""

from __future__ import annotations

import hashlib
from typing import ClassVar

from twisted.internet.interfaces import IStreamClientEndpoint, IStreamServerEndpoint
from twisted.internet.task import Clock

from p2phole.addresses import Endpoint
from p2phole.endpoints.client import CallingEndpoint
from p2phole.endpoints.options import TIMEOUT, purpose
from p2phole.endpoints.server import AnsweringEndpoint
from p2phole.endpoints.switchboard import Switchboard
from p2phole.errors import P2pholeError
from p2phole.events import Registered
from p2phole.peer.settings import RESUME_FOR
from p2phole.peer.use import Path
from p2phole.session.attachment import Attachment
from p2phole.session.peer_address import PeerAddress
from p2phole.session.pool import Pools
from p2phole.session.session import Session

__all__ = ["MemoryPair", "MemoryPeer", "NeverQuiet"]

ROOM = 65_536
"""Bytes that are under way in one direction before the sender is told to wait, as with a socket."""
STEP = 0.025
"""Seconds that pass at each step of :meth:`MemoryPair.flush`: what a session delays is due by then."""
MOST_STEPS = 100_000


class NeverQuiet(P2pholeError):
    """After {steps} steps there still is something under way: a program that never stops writing needs pump()."""


class MemoryPair:
    """Two peers, :attr:`alice` and :attr:`bob`, who have met; a session between them, and a link that can be cut.

    ``resume_for``: seconds without a link after which the session is given up.
    """

    def __init__(self, clock: Clock | None = None, resume_for: float = RESUME_FOR) -> None:
        self.clock = Clock() if clock is None else clock
        self.alice = MemoryPeer(self, "alice")
        self.bob = MemoryPeer(self, "bob")
        self._resume_for = resume_for
        self._sessions = 0
        self._others = (
            _Other(self, self.alice, PeerAddress("bob", self.bob.address.fingerprint, "secret")),
            _Other(self, self.bob, PeerAddress("alice", self.alice.address.fingerprint, "secret")),
        )
        self.join()
        self.flush()

    # -- what moves

    def pump(self, most: int | None = None) -> int:
        """Deliver what is under way, up to so many bytes in each direction; how many there were.  No time passes,
        but what is to be done in the next turn of a reactor is done."""
        moved = 0
        for sender, receiver in (self._others, self._others[::-1]):
            if sender.wire is not None and receiver.wire is not None:
                data = sender.wire.take(most)
                moved += len(data)
                if data:
                    receiver.wire.attachment.receive(data)
        self.clock.advance(0)
        return moved

    def flush(self) -> None:
        """Deliver until nothing more is under way on its own account.  A little time passes, so that whatever was
        delayed by some milliseconds comes, too.  Raises :class:`NeverQuiet`."""
        quiet = 0
        for _ in range(MOST_STEPS):
            quiet = 0 if self.pump() else quiet + 1
            if quiet > 2:
                return
            self.clock.advance(STEP)
        raise NeverQuiet(steps=MOST_STEPS)

    # -- the link

    @property
    def is_joined(self) -> bool:
        """Whether there is a link."""
        return all(other.wire is not None for other in self._others)

    def cut(self) -> None:
        """The link is lost, with what is under way; the session waits for another one."""
        for other in self._others:
            other.unlink()

    def join(self) -> None:
        """There is a link, a new one if there was one: the session goes on, or begins if there is none."""
        self._sessions += 1
        for number, other in enumerate(self._others):
            other.unlink()
            other.begin(f"{self._sessions}.{number}", leads=not number, resume_for=self._resume_for)
        for other in self._others:
            other.link()

    def leave(self, peer: MemoryPeer) -> None:
        """That one says goodbye, as a process that is stopped; :meth:`flush` brings it to the other one."""
        for other in self._others:
            if other.peer is peer and other.is_open:
                other.session.say_bye()


class MemoryPeer:
    """One of a pair: where its endpoints come from."""

    def __init__(self, pair: MemoryPair, name: str) -> None:
        self.pair = pair
        self.address = PeerAddress(name, hashlib.sha256(name.encode()).hexdigest())
        """What ``transport.getHost()`` is for its protocols."""
        self.board = Switchboard(pair.clock)
        self.board.emit(Registered("lobby", name, self.address.fingerprint, "", ""))

    def client(self, service: str = "", timeout: float = TIMEOUT) -> IStreamClientEndpoint:
        """An endpoint that connects to the other one of the pair.  Raises :class:`ValueError`."""
        pair = self.pair
        other = pair.bob if self is pair.alice else pair.alice
        return CallingEndpoint(self._held, other.address.name, purpose(service), timeout)

    def server(self, service: str = "") -> IStreamServerEndpoint:
        """An endpoint that the other one's connect to.  Raises :class:`ValueError`."""
        return AnsweringEndpoint(self._held, self.address.name, purpose(service))

    def _held(self) -> Switchboard:
        self.board.hold()
        return self.board


class _Wire:
    """One end of the link: a link of the session, and what was written to it and is under way."""

    def __init__(self, pair: MemoryPair, session: Session) -> None:
        self._pair = pair
        self._under_way = bytearray()
        self.attachment: Attachment = session.attach(self)

    def write(self, data: bytes) -> None:
        """See :class:`~p2phole.session.upper.Link`."""
        self._under_way += data
        if len(self._under_way) >= ROOM:
            self.attachment.block()

    def pause(self) -> None:
        """See :class:`~p2phole.session.upper.Link`."""

    def resume(self) -> None:
        """See :class:`~p2phole.session.upper.Link`."""

    def close(self) -> None:
        """See :class:`~p2phole.session.upper.Link`."""
        self._pair.cut()

    def take(self, most: int | None) -> bytes:
        """What arrives at the other end now."""
        size = len(self._under_way) if most is None else most
        data = bytes(self._under_way[:size])
        del self._under_way[:size]
        if self.attachment.blocked and len(self._under_way) < ROOM:
            self.attachment.unblock()
        return data


class _Other:
    """The other one, as a peer of the pair sees it: a :class:`~p2phole.peer.use.Partner`."""

    _PATH: ClassVar[Path] = Path(Endpoint.make("192.0.2.1", 1), Endpoint.make("192.0.2.2", 1), "host", None)

    def __init__(self, pair: MemoryPair, peer: MemoryPeer, address: PeerAddress) -> None:
        self.peer = peer
        self.wire: _Wire | None = None
        self.name, self.fingerprint, self.authenticated = address.name, address.fingerprint, address.authenticated
        self.instance = address.fingerprint[:32]
        self._pair = pair
        self._session: Session | None = None
        self._pools = Pools()

    @property
    def is_open(self) -> bool:
        """Whether there is a session."""
        return self._session is not None

    @property
    def session(self) -> Session:
        """See :class:`~p2phole.peer.use.Partner`."""
        assert self._session is not None
        return self._session

    @property
    def path(self) -> Path | None:
        """See :class:`~p2phole.peer.use.Partner`."""
        return self._PATH if self.wire is not None else None

    def begin(self, ident: str, leads: bool, resume_for: float) -> None:
        """Have a session, if there is none."""
        if self._session is None:
            self._session = Session(self._pair.clock, ident, leads, self, self._pools, resume_for)
            self.peer.board.met(self)

    def link(self) -> None:
        """There is a link."""
        self.wire = _Wire(self._pair, self.session)
        self.peer.board.linked(self)

    def unlink(self) -> None:
        """There is none any more."""
        wire, self.wire = self.wire, None
        if wire is not None:
            wire.attachment.lost()
            self.peer.board.unlinked(self)

    # -- see SessionUser

    def left(self) -> None:
        """See :class:`~p2phole.session.session.SessionUser`."""
        self._pair.cut()

    def died(self, why: str) -> None:
        """See :class:`~p2phole.session.session.SessionUser`."""
        self._pair.cut()

    def resumed(self, seconds: float) -> None:
        """See :class:`~p2phole.session.session.SessionUser`."""

    def over(self, error: P2pholeError) -> None:
        """See :class:`~p2phole.session.session.SessionUser`."""
        self._session = None
        self._pair.cut()
        self.peer.board.over(self, error)
