"""Standard input and output: large pieces in, large pieces out, and neither without bounds."""

from __future__ import annotations

import errno
import os
import socket
import stat
import sys
from collections.abc import Callable
from contextlib import suppress

from twisted.internet.interfaces import IReactorFDSet, IReadDescriptor, IWriteDescriptor
from twisted.python.failure import Failure
from zope.interface import implementer

from p2phole.session.frames import MOST_PAYLOAD
from p2phole.use.pipe.unblocked import Unblocked, unblocked

PIECE = 4 * MOST_PAYLOAD
"""Bytes that are read at a time: what fits into four frames, so that no small one follows.  With one at a time it
takes an eighth more CPU time, and others in the reactor have their turn after each."""


@implementer(IReadDescriptor)
class Input:
    """Whatever a descriptor is: a pipe, a file, a terminal, a socket.  ``received``: called with each piece;
    ``ended``: called once, with None at the end of the input, or with what it can't be read for.

    Nothing is read before :meth:`resume`.
    """

    def __init__(
        self,
        reactor: IReactorFDSet,
        descriptor: int,
        received: Callable[[bytes], None],
        ended: Callable[[OSError | None], None],
    ) -> None:
        self.over = False
        self._reactor = reactor
        self._descriptor = descriptor
        self._received = received
        self._ended = ended
        self._source: Unblocked | None = None
        self._watched = False

    @property
    def is_terminal(self) -> bool:
        """Whether a person types it."""
        return os.isatty(self._descriptor)

    def resume(self) -> None:
        """Read on, in this turn already if something is there."""
        if not (self.over or self._watched):
            self._watched = True
            if self._source is None:
                self._source = unblocked(self._descriptor, False)
            self.doRead()
            if self._watched:
                self._reactor.addReader(self)

    def pause(self) -> None:
        """Read no more for now."""
        if self._watched:
            self._watched = False
            self._reactor.removeReader(self)

    def close(self) -> None:
        """Read no more, ever: whoever writes to it is told by the system."""
        self.pause()
        if not self.over:
            self.over = True
            if self._source is not None:
                self._source.close()
            _put_nothing(self._descriptor)

    def doRead(self) -> None:
        """See :class:`IReadDescriptor`."""
        if not self._watched or self._source is None:
            return
        try:
            data = self._source.read(PIECE)
        except BlockingIOError:
            return
        except OSError as error:
            self._end(error)
            return
        if data:
            self._received(data)
        else:
            self._end(None)

    def _end(self, error: OSError | None) -> None:
        self.close()
        self._ended(error)

    def fileno(self) -> int:
        """See :class:`IReadDescriptor`."""
        return -1 if self._source is None or self.over else self._source.fileno()

    def connectionLost(self, reason: Failure) -> None:
        """See :class:`IReadDescriptor`: whoever wrote has gone, and nothing is left."""
        if not self.over:
            self._end(None)

    def logPrefix(self) -> str:
        """See :class:`IReadDescriptor`."""
        return "standard input"


@implementer(IWriteDescriptor)
class Output:
    """The same for what is written.  ``drained``: called when :meth:`write` had to wait and all is written;
    ``broken``: called once, with what it can't be written for, of which nobody being left to read is one.
    """

    def __init__(
        self,
        reactor: IReactorFDSet,
        descriptor: int,
        drained: Callable[[], None],
        broken: Callable[[OSError], None],
    ) -> None:
        self.over = False
        self.waiting: bytes | memoryview = b""
        """What is still to be written."""
        self._reactor = reactor
        self._descriptor = descriptor
        self._drained = drained
        self._broken = broken
        self._sink: Unblocked | None = None

    @property
    def is_terminal(self) -> bool:
        """Whether a person reads it."""
        return os.isatty(self._descriptor)

    def write(self, data: bytes) -> bool:
        """Whether all of it is written; if not, write nothing more until ``drained``."""
        if self.over:
            return True
        if self._sink is None:
            # Python knows whether it was open at the start; the command has put something into its place.
            if self._descriptor == 1 and sys.__stdout__ is None:
                self._break(_error(errno.EBADF))
                return True
            self._sink = unblocked(self._descriptor, True)
        self.waiting = memoryview(data)
        if self._try():
            return True
        if not self.over:
            self._reactor.addWriter(self)
        return self.over

    def _try(self) -> bool:
        """Write what can be written; whether that was all."""
        assert self._sink is not None
        try:
            while self.waiting:
                self.waiting = self.waiting[self._sink.write(self.waiting) :]
        except BlockingIOError:
            return False
        except OSError as error:
            self._break(error)
            return False
        return True

    def doWrite(self) -> None:
        """See :class:`IWriteDescriptor`."""
        if not self.over and self._try():
            self._reactor.removeWriter(self)
            self._drained()

    def close(self) -> None:
        """Write no more, ever: whoever reads it finds the end.  Raises :class:`OSError`, as a file on another
        machine may only now say that it is not written."""
        if self.over:
            return
        if self._sink is not None:
            self._reactor.removeWriter(self)
        sink, self._sink = self._sink, None
        self.over = True
        self.waiting = b""
        if _is_one_socket(self._descriptor, 0):
            with suppress(OSError), socket.socket(fileno=os.dup(self._descriptor)) as both:
                both.shutdown(socket.SHUT_WR)
        _put_nothing(self._descriptor)
        if sink is not None:
            sink.close()

    def _break(self, error: OSError) -> None:
        with suppress(OSError):
            self.close()
        self._broken(error)

    def fileno(self) -> int:
        """See :class:`IWriteDescriptor`."""
        return -1 if self._sink is None else self._sink.fileno()

    def connectionLost(self, reason: Failure) -> None:
        """See :class:`IWriteDescriptor`: nobody reads any more."""
        if not self.over:
            self._break(_error(errno.EPIPE))

    def logPrefix(self) -> str:
        """See :class:`IWriteDescriptor`."""
        return "standard output"


def _put_nothing(descriptor: int) -> None:
    """Close it for good, in such a way that nothing else gets its number."""
    nothing = os.open(os.devnull, os.O_RDWR)
    os.dup2(nothing, descriptor, inheritable=False)
    os.close(nothing)


def _error(number: int) -> OSError:
    return OSError(number, os.strerror(number))


def _is_one_socket(one: int, two: int) -> bool:
    """Whether it is both standard input and output: closing one of the two would tell the other side nothing."""
    states = os.fstat(one), os.fstat(two)
    return stat.S_ISSOCK(states[0].st_mode) and os.path.samestat(*states)
