"""Keeps a mapping of the shared TCP port at the router, as long as it is wanted and the router lets it.

It asks by PCP, then NAT-PMP, then UPnP, each begun when the one before has said no or has had its
head start, for one after the other is what they are made for: side by side on one gateway they take
the port from each other.  The mapping is short, renewed in time (RFC 6887 11.2.1), looked after in
between, and deleted in the end.  Whatever goes wrong is a line in the log and another try later.
"""

from __future__ import annotations

import random
import secrets
from collections.abc import Callable, Sequence
from ipaddress import IPv4Address
from typing import Any

from twisted.internet.defer import CancelledError, Deferred, TimeoutError, gatherResults, succeed
from twisted.internet.interfaces import IDelayedCall
from twisted.logger import Logger
from twisted.python.failure import Failure

from p2phole.addresses import Endpoint
from p2phole.punch.portmap.first import First, NoneOfThem
from p2phole.punch.portmap.gateway import default_gateways
from p2phole.punch.portmap.grant import Grant, NoMapping, Refused
from p2phole.punch.portmap.pcp import NONCE_BYTES
from p2phole.punch.portmap.upnp import Upnp
from p2phole.punch.portmap.ways import NatPmp, Pcp, Way

ROUND_SECONDS = 3.0
"""For all ways together, and for a renewal; a gateway that answers later is as good as none."""
HEAD_START = 0.5
"""Seconds that each way has before the next one is tried as well: two sendings of NAT-PMP."""
CHECK_SECONDS = 60.0
"""Between looks whether the gateway has been started anew."""
STOP_SECONDS = 1.0
SOONEST_SECONDS = 4.0
"""Between two renewals (RFC 6887 11.2.1)."""
FIRST_PAUSE, LONGEST_PAUSE = 60.0, 1920.0

Ways = Callable[[Any, "IPv4Address | None", int, bytes, Callable[[], float]], Sequence[Way]]

_log = Logger()


def all_ways(
    reactor: Any, gateway: IPv4Address | None, port: int, nonce: bytes, random: Callable[[], float]
) -> Sequence[Way]:
    """All that can be tried, the best first."""
    upnp = Upnp(reactor, gateway, port)
    if gateway is None:
        return (upnp,)
    return Pcp(reactor, gateway, port, nonce, random), NatPmp(reactor, gateway, port), upnp


