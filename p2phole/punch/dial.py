"""One remote endpoint, dialled from the shared port until it answers or the attempt is over."""

from __future__ import annotations

import errno
from collections.abc import Callable
from typing import Protocol as Interface

from twisted.internet.error import ConnectionRefusedError, NoRouteError, TCPTimedOutError, TimeoutError
from twisted.internet.interfaces import IAddress, IConnector, IDelayedCall, IReactorTime
from twisted.internet.protocol import ClientFactory, Protocol
from twisted.python.failure import Failure

from p2phole.addresses import Candidate, Endpoint
from p2phole.punch.schedule import Redial, SynBudget

ELSEWHERE = 0.5
"""Pause in seconds after the 4-tuple was found in use, which costs no SYN."""


class Dialler(Interface):
    """What a dial needs of :class:`~p2phole.punch.shared_port.SharedPort`."""

    def dial(self, endpoint: Endpoint, factory: ClientFactory, timeout: float) -> IConnector:
        """Send a SYN from the shared port."""


class Dial(ClientFactory):
    """Dials one candidate.  ``outcome`` is the last thing that happened, one word: ``silent``,
    ``refused``, ``unreachable``, ``elsewhere``, ``connected``, ``lost`` or ``spent``."""

    noisy = False

    def __init__(
        self,
        clock: IReactorTime,
        dialler: Dialler,
        candidate: Candidate,
        redial: Redial,
        budget: SynBudget,
        until: float,
        build: Callable[[Candidate], Protocol],
    ) -> None:
        self.candidate = candidate
        self.outcome = "silent"
        self._clock = clock
        self._dialler = dialler
        self._redial = redial
        self._budget = budget
        self._until = until
        self._build = build
        self._connector: IConnector | None = None
        self._timer: IDelayedCall | None = None
        self._stopped = False
        self._left = self._patience = 0.0

    def dial(self) -> None:
        """Send a SYN as soon as the budget allows."""
        self._timer = None
        now = self._clock.seconds()
        wait = self._budget.wait(self.candidate.endpoint.ip, now)
        if self._stopped or now >= self._until:
            return
        if wait is None:
            self.outcome = "spent"
        elif wait > 0:
            self._later(wait)
        else:
            ip = self.candidate.endpoint.ip
            seconds = min(self._until - now, self._budget.patience(ip))
            self._budget.spend(ip, now, seconds)
            self._left, self._patience = now, seconds
            self._connector = self._dialler.dial(self.candidate.endpoint, self, seconds)

    def stop(self) -> None:
        """Dial no more; a connection that stands is not touched."""
        self._stopped = True
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        connector, self._connector = self._connector, None
        if connector is not None and self.outcome != "connected":
            self._account()
            connector.stopConnecting()

    def buildProtocol(self, addr: IAddress | None) -> Protocol | None:
        """Connected: by the other side's SYN or by its acceptor, there is no telling which."""
        if self._stopped:
            return None
        self._account()
        self.outcome = "connected"
        return self._build(self.candidate)

    def clientConnectionFailed(self, connector: IConnector, reason: Failure) -> None:
        """Refused, unreachable, or nothing came."""
        self._connector = None
        if self._stopped:
            return
        self._account()
        number = getattr(reason.value, "osError", None)
        if reason.check(TimeoutError, TCPTimedOutError):
            self.outcome = "silent"
        elif number in (errno.EADDRNOTAVAIL, errno.EADDRINUSE):
            # Our acceptor has won this very 4-tuple already, or an old connection still lingers on it.
            self.outcome = "elsewhere"
            self._budget.unused(self.candidate.endpoint.ip, 1)  # nothing has left this machine
            self._later(ELSEWHERE)
        elif reason.check(NoRouteError):
            self.outcome = "unreachable"
            self._budget.unused(self.candidate.endpoint.ip, 1)
            self._later(ELSEWHERE)
        else:
            # Mostly RST; some firewalls send an ICMP error, which reads as a host that can't be reached.
            self.outcome = "refused" if reason.check(ConnectionRefusedError) else "unreachable"
            self._later(self._redial.pause())

    def clientConnectionLost(self, connector: IConnector, reason: Failure) -> None:
        """Something was there but is gone: a stranger, or a peer that was not ready for us."""
        self._connector = None
        if not self._stopped:
            self.outcome = "lost"
            self._later(ELSEWHERE)

    def _account(self) -> None:
        repeats = int(min(self._patience, self._clock.seconds() - self._left))
        self._budget.unused(self.candidate.endpoint.ip, int(self._patience) - repeats)

    def _later(self, seconds: float) -> None:
        if self._timer is None:
            self._timer = self._clock.callLater(seconds, self.dial)
