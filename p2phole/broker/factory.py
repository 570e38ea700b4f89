"""What the connections of one broker share; and who is turned away before it has a connection of its own."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import cast

from twisted.internet.interfaces import IAddress, IDelayedCall, IReactorTime, ITCPTransport
from twisted.internet.protocol import Protocol, ServerFactory, connectionDone
from twisted.python.failure import Failure

from p2phole.broker.admission import Admission
from p2phole.broker.introduction import Introductions
from p2phole.broker.journal import Journal
from p2phole.broker.limits import Limits, address_group
from p2phole.broker.line import Announcement
from p2phole.broker.protocol import LINGER_SECONDS, BrokerProtocol, endpoint_of
from p2phole.wire.codec import BadLine, encode
from p2phole.wire.messages import Error

MOST_TURNED_AWAY = 256
"""Connections to which it is being said that there are too many; any others are closed without a word."""


@dataclass(eq=False)
class Broker(ServerFactory):
    """Makes the connections.  ``entropy``: gives 16 random bytes."""

    introductions: Introductions
    admission: Admission
    announcement: Announcement
    limits: Limits
    journal: Journal
    clock: IReactorTime
    entropy: Callable[[], bytes]
    noisy: bool = False
    turned_away: set[TurnedAway] = field(default_factory=set)

    def buildProtocol(self, addr: IAddress | None) -> Protocol | None:
        """A peer has connected; one without an address and a port (a Unix socket) can't be introduced."""
        return self.build(addr, False)

    def build(self, addr: IAddress | None, proxied: bool) -> Protocol | None:
        """``proxied``: that is the address of a proxy, which is going to name the peer's."""
        try:
            where = endpoint_of(addr)
        except ValueError:
            return None
        address = None if proxied else address_group(where.ip)
        try:
            self.limits.check_connection(address)
        except BadLine as problem:
            error = Error(problem.code, problem.detail, problem.retry)
            self.journal.refused(error, where)
            return TurnedAway(self, error) if len(self.turned_away) < MOST_TURNED_AWAY else None
        return BrokerProtocol(self, address)


class BehindProxy(ServerFactory):
    """The same broker, for an endpoint that speaks the PROXY protocol."""

    noisy = False

    def __init__(self, broker: Broker) -> None:
        self._broker = broker

    def buildProtocol(self, addr: IAddress | None) -> Protocol | None:
        """A proxy has connected."""
        return self._broker.build(addr, True)


class TurnedAway(Protocol):
    """A connection that is one too many: says so and is gone, and costs next to nothing meanwhile."""

    def __init__(self, broker: Broker, error: Error) -> None:
        self._broker = broker
        self._error = error
        self._timer: IDelayedCall | None = None

    def connectionMade(self) -> None:
        """Say so.  What the peer may have said already is not read: it gets a RST behind our line."""
        self._broker.turned_away.add(self)
        transport = cast(ITCPTransport, self.transport)
        self._timer = self._broker.clock.callLater(LINGER_SECONDS, transport.abortConnection)
        transport.write(encode(self._error) + b"\n")
        transport.loseConnection()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """It is gone."""
        self._broker.turned_away.discard(self)
        if self._timer is not None and self._timer.active():
            self._timer.cancel()
