"""Questions and answers between the laboratory and its own processes: JSON, and descriptors beside it."""

from __future__ import annotations

import json
import os
import socket
from typing import Any

Message = dict[str, Any]

# One message is one datagram; the kernel's default limit for one is about 200 KiB, descriptors about 250.
_LARGEST = 1 << 20
_MOST_DESCRIPTORS = 8


class ChannelClosed(Exception):
    """The process at the other end has gone."""


class Channel:
    """One end of a connection that keeps message boundaries and carries open files."""

    def __init__(self, transport: socket.socket) -> None:
        self.transport = transport

    @classmethod
    def pair(cls) -> tuple[Channel, Channel]:
        """Two connected ends."""
        near, far = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        return cls(near), cls(far)

    def fileno(self) -> int:
        """The descriptor to wait on."""
        return self.transport.fileno()

    def send(self, message: Message, descriptors: list[int] | None = None) -> None:
        """Send one message; the descriptors stay open here too."""
        try:
            socket.send_fds(self.transport, [json.dumps(message).encode()], descriptors or [])
        except (BrokenPipeError, ConnectionResetError):
            raise ChannelClosed from None

    def receive(self) -> tuple[Message, list[int]]:
        """Wait for one message; the descriptors that came with it are the caller's to close."""
        try:
            raw, descriptors, _flags, _address = socket.recv_fds(self.transport, _LARGEST, _MOST_DESCRIPTORS)
        except ConnectionResetError:
            raw, descriptors = b"", []
        if not raw:
            raise ChannelClosed
        for descriptor in descriptors:
            os.set_inheritable(descriptor, False)
        message: Message = json.loads(raw)
        return message, descriptors

    def close(self) -> None:
        """Close this end; the other one notices."""
        self.transport.close()
