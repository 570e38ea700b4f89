"""The broker as a service: listens, and that is all that is left to do."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from typing import Any

from twisted.application.service import IService, Service
from twisted.internet import endpoints
from twisted.internet.defer import Deferred
from twisted.internet.error import CannotListenError
from twisted.internet.interfaces import IListeningPort, IStreamServerEndpoint
from twisted.logger import Logger
from twisted.python.failure import Failure

from p2phole.broker.admission import Admission
from p2phole.broker.directory import MemoryDirectory
from p2phole.broker.factory import BehindProxy, Broker
from p2phole.broker.introduction import Introductions
from p2phole.broker.journal import Journal
from p2phole.broker.limits import Limits
from p2phole.broker.line import Announcement
from p2phole.broker.proof import Proof
from p2phole.broker.settings import BrokerSettings
from p2phole.descriptors import raise_descriptor_limit, spare_descriptors
from p2phole.errors import EndpointUnusable, LocalError, PortTaken

BACKLOG = 256
"""Connections that the kernel accepts for us meanwhile; Twisted's 50 is soon full when a broker comes back."""

_log = Logger()


class BrokerService(Service):
    """Listens on the endpoints that the settings name; ``fail`` hears of what can't be listened on."""

    def __init__(self, reactor: object, settings: BrokerSettings, fail: Callable[[LocalError], None]) -> None:
        self._reactor = reactor
        self._settings = settings
        self._fail = fail
        self._ports: list[IListeningPort] = []
        self._factory = make_factory(reactor, settings, _random)

    def privilegedStartService(self) -> None:
        """Listen.  Raises :class:`LocalError` for what is known at once, and most is."""
        raise_descriptor_limit()
        most = self._settings.limits.max_connections
        self._factory.limits.bear(spare := spare_descriptors(most))
        if self._settings.listen:
            for text in self._settings.listen:
                self._listen(text)
        else:
            self._listen_on_all(self._settings.port)
        if self._settings.probe_port:
            self._listen_on_all(self._settings.probe_port)
        if spare < most:
            _log.warn("No more than {spare} connections: raise the limit of open files for more.", spare=spare)

    def _listen_on_all(self, port: int) -> None:
        try:
            # "::" takes IPv4 as well.
            listening = self._tcp(port, "::")
        except CannotListenError:
            try:
                listening = self._tcp(port, "0.0.0.0")
            except CannotListenError as error:
                raise PortTaken(port=port, why=_why(error)) from None
        self._listening(listening)

    def _tcp(self, port: int, interface: str) -> IListeningPort:
        listening: IListeningPort = self._reactor.listenTCP(  # type: ignore[attr-defined]
            port, self._factory, backlog=BACKLOG, interface=interface
        )
        return listening

    def _listen(self, text: str) -> None:
        try:
            endpoint: IStreamServerEndpoint = endpoints.serverFromString(self._reactor, text)
        except Exception as error:
            # Endpoint strings are parsed by plugins, which raise what they like.
            raise EndpointUnusable(endpoint=text, why=str(error) or type(error).__name__) from None
        problems: list[LocalError] = []
        started = False

        def failed(failure: Failure) -> None:
            error = failure.value
            why = _why(error) if isinstance(error, CannotListenError) else str(error)
            problem = EndpointUnusable(endpoint=text, why=why)
            if started:
                self._fail(problem)
            else:
                problems.append(problem)

        behind = text.startswith("haproxy:")
        factory = BehindProxy(self._factory) if behind else self._factory
        listening: Deferred[IListeningPort] = endpoint.listen(factory)
        listening.addCallbacks(self._listening, failed)
        started = True
        if problems:
            raise problems[0]

    def _listening(self, port: IListeningPort) -> None:
        self._ports.append(port)
        where = port.getHost()
        _log.info("The broker listens on port {port}.", port=getattr(where, "port", where))

    def stopService(self) -> Deferred[None]:
        """Listen no more; connections end with the process."""
        Service.stopService(self)
        ports, self._ports = self._ports, []
        return Deferred.fromCoroutine(_stop(ports))


async def _stop(ports: list[IListeningPort]) -> None:
    for port in ports:
        stopped: object = port.stopListening()
        if isinstance(stopped, Deferred):
            await stopped


def make_factory(reactor: Any, settings: BrokerSettings, entropy: Callable[[], bytes]) -> Broker:
    """The factory of the broker's connections, with all that they share."""
    directory, limits = MemoryDirectory(), Limits(settings.limits, reactor.seconds)
    return Broker(
        Introductions(directory, entropy, reactor.seconds),
        Admission(Proof(settings.public_names).check, limits, directory, reactor.callLater, entropy),
        Announcement(settings.probe_port, settings.probe_address or ""),
        limits,
        Journal(reactor.seconds, settings.log_addresses),
        reactor,
        entropy,
    )


def _random() -> bytes:
    return secrets.token_bytes(16)


def _why(error: CannotListenError) -> str:
    text: str = getattr(error.socketError, "strerror", None) or str(error.socketError)
    return text.lower()


def make_broker(reactor: object, settings: BrokerSettings, fail: Callable[[LocalError], None]) -> IService:
    """The broker that the settings describe."""
    return BrokerService(reactor, settings, fail)
