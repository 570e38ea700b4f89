"""Meeting by chance where one NAT takes its outside ports at random (the birthday paradox).

That side opens many sockets towards the one endpoint of the other, each with a port of its own
outside; the other side tries random ports of that NAT's address from its one port.  With 256 open
ports each try has one chance in 252; 2,048 tries miss with a chance of one in 3,000.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from typing import Any

from twisted.internet.interfaces import IAddress, IConnector, IDelayedCall, IReactorTime
from twisted.internet.protocol import ClientFactory, Protocol
from twisted.python.failure import Failure

from p2phole.addresses import Endpoint, IPAddress
from p2phole.descriptors import spare_descriptors
from p2phole.punch.dial import Dialler

MANY_PORTS = 256
MOST_TRIES = 2048
PER_SECOND = 200
NEAR = 64
"""Distance from a port that was seen up to which one is near."""
TRY_SECONDS = 0.9
"""After this a try is closed, since the kernel would repeat its SYN after a second; the listener takes what
comes late."""
TICK = 0.02
EVERY = 60.0
"""Seconds between two of these in one process."""
SECONDS = 11.0
"""How long it takes at the most: 2,048 tries at 200 a second, and the last one's answer."""
LOWEST_PORT = 1024


class Gate:
    """One at a time, at most one a minute, in this process."""

    def __init__(self, clock: IReactorTime) -> None:
        self._clock = clock
        self._last: float | None = None

    def enter(self) -> bool:
        """Whether it may begin now; if so, it has."""
        now = self._clock.seconds()
        if self._last is not None and now - self._last < EVERY:
            return False
        self._last = now
        return True


class _One(ClientFactory):
    noisy = False

    def __init__(self, many: Many) -> None:
        self._many = many

    def buildProtocol(self, addr: IAddress | None) -> Protocol | None:
        return self._many.arrived(self)

    def clientConnectionFailed(self, connector: IConnector, reason: Failure) -> None:
        self._many.gone(self)


class Many:
    """Many connections, so many of them under way at one time, at 200 a second and 2,048 in all; ``sent`` counts
    the dials."""

    def __init__(
        self, clock: IReactorTime, dial: Callable[[_One], Any], at_once: int, build: Callable[[], Protocol]
    ) -> None:
        self.sent = 0
        self._dial = dial
        self._at_once = at_once
        self._build = build
        self._under_way: dict[_One, Any] = {}
        self._clock = clock
        self._timer: IDelayedCall | None = None
        self._end = 0.0

    def start(self) -> None:
        """Begin; nothing more is sent after :meth:`stop`."""
        self._end = self._clock.seconds() + SECONDS - TICK
        self._some()

    def stop(self) -> None:
        """Close what has not connected."""
        timer, self._timer = self._timer, None
        if timer is not None:
            timer.cancel()
        under_way, self._under_way = self._under_way, {}
        for connector in under_way.values():
            if connector.state == "connecting":
                connector.stopConnecting()

    def _some(self) -> None:
        # Not a LoopingCall: that calls twice where a tick comes early by a rounding error, and so keeps no pace.
        some = min(round(PER_SECOND * TICK), MOST_TRIES - self.sent, self._at_once - len(self._under_way))
        more = self.sent + some < MOST_TRIES and self._clock.seconds() < self._end
        self._timer = self._clock.callLater(TICK, self._some) if more else None
        for _ in range(some):
            self.sent += 1
            one = _One(self)
            self._under_way[one] = None
            connector = self._dial(one)
            if one in self._under_way:  # else it has failed already
                self._under_way[one] = connector

    def arrived(self, one: _One) -> Protocol | None:
        """It has connected."""
        return self._build() if self._under_way.pop(one, None) is not None else None

    def gone(self, one: _One) -> None:
        """It has not."""
        self._under_way.pop(one, None)


def many_ports(clock: IReactorTime, fresh: Dialler, target: Endpoint, build: Callable[[], Protocol]) -> Many:
    """From 256 ports of the system's choice (fewer where the process may not have so many sockets) to the one
    endpoint of the other side; each stays open, and the kernel repeats its SYN.

    A router that answers with RST closes it: then another port takes its place.  For what the other side has
    tried before, its router lets in, so that such a SYN meets one of the past tries.
    """
    at_once = spare_descriptors(MANY_PORTS)
    return Many(clock, lambda one: fresh.dial(target, one, SECONDS), at_once, build)


def many_tries(
    clock: IReactorTime,
    dialler: Dialler,
    target: IPAddress,
    random: Callable[[], float],
    build: Callable[[], Protocol],
    seen: Collection[int] = (),
) -> Many:
    """From the shared port to random ports of one address, none of them twice.

    Every second one lies near a port that was ``seen`` there: where a carrier gives each subscriber few ports
    (RFC 7422), the others are in the same block; elsewhere they are as likely as any.
    """
    tried: set[int] = set()
    near = _near(seen)

    def dial(one: _One) -> Any:
        port = next(near, 0) if len(tried) % 2 else 0
        while port in tried or not LOWEST_PORT < port <= 65535:
            port = LOWEST_PORT + 1 + int(random() * (65535 - LOWEST_PORT))
        tried.add(port)
        return dialler.dial(Endpoint(target, port), one, TRY_SECONDS)

    return Many(clock, dial, MOST_TRIES, build)


def _near(seen: Collection[int]) -> Iterator[int]:
    for distance in range(1, NEAR + 1):
        for port in seen:
            yield port + distance
            yield port - distance
