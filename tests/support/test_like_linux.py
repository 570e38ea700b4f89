"""The memory sockets against the kernel that this runs on: the same calls, the same answers."""

from __future__ import annotations

import errno
import itertools
import select
import socket
import struct
import sys
import time
from collections.abc import Callable
from typing import Any

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from p2phole.demo import free_ports
from tests.support.network import Network

LINGER = (socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
EVENTS = {name: getattr(select, f"EPOLL{name}") for name in ("IN", "OUT", "HUP", "ERR")}


class Memory:
    """Sockets of one memory host."""

    def __init__(self) -> None:
        self.network = Network(Clock())
        self.host = self.network.host("alice", address="203.0.113.5")

    def new_socket(self, family: socket.AddressFamily = socket.AF_INET) -> Any:
        return self.host.stack.new_socket(family)

    def settle(self) -> None:
        self.network.advance(0.01)

    def port(self) -> int:
        """One that is free at all addresses, or 0 for any."""
        return 0

    def events(self, which: Any) -> int:
        return which.poll()


class Kernel:
    """Sockets of this machine, on loopback."""

    def new_socket(self, family: socket.AddressFamily = socket.AF_INET) -> Any:
        new = socket.socket(family, socket.SOCK_STREAM)
        new.setblocking(False)
        return new

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds

    def settle(self) -> None:
        time.sleep(self._seconds)

    def port(self) -> int:
        # What the system picks for one address may be another program's at the others.
        return free_ports()[0]

    def events(self, which: Any) -> int:
        with select.epoll() as poll:
            poll.register(which.fileno(), select.EPOLLIN | select.EPOLLOUT)
            return dict(poll.poll(0)).get(which.fileno(), 0)


class Side:
    """One way to run a scenario; what it saw is in `log`."""

    def __init__(self, system: Memory | Kernel) -> None:
        self.system = system
        self.log: list[object] = []
        self.sockets: list[Any] = []

    def new_socket(self, family: socket.AddressFamily = socket.AF_INET, flags: str = "") -> Any:
        new = self.system.new_socket(family)
        self.sockets.append(new)
        if "a" in flags:
            new.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if "p" in flags:
            new.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        return new

    def listener(self, family: socket.AddressFamily = socket.AF_INET) -> Any:
        new = self.new_socket(family)
        new.bind(("127.0.0.1" if family == socket.AF_INET else "::", 0))
        new.listen(5)
        return new

    def pair(self) -> tuple[Any, Any]:
        listener, client = self.listener(), self.new_socket()
        self.log.append(client.connect_ex(listener.getsockname()))
        self.system.settle()
        server, _ = listener.accept()
        self.sockets.append(server)
        server.setblocking(False)
        return client, server

    def see(self, which: Any, reads: int = 3) -> None:
        """Notes the poll events, then what so many reads give."""
        self.system.settle()
        events = self.system.events(which)
        self.log.append([name for name, bit in EVENTS.items() if events & bit])
        for _ in range(reads):
            self.log.append(self.attempt(lambda: which.recv(100)))

    def attempt(self, call: Callable[[], object]) -> object:
        try:
            return call()
        except OSError as error:
            return errno.errorcode[error.errno or 0]

    def close(self) -> None:
        for each in self.sockets:
            each.close()


def rst_after_data(side: Side) -> None:
    a, b = side.pair()
    a.send(b"hello")
    a.setsockopt(*LINGER)
    a.close()
    side.see(b)
    side.log.append(side.attempt(lambda: b.send(b"x")))


def close_with_unread_data(side: Side) -> None:
    a, b = side.pair()
    b.send(b"unread")
    side.system.settle()
    a.send(b"hello")
    a.close()
    side.see(b)


def fin_then_rst(side: Side) -> None:
    a, b = side.pair()
    a.shutdown(socket.SHUT_WR)
    side.see(b, reads=1)
    a.setsockopt(*LINGER)
    a.close()
    side.see(b)


def write_to_a_closed_peer(side: Side) -> None:
    a, b = side.pair()
    a.send(b"hello")
    a.close()
    side.see(b, reads=0)
    side.log.append(b.send(b"x"))
    side.see(b)
    side.log.append(side.attempt(lambda: b.send(b"y")))


def half_close(side: Side) -> None:
    a, b = side.pair()
    a.shutdown(socket.SHUT_WR)
    side.see(b, reads=2)
    side.log.append(b.send(b"still"))
    side.see(a)
    side.log.append(side.attempt(lambda: a.send(b"z")))
    b.close()
    side.see(a)


def refused(side: Side) -> None:
    free = side.new_socket()
    free.bind(("127.0.0.1", 0))
    client = side.new_socket()
    side.log.append(client.connect_ex(free.getsockname()))
    side.system.settle()
    side.log.append(client.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR))
    side.log.append(side.attempt(client.getpeername))


