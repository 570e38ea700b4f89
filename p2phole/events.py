"""What a peer tells programs: one event for each thing that happened, in the past tense.

The names and keys are a contract: keys may be added, none goes away.  ``instance`` is the other side's random
instance id; with it two peers of one name, even of one user, are told apart.
"""

from __future__ import annotations

import errno
import json
import os
import select
from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import ClassVar, Protocol

from twisted.logger import Logger

from p2phole.errors import LocalError
from p2phole.text import harmless_json

STANDARD_OUTPUT = 1
"""The descriptor for received text and ``--events -``: under ``twistd -n`` :data:`sys.stdout` is the log."""

PATIENCE = 5.0
"""Seconds that a reader of the events who does not read may hold up the process, once."""

# A pipe that poll() calls writable has room for PIPE_BUF bytes (POSIX): such a write never blocks.
_PIECE = select.PIPE_BUF

_log = Logger()


class EventsUnwritable(LocalError):
    """The events file {path} cannot be opened ({why}): give --events a file that can be written."""


@dataclass(frozen=True, slots=True)
class Registered:
    """The broker took this peer in.  ``local`` and ``observed``: "ip:port", "[ip]:port"; ``id``: own key."""

    event: ClassVar[str] = "registered"
    room: str
    name: str
    id: str
    local: str
    observed: str


@dataclass(frozen=True, slots=True)
class Nat:
    """What the probe ports told of the way out, in the words of RFC 4787, or ``unknown``."""

    event: ClassVar[str] = "nat"
    mapping: str
    filtering: str
    allocation: str
    unsolicited: str


@dataclass(frozen=True, slots=True)
class Introduced:
    """The broker named a peer in this room.  ``id``: the fingerprint of its key."""

    event: ClassVar[str] = "introduced"
    peer: str
    id: str
    instance: str


@dataclass(frozen=True, slots=True)
class Connected:
    """The connection to a peer is authenticated; ``seconds`` since it was introduced."""

    event: ClassVar[str] = "connected"
    peer: str
    id: str
    path: str
    candidate: str
    local: str
    remote: str
    seconds: float
    attempts: int
    authenticated: str
    instance: str


@dataclass(frozen=True, slots=True)
class Message:
    """``direction`` "in": a text came; "out": the other side has acknowledged ours."""

    event: ClassVar[str] = "message"
    peer: str
    direction: str
    text: str
    instance: str


@dataclass(frozen=True, slots=True)
class Failed:
    """No start of this introduction led anywhere.  ``reason``: one word; ``detail``: what to change."""

    event: ClassVar[str] = "failed"
    peer: str
    reason: str
    detail: str
    instance: str


@dataclass(frozen=True, slots=True)
class Disconnected:
    """A connection that had been authenticated is gone."""

    event: ClassVar[str] = "disconnected"
    peer: str
    reason: str
    instance: str


@dataclass(frozen=True, slots=True)
class Resumed:
    """The session with a peer went on over a new connection, ``seconds`` after the last one was of use; nothing
    was lost."""

    event: ClassVar[str] = "resumed"
    peer: str
    seconds: float
    instance: str


@dataclass(frozen=True, slots=True)
class BrokerLost:
    """The broker went away; ``seconds``: how long it had been there."""

    event: ClassVar[str] = "broker-lost"
    reason: str
    seconds: float


@dataclass(frozen=True, slots=True)
class BrokerBack:
    """The broker is there again; ``reason``: why it had gone; ``seconds``: how long it was away."""

    event: ClassVar[str] = "broker-back"
    reason: str
    seconds: float


Event = (
    Registered | Nat | Introduced | Connected | Message | Failed | Disconnected | Resumed | BrokerLost | BrokerBack
)


class EventSink(Protocol):
    """Where a peer's events go."""

    def emit(self, event: Event) -> None:
        """Take the event down.  Never raises for what the sink's own file or reader does."""


class ByteStream(Protocol):
    """What a sink needs of a file."""

    def write(self, data: bytes, /) -> object:
        """Write all of ``data``; :class:`OSError` if that is not possible."""

    def flush(self) -> object:
        """Hand on what is held back."""


def json_line(event: Event, time: float) -> bytes:
    """The event as one line of JSON in UTF-8: ``event``, ``time`` (seconds since the epoch), its keys.

    Text stays readable; only what a terminal would obey or hide, and lone surrogates, are JSON escapes: a
    reader that splits lines at U+2028 sees whole lines, and gets the exact text.
    """
    keys = {field.name: getattr(event, field.name) for field in fields(event)}
    line = json.dumps({"event": event.event, "time": time, **keys}, ensure_ascii=False)
    return harmless_json(line).encode() + b"\n"


class NullSink:
    """Nobody wants the events."""

    def emit(self, event: Event) -> None:
        """Forget it."""


class JsonLinesSink:
    """Writes each event as it happens.  ``now``: seconds since the epoch."""

    def __init__(self, stream: ByteStream, now: Callable[[], float]) -> None:
        self._stream = stream
        self._now = now
        self._told = False

    def emit(self, event: Event) -> None:
        """Write one line, flushed.  What a full disk or a closed pipe loses is lost: the log says so once."""
        line = json_line(event, self._now())
        try:
            self._stream.write(line)
            self._stream.flush()
        except (OSError, ValueError) as problem:  # ValueError: the file was closed
            if not self._told:
                self._told = True
                _log.error("Events are lost from here on, their file cannot be written: {why}", why=problem)


class DescriptorStream:
    """A file descriptor to which lines go whole or not at all, and which never blocks for long.

    A reader that stands still costs :data:`PATIENCE` once; from then on what there is no room for is refused
    with :class:`TimeoutError`.  Of a line of which a part is out already, the rest goes before the next one.
    """

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._poll = select.poll()
        self._poll.register(descriptor, select.POLLOUT)
        self._rest = b""
        self._patience = PATIENCE

    def write(self, data: bytes) -> None:
        """Write the rest of the line before, then ``data``."""
        self._drain()
        self._rest = data
        try:
            self._drain()
        finally:
            if len(self._rest) == len(data):
                self._rest = b""

    def flush(self) -> None:
        """Nothing is held back."""

    def _drain(self) -> None:
        while self._rest:
            if not self._poll.poll(self._patience * 1000):
                self._patience = 0.0
                raise TimeoutError(errno.ETIMEDOUT, "nobody reads them")
            # BlockingIOError, from a terminal that somebody made non-blocking, is one more OSError.
            self._rest = self._rest[os.write(self._descriptor, self._rest[:_PIECE]) :]


def open_sink(path: str, now: Callable[[], float]) -> EventSink:
    """A sink that appends to the file ``path``, or writes to standard output where that is "-".

    :raises EventsUnwritable: the file cannot be opened.
    """
    try:
        if path == "-":
            # One of our own: Twisted's StandardIO closes the other, and its number goes to some new socket.
            descriptor = os.dup(STANDARD_OUTPUT)
        else:
            descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o666)
    except (OSError, ValueError) as problem:  # ValueError: a NUL in the path
        why = problem.strerror if isinstance(problem, OSError) else problem
        raise EventsUnwritable(path=path, why=why) from None
    return JsonLinesSink(DescriptorStream(descriptor), now)
