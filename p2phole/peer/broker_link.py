"""Stays registered with the broker, from the shared port; comes back to it by itself."""

from __future__ import annotations

import math
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from cryptography.x509 import load_pem_x509_certificates
from OpenSSL.crypto import X509
from twisted.application.internet import ClientService, backoffPolicy
from twisted.internet.defer import CancelledError, Deferred, ensureDeferred
from twisted.internet.endpoints import HostnameEndpoint, wrapClientTLS
from twisted.internet.error import ConnectingCancelledError, DNSLookupError
from twisted.internet.interfaces import (
    IAddress,
    IProtocol,
    IProtocolFactory,
    IStreamClientEndpoint,
)
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.ssl import Certificate, optionsForClientTLS, trustRootFromCertificates
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from p2phole.errors import LocalError, RemoteProtocolError
from p2phole.peer.broker_protocol import BrokerProtocol
from p2phole.peer.broker_session import Room
from p2phole.peer.errors import (
    BadAuthorities,
    BrokerDistrusted,
    BrokerRefused,
    BrokerSaidNo,
    CertificateRefused,
    CutOff,
    InvitationOver,
    NoSuchHost,
    NotABroker,
    Unwanted,
    VersionMismatch,
)
from p2phole.peer.settings import BrokerAddress

CONNECT_SECONDS = 10.0
SILENT_SECONDS = 30.0
"""How long the same trouble with the broker is not told again."""
FIRST_PAUSE, LONGEST_PAUSE = 0.5, 7.0
"""Bounds in seconds of the growing pause between tries; at most one second of jitter comes on top."""
URGENT_PAUSE = 1.0
"""Longest pause in seconds while a session waits for its connection."""
FIRST_TRY, LONGEST_TRY = 0.5, 2.5
"""Bounds in seconds of the growing time for the TCP connection then.  The kernel repeats a SYN after a second, and
the first one may be for a connection that the broker believes to have still (RFC 5961 section 4)."""
PATIENT_EACH = 6
"""One try in so many is given all the time then: the path may be slow, or the first name server dead."""

_log = Logger()


def authorities(path: Path) -> Any:
    """The certificates in that file.  Raises :class:`BadAuthorities`."""
    try:
        found = load_pem_x509_certificates(path.read_bytes())
    except OSError as error:
        raise BadAuthorities(path=path, why=error.strerror or error) from None
    except ValueError:
        raise BadAuthorities(path=path, why="it holds no certificate in PEM") from None
    return trustRootFromCertificates([Certificate(X509.from_cryptography(each)) for each in found])


