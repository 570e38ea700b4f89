"""Messages between two peers, numbered and acknowledged, across the links that come and go under them.

A session belongs to a pair of running peers.  A link is attached when it is proven and detached
when it is lost; what was not acknowledged is sent again on the next one, and what came twice is
told apart by its number.  No I/O: bytes go out by the link's ``write`` and come in by ``receive``.
"""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Callable
from typing import Protocol as Interface

from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import LoopingCall

from p2phole import __version__
from p2phole.session.frames import HEADER, MOST_PAYLOAD, VERSION, BadFrame, Frame, FrameReader, Kind

TICK = 10.0
"""Seconds between looks at how quiet the link is."""
QUIET = 20.0
"""A link on which nothing came for so many seconds is pinged: home gateways drop idle connections
within minutes (Haetoenen et al., IMC 2010)."""
DEAD = 40.0
"""A link on which nothing came for so many seconds, pings notwithstanding, is dead."""
MOST_PENDING = 4 * 1024 * 1024
"""Bytes not yet acknowledged above which :attr:`Session.full` holds."""
MOST_UNCONSUMED = 2 * MOST_PENDING
"""Bytes that the other side may have sent without our acknowledgement."""

MOST_IDENT = 64
"""Characters in what names a side's session."""


class SessionUser(Interface):
    """Whom a session tells."""

    def received(self, payload: bytes) -> None:
        """A message from the other side, in order, once; :meth:`Session.consumed` is due for it."""

    def acknowledged(self, payload: bytes) -> None:
        """The other side has that message."""

    def drained(self) -> None:
        """The session was full and is no longer."""

    def left(self) -> None:
        """The other side is leaving: close the link."""

    def died(self, why: str) -> None:
        """The link is of no more use (a sentence): close it."""

    def undelivered(self, count: int) -> None:
        """The other side has forgotten this session; so many messages may not have reached it."""


