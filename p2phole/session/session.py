"""Many streams between two peers, over the links that come and go under them.

A session belongs to a pair of running peers, both proven.  A link is attached when it is proven.  Frames are
numbered over the whole session; what was not acknowledged is sent again on the next link, and what came
twice is told apart by its number.  No I/O: see :mod:`~p2phole.session.attachment`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol as Interface

from twisted.internet.interfaces import IDelayedCall, IReactorTime

from p2phole.errors import P2pholeError
from p2phole.session.attachment import Attachment
from p2phole.session.errors import Forgotten, SessionOver
from p2phole.session.frames import HEADER, BadFrame, Frame, Kind
from p2phole.session.greeting import Greeting, read_greeting
from p2phole.session.interfaces import StreamUser
from p2phole.session.life import Links, life
from p2phole.session.pool import Pools
from p2phole.session.sender import Sender
from p2phole.session.streams import Stream
from p2phole.session.table import Handler, Table
from p2phole.session.upper import Link, Tally

ACK_DELAY = 0.02
"""Seconds until the other side hears what has come, if nothing tells it earlier."""


class SessionUser(Interface):
    """Whom a session tells."""

    def left(self) -> None:
        """The other side is leaving: close the link."""

    def died(self, why: str) -> None:
        """The link is of no more use (a sentence): close it."""

    def resumed(self, seconds: float) -> None:
        """The session goes on over a new link, after so many seconds without one; nothing was lost."""

    def over(self, error: P2pholeError) -> None:
        """The session is over, for good; its streams are told next."""


class Session:
    """One pair's session.

    ``ident``: random text that names this side's session.  ``leads``: true on exactly one of the two sides; its
    streams have odd numbers.  ``resume_for``: seconds without a link until it is given up.
    """

    def __init__(
        self,
        clock: IReactorTime,
        ident: str,
        leads: bool,
        user: SessionUser,
        pools: Pools,
        resume_for: float,
    ) -> None:
        self.tally = Tally()
        self.leads = leads
        """Whether this side does what only one of the two is to do."""
        self._clock = clock
        self._ident = ident
        self._user = user
        self._theirs: str | None = None
        self._links = Links(self, clock, resume_for)
        self._life = life(self._links)
        self._sender = Sender(pools.kept)
        self._table = Table(self._sender, pools.unread, leads, self._soon)
        self._later: IDelayedCall | None = None
        self._progress = clock.seconds()
        """When the other side acknowledged something last, or something became due that had not been."""
        self._error: P2pholeError | None = None
        self._leaving = False
        self._heard: list[Callable[[], None]] = []
        """Who waits until the other side has acknowledged everything."""

    # -- what its user does

    def offer(self, purpose: str, handler: Handler) -> None:
        """Let the other side open streams for this, from now on.  Raises :class:`ValueError`: no purpose."""
        self._table.offer(purpose, handler)

    def withdraw(self, purpose: str) -> None:
        """Offer it no longer; streams that are open stay."""
        self._table.withdraw(purpose)

    def open(self, purpose: str, user: StreamUser, argument: bytes = b"") -> Stream:
        """Open a stream; it may be written to at once, and waits for a link.  Where the other side does not
        offer this, it ends.  Raises :class:`SessionOver`, :class:`ValueError` (no purpose, over 4,096 bytes)."""
        if self._error is not None:
            raise SessionOver(why=str(self._error))
        return self._table.open(purpose, user, argument)

    @property
    def streams(self) -> int:
        """How many are open, either side's."""
        return len(self._table)

    def attach(self, link: Link) -> Attachment:
        """A proven link.  One that is in use stays in use until the other side has greeted on this one."""
        attachment = Attachment(self._clock, link, self)
        self._life.attached(attachment)
        if self._theirs is None and not attachment.over:
            # The other side can have missed nothing yet, so what is offered need not wait for its greeting: that
            # saves a round trip before the first byte of a stream.
            self._sender.use(attachment)
            self._sender.pump()
        return attachment

    def probe(self) -> None:
        """Have the other side say something on the link."""
        if self._links.current is not None:
            self._links.current.probe()

    def when_acknowledged(self, callback: Callable[[], None]) -> None:
        """Call this once, when the other side has acknowledged all that was sent or the session is over; perhaps
        at once."""
        self._heard.append(callback)
        self._tell_heard()

    def _tell_heard(self) -> None:
        if self._heard and not len(self._sender.kept):
            heard, self._heard = self._heard, []
            for callback in heard:
                callback()

    def say_bye(self) -> None:
        """Tell the other side that this one is leaving for good; it will close the link."""
        self._leaving = True
        links = [link for link in (self._links.current, self._links.newest) if link is not None]
        if not links:
            self.end(SessionOver(why="this side has left"))
            return
        self._sender.hold(False)  # what was written before goes first
        self._flush()
        for attachment in links:
            # Where it would overtake something, it is said when that has been sent again: see use().
            if not self._sender.would_overtake(attachment):
                attachment.write(Frame(Kind.BYE).encode())

    def end(self, error: P2pholeError) -> None:
        """It is over, on this side; the link is to be closed."""
        self._life.ended(error)

    # -- see Upper, of the attachment

    @property
    def received(self) -> int:
        """See :class:`~p2phole.session.upper.Upper`."""
        return self._sender.received

    def greeting(self) -> bytes:
        """See :class:`~p2phole.session.upper.Upper`."""
        return Greeting(self._ident, self._theirs).encode()

    def greeted(self, attachment: Attachment, frame: Frame) -> int:
        """See :class:`~p2phole.session.upper.Upper`."""
        greeting = read_greeting(frame.payload)
        if greeting.session != self._theirs:
            if self._theirs is not None:
                self._forget(attachment)
            self._theirs = greeting.session
            # Whoever remembers a session that we have forgotten counts what is nothing of this one.
            number = frame.number if greeting.resumes == self._ident else 0
        elif greeting.resumes == self._ident or (greeting.resumes is None and not frame.number):
            number = frame.number
        else:
            raise BadFrame(why="it resumes a session that is not this one")
        self.acknowledged(number)
        self._progress = self._clock.seconds()
        self._life.greeted()
        return number

    def handle(self, frame: Frame) -> None:
        """See :class:`~p2phole.session.upper.Upper`."""
        due = self._sender.received + 1
        if frame.number > due:
            raise BadFrame(why="a frame is missing")
        if frame.number == due:
            self._sender.came(HEADER.size + len(frame.payload))
            self._table.receive(frame)

    def acknowledged(self, number: int) -> None:
        """See :class:`~p2phole.session.upper.Upper`."""
        # With two links at a time, what one says may be older than what the other one has said.
        if number > self._sender.kept.acknowledged:
            self._sender.kept.release(number)
            self._progress = self._clock.seconds()
            self._tell_heard()

    def due_since(self) -> float | None:
        """See :class:`~p2phole.session.upper.Upper`."""
        if not len(self._sender.kept):
            self._progress = self._clock.seconds()
            return None
        return self._progress

    def goodbye(self) -> None:
        """See :class:`~p2phole.session.upper.Upper`."""
        self._life.ended(SessionOver(why="the other side has left"))
        self._user.left()

    def receiving(self, busy: bool) -> None:
        """See :class:`~p2phole.session.upper.Upper`."""
        self._sender.hold(busy)
        current = self._links.current
        if not busy and current is not None and current.told != self._sender.received:
            self._soon()

    def broken(self, error: BadFrame) -> None:
        """See :class:`~p2phole.session.upper.Upper`."""
        self._life.ended(error)

    def died(self, attachment: Attachment, why: str) -> None:
        """See :class:`~p2phole.session.upper.Upper`."""
        spare = self._links.current is not None and self._links.newest is not None
        attachment.fail()
        if not spare:
            self._user.died(why)

    def lost(self, attachment: Attachment) -> None:
        """See :class:`~p2phole.session.upper.Upper`."""
        if attachment is self._links.newest:
            self._life.lost_newest()
            if self._links.current is None:
                self._sender.use(None)
        elif attachment is self._links.current:
            self._life.lost_current()
        if self._leaving and self._links.current is self._links.newest is None:
            self.end(SessionOver(why="this side has left"))

    def pump(self) -> None:
        """See :class:`~p2phole.session.upper.Upper`."""
        self._sender.pump()

    # -- see Actions, of its life

    def use(self, attachment: Attachment | None) -> None:
        """See :class:`~p2phole.session.life.Actions`."""
        self._sender.use(attachment)
        if attachment is None:
            self._stop_later()
        elif self._leaving:
            self.say_bye()  # on the link before it may have come too late: the other side closes that one
        else:
            self._sender.pump()

    def is_back(self, seconds: float) -> None:
        """See :class:`~p2phole.session.life.Actions`."""
        self._user.resumed(seconds)

    def is_over(self, error: P2pholeError) -> None:
        """See :class:`~p2phole.session.life.Actions`."""
        self._error = error
        self._stop_later()
        self._sender.forget()
        self._user.over(error)
        self._table.over(error)
        self._tell_heard()

    # -- inside

    def _forget(self, attachment: Attachment) -> None:
        """The other side was started anew: what we had greeted with counts nothing of what begins now."""
        attachment.told = 0
        self._sender.forget()
        self._table.forgotten(Forgotten())

    def _soon(self) -> None:
        if self._later is None and self._links.current is not None:
            self._later = self._clock.callLater(ACK_DELAY, self._flush)

    def _flush(self) -> None:
        self._stop_later()
        self._sender.acknowledge = True
        self._table.tell_consumed()
        self._sender.pump()

    def _stop_later(self) -> None:
        later, self._later = self._later, None
        if later is not None and later.active():
            later.cancel()
