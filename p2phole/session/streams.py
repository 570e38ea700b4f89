"""One stream: bytes in both directions, each with its own credit, half-close, and two ways to end.

A stream makes its frames only when the session can send them (:meth:`Stream.next_urgent`,
:meth:`Stream.next_data`): until then everything is state, and state does not grow.
"""

from __future__ import annotations

from collections import deque

from p2phole.errors import P2pholeError
from p2phole.session.errors import Aborted, GivenUp, Refused
from p2phole.session.frames import CREDIT, MOST_WHY, WAITING, BadFrame, Frame, Kind
from p2phole.session.halves import INITIAL_WINDOW
from p2phole.session.incoming import Incoming
from p2phole.session.interfaces import Board, StreamUser
from p2phole.session.outgoing import Item, Outgoing
from p2phole.text import harmless


class Stream:
    """One stream of a session.  ``mine``: opened by this side, with ``user``; else :meth:`accept` names one."""

    def __init__(
        self, board: Board, purpose: str, argument: bytes, mine: bool, user: StreamUser | None = None
    ) -> None:
        self.purpose = purpose
        self.argument = argument
        self.mine = mine
        self.ident = 0
        """0 as long as it waits to be opened."""
        self.user = user
        self.queued_urgent = self.queued_ready = False
        self._board = board
        self._out = Outgoing(self)
        self._in = Incoming(board, self)
        self._sent, self._came = self._out.direction.flow, self._in.direction.flow
        self._due: deque[Kind] = deque([Kind.OPEN] if mine else [])
        self._why = b""
        self._closing = self._told = self._reset_came = self._taken_sent = False
        self._broken = False
        """Whether RESET was sent, or is to be."""
        self._dead = False
        """Whether both sides have sent their last frame on it, or the session is over."""
        self._error: P2pholeError | None = None

    # -- what its user does

    @property
    def over(self) -> bool:
        """Whether the user was told that it ended."""
        return self._told

    @property
    def waiting(self) -> int:
        """Bytes that were written and not sent yet."""
        return self._out.waiting

    @property
    def has_more(self) -> bool:
        """Whether there may be another frame with data."""
        return self._out.has_more

    @property
    def sent_all(self) -> bool:
        """Whether everything that was written is sent, and that there will be no more."""
        return self._sent.finished

    def accept(self, user: StreamUser, window: int = INITIAL_WINDOW, explicit: bool = False) -> None:
        """Take a stream that the other side has opened.  ``window``: bytes that it may send beyond what was
        consumed.  ``explicit``: bytes are consumed by :meth:`consumed`, not by being received."""
        if self.user is not None:
            raise ValueError("the stream was taken already")
        self.user = user
        if self._told:
            user.ended(self._error)
            return
        self._queue(Kind.ACCEPT)
        self._in.begin(window, explicit)

    def write(self, data: bytes) -> None:
        """Send, as soon as may be; ignored after :meth:`finish`, :meth:`close` and the end."""
        if not self._told and self._out.write(data) and not self.queued_ready:
            self.data_is_due()
            self._out.hold_back()

    def finish(self) -> None:
        """Nothing more will be written; what was, is sent first."""
        if not (self._told or self._out.finishing):
            self._out.finishing = True
            self.data_is_due()

    def close(self) -> None:
        """Write no more and read no more: what was written is sent and consumed, then the stream ends."""
        if self.user is None:
            self.abort("nobody took it")
            return
        self.finish()
        self._closing = True
        self._in.discard()
        self._check()

    def abort(self, why: str = "it was closed") -> None:
        """Break it off, or refuse it: nothing more is sent, nor read."""
        if not self._told:
            self._break_off(why)
            self._end(GivenUp(purpose=self.purpose, why=why))

    def pause(self) -> None:
        """Receive no more for now; what comes is held, as far as the other side has credit."""
        self._in.pause()

    def resume(self) -> None:
        """Receive on."""
        self._in.resume()

    def consumed(self, size: int) -> None:
        """So many bytes more were consumed (after ``accept(explicit=True)`` only)."""
        if not self._told:
            self._in.consume(size)

    # -- frames out: each call makes one, None if there is none now

    def next_urgent(self) -> Item | None:
        """The next frame without data."""
        if not self._due:
            return None
        kind, payload = self._due.popleft(), b""
        if kind is Kind.OPEN or kind is Kind.ACCEPT:
            if kind is Kind.OPEN:
                payload = self.purpose.encode() + (b"\n" + self.argument if self.argument else b"")
            self._out.direction.apply(kind)
            self.data_is_due()
        elif kind is Kind.CREDIT:
            payload = self._in.credit()
        elif kind is Kind.RESET:
            payload = self._why
            self._out.direction.apply(kind)
            self._in.direction.apply(kind)
        else:
            self._taken_sent = True
            self._in.direction.apply(kind)
        self._check()
        return kind, 0, (payload,)

    def next_data(self) -> Item | None:
        """The next frame with data, as long as credit allows; behind the last one the FINISH."""
        item = None if self._dead else self._out.next()
        if item is not None and item[0] is Kind.FINISH:
            self._check()
        return item

    # -- frames in

    def receive(self, frame: Frame) -> None:
        """A frame of the other side.  Raises :class:`BadFrame`."""
        if self._reset_came:
            raise BadFrame(why=f"a {frame.kind.name} behind a RESET")
        if frame.kind is Kind.RESET:
            self._reset_by_them(frame.payload)
        elif self._broken:
            pass  # on its way when our RESET was
        elif frame.kind is Kind.DATA:
            unwanted = self._closing and self._sent.taken  # and not only because of what is in this frame
            self._in.receive(frame.payload, bool(frame.flags & WAITING))
            if unwanted:
                self._break_off("nobody reads any more")
        elif frame.kind is Kind.CREDIT:
            self._out.credit(*CREDIT.unpack(frame.payload))
        elif frame.kind is Kind.FINISH:
            self._in.finish()
        elif frame.kind is Kind.TAKEN:
            self._out.taken()
            self._check()
        else:
            self._in.direction.apply(frame.kind)
            if frame.kind is Kind.ACCEPT and self.user is not None and not self._told:
                self.user.accepted()

    def _reset_by_them(self, why: bytes) -> None:
        self._reset_came = True
        answered = not self.mine or self._came.open or self._came.finished
        self._break_off("")
        if not self._told:
            text = harmless(why.decode("utf-8", "replace")) or "no reason was given"
            error = Aborted if answered else Refused
            self._end(error(purpose=self.purpose, why=text))
        self._check()

    # -- the end

    def _break_off(self, why: str) -> None:
        """Send RESET, unless there is nobody to send it to, or our last frame is out already."""
        self._out.clear()
        self._in.drop()
        if not self.ident and self.mine:
            self._let_go()
        elif not self._broken and (self._reset_came or not (self._sent.finished and self._taken_sent)):
            # What was taken is broken off then, and not refused, also where both fall into one moment.
            first = Kind.OPEN if self.mine else Kind.ACCEPT
            opening = first in self._due and not self._reset_came
            self._due = deque([first] if opening else [])
            self._why = why.encode()[:MOST_WHY]
            self._broken = True
            self._queue(Kind.RESET)

    def _queue(self, kind: Kind) -> None:
        if kind not in self._due and not self._dead:
            self._due.append(kind)
            self._board.is_urgent(self)

    def data_is_due(self) -> None:
        """Of :class:`~p2phole.session.outgoing.Outgoing`: there may be data that credit allows."""
        self._board.is_ready(self)

    def credit_is_due(self) -> None:
        """Of :class:`~p2phole.session.incoming.Incoming`: tell what was consumed."""
        if not self._broken:
            self._queue(Kind.CREDIT)

    def all_is_consumed(self) -> None:
        """Of :class:`~p2phole.session.incoming.Incoming`: up to the FINISH."""
        if not self._broken:
            if Kind.CREDIT in self._due:
                self._due.remove(Kind.CREDIT)
            self._queue(Kind.TAKEN)

    def tell_consumed(self) -> None:
        """The delay is over; see :meth:`Board.consumed_some`."""
        if self._in.untold:
            self.credit_is_due()

    def _check(self) -> None:
        """Whether anything more can come, or go."""
        orderly = self._sent.taken and self._taken_sent
        if self._closing and self._sent.taken:
            self._end(None)  # everything of ours has arrived, and what the other side still does is its own affair
        if orderly or (self._sent.is_cut and self._reset_came):
            self._let_go()
            self._end(None)

    def _let_go(self) -> None:
        if not self._dead:
            self._dead = True
            self._due.clear()
            self._in.end()
            self._board.forget(self)

    def die(self, error: P2pholeError) -> None:
        """The session is over."""
        self._out.clear()
        self._in.drop()
        self._let_go()
        self._end(error)

    def _end(self, error: P2pholeError | None) -> None:
        if not self._told:
            self._told, self._error = True, error
            if self.user is not None:
                self.user.ended(error)
