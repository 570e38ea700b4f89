"""How the broker, and its further ports and addresses, see this peer's port; and what that tells of its NAT."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Sequence
from typing import Any

from twisted.internet.defer import CancelledError, Deferred, ensureDeferred, succeed
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.internet.task import deferLater
from twisted.logger import Logger
from twisted.python.failure import Failure

from p2phole import __version__
from p2phole.addresses import Endpoint, IPAddress
from p2phole.behaviour import PORT, UNKNOWN
from p2phole.peer.places import targets
from p2phole.punch.dial import Dialler
from p2phole.punch.discovery import probe
from p2phole.punch.ledger import SynLedger
from p2phole.punch.mapping import Observation, find
from p2phole.punch.ports import Ports
from p2phole.punch.prediction import PREDICTED
from p2phole.wire.codec import BadLine, decode_to_peer, encode
from p2phole.wire.messages import PROTOCOL_VERSION, DialledBack, Hello, Welcome

_log = Logger()

TAKEN_SECONDS = 0.5
"""In this time somebody who was told the next ports has been introduced, and has taken one of them."""
DIALLED_BACK_SECONDS = 0.65
"""How long the broker's word on dialling back is waited for: it gives itself 0.4 s, and the way."""


class Observer:
    """One registration's view from outside.

    ``observed``: as the broker sees its live connection, which is proof that the mapping stands;
    ``seen``: as the probes were seen last, where that differs; ``behaviour``: what is known so far.
    """

    def __init__(
        self,
        clock: IReactorTime,
        dialler: Dialler,
        fresh: Dialler,
        ledger: SynLedger,
        own: Sequence[IPAddress],
        local: Endpoint,
        broker: Endpoint,
        welcome: Welcome,
    ) -> None:
        self.broker = broker
        self.observed = welcome.observed
        self.seen: tuple[Endpoint, ...] = ()
        self.behaviour = UNKNOWN
        self.named = False
        """Whether the ports that come next were looked at, so as to be told to somebody."""
        self._clock = clock
        self._dialler = dialler
        self._fresh = fresh
        self._ledger = ledger
        self._own = own
        self._local = local
        self._near, self._far = targets(broker, welcome)
        self._observations = [Observation(broker, welcome.observed)]
        self._dialled_back: dict[str, str] = {}
        self.ports = Ports(local, welcome.observed)
        self._went_far = False
        """Whether the broker's other address was contacted."""
        self._answers = 0
        self._judge()
        self._first_look: list[Deferred[None]] | None = []
        self._waiting_for: Deferred[None] | None = None
        self._refreshing: list[Deferred[None]] = []
        self._most_told = PREDICTED
        self._told: list[float] = []
        """When somebody was told the next ports; those of late."""
        self._doing: list[Deferred[None]] = []
        self._turn: IDelayedCall | None = None
        """When those who wait for ports are told."""
        self._stopped = False

    @property
    def may_be_hard(self) -> bool:
        """Whether the NAT may map by endpoint: a NAT that keeps the port hardly ever does."""
        return self.behaviour.is_hard or (
            self.behaviour.mapping == "unknown" and self.observed.port != self._local.port
        )

    def discover(self, ask: Callable[[], None]) -> Deferred[None]:
        """Find out all there is, within about a second; ``ask`` has the broker dial back.

        The probe port at the broker's own address comes first, since it spoils nothing: that address
        has been contacted.  The other address is looked at when the broker has dialled back from
        there: to look is to open the filter that is under test.
        """
        done: Deferred[None] = Deferred()

        def discovered() -> None:
            self._looked()
            done.callback(None)

        self._do(self._discover(ask), discovered)
        return done

    def _do(self, work: Coroutine[Deferred[Any], Any, None], then: Callable[[], None]) -> None:
        """Do it unless :meth:`stop` ends it; where it fails, whoever waits goes on with what is known."""
        doing = ensureDeferred(work)
        self._doing.append(doing)

        def over(result: object) -> None:
            self._doing.remove(doing)
            if self._stopped:
                return
            if isinstance(result, Failure):
                _log.failure("A look at the NAT has failed.", result)
            then()

        doing.addBoth(over)

    @property
    def is_looking(self) -> bool:
        """Whether anything is under way."""
        return bool(self._doing) or self._turn is not None

    def stop(self) -> None:
        """Look no more: whoever waits is told nothing."""
        self._stopped = True
        if self._waiting_for is not None:
            self._waiting_for.cancel()
        for doing in tuple(self._doing):
            doing.cancel()
        if self._turn is not None:
            self._turn.cancel()
            self._turn = None

    def skip(self) -> None:
        """Nobody will have this found out: whoever waits goes on with what is known."""
        self._looked()

    async def _discover(self, ask: Callable[[], None]) -> None:
        await self._look(self._near, self.ports.took)
        if not self.behaviour.is_hard:
            self._looked()
        ask()
        waiting: Deferred[None] = deferLater(self._clock, DIALLED_BACK_SECONDS)
        self._waiting_for = waiting.addErrback(lambda failure: failure.trap(CancelledError) and None)
        if self.behaviour.mapping != "none" and not self._went_far:
            # A port that the NAT has not mapped yet shows how it takes them.
            await self._look_afresh()
        self._looked()
        await self._waiting_for
        # Where two ports of one address have told all about the mapping, a further look could only take a port
        # in the middle of a start that counts on the next ones.
        tells_more = self.behaviour.mapping != PORT or (self.ports.keeps and not self.named)
        if tells_more and not (self._stopped or self._went_far):
            await self._look_far()

    def _looked(self) -> None:
        waiting, self._first_look = self._first_look or [], None
        for each in waiting:
            each.callback(None)

    def dialled_back(self, message: DialledBack) -> None:
        """The broker has told what came of one of its connections."""
        self._answers += 1
        if message.origin == "port" or not self._went_far:
            self._dialled_back.setdefault(message.origin, message.outcome)
            self._judge()
        if self._waiting_for is not None and self._answers >= (2 if self._far else 1):
            self._waiting_for.cancel()

    def refresh(self) -> Deferred[None]:
        """Learn anew what the NAT will do next, where that changes: a NAT that maps independently of the
        endpoint still does what the live connection to the broker proves.

        One look is enough for all who wait, up to the eight for whom the ports that it tells will do: each look
        takes a port of its own at the NAT.  The others wait until these have taken theirs.
        """
        if not self.may_be_hard:
            return succeed(None)
        waiting: Deferred[None] = Deferred()
        self._refreshing.append(waiting)
        if len(self._refreshing) == 1:
            self._refresh_some()
        return waiting

    def _refresh_some(self) -> None:
        self._turn = None
        now = self._clock.seconds()
        self._told = [at for at in self._told if at > now - TAKEN_SECONDS]
        if len(self._told) < self._most_told:
            self._do(self._refresh(), self._refreshed)
        else:
            # A rounding error must not have it come back at once.
            wait = max(self._told[0] + TAKEN_SECONDS - now, 0.01)
            self._turn = self._clock.callLater(wait, self._refresh_some)

    def _refreshed(self) -> None:
        most = self._most_told - len(self._told) if self.ports.step else len(self._refreshing)
        some, self._refreshing = self._refreshing[:most], self._refreshing[most:]
        if self.ports.step:
            self._told += [self._clock.seconds()] * len(some)
        more = bool(self._refreshing)
        for each in some:
            each.callback(None)
        if more:
            self._refresh_some()

    def first_look(self) -> Deferred[None]:
        """Fires, perhaps at once, when the mapping is known as far as the broker's own address can tell; and where
        that depends on the endpoint, also what a fresh port shows."""
        looked: Deferred[None] = Deferred()
        if self._first_look is None:
            looked.callback(None)
        else:
            self._first_look.append(looked)
        return looked

    async def _refresh(self) -> None:
        newcomer = self._first_look is not None
        await self.first_look()
        self.named = True
        if self.behaviour.mapping == "unknown" and self.may_be_hard and not self._went_far:
            # Somebody waits to be introduced: whether the mapping depends on the address counts for more
            # than what the filter lets in from there, which is spoiled by this.
            await self._look_far()
        if self.ports.counts_from_ours:
            if not newcomer:
                await (self._look(self._near, self.ports.took) if self._went_far else self._look_far())
            return
        # The distance of ports wants to be seen twice; and what was seen last may be long ago.
        if self.ports.step and self._near and (len(set(self.ports.seen)) < 3 or not newcomer):
            # From a port that the NAT has not mapped: what it shows is the last one that it took.
            await self._look_afresh()

    async def _look_afresh(self) -> None:
        self.ports.took_afresh(await probe(self._clock, self._fresh, self, self._near))
        self._judge()

    async def _look_far(self) -> None:
        self._went_far = True
        allowed = []
        for target in self._far:
            # It is the broker who names this address, perhaps somebody else's, and may do so again and again.
            now = self._clock.seconds()
            if not self._ledger.wait(target.ip, now):
                self._ledger.spend(target.ip, now)
                allowed.append(target)
        await self._look(allowed, self.ports.took_elsewhere)

    async def _look(self, targets: Sequence[Endpoint], took: Callable[[Sequence[Observation]], None]) -> None:
        found = await probe(self._clock, self._dialler, self, targets)
        self._observations += found
        took(found)
        seen = dict.fromkeys(item.observed for item in self._observations)
        self._judge()
        # A NAT that maps by endpoint had these ports for the probes; who is named them as such would dial them
        # after the predicted ones, of which they may be.
        hard = self.behaviour.is_hard
        self.seen = () if hard else tuple(endpoint for endpoint in seen if endpoint != self.observed)[:3]

    def _judge(self) -> None:
        behaviour = find(self._local, self._own, self._observations, self._dialled_back, self.ports.seen)
        self.behaviour = self.ports.judge(behaviour)

    def one_by_one(self) -> None:
        """There is a member whose NAT maps by endpoint too: a start with it takes many ports."""
        self._most_told = 1

    # -- Phrases

    def greeting(self) -> bytes:
        """See :class:`~p2phole.punch.discovery.Phrases`."""
        return encode(Hello(PROTOCOL_VERSION, f"p2phole {__version__}"))

    def observed_in(self, line: bytes) -> Endpoint | None:
        """See :class:`~p2phole.punch.discovery.Phrases`."""
        try:
            message = decode_to_peer(line)
        except BadLine:
            return None
        return message.observed if isinstance(message, Welcome) else None
