"""Stays connected to the broker, from the shared port; comes back to it by itself."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.application.internet import ClientService, backoffPolicy
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.endpoints import HostnameEndpoint, wrapClientTLS
from twisted.internet.error import ConnectingCancelledError, DNSLookupError
from twisted.internet.interfaces import IAddress, IProtocol, IProtocolFactory, IStreamClientEndpoint
from twisted.internet.protocol import Factory
from twisted.internet.ssl import optionsForClientTLS
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from p2phole.errors import LocalError, RemoteProtocolError
from p2phole.peer.broker_protocol import BrokerProtocol, BrokerSaidNo, CertificateRefused, Room
from p2phole.peer.errors import BrokerDistrusted, BrokerRefused, NoSuchHost, NotABroker, VersionMismatch
from p2phole.peer.settings import BrokerAddress

CONNECT_SECONDS = 10.0
LONGEST_PAUSE = 7.0
"""Bound in seconds of the growing pause between tries; at most one second of jitter comes on top."""

_log = Logger()


class _Factory(Factory):
    noisy = False

    def __init__(self, reactor: Any, room: Room) -> None:
        self._reactor = reactor
        self._room = room

    def buildProtocol(self, addr: IAddress | None) -> BrokerProtocol:
        return BrokerProtocol(self._reactor, self._room)


class BrokerLink:
    """The connection to one broker.  ``fail`` hears, before the first registration only, of what will
    not get better by itself; all else is tried again."""

    def __init__(
        self,
        reactor: Any,
        address: BrokerAddress,
        binding: Any,
        room: Room,
        random: Callable[[], float],
        fail: Callable[[LocalError], None],
    ) -> None:
        self._address = address
        self._fail = fail
        self._ever_registered = False
        endpoint: IStreamClientEndpoint = HostnameEndpoint(
            reactor, address.host, address.port, CONNECT_SECONDS, bindAddress=binding
        )
        if address.tls:
            endpoint = wrapClientTLS(optionsForClientTLS(address.host), endpoint)
        self._service = ClientService(
            _Watched(endpoint, self._not_connected),
            _Factory(reactor, room),
            retryPolicy=backoffPolicy(0.5, LONGEST_PAUSE, jitter=random),
            clock=reactor,
            prepareConnection=self._prepare,
        )
        self._current: BrokerProtocol | None = None

    def start(self) -> None:
        """Connect."""
        self._service.startService()

    def stop(self) -> Deferred[None]:
        """Disconnect for good."""
        self.drop()
        stopped: Deferred[None] = self._service.stopService()
        return stopped

    def drop(self) -> None:
        """Close the connection there is, so that another one is made."""
        if self._current is not None:
            self._current.abort()

    def _prepare(self, protocol: Any) -> Deferred[None]:
        # A connection counts as one only when the broker has registered us: until then the pause grows.
        self._current = protocol
        settled: Deferred[RemoteProtocolError | None] = protocol.settled
        return settled.addCallback(self._settled)

    def _settled(self, problem: RemoteProtocolError | None) -> None:
        if problem is None:
            self._ever_registered = True
            return
        where, why = self._address, str(problem).removesuffix(".")
        error: LocalError
        if isinstance(problem, BrokerSaidNo):
            kind = VersionMismatch if problem.code == "version" else BrokerRefused
            error = kind(broker=where, detail=why)
        elif isinstance(problem, CertificateRefused):
            error = BrokerDistrusted(broker=where, why=why)
        else:
            error = NotABroker(broker=where, why=why)
        self._give_up(error)
        raise problem

    def _not_connected(self, failure: Failure) -> None:
        where = self._address
        if failure.check(DNSLookupError, ValueError):
            self._give_up(NoSuchHost(host=where.host))
        else:
            _log.warn(
                "Cannot reach the broker {where} ({why}), trying again.",
                where=where,
                why=failure.getErrorMessage().rstrip("."),
            )

    def _give_up(self, error: LocalError) -> None:
        if self._ever_registered:
            _log.warn("{error}  Trying again.", error=error)
        else:
            self._fail(error)


@implementer(IStreamClientEndpoint)
class _Watched:
    """An endpoint whose failures somebody sees: ClientService keeps them to itself."""

    def __init__(self, endpoint: IStreamClientEndpoint, failed: Callable[[Failure], None]) -> None:
        self._endpoint = endpoint
        self._failed = failed

    def connect(self, protocolFactory: IProtocolFactory) -> Deferred[IProtocol]:
        """See :class:`IStreamClientEndpoint`."""
        connecting: Deferred[IProtocol] = self._endpoint.connect(protocolFactory)
        return connecting.addErrback(self._tell)

    def _tell(self, failure: Failure) -> Failure:
        if not failure.check(CancelledError, ConnectingCancelledError):
            self._failed(failure)
        return failure