class BrokerLink:
    """The registration with one broker.  ``fail`` hears, before the first one only, of what will not get
    better by itself; all else is tried again.  ``binding``: from which port to connect, asked each time."""

    def __init__(
        self,
        reactor: Any,
        address: BrokerAddress,
        binding: Callable[[], Any],
        room: Room,
        random: Callable[[], float],
        fail: Callable[[LocalError], None],
        urgent: Callable[[], bool] = lambda: False,
    ) -> None:
        self._address = address
        self._random = random
        self._urgent = urgent
        self._hurries = False
        """Whether the pause that passes is a short one."""
        self._tries = 0
        """Since then, or since the last one that was registered."""
        self._said = ("", 0.0)
        """Why the broker could not be reached, and when that was said last."""
        self._fail = fail
        self._seconds = reactor.seconds
        self._backoff = backoffPolicy(FIRST_PAUSE, LONGEST_PAUSE, jitter=random)
        options = None
        if address.tls:
            root = authorities(address.ca) if address.ca is not None else None
            options = optionsForClientTLS(address.host, trustRoot=root)

        def endpoint() -> IStreamClientEndpoint:
            where = (address.host, address.port, CONNECT_SECONDS)
            plain: IStreamClientEndpoint = HostnameEndpoint(reactor, *where, bindAddress=binding())
            return plain if options is None else wrapClientTLS(options, plain, reactor)

        self._registering = _Registering(
            endpoint, lambda: BrokerProtocol(reactor, room), self._failed, address, self._bounded
        )
        self._clock = reactor
        factory = Factory.forProtocol(Protocol)
        factory.noisy = False
        self._service = ClientService(
            self._registering,
            factory,
            retryPolicy=self._pause,
            clock=reactor,
        )

    def start(self) -> None:
        """Connect."""
        self._service.startService()

    def stop(self) -> Deferred[None]:
        """Disconnect for good."""
        stopped: Deferred[None] = self._service.stopService()
        # That would close with FIN; we close with RST, see BrokerProtocol.give_up.
        self.drop()
        return stopped

    def drop(self) -> None:
        """Close the connection there is, so that another one is made."""
        self._registering.drop()

    def hurry(self) -> None:
        """A session waits for its connection: do not let a long pause pass."""
        current = self._registering.current
        waits = current is None or (current.is_over and current.not_before <= self._seconds())
        if waits and not self._hurries and self._service.running:
            self._hurries = True
            self._service.stopService()
            self._service.startService()

    def _bounded(self, connecting: Deferred[IProtocol]) -> Deferred[IProtocol]:
        self._tries = self._tries + 1 if self._hurries else 0
        if self._tries % PATIENT_EACH:
            connecting.addTimeout(min(FIRST_TRY * 2 ** min(self._tries - 1, 4), LONGEST_TRY), self._clock)
            # A router may take what comes for the connection before as part of this one, and let nothing through.
            connecting.addCallback(_pressed)
        return connecting

    def _pause(self, failures: int) -> float:
        """Seconds until the next try: growing, and no less than the broker has asked for."""
        current, pause = self._registering.current, float(self._backoff(failures))
        if failures <= 1:
            self._tries = 0
        self._hurries = self._urgent() or (failures <= 1 and current is not None and current.was_cut_off)
        if self._hurries:
            pause = URGENT_PAUSE * self._random() * min(1.0, self._tries / 4)
        # On top of what it asked for, so that not all come back at once.
        return pause if current is None else pause + max(0.0, current.not_before - self._seconds())

    def _failed(self, failure: Failure) -> None:
        where, problem = self._address, failure.value
        why = failure.getErrorMessage().rstrip(".")
        if failure.check(DNSLookupError, ValueError):
            self._give_up(NoSuchHost(host=where.host))
        elif isinstance(problem, BrokerSaidNo) and problem.code == "limit":
            _log.warn(
                "The broker {where} is busy ({why}), trying again in {seconds} s.",
                where=where,
                why=why,
                seconds=math.ceil(problem.retry),
            )
        elif isinstance(problem, BrokerSaidNo) and problem.code in ("no-such-code", "code-taken", "expired"):
            self._fail(InvitationOver(detail=why))  # whenever it comes: to ask again would not help
        elif isinstance(problem, BrokerSaidNo):
            kind = VersionMismatch if problem.code == "version" else BrokerRefused
            self._give_up(kind(broker=where, detail=why))
        elif isinstance(problem, CertificateRefused):
            self._give_up(BrokerDistrusted(broker=where, why=why))
        elif isinstance(problem, Unwanted):
            pass
        elif isinstance(problem, RemoteProtocolError) and not isinstance(problem, CutOff):
            self._give_up(NotABroker(broker=where, why=why))
        else:
            number = getattr(problem, "osError", None)
            why = os.strerror(number).lower() if isinstance(number, int) else why
            if why == self._said[0] and self._seconds() - self._said[1] < SILENT_SECONDS:
                return
            self._said = (why, self._seconds())
            _log.warn("Cannot reach the broker {where} ({why}), trying again.", where=where, why=why)

    def _give_up(self, error: LocalError) -> None:
        if self._registering.ever:
            _log.warn("{error}  Trying again.", error=error)
        else:
            self._fail(error)


def _pressed(link: Any) -> Any:
    link.press()
    return link


@implementer(IStreamClientEndpoint)
class _Registering:
    """An endpoint that is connected when the broker has registered us, so that ClientService's pauses grow
    until then; and whose failures somebody sees, which ClientService keeps to itself.

    (ClientService's ``prepareConnection`` would do, but it does not bear a connection that is lost while it
    is being prepared.)
    """

    def __init__(
        self,
        endpoint: Callable[[], IStreamClientEndpoint],
        build: Callable[[], BrokerProtocol],
        failed: Callable[[Failure], None],
        address: BrokerAddress,
        bounded: Callable[[Deferred[IProtocol]], Deferred[IProtocol]],
    ) -> None:
        self.ever = False
        self.current: BrokerProtocol | None = None
        self._endpoint = endpoint
        self._build = build
        self._failed = failed
        self._address = address
        self._bounded = bounded

    def __repr__(self) -> str:
        return f"the broker {self._address}"

    def connect(self, protocolFactory: IProtocolFactory) -> Deferred[IProtocol]:
        """See :class:`IStreamClientEndpoint`."""
        registering: Deferred[IProtocol] = ensureDeferred(self._register(protocolFactory))
        return registering.addErrback(self._tell)

    async def _register(self, factory: IProtocolFactory) -> IProtocol:
        link: Any = await self._bounded(self._endpoint().connect(_Builder(self._build)))
        self.current = link
        problem = await link.settled
        if problem is not None:
            raise problem
        self.ever = True
        outer = factory.buildProtocol(link.transport.getPeer())
        assert outer is not None
        outer.makeConnection(link.transport)
        link.lost = outer.connectionLost
        return outer

    def _tell(self, failure: Failure) -> Failure:
        if failure.check(CancelledError, ConnectingCancelledError):
            self.drop()
        else:
            self._failed(failure)
        return failure

    def drop(self) -> None:
        """Give up what is under way."""
        if self.current is not None:
            self.current.abort()


class _Builder(Factory):
    noisy = False

    def __init__(self, build: Callable[[], BrokerProtocol]) -> None:
        self._build = build

    def buildProtocol(self, addr: IAddress | None) -> BrokerProtocol:
        return self._build()