def connected_to_itself(side: Side) -> None:
    a = side.new_socket()
    a.bind(("127.0.0.1", 0))
    side.log.append(a.connect_ex(a.getsockname()))
    side.system.settle()
    side.log.append(a.getpeername() == a.getsockname())
    a.send(b"echo")
    side.see(a)


def four_tuple_taken(side: Side) -> None:
    listener, other = side.listener(), side.listener()
    first, second = side.new_socket(flags="ap"), side.new_socket(flags="ap")
    first.bind(("127.0.0.1", 0))
    second.bind(first.getsockname())
    side.log.append(first.connect_ex(listener.getsockname()))
    side.system.settle()
    side.log.append(errno.errorcode[second.connect_ex(listener.getsockname())])
    side.log.append(second.connect_ex(other.getsockname()))


def ipv4_at_an_ipv6_listener(side: Side) -> None:
    listener, client = side.listener(socket.AF_INET6), side.new_socket()
    side.log.append(client.connect_ex(("127.0.0.1", listener.getsockname()[1])))
    side.system.settle()
    server, peer = listener.accept()
    side.sockets.append(server)
    side.log.append((peer[0], len(peer), server.getsockname()[0]))


SCENARIOS = (
    rst_after_data,
    close_with_unread_data,
    fin_then_rst,
    write_to_a_closed_peer,
    half_close,
    refused,
    connected_to_itself,
    four_tuple_taken,
    ipv4_at_an_ipv6_listener,
)


def shared_port(side: Side, kinds: tuple[str, str], flags: tuple[str, str], hosts: tuple[str, str]) -> object:
    """Whether a second socket may have the port of a first one."""
    target = side.listener()
    port = side.system.port()
    for kind, flag, host in zip(kinds, flags, hosts, strict=True):
        new = side.new_socket(socket.AF_INET6 if ":" in host else socket.AF_INET, flag)
        try:
            new.bind((host, port))
            if kind == "listen":
                new.listen(5)
            elif kind == "dial":
                # Two dials must not have one 4-tuple: that would be another error.
                target = side.listener()
                new.connect_ex(target.getsockname())
        except OSError as error:
            return errno.errorcode[error.errno or 0]
        port = new.getsockname()[1]
    return "shared"


class LikeLinuxTests(SynchronousTestCase):
    """Needs nothing but loopback."""

    if not sys.platform.startswith("linux"):
        skip = "these are Linux's rules"

    def both(self, scenario: Callable[[Side], object]) -> tuple[object, object]:
        """What it came to in memory, and in the kernel: given more time where that has other things to do."""
        memory = self.run_on(Memory(), scenario)
        for seconds in (0.002, 0.05, 0.5):
            if (kernel := self.run_on(Kernel(seconds), scenario)) == memory:
                break
        return memory, kernel

    def run_on(self, system: Memory | Kernel, scenario: Callable[[Side], object]) -> tuple[object, list[object]]:
        side = Side(system)
        try:
            return scenario(side), side.log
        finally:
            side.close()

    def test_scenarios(self) -> None:
        """Reads, errors and poll events are the kernel's."""
        for scenario in SCENARIOS:
            memory, kernel = self.both(scenario)
            self.assertEqual(memory, kernel, scenario.__name__)

    def test_shared_ports(self) -> None:
        """Who may share a port with whom, by all flags and uses of the two sockets."""
        for kinds in itertools.product(("listen", "dial", "bound"), repeat=2):
            for flags in itertools.product(("", "a", "p", "ap"), repeat=2):
                memory, kernel = self.both(
                    lambda side, k=kinds, f=flags: shared_port(side, k, f, ("0.0.0.0", "0.0.0.0"))
                )
                self.assertEqual(memory[0], kernel[0], (kinds, flags))

    def test_overlapping_addresses(self) -> None:
        """Which addresses are the same as far as ports go."""
        for hosts in itertools.product(("0.0.0.0", "::", "127.0.0.1", "127.0.0.2", "::1"), repeat=2):
            for flags in itertools.product(("", "ap"), repeat=2):
                memory, kernel = self.both(
                    lambda side, f=flags, h=hosts: shared_port(side, ("listen", "listen"), f, h)
                )
                self.assertEqual(memory[0], kernel[0], (hosts, flags))
