"""A dialler whose calls the test answers."""

from __future__ import annotations

import errno
from typing import Any

from twisted.internet.error import (
    ConnectError,
    ConnectionRefusedError,
    NoRouteError,
    NotConnectingError,
    TimeoutError,
    UserError,
)
from twisted.internet.interfaces import IAddress
from twisted.internet.protocol import ClientFactory
from twisted.internet.task import Clock
from twisted.python.failure import Failure

from p2phole.addresses import Endpoint
from tests.doubles import HERE, Wire


class Call:
    """One dial, as a connector: *connecting*, then *connected* or *disconnected*."""

    def __init__(self, clock: Clock, endpoint: Endpoint, factory: ClientFactory, timeout: float) -> None:
        self.clock = clock
        self.at = clock.seconds()
        self.endpoint = endpoint
        self.factory = factory
        self.timeout = timeout
        self.state = "connecting"
        self.wire: Wire | None = None
        self.protocol: Any = None

    def fail(self, why: Exception) -> None:
        assert self.state == "connecting"
        self.state = "disconnected"
        self.factory.clientConnectionFailed(self, Failure(why))  # type: ignore[arg-type]

    def refuse(self) -> None:
        self.fail(ConnectionRefusedError(errno.ECONNREFUSED, "Connection refused"))

    def time_out(self) -> None:
        self.fail(TimeoutError())

    def no_route(self) -> None:
        self.fail(NoRouteError(errno.ENETUNREACH, "Network is unreachable"))

    def in_use(self) -> None:
        self.fail(ConnectError(errno.EADDRNOTAVAIL, "Cannot assign requested address"))

    def icmp(self) -> None:
        self.fail(ConnectError(errno.EHOSTUNREACH, "No route to host"))

    def answer(self, peer: IAddress) -> Any:
        assert self.state == "connecting"
        self.state = "connected"
        self.protocol = self.factory.buildProtocol(peer)
        if self.protocol is not None:
            self.wire = Wire(self.clock, HERE, peer)
            lost = self.protocol.connectionLost

            def connectionLost(reason: Failure) -> None:
                lost(reason)
                self.state = "disconnected"
                self.factory.clientConnectionLost(self, reason)  # type: ignore[arg-type]

            self.protocol.connectionLost = connectionLost
            self.wire.attach(self.protocol)
        return self.protocol

    def stopConnecting(self) -> None:
        if self.state != "connecting":
            raise NotConnectingError("we're not trying to connect")
        self.fail(UserError())


class FakeDialler:
    """Keeps the calls."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.calls: list[Call] = []

    def dial(self, endpoint: Endpoint, factory: ClientFactory, timeout: float) -> Any:
        call = Call(self.clock, endpoint, factory, timeout)
        self.calls.append(call)
        return call

    @property
    def open(self) -> list[Call]:
        return [call for call in self.calls if call.state == "connecting"]
