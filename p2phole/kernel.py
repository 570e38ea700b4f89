"""The kernel's own list of TCP sockets and whose they are: a witness that is not ours (Linux: proc(5))."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path

from p2phole.addresses import Endpoint, unmap

ESTABLISHED = 0x01  # include/net/tcp_states.h
LISTEN = 0x0A


@dataclass(frozen=True, slots=True)
class Socket:
    """One line of the list.  ``remote`` is None where there is nobody, as with a listening socket."""

    state: int
    local: Endpoint
    remote: Endpoint | None
    inode: int


def parse_sockets(text: str) -> list[Socket]:
    """The sockets in the text of ``/proc/net/tcp`` or ``/proc/net/tcp6`` that are bound to a port."""
    sockets = []
    for line in text.splitlines()[1:]:
        fields = line.split()
        local, remote = _endpoint(fields[1]), _endpoint(fields[2])
        if local is not None:
            sockets.append(Socket(int(fields[3], 16), local, remote, int(fields[9])))
    return sockets


def _endpoint(text: str) -> Endpoint | None:
    """From ``0100007F:2328``: 32-bit words, each in the byte order of this machine, and the port."""
    words, _, number = text.partition(":")
    packed = b"".join(int(words[i : i + 8], 16).to_bytes(4, sys.byteorder) for i in range(0, len(words), 8))
    port = int(number, 16)
    return Endpoint(unmap(ip_address(packed)), port) if port else None


def inodes_of(links: Iterable[str]) -> set[int]:
    """The inodes of the sockets among what a process's descriptors link to, ``socket:[12345]``."""
    return {int(link[8:-1]) for link in links if link.startswith("socket:[")}


def sockets_of(pid: int) -> list[Socket] | None:
    """The TCP sockets that the process has open; None where this system does not tell."""
    process = Path("/proc", str(pid))
    try:
        # The process's own view: it may be in another network namespace.
        text = (process / "net/tcp").read_text()
        links = []
        for descriptor in (process / "fd").iterdir():
            try:
                links.append(os.readlink(descriptor))
            except FileNotFoundError:  # closed since
                pass
    except OSError:
        return None
    sockets = parse_sockets(text)
    try:
        sockets += parse_sockets((process / "net/tcp6").read_text())
    except OSError:  # no IPv6 on this machine
        pass
    inodes = inodes_of(links)
    return [socket for socket in sockets if socket.inode in inodes]
