"""Plain sockets of a laboratory's hosts, driven from the calling process: what the self-test probes with.

Every wait ends at a deadline that is far beyond what an idle machine needs, and as soon as what is waited for
has happened.
"""

from __future__ import annotations

import contextlib
import select
import socket
import time
from collections.abc import Callable, Iterator
from typing import TypeVar

from tests.natlab.namespace import Namespace
from tests.natlab.packets import echo_request

DEADLINE = 60.0

T = TypeVar("T")


def wait_until(condition: Callable[[], T | None], what: str, timeout: float = DEADLINE) -> T:
    """Look every 10 ms until ``condition`` answers something true; AssertionError if it never does."""
    deadline = time.monotonic() + timeout
    while True:
        found = condition()
        if found:
            return found
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {timeout:g} s: {what}")
        time.sleep(0.01)


def expect(condition: object, otherwise: str) -> None:
    """AssertionError unless the condition is true; not an assert statement, so that -O leaves it."""
    if not condition:
        raise AssertionError(otherwise)


def _family(address: str) -> int:
    return socket.AF_INET6 if ":" in address else socket.AF_INET


@contextlib.contextmanager
def listening(host: Namespace, address: str, port: int) -> Iterator[socket.socket]:
    """A listening socket."""
    with host.socket(_family(address)) as listener:
        listener.settimeout(DEADLINE)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((address, port))
        listener.listen()
        yield listener


@contextlib.contextmanager
def connected(host: Namespace, address: str, port: int, local_port: int = 0) -> Iterator[socket.socket]:
    """A connection out of ``host``; OSError if it is refused."""
    with host.socket(_family(address)) as connection:
        connection.settimeout(DEADLINE)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if local_port:
            connection.bind(("", local_port))
        connection.connect((address, port))
        yield connection


@contextlib.contextmanager
def datagrams(host: Namespace, address: str, port: int) -> Iterator[socket.socket]:
    """A bound UDP socket."""
    with host.socket(_family(address), socket.SOCK_DGRAM) as sender:
        sender.settimeout(DEADLINE)
        sender.bind((address, port))
        yield sender


def round_trip(host: Namespace, address: str, port: int, times: int = 5) -> float:
    """The shortest of some connection set-ups, in seconds: the others met a busy machine."""
    shortest = float("inf")
    for _ in range(times):
        start = time.perf_counter()
        with connected(host, address, port):
            shortest = min(shortest, time.perf_counter() - start)
    return shortest


def fence(host: Namespace, address: str) -> None:
    """Wait until all that ``host`` has sent to ``address`` (IPv4) was handled there and answered.

    By an echo request: packets do not overtake each other, so whatever has got no answer now gets none.
    """
    with host.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP) as raw:
        raw.settimeout(DEADLINE)
        raw.connect((address, 0))
        raw.send(echo_request(1))
        while True:
            packet = raw.recv(2048)
            if packet[(packet[0] & 0x0F) * 4] == 0:  # an echo reply, not an error that quotes something
                return


def meet(
    first: Namespace,
    first_port: int,
    first_public: str,
    second: Namespace,
    second_port: int,
    second_public: str,
) -> tuple[socket.socket, socket.socket]:
    """Two hosts connect to each other at the same moment, each from the port that the other one dials.

    The routers are taken to keep ports. Returns both connections; ConnectionError if either was refused.
    """
    one, two = first.socket(_family(second_public)), second.socket(_family(first_public))
    try:
        for connection, port in ((one, first_port), (two, second_port)):
            connection.setblocking(False)
            connection.bind(("", port))
        one.connect_ex((second_public, second_port))
        two.connect_ex((first_public, first_port))
        pending = {one, two}
        deadline = time.monotonic() + DEADLINE
        while pending:
            _, ready, _ = select.select([], list(pending), [], max(0.0, deadline - time.monotonic()))
            if not ready:
                raise AssertionError("two hosts that dial each other never meet")
            for connection in ready:
                error = connection.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
                if error:
                    raise ConnectionError(error, "refused while the two dialled each other")
                connection.settimeout(DEADLINE)
                pending.discard(connection)
    except BaseException:
        one.close()
        two.close()
        raise
    return one, two
