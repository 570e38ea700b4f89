"""Why an endpoint did not connect or listen: in words, and as the errors that Twisted's users look for."""

from __future__ import annotations

from twisted.internet.error import CannotListenError, ConnectError, ConnectionRefusedError, TimeoutError

from p2phole.errors import P2pholeError


class CannotConnect(P2pholeError, ConnectError):
    """Cannot connect to {name}: {why}."""

    osError = None


class NotReached(P2pholeError, TimeoutError):
    """{name} was not reached within {seconds:g} s: {why}."""

    osError = None


class NotServed(P2pholeError, ConnectionRefusedError):
    """{name} takes no such connection: {why}."""

    osError = None


class CannotListen(P2pholeError, CannotListenError):
    """Cannot listen as {name}: {why}."""

    interface = port = socketError = None
