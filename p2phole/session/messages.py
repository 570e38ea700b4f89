"""Messages as two streams of a session, one each way: a length of 4 bytes, and so many bytes.

A message counts as delivered when the user on the other side has consumed it.
"""

from __future__ import annotations

import struct
from collections import deque
from collections.abc import Callable
from typing import Protocol as Interface

from p2phole.errors import P2pholeError
from p2phole.session.frames import MOST_PAYLOAD, BadFrame
from p2phole.session.session import Session
from p2phole.session.streams import Stream

PURPOSE = "messages"
LENGTH = struct.Struct("!I")
MOST_MESSAGE = MOST_PAYLOAD
"""Bytes in a message."""
WINDOW = 1024 * 1024
"""Bytes of messages that may wait for our user to consume them."""
MOST_UNCONSUMED = 1000
"""Messages that may wait for our user before no more are taken: small ones cost more than their bytes."""
MOST_PENDING = 4 * 1024 * 1024
"""Bytes that the other side has not consumed above which :attr:`Messages.full` holds."""


class MessagesUser(Interface):
    """Whom they are told to."""

    def received(self, payload: bytes) -> None:
        """A message from the other side, in order, once; :meth:`Messages.consumed` is due for it."""

    def acknowledged(self, payload: bytes) -> None:
        """The other side's user has that message."""

    def drained(self) -> None:
        """They were full and are no longer."""

    def undelivered(self, count: int) -> None:
        """So many messages may not have reached the other side, and never will."""


class Messages:
    """The messages of one pair, over one session after the other."""

    def __init__(self, user: MessagesUser) -> None:
        self._user = user
        self._session: Session | None = None
        self._out: _Outgoing | None = None
        self._in: _Incoming | None = None
        self._unconsumed: deque[tuple[_Incoming, int]] = deque()
        self._held = self._crowded = False

    def use(self, session: Session) -> None:
        """Send and take them over this session from now on."""
        self._session = session
        session.offer(PURPOSE, self._opened)

    @property
    def full(self) -> bool:
        """Whether so much waits to be consumed that nothing should be added."""
        return self._out is not None and self._out.size >= MOST_PENDING

    @property
    def waiting(self) -> bool:
        """Whether there is anything that the other side's user does not have."""
        return self._out is not None and self._out.size > 0

    def hold(self, held: bool) -> None:
        """Whether the other side's messages shall wait; what has come already is not held."""
        self._held = held
        self._pace()

    def _pace(self) -> None:
        if self._in is not None:
            if self._held or self._crowded:
                self._in.stream.pause()
            else:
                self._resume(self._in.stream)

    def _resume(self, stream: Stream) -> None:
        try:
            stream.resume()
        except BadFrame as error:  # in what came while it was held, so that no link hears of it
            assert self._session is not None
            self._session.end(error)

    def send(self, payload: bytes) -> None:
        """Queue a message; it leaves as soon as it can.  Raises :class:`ValueError` over 65,520 bytes."""
        if len(payload) > MOST_MESSAGE:
            raise ValueError(f"a message of {len(payload)} bytes")
        assert self._session is not None
        if self._out is None:
            self._out = out = _Outgoing(self, self._user)
            out.stream = self._session.open(PURPOSE, out)
        else:
            out = self._out
        out.send(payload)

    def consumed(self) -> None:
        """The user is done with the oldest message that it had not consumed: only now it counts as delivered,
        so that a user that can't keep up holds back the other side."""
        if self._unconsumed:
            incoming, size = self._unconsumed.popleft()
            incoming.stream.consumed(size)
        if self._crowded and len(self._unconsumed) < MOST_UNCONSUMED // 2:
            self._crowded = False
            self._pace()

    def _opened(self, stream: Stream) -> None:
        if self._in is not None and not self._in.stream.over:
            stream.abort("there is one already")
            return
        self._in = _Incoming(stream, self._whole)
        stream.accept(self._in, WINDOW, explicit=True)

    def _whole(self, incoming: _Incoming, payload: bytes) -> None:
        self._unconsumed.append((incoming, LENGTH.size + len(payload)))
        if not self._crowded and len(self._unconsumed) >= MOST_UNCONSUMED:
            self._crowded = True
            self._pace()
        self._user.received(payload)

    def out_is_over(self, pending: int, was_full: bool) -> None:
        """Of the stream that messages leave by: another one is to be opened for the next."""
        self._out = None
        if pending:
            self._user.undelivered(pending)
        if was_full:
            self._user.drained()


class _Silent:
    """What most ends of these streams have nothing to do about."""

    stream: Stream

    def accepted(self) -> None:
        """See :class:`~p2phole.session.interfaces.StreamUser`."""

    def received(self, data: bytes) -> None:
        """See :class:`~p2phole.session.interfaces.StreamUser`."""
        raise BadFrame(why="it answered on a stream of messages")

    def finished(self) -> None:
        """See :class:`~p2phole.session.interfaces.StreamUser`."""
        self.stream.finish()

    def pause(self) -> None:
        """See :class:`~p2phole.session.interfaces.StreamUser`."""

    def resume(self) -> None:
        """See :class:`~p2phole.session.interfaces.StreamUser`."""

    def taken(self, count: int) -> None:
        """See :class:`~p2phole.session.interfaces.StreamUser`."""

    def ended(self, error: P2pholeError | None) -> None:
        """See :class:`~p2phole.session.interfaces.StreamUser`."""


class _Outgoing(_Silent):
    def __init__(self, messages: Messages, user: MessagesUser) -> None:
        self.size = 0
        """Bytes that the other side's user has not consumed."""
        self._messages = messages
        self._user = user
        self._pending: deque[bytes] = deque()
        self._consumed = 0

    def send(self, payload: bytes) -> None:
        if self.stream.over:  # the other side does not take any
            self._user.undelivered(1)
            return
        self._pending.append(payload)
        self.size += LENGTH.size + len(payload)
        self.stream.write(LENGTH.pack(len(payload)) + payload)

    def taken(self, count: int) -> None:
        was_full = self._messages.full
        while self._pending and self._consumed + LENGTH.size + len(self._pending[0]) <= count:
            payload = self._pending.popleft()
            self._consumed += LENGTH.size + len(payload)
            self.size -= LENGTH.size + len(payload)
            self._user.acknowledged(payload)
        if was_full and not self._messages.full:
            self._user.drained()

    def ended(self, error: P2pholeError | None) -> None:
        self._messages.out_is_over(len(self._pending), self._messages.full)


class _Incoming(_Silent):
    def __init__(self, stream: Stream, whole: Callable[[_Incoming, bytes], None]) -> None:
        self.stream = stream
        self._whole = whole
        self._buffer = bytearray()

    def received(self, data: bytes) -> None:
        self._buffer += data
        at = 0
        while len(self._buffer) - at >= LENGTH.size:
            (size,) = LENGTH.unpack_from(self._buffer, at)
            if size > MOST_MESSAGE:
                raise BadFrame(why=f"a message of {size} bytes")
            end = at + LENGTH.size + size
            if len(self._buffer) < end:
                break
            payload = bytes(self._buffer[at + LENGTH.size : end])
            at = end
            self._whole(self, payload)
        del self._buffer[:at]