class PortMapper:
    """A mapping of TCP port ``port``.

    ``mapped`` hears the external endpoint that the router claims (see :mod:`~p2phole.punch.portmap.grant`
    for what to believe) each time that there is another one, and None when it is lost; nothing before
    :meth:`start` and nothing after :meth:`stop`.  ``reactor``: ``IReactorUDP``, ``IReactorProcess`` and
    ``IReactorTime``; ``gateways``: this machine's default gateways, the best first; ``random``: uniform
    in [0, 1); ``entropy``: so many bytes.
    """

    def __init__(
        self,
        reactor: Any,
        port: int,
        mapped: Callable[[Endpoint | None], None],
        *,
        gateways: Callable[[], Sequence[IPv4Address]] = default_gateways,
        random: Callable[[], float] = random.random,
        entropy: Callable[[int], bytes] = secrets.token_bytes,
        ways: Ways = all_ways,
    ) -> None:
        self._reactor = reactor
        self._port = port
        self._mapped = mapped
        self._gateways = gateways
        self._random = random
        self._make_ways = ways
        # One for all times: to a gateway, whoever comes with another nonce is somebody else (RFC 6887 11.3).
        self._nonce = entropy(NONCE_BYTES)
        self._external: Endpoint | None = None
        self._gateway: IPv4Address | None = None
        self._asked: list[Way] = []
        self._holder: Way | None = None
        self._failures = 0
        self._life: Deferred[None] | None = None
        self._nap: tuple[Deferred[bool], IDelayedCall] | None = None

    def start(self) -> None:
        """Ask, now and as often as it takes."""
        if self._life is None:
            self._life = Deferred.fromCoroutine(self._live())
            self._life.addErrback(self._over)

    def refresh(self) -> None:
        """Look again at once: this machine's addresses have changed, or the broker was lost, as it is when
        a router is started anew."""
        if self._nap is not None:
            nap, timer = self._nap
            timer.cancel()
            nap.callback(True)

    def stop(self) -> Deferred[None]:
        """Have the mapping deleted and end.  Fires within a second, whatever the router does."""
        life, self._life = self._life, None
        if life is None:
            return succeed(None)
        life.cancel()
        # In the middle of a round, any of those that were asked may have made one.
        ways = [self._holder] if self._holder is not None else self._asked
        releases = [way.release().addTimeout(STOP_SECONDS, self._reactor) for way in ways]
        for release in releases:
            release.addErrback(self._unreleased)
        return gatherResults(releases).addCallback(lambda _: None)

    def _over(self, failure: Failure) -> None:
        if not failure.check(CancelledError):
            _log.failure("Keeping a port mapping has ended.", failure)

    def _unreleased(self, failure: Failure) -> None:
        failure.trap(NoMapping, TimeoutError)
        if self._holder is not None:
            _log.info("The router has not confirmed that the port mapping is deleted; it ends by itself.")

    async def _live(self) -> None:
        while True:
            found = await self._round()
            if found is None:
                pause = min(LONGEST_PAUSE, FIRST_PAUSE * 2.0**self._failures) * (0.5 + self._random())
                self._failures += 1
                await self._sleep(pause)
                continue
            self._failures = 0
            self._holder, grant = found
            _log.info(
                "The router maps {external} to this peer, by {way}.",
                external=str(grant.external),
                way=self._holder.name,
            )
            self._tell(grant.external)
            await self._hold(self._holder, grant)
            self._holder = None
            _log.info("The port mapping is lost.")
            self._tell(None)

    async def _round(self) -> tuple[Way, Grant] | None:
        """Ask by all ways; None and a line in the log if none of them brings a mapping."""
        self._gateway = next(iter(self._gateways()), None)
        ways = self._make_ways(self._reactor, self._gateway, self._port, self._nonce, self._random)
        self._asked = []
        wanted = self._external

        def trial(way: Way) -> Callable[[], Deferred[Grant]]:
            def begin() -> Deferred[Grant]:
                self._asked.append(way)
                return way.ask(wanted)

            return begin

        try:
            tries = [trial(way) for way in ways]
            number, grant = await First(self._reactor, tries, HEAD_START, ROUND_SECONDS).done
        except NoneOfThem as none:
            self._asked = []
            self._explain(ways, none.failures)
            return None
        return ways[number], grant

    def _explain(self, ways: Sequence[Way], failures: Sequence[Failure | None]) -> None:
        reasons = []
        for way, failure in zip(ways, failures, strict=False):
            if failure is not None and not failure.check(NoMapping):
                _log.failure("A defect in {way}", failure, way=way.name)
            elif failure is not None:
                reasons.append(str(failure.value))
            else:
                reasons.append(str(NoMapping(way=way.name, why="no answer in time")))
        # The first time it is news; after that, only who looks closely wants to know.
        say = _log.debug if self._failures else _log.info
        say("The router maps no port for this peer; it will be asked again.  {reasons}", reasons=" ".join(reasons))

    async def _hold(self, way: Way, grant: Grant) -> None:
        """Keep what was granted; comes back when it is lost."""
        now = self._reactor.seconds()
        ends, renewal = now + grant.seconds, now + self._half(grant.seconds)
        while now < ends:
            refreshed = await self._sleep(min(CHECK_SECONDS, renewal - now, ends - now))
            now = self._reactor.seconds()
            if refreshed and next(iter(self._gateways()), None) != self._gateway:
                return  # another network; the old gateway can't be reached
            if not refreshed and now < renewal and await self._is_known(way):
                now = self._reactor.seconds()
                continue
            try:
                grant = await way.ask(grant.external).addTimeout(ROUND_SECONDS, self._reactor)
            except Refused:
                return
            except (NoMapping, TimeoutError):
                now = self._reactor.seconds()
                # Again when half of what is left has gone, and so on, but not all the time.
                renewal = now + self._half(ends - now)
                continue
            now = self._reactor.seconds()
            ends, renewal = now + grant.seconds, now + self._half(grant.seconds)
            if grant.external != self._external:
                _log.info("The router maps {external} now.", external=str(grant.external))
                self._tell(grant.external)

    async def _is_known(self, way: Way) -> bool:
        """Whether the gateway still has it.  No answer is no proof of anything."""
        try:
            known = await way.check().addTimeout(ROUND_SECONDS, self._reactor)
        except (NoMapping, TimeoutError):
            return True
        if not known:
            _log.info("The router was started anew, or has another address: mapping the port again.")
        return known

    def _half(self, seconds: float) -> float:
        """When to renew, of so many seconds: between a half and five eighths (RFC 6887 11.2.1)."""
        return max(SOONEST_SECONDS, seconds * (0.5 + self._random() / 8))

    async def _sleep(self, seconds: float) -> bool:
        """Wait; True: :meth:`refresh` has ended it."""
        nap: Deferred[bool] = Deferred()
        timer = self._reactor.callLater(seconds, nap.callback, False)
        self._nap = nap, timer
        try:
            return await nap
        finally:
            self._nap = None
            if timer.active():
                timer.cancel()

    def _tell(self, external: Endpoint | None) -> None:
        self._external = external or self._external
        self._mapped(external)