class Session:
    """One pair's messages.  ``ident``: random text that names this side's session."""

    def __init__(self, clock: IReactorTime, ident: str, user: SessionUser) -> None:
        self._clock = clock
        self._ident = ident
        self._user = user
        self._theirs: str | None = None
        self._write: Callable[[bytes], None] | None = None
        self._greeted = False
        self._reader = FrameReader()
        self._pending: deque[bytes] = deque()
        self._pending_bytes = 0
        self._acknowledged = 0
        self._received = 0
        self._unconsumed: deque[int] = deque()
        """Sizes of the messages that were received and not consumed."""
        self._unconsumed_bytes = 0
        self._stale = 0
        """Messages of a session that is over, which the user has still to consume."""
        self._consumed = 0
        self._told = 0
        """What we have acknowledged."""
        self._receiving = False
        self._pinged: int | None = None
        self._heard = 0.0
        self._keep_alive = LoopingCall(self._tick)
        self._keep_alive.clock = clock

    # -- out

    @property
    def full(self) -> bool:
        """Whether so much waits for its acknowledgement that nothing should be added."""
        return self._pending_bytes >= MOST_PENDING

    @property
    def waiting(self) -> bool:
        """Whether there is anything that is not acknowledged."""
        return bool(self._pending)

    def send(self, payload: bytes) -> None:
        """Queue a message; it leaves at once if there is a link.  Raises :class:`ValueError` over 65,520 bytes."""
        if len(payload) > MOST_PAYLOAD:
            raise ValueError(f"a message of {len(payload)} bytes")
        self._pending.append(payload)
        self._pending_bytes += _size(payload)
        if self._greeted:
            self._put(Frame(Kind.DATA, self._acknowledged + len(self._pending), payload))

    def attach(self, write: Callable[[bytes], None]) -> None:
        """A proven link: greet, and once greeted send what was not acknowledged."""
        self.detach()
        self._write = write
        self._reader = FrameReader()
        self._heard = self._clock.seconds()
        self._keep_alive.start(TICK, now=False)
        greeting = {
            "version": VERSION,
            "software": f"p2phole {__version__}",
            "session": self._ident,
            "counted": self._theirs,  # whose messages the frame's number counts
        }
        self._put(Frame(Kind.HELLO, self._consumed, json.dumps(greeting).encode()))
        self._told = self._consumed

    def detach(self) -> None:
        """The link is lost."""
        self._write = None
        self._greeted = False
        if self._keep_alive.running:
            self._keep_alive.stop()

    def say_bye(self) -> None:
        """Tell the other side that this one is leaving for good."""
        self._put(Frame(Kind.BYE))

    def _put(self, frame: Frame) -> None:
        if self._write is not None:
            self._write(frame.encode())

    # -- in

    def receive(self, data: bytes) -> int:
        """Bytes from the link; how many frames these were.  Raises :class:`BadFrame`; then the link is to be
        closed."""
        self._heard = self._clock.seconds()
        self._receiving = True
        self._pinged = None
        try:
            frames = self._reader.feed(data)
            for frame in frames:
                if self._write is None:
                    break  # the user has let go of the link, for a goodbye maybe
                if frame.kind is Kind.HELLO:
                    self._greet(frame)
                elif not self._greeted:
                    raise BadFrame(why="it did not greet")
                else:
                    self._handle(frame)
        finally:
            self._receiving = False
        self._acknowledge()
        if self._pinged is not None:
            # One for all that came in one piece: whoever pings and does not read would fill our memory.
            self._put(Frame(Kind.PONG, self._pinged))
        return len(frames)

    def consumed(self) -> None:
        """The user is done with the oldest message that it had not consumed: only now it counts as
        delivered, so that a user that can't keep up holds back the other side."""
        if self._stale:
            self._stale -= 1
        elif self._unconsumed:
            self._unconsumed_bytes -= self._unconsumed.popleft()
            self._consumed += 1
            self._acknowledge()

    def _acknowledge(self) -> None:
        # One acknowledgement for all that came in one piece.
        if self._greeted and not self._receiving and self._told != self._consumed:
            self._told = self._consumed
            self._put(Frame(Kind.ACK, self._consumed))

    def _handle(self, frame: Frame) -> None:
        if frame.kind is Kind.DATA:
            if frame.number == self._received + 1:
                self._received = frame.number
                self._unconsumed.append(_size(frame.payload))
                self._unconsumed_bytes += _size(frame.payload)
                if self._unconsumed_bytes > MOST_UNCONSUMED:
                    raise BadFrame(why="it sent more than is held for it")
                self._user.received(frame.payload)
            elif frame.number > self._received:
                raise BadFrame(why="a message is missing")
        elif frame.kind is Kind.ACK:
            self._release(frame.number)
        elif frame.kind is Kind.PING:
            self._pinged = frame.number
        elif frame.kind is Kind.BYE:
            self._user.left()

    def _greet(self, frame: Frame) -> None:
        if self._greeted:
            raise BadFrame(why="it greeted twice")
        try:
            greeting = json.loads(frame.payload)
            version, theirs, counted = greeting["version"], greeting["session"], greeting.get("counted")
        except (ValueError, KeyError, TypeError, RecursionError):
            raise BadFrame(why="its greeting makes no sense") from None
        if version != VERSION:
            newer = isinstance(version, int) and version > VERSION
            raise BadFrame(why=f"it speaks another version: update {'this' if newer else 'the other'} side")
        # What we say of it in our next greeting has to fit into that.
        if not isinstance(theirs, str) or len(theirs) > MOST_IDENT:
            raise BadFrame(why="its greeting makes no sense")
        if theirs != self._theirs:
            self._forgotten_by_them()
            self._theirs = theirs
        self._greeted = True
        # Whoever remembers a session that we have forgotten counts what is nothing of this one.
        self._release(frame.number if counted == self._ident else 0)
        for index, payload in enumerate(self._pending):
            self._put(Frame(Kind.DATA, self._acknowledged + 1 + index, payload))

    def _forgotten_by_them(self) -> None:
        if self._theirs is None:
            return
        was_full, lost = self.full, len(self._pending)
        self._pending.clear()
        self._pending_bytes = 0
        self._acknowledged = self._received = self._consumed = self._told = 0
        self._stale += len(self._unconsumed)
        self._unconsumed.clear()
        self._unconsumed_bytes = 0
        if lost:
            self._user.undelivered(lost)
        if was_full:
            self._user.drained()

    def _release(self, number: int) -> None:
        if not self._acknowledged <= number <= self._acknowledged + len(self._pending):
            raise BadFrame(why="it acknowledged what was never sent")
        was_full = self.full
        while self._acknowledged < number:
            payload = self._pending.popleft()
            self._pending_bytes -= _size(payload)
            self._acknowledged += 1
            self._user.acknowledged(payload)
        if was_full and not self.full:
            self._user.drained()

    def _tick(self) -> None:
        quiet = self._clock.seconds() - self._heard
        if quiet >= DEAD:
            self._user.died(f"nothing came from the other side for {int(quiet)} s")
        elif quiet >= QUIET - TICK / 2:
            self._put(Frame(Kind.PING))


def _size(payload: bytes) -> int:
    """What a message counts for: an empty one takes room as well."""
    return HEADER.size + len(payload)
