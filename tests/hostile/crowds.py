"""Attackers by number: connections that say next to nothing, and such that never read."""

from __future__ import annotations

import contextlib
import select
import signal
import socket
import struct
import threading
import time
from argparse import Namespace
from collections import Counter

from p2phole.addresses import Candidate, Endpoint
from p2phole.wire.codec import encode
from p2phole.wire.messages import Hello, Request
from tests.hostile.client import Client, Gone
from tests.hostile.modes import Told

_over = threading.Event()
"""That a signal has called it off."""
_SLOW = encode(Hello(2, "hostile"))
ASKED = 20
"""Introductions for which each of the deaf ones asks: some 2 KB each, more than a socket holds."""
BYTES_A_SECOND = 500
"""Over all of the slow connections."""


def slow(arguments: Namespace) -> Told:
    """At the broker, and a tenth as many at the direct port; what is closed is opened again."""
    signal.signal(signal.SIGTERM, lambda *_: _over.set())
    did: Counter[str] = Counter()
    targets = [arguments.broker] * 10 + ([arguments.target] if arguments.target else [])
    links: dict[int, tuple[socket.socket, int]] = {}
    poll = select.poll()
    end = time.monotonic() + arguments.seconds

    def open_one(number: int) -> None:
        link = socket.socket()
        link.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        link.bind((f"127.0.1.{1 + number % 16}", 0))
        link.setblocking(False)
        link.connect_ex(targets[number % len(targets)])
        links[link.fileno()] = link, 0
        poll.register(link, select.POLLIN | select.POLLHUP | select.POLLERR)
        did["connections"] += 1

    def close(descriptor: int) -> None:
        poll.unregister(descriptor)
        links.pop(descriptor)[0].close()

    for number in range(arguments.count):
        open_one(number)
        if number % 100 == 99:
            time.sleep(0.02)
    did["held"] = len(links)
    while time.monotonic() < end and not _over.is_set():
        for descriptor, _event in poll.poll(1):
            close(descriptor)
            did["closed on it"] += 1
        if len(links) < arguments.count and did["connections"] < 3 * arguments.count:
            open_one(did["connections"])
        for descriptor in arguments.random.sample(list(links), min(10, len(links))):
            link, at = links[descriptor]
            with contextlib.suppress(OSError):
                link.send(_SLOW[at : at + 1])
                did["bytes"] += 1
            links[descriptor] = link, (at + 1) % len(_SLOW)
        time.sleep(10 / BYTES_A_SECOND)
    for descriptor in tuple(links):
        close(descriptor)
    return dict(did)


def deaf(arguments: Namespace) -> Told:
    """In pairs, who ask for each other again and again: to each there is much more to say than it asks."""
    signal.signal(signal.SIGTERM, lambda *_: _over.set())
    did: Counter[str] = Counter()
    clients: list[Client] = []
    end = time.monotonic() + arguments.seconds
    told = tuple(Candidate("srflx", Endpoint.make("127.0.0.66", 4000 + each)) for each in range(24))
    for number in range(arguments.count):
        with contextlib.suppress(OSError, Gone):
            client = Client(arguments.broker, f"127.0.2.{1 + number % 16}")
            client.link.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1024)
            clients.append(client)
            client.greet()
            client.register(("open", f"deaf {number // 2}"), candidates=told)
            did["registered"] += 1
            client.link.settimeout(1.0)
            if number % 2:
                for _ in range(ASKED):
                    for one, other in ((clients[-2], clients[-1]), (clients[-1], clients[-2])):
                        one.say(Request(other.instance, told))
                        did["asked"] += 1
    did["held"] = len(clients)
    while time.monotonic() < end and not _over.is_set():
        time.sleep(0.1)
    for client in clients:
        client.link.close()
    return dict(did)
