"""How the broker, and its further ports and addresses, see this peer's port; and what that tells of its NAT."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Sequence
from dataclasses import replace
from ipaddress import ip_address
from typing import Any

from twisted.internet.defer import CancelledError, Deferred, ensureDeferred, succeed
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.internet.task import deferLater
from twisted.logger import Logger
from twisted.python.failure import Failure

from p2phole import __version__
from p2phole.addresses import Candidate, Endpoint, IPAddress, is_loopback, is_private, is_undiallable
from p2phole.behaviour import PORT, UNKNOWN
from p2phole.punch.dial import Dialler
from p2phole.punch.discovery import probe
from p2phole.punch.ledger import SynLedger
from p2phole.punch.mapping import Observation, find, step_of
from p2phole.punch.prediction import PREDICTED, predicted
from p2phole.wire.codec import BadLine, decode_to_peer, encode
from p2phole.wire.messages import PROTOCOL_VERSION, DialledBack, Hello, Welcome

_log = Logger()

SPARE = 4
"""Ports of each earlier start that are named again."""
NEXT_FREE = 256
"""Distance from a peer's own port up to which another one is taken for the next free one."""
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
        self._near, self._far = _targets(broker, welcome)
        self._observations = [Observation(broker, welcome.observed)]
        self._dialled_back: dict[str, str] = {}
        self._ports = [welcome.observed.port]
        self._dialling = False
        self._keeps = False
        """Whether the NAT keeps a port that is free.  Ours is taken, by the broker connection."""
        self._takes_again = True
        """Whether then a port that was let go is taken again at once, so that the next one is the lowest; so until
        the second address has shown otherwise."""
        self._went_far = False
        """Whether the broker's other address was contacted."""
        self._answers = 0
        self._step = 0
        self._latest = self._lowest = welcome.observed
        self._judge()
        self._first_look: list[Deferred[None]] | None = []
        self._waiting_for: Deferred[None] | None = None
        self._refreshing: list[Deferred[None]] = []
        self._most_told = PREDICTED
        self._taken = 0
        """Ports that our own starts have taken since the last look."""
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
        await self._look(self._near)
        if not self.behaviour.is_hard:
            self._looked()
        ask()
        waiting: Deferred[None] = deferLater(self._clock, DIALLED_BACK_SECONDS)
        self._waiting_for = waiting.addErrback(lambda failure: failure.trap(CancelledError) and None)
        if self.behaviour.mapping != "none" and not self._went_far:
            # A port that the NAT has not mapped yet shows how it takes them.
            self._took_afresh(await probe(self._clock, self._fresh, self, self._near))
        self._looked()
        await self._waiting_for
        # Where two ports of one address have told all about the mapping, a further look could only take a port
        # in the middle of a start that counts on the next ones.
        tells_more = self.behaviour.mapping != PORT or (self._keeps and not self.named)
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
        most = self._most_told - len(self._told) if self._step else len(self._refreshing)
        some, self._refreshing = self._refreshing[:most], self._refreshing[most:]
        if self._step:
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
        if self._counts_from_ours:
            if not newcomer:
                await (self._look(self._near) if self._went_far else self._look_far())
            return
        # The distance of ports wants to be seen twice; and what was seen last may be long ago.
        if self._step and self._near and (len(set(self._ports)) < 3 or not newcomer):
            # From a port that the NAT has not mapped: what it shows is the last one that it took.
            self._took_afresh(await probe(self._clock, self._fresh, self, self._near))

    async def _look_far(self) -> None:
        self._went_far = True
        allowed = []
        for target in self._far:
            # It is the broker who names this address, perhaps somebody else's, and may do so again and again.
            now = self._clock.seconds()
            if not self._ledger.wait(target.ip, now):
                self._ledger.spend(target.ip, now)
                allowed.append(target)
        before = self._lowest
        await self._look(allowed)
        self._takes_again = self._lowest.port <= before.port or before.port == self._local.port

    async def _look(self, targets: Sequence[Endpoint]) -> None:
        found = await probe(self._clock, self._dialler, self, targets)
        self._observations += found
        self._took(found)
        in_conflict = [item.observed for item in found if item.observed.port != self._local.port]
        self._lowest = min(in_conflict, key=lambda observed: observed.port, default=self._lowest)
        seen = dict.fromkeys(item.observed for item in self._observations)
        self._judge()
        # A NAT that maps by endpoint had these ports for the probes; who is named them as such would dial them
        # after the predicted ones, of which they may be.
        hard = self.behaviour.is_hard
        self.seen = () if hard else tuple(endpoint for endpoint in seen if endpoint != self.observed)[:3]

    def _took(self, found: Sequence[Observation]) -> None:
        for item in found:
            self._latest, self._taken = item.observed, 0
            if not self._dialling:
                self._ports.append(item.observed.port)

    def _took_afresh(self, found: Sequence[Observation]) -> None:
        # Where the port is kept while that is free, this says nothing of what comes after a conflict.
        self._keeps = self._keeps or any(item.observed.port == item.port for item in found)
        self._took([item for item in found if item.observed.port != item.port])
        self._judge()

    def _judge(self) -> None:
        self.behaviour = find(self._local, self._own, self._observations, self._dialled_back, self._ports)
        self._step = step_of(self._ports) if self.behaviour.is_hard else 0
        if self._keeps and self.observed.port == self._local.port:
            self.behaviour = replace(self.behaviour, allocation="preserved")
            # Our own connections may lie in between.
            above = [port - self._local.port for port in self._ports if port != self._local.port]
            near = bool(above) and all(0 < each <= NEXT_FREE for each in above)
            self._step = 1 if self.behaviour.is_hard and near else 0

    @property
    def _counts_from_ours(self) -> bool:
        """Whether the NAT maps by endpoint, keeps a port that is free, and else takes the next one that is."""
        return self._keeps and self._step > 0 and self.observed.port == self._local.port

    @property
    def _before_next(self) -> Endpoint:
        if self._counts_from_ours and self._takes_again and self._lowest.port != self._local.port:
            return replace(self._lowest, port=self._lowest.port - self._step)
        return self._latest

    def one_by_one(self) -> None:
        """There is a member whose NAT maps by endpoint too: a start with it takes many ports."""
        self._most_told = 1

    def about_to_dial(self, candidates: Sequence[Candidate]) -> Endpoint:
        """The last outside endpoint that the NAT is known to have taken; from now on our own connections take
        ports as well, so that what is seen later tells nothing of their order.

        Of two starts that begin after the same look the second one's ports come after the first one's.
        """
        self._dialling = len(set(self._ports)) > 1
        before, taken = self._before_next, self._taken
        targets = [candidate.endpoint.ip for candidate in candidates]
        self._taken += sum(ip.version == self.observed.ip.version and not is_private(ip) for ip in targets)
        return replace(before, port=min(before.port + max(self._step, 1) * taken, 65535))

    def predictions(self, before: Sequence[Endpoint] = ()) -> tuple[Candidate, ...]:
        """The endpoints that the NAT will use next, where that can be told.

        ``before``: what was the latest when earlier starts towards the same member began.  What a NAT took
        then for that member it may well use again.  It comes last: where both NATs are like that, the first
        dials must be for the next ports, one for each, in order.
        """
        found = [one for latest in before[-2:] for one in predicted(latest, self._step)[:SPARE]]
        return tuple(dict.fromkeys([*predicted(self._before_next, self._step), *found]))

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


def _targets(broker: Endpoint, welcome: Welcome) -> tuple[tuple[Endpoint, ...], tuple[Endpoint, ...]]:
    """Where else the broker answers: at its own address, and at its other one."""
    near = [Endpoint(broker.ip, welcome.probe_port)] if welcome.probe_port else []
    far: list[Endpoint] = []
    try:
        other = ip_address(welcome.probe_address)
    except ValueError:
        pass
    else:
        if other != broker.ip and _may_be_asked(other, broker.ip):
            # As with candidates: no port below 1024 but the one that this peer's user has named.
            ports = (broker.port, welcome.probe_port if welcome.probe_port >= 1024 else 0)
            far = [Endpoint(other, port) for port in ports if port]
    return tuple(target for target in near if target != broker), tuple(far)


def _may_be_asked(other: IPAddress, broker: IPAddress) -> bool:
    """Whether a broker may send us to this second address: not into networks of our own, from outside."""
    return (
        other.version == broker.version
        and not is_undiallable(other)
        and (is_loopback(broker) or not is_loopback(other))
        and (is_private(broker) or is_loopback(broker) or not is_private(other))
    )
