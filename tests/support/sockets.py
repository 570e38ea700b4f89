"""The sockets of the memory network: what Twisted calls on a `socket.socket`, with the behaviour of Linux."""

from __future__ import annotations

import errno
import os
import select
import socket
import struct
from collections import deque
from typing import TYPE_CHECKING, NoReturn

from tests.support.memory_tcp import TcpConnection
from tests.support.packets import Endpoint, Packet, canonical
from tests.support.transmission import OPENING, State

if TYPE_CHECKING:
    from tests.support.stack import Stack

SocketAddress = tuple[str, int] | tuple[str, int, int, int]

_CLOSED_BY_BOTH = (State.CLOSING, State.LAST_ACK, State.TIME_WAIT)
_NO_LINGER = struct.pack("ii", 1, 0)


def error_from(number: int) -> OSError:
    return OSError(number, os.strerror(number))


class Socket(TcpConnection):
    """
    A non-blocking TCP socket. Errors are `OSError` with the errno that Linux gives.

    `options` holds what was set with `setsockopt`, by `(level, name)`. SO_REUSEADDR, SO_REUSEPORT, SO_LINGER
    and IPV6_V6ONLY do what they say; others (keep-alive, TCP_USER_TIMEOUT, TCP_SYNCNT, …) are only recorded.
    """

    def __init__(self, stack: Stack, family: socket.AddressFamily) -> None:
        super().__init__(stack)
        self.family = family
        self.options: dict[tuple[int, int], int | bytes] = {}
        self.fd = -1
        self.local = Endpoint(self._wildcard, 0)
        self.listener: Socket | None = None
        self.backlog = 0
        self.queue: deque[Socket] = deque()
        """Of a listener: established connections that wait for `accept`."""

    @property
    def _wildcard(self) -> str:
        return "::" if self.family == socket.AF_INET6 else "0.0.0.0"

    # Options

    def setblocking(self, blocking: bool) -> None:
        """There are no blocking sockets here."""

    def setsockopt(self, level: int, name: int, value: int | bytes) -> None:
        self.options[level, name] = value

    def getsockopt(self, level: int, name: int, size: int = 0) -> int | bytes:
        """What was set, else 0; SO_ERROR gives the pending error and forgets it; TCP_INFO is part of Linux's:
        what is unacknowledged, the round trip, and the bytes that were acknowledged and received."""
        if (level, name) == (socket.IPPROTO_TCP, socket.TCP_INFO):
            return self.information()[:size]
        if (level, name) == (socket.SOL_SOCKET, socket.SO_ERROR):
            number, self.error = self.error, 0
            return number
        return self.options.get((level, name), 0)

    @property
    def reuse_address(self) -> bool:
        return bool(self.options.get((socket.SOL_SOCKET, socket.SO_REUSEADDR)))

    @property
    def reuse_port(self) -> bool:
        return bool(self.options.get((socket.SOL_SOCKET, socket.SO_REUSEPORT)))

    @property
    def takes_ipv4(self) -> bool:
        """Of a socket bound to `::`: whether it covers the IPv4 addresses too."""
        return not self.options.get((socket.IPPROTO_IPV6, socket.IPV6_V6ONLY))

    # Addresses

    def fileno(self) -> int:
        return self.fd

    def _shown(self, endpoint: Endpoint) -> SocketAddress:
        if self.family != socket.AF_INET6:
            return (endpoint.host, endpoint.port)
        host = endpoint.host if ":" in endpoint.host else f"::ffff:{endpoint.host}"
        return (host, endpoint.port, 0, 0)

    def getsockname(self) -> SocketAddress:
        return self._shown(self.local)

    def getpeername(self) -> SocketAddress:
        if self.state in (State.CLOSED, State.LISTEN, State.SYN_SENT):
            raise error_from(errno.ENOTCONN)
        return self._shown(self.remote)

    def bind(self, address: SocketAddress) -> None:
        host = address[0] or self._wildcard
        if (":" in host) != (self.family == socket.AF_INET6):
            raise error_from(errno.EAFNOSUPPORT)
        self.stack.bind(self, Endpoint(canonical(host), address[1]))

    # Listening

    def listen(self, backlog: int) -> None:
        if not self.local.port:
            self.stack.bind(self, self.local)
        self.stack.check_conflicts(self, self.local)  # both may have been bound before either listened
        self.backlog = backlog
        self.state = State.LISTEN

    def incoming(self, packet: Packet) -> None:
        """A SYN for this listener: dropped where the queue is full, which lets the client try again."""
        if len(self.queue) > self.backlog:
            return
        child = Socket(self.stack, self.family)
        child.listener, child.passive = self, True
        child.options = dict(self.options)
        child.local, child.remote = packet.destination, packet.source
        self.stack.connections[child.local, child.remote] = child
        self.stack.ports.setdefault(child.local.port, []).append(child)
        child.answer_syn(packet)

    def accepted(self) -> None:
        if self.listener is None or self.listener.state is not State.LISTEN:
            self.send_reset()
            return
        self.listener.queue.append(self)
        self.listener.wake()

    def accept(self) -> tuple[Socket, SocketAddress]:
        if not self.queue:
            raise error_from(errno.EAGAIN)
        child = self.queue.popleft()
        self.stack.open(child)
        return child, child._shown(child.remote)

    # Connecting

    def connect_ex(self, address: SocketAddress) -> int:
        """Starts to connect, or says how it stands: 0, EINPROGRESS, EALREADY, EISCONN or why it can't be."""
        if self.state in OPENING:
            return errno.EALREADY
        if self.state is not State.CLOSED:
            return errno.EISCONN
        if self.error:
            number, self.error = self.error, 0
            return number
        try:
            self.stack.connect(self, Endpoint(canonical(address[0]), address[1]))
        except OSError as error:
            return error.errno or errno.EINVAL
        self.send_syn()
        return errno.EINPROGRESS

    # Data

    def _raise_error(self) -> NoReturn:
        number, self.error = self.error, 0
        raise error_from(number)

    def send(self, data: bytes | memoryview) -> int:
        """Takes what fits into the send buffer and returns how much; EAGAIN where nothing does."""
        if self.error:
            self._raise_error()
        if self.state in OPENING:
            raise error_from(errno.EAGAIN)
        if self.fin_queued or self.state not in (State.ESTABLISHED, State.CLOSE_WAIT):
            raise error_from(errno.EPIPE)
        room = self.stack.buffer - len(self.outbox)
        if room <= 0:
            raise error_from(errno.EAGAIN)
        taken = data[:room]
        self.outbox += taken
        self._output()
        return len(taken)

    def recv(self, size: int) -> bytes:
        """What has come, in order, then `b""` for the FIN or the error of the RST that came after it."""
        if self.inbox:
            data = bytes(self.inbox[: self.stack.chunk(min(size, len(self.inbox)))])
            del self.inbox[: len(data)]
            self.window_opened()
            return data
        if self.fin_received:
            return b""
        if self.error:
            self._raise_error()
        if self.state is State.CLOSED:
            return b""
        raise error_from(errno.EAGAIN)

    def poll(self) -> int:
        """The EPOLL bits that hold now (Linux: tcp_poll)."""
        if self.state is State.LISTEN:
            return select.EPOLLIN if self.queue else 0
        closed = self.state is State.CLOSED
        events = select.EPOLLERR if self.error else 0
        if closed or (self.fin_received and self.fin_queued):
            events |= select.EPOLLHUP
        if closed or self.fin_received:
            events |= select.EPOLLIN
        if self.state not in OPENING:
            if self.inbox:
                events |= select.EPOLLIN
            if closed or self.fin_queued or 3 * len(self.outbox) <= 2 * self.stack.buffer:
                events |= select.EPOLLOUT
        return events

    def wake(self) -> None:
        if self.fd >= 0:
            self.stack.woken(self.fd)

    # Closing

    def shutdown(self, how: int) -> None:
        """Half-closes: a FIN after what was written. Reading is only ended by `close`."""
        if self.state in (State.CLOSED, State.LISTEN, State.SYN_SENT):
            raise error_from(errno.ENOTCONN)
        if how != socket.SHUT_RD:
            self.queue_fin()
            self.wake()

    def close(self) -> None:
        """A FIN follows the data; or a RST, if data was unread or SO_LINGER says so (Linux: __tcp_close)."""
        if self.fd < 0:
            return
        self.stack.closed(self)
        if self.state is State.LISTEN:
            self.state = State.CLOSED
            for child in [*self.stack.ports[self.local.port]]:
                if child.listener is self and (child.state is State.SYN_RECEIVED or child in self.queue):
                    child.send_reset()
        self.orphan = True
        hard = self.options.get((socket.SOL_SOCKET, socket.SO_LINGER)) == _NO_LINGER
        if self.state in (State.CLOSED, State.SYN_SENT):
            self._enter(State.CLOSED)
        elif self.state not in _CLOSED_BY_BOTH and (hard or self.inbox):
            self.send_reset()
        elif self.state in (State.LAST_ACK, State.CLOSING) and hard:
            self._enter(State.CLOSED)  # tcp_disconnect: not a word, where all but the FIN was sent
        elif self.state is State.FIN_WAIT_2:
            self._enter(State.FIN_WAIT_2)  # now as an orphan, which does not wait for ever
        else:
            self.shutdown(socket.SHUT_RDWR)
