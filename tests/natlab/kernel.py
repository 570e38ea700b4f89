"""The few system calls that Python 3.11 does not offer, and what is said to the kernel with them.

Everything here works on the calling process (or thread) and needs its right to do so; OSError otherwise.
"""

from __future__ import annotations

import ctypes
import fcntl
import os
import signal
import socket
import struct

CLONE_NEWUSER = 0x10000000
CLONE_NEWNET = 0x40000000

_PR_SET_PDEATHSIG = 1
_PR_SET_TIMERSLACK = 29

_TUNSETIFF = 0x400454CA
_IFF_TUN = 0x0001
_IFF_NO_PI = 0x1000

_SIOCGIFFLAGS = 0x8913
_SIOCSIFFLAGS = 0x8914
_IFF_RUNNING = 0x40

_NETLINK_NETFILTER = 12
_CTNETLINK_DELETE = (1 << 8) | 2
_NLM_F_REQUEST_ACK = 0x1 | 0x4
_NLMSG_ERROR = 2

_libc = ctypes.CDLL(None, use_errno=True)


def _check(result: int, what: str) -> None:
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")


def unshare(flags: int) -> None:
    """Move the calling process into new namespaces of the kinds in ``flags``."""
    _check(_libc.unshare(flags), "unshare")


def enter(descriptor: int) -> None:
    """Move the calling process into the network namespace behind ``descriptor``."""
    _check(_libc.setns(descriptor, CLONE_NEWNET), "setns")


def new_user_namespace() -> None:
    """Become root of a new user namespace, as ``unshare -r`` does; files stay those of the real user."""
    user, group = os.getuid(), os.getgid()
    unshare(CLONE_NEWUSER)
    for name, text in (("setgroups", "deny"), ("uid_map", f"0 {user} 1"), ("gid_map", f"0 {group} 1")):
        with open(f"/proc/self/{name}", "w", encoding="ascii") as stream:
            stream.write(text)


def die_with_parent(parent: int) -> None:
    """Be killed when the parent ends. ``parent``: its pid; if it is gone already, end at once.

    The kernel means the parent *thread* that forked: only for children of single-threaded processes.
    """
    _check(_libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0), "prctl")
    if os.getppid() != parent:
        os._exit(1)


def precise_timers() -> None:
    """Wake from timeouts within microseconds instead of the 50 that the kernel may add to each."""
    _check(_libc.prctl(_PR_SET_TIMERSLACK, 1, 0, 0, 0), "prctl")


def open_tun(name: str) -> int:
    """Make the TUN device ``name`` in the current network namespace; its non-blocking descriptor.

    Packets come bare (no header before the IP header) and complete: a device that was promised no offloads
    gets segments of MTU size with their checksums filled in.
    """
    descriptor = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        fcntl.ioctl(descriptor, _TUNSETIFF, struct.pack("16sH22x", name.encode(), _IFF_TUN | _IFF_NO_PI))
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def is_running(device: str) -> bool:
    """Whether a device of the current network namespace is up, has its carrier and may be used at once.

    The kernel takes up a new carrier in the background: for a moment after ``ip link set ... up`` a veth
    device drops what it is given and its port of a bridge is closed. That costs an ARP request, so a second.
    """
    request = struct.pack("16sH22x", device.encode(), 0)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        answer = fcntl.ioctl(any_socket, _SIOCGIFFLAGS, request)
        if not struct.unpack_from("H", answer, 16)[0] & _IFF_RUNNING:
            return False
        # The flag comes first, the rest of that work follows under one lock: setting flags waits for it.
        fcntl.ioctl(any_socket, _SIOCSIFFLAGS, answer)
    return True


def flush_conntrack() -> None:
    """Forget every connection and translation of the current network namespace (``conntrack -F``).

    Done over netlink: the conntrack tool is often missing, and reloading nftables leaves the table as it is.
    """
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, _NETLINK_NETFILTER) as netlink:
        netlink.bind((0, 0))
        netlink.send(struct.pack("=IHHIIBBH", 20, _CTNETLINK_DELETE, _NLM_F_REQUEST_ACK, 1, 0, 0, 0, 0))
        _length, kind, _flags, _sequence, _port, result = struct.unpack_from("=IHHIIi", netlink.recv(4096))
    if kind != _NLMSG_ERROR or result != 0:
        raise OSError(-result, f"conntrack flush: {os.strerror(-result)}")


def network_namespace(path: str) -> int | None:
    """The inode of the network namespace that ``path`` (under /proc) refers to; None if it is no such thing,
    has gone, or is not ours to look at."""
    try:
        target = os.readlink(path)
    except OSError:
        return None
    if not (target.startswith("net:[") and target.endswith("]")):
        return None
    return int(target[5:-1])


def processes_in(namespaces: set[int]) -> list[int]:
    """Pids of the processes that live in one of these network namespaces (by inode), zombies left out."""
    return [
        int(entry)
        for entry in os.listdir("/proc")
        if entry.isdigit() and network_namespace(f"/proc/{entry}/ns/net") in namespaces
    ]
