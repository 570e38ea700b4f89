"""One remote endpoint, dialled from the shared port until it answers or the attempt is over."""

from __future__ import annotations

import errno
from collections.abc import Callable
from math import inf
from typing import Protocol as Interface

from twisted.internet.error import (
    ConnectionRefusedError,
    NoRouteError,
    TCPTimedOutError,
    TimeoutError,
    UserError,
)
from twisted.internet.interfaces import IAddress, IConnector, IDelayedCall, IReactorTime
from twisted.internet.protocol import ClientFactory, Protocol
from twisted.python.failure import Failure

from p2phole.addresses import Candidate, Endpoint
from p2phole.punch.schedule import EARLY, LATE, REPEATED, Redial, SynBudget

QUIET = 0.25
"""Seconds before the end from which on nothing is dialled again.  Linux repeats a SYN at once when the answer to
an earlier one comes, which the next start would get, and nobody would have counted that."""
ELSEWHERE = 0.2
"""Pause in seconds after the 4-tuple was found in use, which costs no SYN."""


class Dialler(Interface):
    """What a dial needs of :class:`~p2phole.punch.shared_port.SharedPort`."""

    def dial(self, endpoint: Endpoint, factory: ClientFactory, timeout: float) -> IConnector:
        """Send a SYN from the shared port."""


class Dial(ClientFactory):
    """Dials one candidate until the instant ``until``, or for so many ``seconds`` after its first SYN.

    ``outcome`` is the last thing that happened, one word: ``silent``, ``refused``, ``unreachable``,
    ``elsewhere``, ``connected``, ``lost``, ``spent``, or ``busy``: no SYN could leave yet.
    """

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
        seconds: float = inf,
    ) -> None:
        self.candidate = candidate
        self.outcome = "busy"
        self._clock = clock
        self._dialler = dialler
        self._redial = redial
        self._budget = budget
        self._until, self._last = until, until - QUIET
        self._seconds = seconds
        self._build = build
        self._connector: IConnector | None = None
        self._timer: IDelayedCall | None = None
        self._repeat: IDelayedCall | None = None
        self._stopped = False
        self._left = self._stamp = 0.0
        self._syns = 0

    def dial(self) -> None:
        """Send a SYN as soon as the budget allows."""
        self._timer = None
        now = self._clock.seconds()
        wait = self._budget.wait(self.candidate.endpoint.ip, now)
        if self._stopped or now >= self._until or (self.outcome != "busy" and now >= self._last):
            return
        if wait is None:
            self.outcome = "spent"
        elif wait > 0:
            self._later(wait)
        else:
            if self.outcome == "busy":
                self.outcome = "silent"
                self._until = min(self._until, now + self._seconds)
            self._left, self._syns = now, 1
            self._stamp = self._budget.spend(self.candidate.endpoint.ip, now)
            self._repeat = self._clock.callLater(REPEATED - EARLY, self._about_to_repeat)
            self._connector = self._dialler.dial(self.candidate.endpoint, self, self._until - now)

    def go_on(self, until: float, build: Callable[[Candidate], Protocol]) -> bool:
        """Dial for another attempt from now on, until that instant; False if there is nothing to go on with.

        Its socket stays as it is: were it closed, the answer to its SYN would be refused, and that RST shuts both
        out for 10 s where routers follow the connection (Linux takes no SYN from outside for one that was reset).
        """
        if self._stopped or self.outcome in ("connected", "lost", "spent") or self._seconds != inf:
            return False
        self._until, self._last, self._build = until, until - QUIET, build
        return True

    def _about_to_repeat(self) -> None:
        ip, now = self.candidate.endpoint.ip, self._clock.seconds()
        self._repeat = None
        wait = self._budget.wait(ip, now)
        if wait == 0:
            expected = self._left + REPEATED * self._syns
            self._budget.spend(ip, now, expected + LATE * self._syns)
            self._syns += 1
            pause = max(0.0, expected + REPEATED - EARLY - now)
            self._repeat = self._clock.callLater(pause, self._about_to_repeat)
            return
        # The mapping that the first one has made in our router outlives the socket, and the acceptor takes
        # what comes.
        self._give_up()
        if wait is not None:
            self._later(wait)

    def _give_up(self) -> None:
        """Close what is under way."""
        self._answered()
        connector, self._connector = self._connector, None
        if connector is not None:
            connector.stopConnecting()

    def _answered(self) -> None:
        """The kernel repeats nothing any more."""
        repeat, self._repeat = self._repeat, None
        if repeat is not None:
            repeat.cancel()

    def stop(self) -> None:
        """Dial no more; a connection that stands is not touched."""
        self._stopped = True
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self.outcome != "connected":
            self._give_up()

    def buildProtocol(self, addr: IAddress | None) -> Protocol | None:
        """Connected: by the other side's SYN or by its acceptor, there is no telling which."""
        if self._stopped:
            return None
        self._answered()
        self.outcome = "connected"
        return self._build(self.candidate)

    def clientConnectionFailed(self, connector: IConnector, reason: Failure) -> None:
        """Refused, unreachable, or nothing came."""
        if self._stopped or type(reason.value) is UserError:
            return  # closed from here; TimeoutError is a kind of UserError
        self._connector = None
        self._answered()
        number = getattr(reason.value, "osError", None)
        if reason.check(TimeoutError, TCPTimedOutError):
            self.outcome = "silent"
            self._later(0.0)  # in case that there is more time than when it was dialled
        elif number in (errno.EADDRNOTAVAIL, errno.EADDRINUSE):
            # Our acceptor has won this very 4-tuple already, or an old connection still lingers on it.
            self.outcome = "elsewhere"
            self._budget.unspend(self.candidate.endpoint.ip, self._stamp)  # nothing has left this machine
            self._later(ELSEWHERE)
        elif reason.check(NoRouteError):
            self.outcome = "unreachable"
            self._budget.unspend(self.candidate.endpoint.ip, self._stamp)
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

    def _later(self, seconds: float) -> None:
        if self._timer is None:
            self._timer = self._clock.callLater(seconds, self.dial)
