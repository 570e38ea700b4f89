"""The streams of one session by their numbers, and what either side offers to open them for."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from p2phole.errors import P2pholeError
from p2phole.session.errors import NotOffered
from p2phole.session.frames import (
    MOST_ARGUMENT,
    BadFrame,
    Frame,
    Kind,
    check_purpose,
    offer,
    read_offer,
    read_opening,
)
from p2phole.session.interfaces import StreamUser
from p2phole.session.outgoing import Item
from p2phole.session.pool import MODEST, Pool
from p2phole.session.sender import Sender
from p2phole.session.streams import Stream

MOST_STREAMS = 1024
"""Streams that one side may have opened at one time, those included of which the end is not known to both."""
MOST_GROWN = 32 * 1024 * 1024
"""Bytes by which the windows of a session's streams may grow, together."""

Handler = Callable[[Stream], None]
"""What is called with a stream that the other side has opened: it accepts or refuses, at once or later."""


class Table:
    """See :class:`~p2phole.session.interfaces.Board`.  ``odd``: whether this side's streams have odd numbers.
    ``soon``: called when :meth:`tell_consumed` is due within the delay."""

    def __init__(self, sender: Sender, unread: Pool, odd: bool, soon: Callable[[], None]) -> None:
        self.unread = 0
        """Bytes that have come and that nobody has consumed."""
        self._sender = sender
        self._pool = unread
        self._odd = odd
        self._soon = soon
        self._streams: dict[int, Stream] = {}
        self._handlers: dict[str, Handler] = {}
        self._wanted: deque[Stream] = deque()
        """Streams of this side that wait for the other side's offer, or for one of the others to end."""
        self._grown = 0
        self._telling: dict[Stream, None] = {}
        self._offers = _Offers(self._handlers)
        self._begin()

    def _begin(self) -> None:
        self._next_mine = 1 if self._odd else 2
        self._next_theirs = 2 if self._odd else 1
        self._mine = self._theirs = 0
        self._known: frozenset[str] | None = None
        """What the other side offers, once that is known."""
        self._ever: set[str] = set()
        """What this side has ever offered: the other side may not have heard that it no longer does."""
        self._tell_offers()

    def __len__(self) -> int:
        return len(self._streams)

    # -- what the session's user does

    def offer(self, purpose: str, handler: Handler) -> None:
        """Let the other side open streams for this.  Raises :class:`ValueError`."""
        self._handlers[check_purpose(purpose)] = handler
        self._tell_offers()

    def withdraw(self, purpose: str) -> None:
        """No longer."""
        del self._handlers[purpose]
        self._tell_offers()

    def open(self, purpose: str, user: StreamUser, argument: bytes) -> Stream:
        """A stream of this side.  Raises :class:`ValueError`."""
        if len(argument) > MOST_ARGUMENT:
            raise ValueError(f"an argument of {len(argument)} bytes")
        stream = Stream(self, check_purpose(purpose), argument, True, user)
        self._wanted.append(stream)
        self._admit()
        return stream

    # -- frames

    def receive(self, frame: Frame) -> None:
        """A numbered frame of the other side.  Raises :class:`BadFrame`."""
        stream = self._streams.get(frame.stream)
        kind = frame.kind
        if kind is Kind.OPEN and self._known is not None:
            self._opened(frame)
        elif stream is not None:
            stream.receive(frame)
        elif kind is Kind.OFFER:
            self._known = read_offer(frame.payload)
            self._admit()
        elif self._known is None:
            raise BadFrame(why="it began without an offer")
        else:
            raise BadFrame(why=f"a {kind.name} on a stream that is not there")

    def _opened(self, frame: Frame) -> None:
        purpose, argument = read_opening(frame.payload)
        if frame.stream != self._next_theirs:
            raise BadFrame(why="it opened a stream by a number that is not the next one")
        if purpose not in self._ever:
            raise BadFrame(why=f"it opened {purpose}, which was not offered")
        if self._theirs >= MOST_STREAMS:
            raise BadFrame(why=f"it opened more than {MOST_STREAMS} streams")
        self._next_theirs += 2
        self._theirs += 1
        stream = Stream(self, purpose, argument, False)
        stream.ident = frame.stream
        self._streams[stream.ident] = stream
        handler = self._handlers.get(purpose)
        if handler is None:
            stream.abort("it is no longer offered")
        else:
            handler(stream)

    def _tell_offers(self) -> None:
        self._ever |= set(self._handlers)
        self._offers.due = True
        self._sender.urgent(self._offers)

    def _admit(self) -> None:
        """Give numbers to streams that may be opened now."""
        while self._wanted and self._known is not None and self._mine < MOST_STREAMS:
            stream = self._wanted.popleft()
            if stream.over:
                continue
            if stream.purpose not in self._known:
                stream.die(NotOffered(purpose=stream.purpose))
                continue
            stream.ident = self._next_mine
            self._next_mine += 2
            self._mine += 1
            self._streams[stream.ident] = stream
            self._sender.urgent(stream)

    # -- the end

    def forgotten(self, error: P2pholeError) -> None:
        """The other side knows none of the streams any more, and numbers begin anew."""
        streams = tuple(self._streams.values())
        self._streams.clear()
        self._begin()
        for stream in streams:
            stream.die(error)

    def over(self, error: P2pholeError) -> None:
        """Every stream ends, also what has not begun."""
        while self._wanted:
            self._wanted.popleft().die(error)
        for stream in tuple(self._streams.values()):
            stream.die(error)

    # -- see Board

    def is_urgent(self, stream: Stream) -> None:
        """See :class:`~p2phole.session.interfaces.Board`."""
        if stream.ident:
            self._sender.urgent(stream)

    def is_ready(self, stream: Stream) -> None:
        """See :class:`~p2phole.session.interfaces.Board`."""
        if stream.ident:
            self._sender.ready(stream)

    def consumed_some(self, stream: Stream) -> None:
        """See :class:`~p2phole.session.interfaces.Board`."""
        self._telling[stream] = None
        self._soon()

    def tell_consumed(self) -> None:
        """The delay is over."""
        telling, self._telling = self._telling, {}
        for stream in telling:
            stream.tell_consumed()

    def hold(self, size: int) -> bool:
        """See :class:`~p2phole.session.interfaces.Board`."""
        if size > 0 and self._pool.exhausted and self.unread + size > MODEST:
            return False
        self.unread += size
        if size > 0:
            self._pool.take(size)
        else:
            self._pool.give(-size)
        return True

    def grow(self, size: int) -> bool:
        """See :class:`~p2phole.session.interfaces.Board`."""
        if self._grown + size > MOST_GROWN:
            return False
        self._grown += size
        return True

    def forget(self, stream: Stream) -> None:
        """See :class:`~p2phole.session.interfaces.Board`."""
        self._telling.pop(stream, None)
        if not stream.ident and stream in self._wanted:
            self._wanted.remove(stream)
        if self._streams.get(stream.ident) is stream:
            del self._streams[stream.ident]
            if stream.mine:
                self._mine -= 1
            else:
                self._theirs -= 1
            self._admit()


class _Offers:
    """What sends the list of offers, as a stream sends its frames."""

    ident = 0
    has_more = False

    def __init__(self, handlers: dict[str, Handler]) -> None:
        self.queued_urgent = self.queued_ready = False
        self.due = False
        self._handlers = handlers

    def next_urgent(self) -> Item | None:
        """See :class:`~p2phole.session.sender.Source`."""
        if not self.due:
            return None
        self.due = False
        return Kind.OFFER, 0, (offer(sorted(self._handlers)),)

    def next_data(self) -> Item | None:
        """See :class:`~p2phole.session.sender.Source`."""
        return None
