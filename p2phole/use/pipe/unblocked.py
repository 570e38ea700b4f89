"""Descriptors that others have as well, such as a terminal, read and written without ever waiting for them.

``O_NONBLOCK`` belongs to the open file, which the shell and the other programs of a pipeline share: set on a
terminal it would break them, for good if this process is killed.  So nothing is changed of what is shared.
"""

from __future__ import annotations

import fcntl
import os
import select
import socket
import stat
from contextlib import suppress
from typing import Protocol as Interface

SURE = 4096
"""Bytes that a pipe takes without waiting when it is writable at all: a page, Linux' ``PIPE_BUF``."""

ROOM = 1024 * 1024
"""Bytes that a pipe may hold, 64 KiB otherwise: so both of its ends have more to do when it is their turn, which
saves a third of the CPU time."""


class Unblocked(Interface):
    """A descriptor; what is to wait raises :class:`BlockingIOError`, everything else :class:`OSError`."""

    def fileno(self) -> int:
        """What a reactor may watch."""

    def read(self, size: int) -> bytes:
        """At most so many bytes; none: the end."""

    def write(self, data: bytes | memoryview) -> int:
        """How many of them were written."""

    def close(self) -> None:
        """Let go of it; the descriptor that it was made from stays."""


def unblocked(descriptor: int, writing: bool) -> Unblocked:
    """One for standard input or output, to be read only or written only."""
    mode = os.fstat(descriptor).st_mode
    if stat.S_ISSOCK(mode):
        return _Socket(descriptor)
    if stat.S_ISFIFO(mode):
        with suppress(OSError, AttributeError):  # a user has a share of such memory, and only Linux has it to give
            if fcntl.fcntl(descriptor, fcntl.F_GETPIPE_SZ) < ROOM:
                fcntl.fcntl(descriptor, fcntl.F_SETPIPE_SZ, ROOM)
    if stat.S_ISFIFO(mode) or os.isatty(descriptor):
        flags = (os.O_WRONLY if writing else os.O_RDONLY) | os.O_NONBLOCK | os.O_NOCTTY
        try:
            return _Own(os.open(f"/proc/self/fd/{descriptor}", flags))
        except OSError:  # it is another user's, or there is no /proc
            return _Shared(os.dup(descriptor))
    # A file, which never says that one has to wait; opened anew it would begin at its start.
    return _Own(os.dup(descriptor))


class _Own:
    """An open file of our own."""

    def __init__(self, number: int) -> None:
        self._number = number

    def fileno(self) -> int:
        """See :class:`Unblocked`."""
        return self._number

    def read(self, size: int) -> bytes:
        """See :class:`Unblocked`."""
        return os.read(self._number, size)

    def write(self, data: bytes | memoryview) -> int:
        """See :class:`Unblocked`."""
        return os.write(self._number, data)

    def close(self) -> None:
        """See :class:`Unblocked`."""
        os.close(self._number)


class _Shared(_Own):
    """One that has to stay as it is: it is asked first whether it would wait."""

    def read(self, size: int) -> bytes:
        """See :class:`Unblocked`."""
        self._ask(select.POLLIN)
        return super().read(size)

    def write(self, data: bytes | memoryview) -> int:
        """See :class:`Unblocked`."""
        self._ask(select.POLLOUT)
        return super().write(data[:SURE])

    def _ask(self, what: int) -> None:
        poll = select.poll()
        poll.register(self._number, what)
        if not poll.poll(0):
            raise BlockingIOError


class _Socket:
    """A socket, where not to wait can be said call by call."""

    def __init__(self, descriptor: int) -> None:
        self._socket = socket.socket(fileno=os.dup(descriptor))

    def fileno(self) -> int:
        """See :class:`Unblocked`."""
        return self._socket.fileno()

    def read(self, size: int) -> bytes:
        """See :class:`Unblocked`."""
        return self._socket.recv(size, socket.MSG_DONTWAIT)

    def write(self, data: bytes | memoryview) -> int:
        """See :class:`Unblocked`."""
        return self._socket.send(data, socket.MSG_DONTWAIT)

    def close(self) -> None:
        """See :class:`Unblocked`."""
        self._socket.close()
