"""One peer's connection to the broker, as a machine: *fresh*, *greeted*, *member*, *over*."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol as Interface

from automat import TypeMachineBuilder

from p2phole import __version__
from p2phole.broker.admission import Admission
from p2phole.broker.directory import Profile
from p2phole.broker.introduction import Introductions
from p2phole.broker.line import Announcement, Line
from p2phole.wire.codec import BadLine
from p2phole.wire.messages import (
    PROTOCOL_VERSION,
    DialBack,
    Error,
    Hello,
    Letter,
    Ping,
    Pong,
    Register,
    Registered,
    Request,
    ToPeer,
    Update,
    Welcome,
)

SOFTWARE = f"p2phole {__version__}"
SAMPLES = 4
"""Round trips remembered; the shortest counts, since all that lengthens one is waiting somewhere."""
STALE = 30.0
"""Seconds after which a round trip is measured anew, behind an introduction."""


class Session(Interface):
    """What can happen on a connection."""

    def hello(self, message: Hello) -> None:
        """The peer's first message."""

    def register(self, message: Register) -> None:
        """The peer wants to be in a room."""

    def update(self, message: Update) -> None:
        """The peer knows more of itself."""

    def request(self, message: Request) -> None:
        """The peer wants another introduction."""

    def letter(self, message: Letter) -> None:
        """The peer writes to another member."""

    def dial_back(self, message: DialBack) -> None:
        """The peer wants to know what is let in to it."""

    def pong(self, message: Pong) -> None:
        """The peer has answered a ping."""

    def garbage(self, problem: BadLine) -> None:
        """What came is no message, or is not allowed now."""

    def replaced(self) -> None:
        """The same member came by another connection."""

    def lost(self) -> None:
        """The connection is gone."""


@dataclass(eq=False)
class Peer:
    """A connection's data; in a room, it is the :class:`~p2phole.broker.directory.Member`.

    ``nonce``: 32 random hexadecimal digits.
    """

    line: Line
    introductions: Introductions
    admission: Admission
    announcement: Announcement
    nonce: str
    seconds: Callable[[], float]
    profile: Profile = field(init=False)
    linked: set[str] = field(default_factory=set)
    machine: Session = field(init=False)
    trips: list[float] = field(default_factory=list)
    asked_at: float = 0.0
    pings: int = 0
    dialled_back: bool = False

    @property
    def round_trip(self) -> float:
        """See :class:`~p2phole.broker.directory.Member`."""
        return min(self.trips, default=0.0)

    def tell(self, message: ToPeer) -> None:
        """See :class:`~p2phole.broker.directory.Member`."""
        self.line.send(message)
        if self.seconds() - self.asked_at > STALE:
            self.ping()

    def replaced(self) -> None:
        """See :class:`~p2phole.broker.directory.Member`."""
        self.machine.replaced()

    def ping(self) -> None:
        """Measure the round trip."""
        self.pings += 1
        self.asked_at = self.seconds()
        self.line.send(Ping(self.pings))

    def answered(self) -> None:
        """The answer to the last question has come."""
        self.trips = [*self.trips[1 - SAMPLES :], self.seconds() - self.asked_at]

    def learn(self, said: Update | Request) -> None:
        """Replace what the peer said of itself before."""
        self.profile.candidates, self.profile.nat, self.profile.prepare = said.candidates, said.nat, said.prepare

    def expired(self) -> None:
        """See :class:`~p2phole.broker.directory.Member`."""
        self.machine.garbage(BadLine("expired", "the invitation is out of date: ask for a new one"))

    def leave(self) -> None:
        """Be in the room no more."""
        if self.introductions.left(self):
            self.admission.left(self.profile)

    def refuse(self, problem: BadLine) -> None:
        """Say what was wrong, and close."""
        self.line.send(Error(problem.code, problem.detail, problem.retry))
        self.line.close()


def _build() -> Callable[[Peer], Session]:
    builder = TypeMachineBuilder(Session, Peer)
    fresh = builder.state("fresh")
    greeted = builder.state("greeted")
    member = builder.state("member")
    over = builder.state("over")

    @fresh.upon(Session.hello).to(greeted)
    def hello(session: Session, peer: Peer, message: Hello) -> None:
        peer.asked_at = peer.seconds()
        port, address = peer.announcement.probe_port, peer.announcement.probe_address
        peer.line.send(Welcome(PROTOCOL_VERSION, SOFTWARE, peer.line.observed, peer.nonce, port, address))

    @greeted.upon(Session.register).to(member)
    def register(session: Session, peer: Peer, message: Register) -> None:
        peer.answered()
        peer.profile = Profile(
            name=message.name,
            room=message.room,
            fingerprint=message.fingerprint,
            instance=message.instance,
            observed=peer.line.observed,
            candidates=message.candidates,
            nat=message.nat,
            prepare=message.prepare,
            space=message.space,
        )
        try:
            room = peer.admission.enter(message, peer.nonce, peer.profile.observed.ip)
        except BadLine as problem:
            session.garbage(problem)
            return
        peer.profile.room = room
        peer.linked = set(message.linked)
        peer.line.send(Registered(room))
        # The first round trip may have been spent on making a key: measure one more.
        peer.ping()
        peer.introductions.arrived(peer)

    @member.upon(Session.update).loop()
    def update(session: Session, peer: Peer, message: Update) -> None:
        peer.learn(message)

    @member.upon(Session.request).loop()
    def request(session: Session, peer: Peer, message: Request) -> None:
        peer.learn(message)
        try:
            peer.admission.request(peer.profile, message)
        except BadLine as problem:
            session.garbage(problem)
            return
        peer.introductions.requested(peer, message.instance, message.fingerprint)

    @member.upon(Session.letter).loop()
    def letter(session: Session, peer: Peer, message: Letter) -> None:
        peer.introductions.letter(peer, message)

    @member.upon(Session.dial_back).loop()
    def dial_back(session: Session, peer: Peer, message: DialBack) -> None:
        if not peer.dialled_back:
            peer.dialled_back = True  # once for each connection: a peer that wants more can connect anew
            peer.line.dial_back()

    @member.upon(Session.pong).loop()
    def pong(session: Session, peer: Peer, message: Pong) -> None:
        if message.number == peer.pings:
            peer.answered()
            peer.pings += 1  # so that a second answer to the same question is none

    @fresh.upon(Session.garbage).to(over)
    @greeted.upon(Session.garbage).to(over)
    def garbage_from_stranger(session: Session, peer: Peer, problem: BadLine) -> None:
        peer.refuse(problem)

    @member.upon(Session.garbage).to(over)
    def garbage_from_member(session: Session, peer: Peer, problem: BadLine) -> None:
        peer.leave()
        peer.refuse(problem)

    @member.upon(Session.replaced).to(over)
    def replaced(session: Session, peer: Peer) -> None:
        peer.refuse(BadLine("replaced", "the same peer has registered by another connection"))

    @member.upon(Session.lost).to(over)
    def lost(session: Session, peer: Peer) -> None:
        peer.leave()

    fresh.upon(Session.lost).to(over).returns(None)
    greeted.upon(Session.lost).to(over).returns(None)
    over.upon(Session.lost).loop().returns(None)
    return builder.build()


_machine = _build()


def session(peer: Peer) -> Session:
    """The machine of one connection.  An input that the state does not allow raises automat's NoTransition."""
    peer.machine = _machine(peer)
    return peer.machine
