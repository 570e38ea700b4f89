"""Where this peer is, how it looks from outside, and what the broker is told of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IDelayedCall
from twisted.logger import Logger

from p2phole.addresses import Candidate, Endpoint, InterfaceAddress, IPAddress
from p2phole.behaviour import UNKNOWN, Behaviour
from p2phole.peer.broker_session import Link
from p2phole.peer.observer import Observer
from p2phole.punch.candidates import Surroundings, gather
from p2phole.punch.ledger import SynLedger
from p2phole.punch.portmap.grant import doubt, told
from p2phole.punch.portmap.mapper import PortMapper
from p2phole.punch.shared_port import SharedPort
from p2phole.secure.roles import Identity
from p2phole.wire.messages import MAX_CANDIDATES, DialBack, DialledBack, Request, Update, Welcome

_log = Logger()


class Presence:
    """One peer's, from one registration to the next.

    ``closed``: whether host candidates and port mappings are for proven peers only; ``hosts``: whether
    host candidates are told at all; ``told``: hears of the NAT's behaviour when all is known of it.
    """

    def __init__(
        self,
        reactor: Any,
        port: SharedPort,
        ledger: SynLedger,
        interfaces: Callable[[], tuple[InterfaceAddress, ...]],
        told: Callable[[Behaviour], None],
        *,
        map_port: bool = False,
        closed: bool = False,
        hosts: bool = True,
    ) -> None:
        self._clock = reactor
        self._port = port
        self._ledger = ledger
        self._interfaces = interfaces
        self._told = told
        self._closed = closed
        self._hosts = hosts
        self._own = interfaces()
        self._link: Link | None = None
        self._observer: Observer | None = None
        self._before: list[Observer] = []
        """Of registrations before; somebody may wait for what they still look at."""
        self._learning: IDelayedCall | None = None
        self._discovered: Deferred[None] = Deferred()
        self._claimed: Endpoint | None = None
        """What the router says that it has mapped for this peer."""
        self._mapper: PortMapper | None = None
        if map_port:
            self._mapper = PortMapper(reactor, port.port, self._map_changed)
            self._mapper.start()

    # -- the registration

    def seen(self, link: Link, welcome: Welcome) -> None:
        """The broker has greeted, and said how it sees this peer."""
        own = [interface.ip for interface in self._own]
        if self._observer is not None:
            self._before = [each for each in (*self._before, self._observer) if each.is_looking]
        self._observer = Observer(
            self._clock, self._port, self._port.fresh, self._ledger, own, link.local, link.remote, welcome
        )

    def registered(self, link: Link) -> Endpoint:
        """The broker listens; how it sees this peer.  What is still unknown is found out."""
        assert self._observer is not None
        self._link = link
        # Introductions may have come with the registration: they go before.
        self._learning = self._clock.callLater(0, self._learn, self._observer)
        return self._observer.observed

    def unregistered(self) -> None:
        """The broker is lost: the network may be another one."""
        self._link = None
        if self._mapper is not None:
            self._mapper.refresh()

    def _learn(self, observer: Observer) -> None:
        link, self._learning = self._link, None
        if link is None:
            observer.skip()
            return
        learned, self._discovered = self._discovered, Deferred()
        current = self._discovered

        def ask() -> None:
            link.send(DialBack())

        def found(_: object) -> None:
            if link is not self._link:
                return  # the broker was lost meanwhile, and what was found may be another network's
            self._told(observer.behaviour)
            self.tell_broker()
            current.callback(None)

        observer.discover(ask).addCallback(found)
        if not learned.called:
            learned.callback(None)

    def dialled_back(self, message: DialledBack) -> None:
        """The broker has tried to connect to this peer."""
        if self._observer is not None:
            self._observer.dialled_back(message)

    # -- what is known

    @property
    def is_registered(self) -> bool:
        """Whether there is a broker to ask."""
        return self._link is not None

    @property
    def surroundings(self) -> Surroundings:
        """Where this peer is now."""
        assert self._observer is not None
        return Surroundings(self._own, self._port.port, self._observer.broker.ip, self._observer.observed)

    @property
    def behaviour(self) -> Behaviour:
        """What is known of this peer's NAT."""
        return self._observer.behaviour if self._observer is not None else UNKNOWN

    @property
    def prepares(self) -> bool:
        """Whether this peer wants to be asked before it is introduced."""
        return self._observer is not None and self._observer.may_be_hard

    @property
    def has_named(self) -> bool:
        """Whether the others were told what ports this peer's NAT takes next."""
        return self._observer is None or self._observer.named

    def meets_hard_one(self) -> None:
        """There is a member whose NAT maps by endpoint: a start with it may take many ports of ours."""
        if self._observer is not None:
            self._observer.one_by_one()

    def first_look(self) -> Deferred[None]:
        """Fires when it is known how this peer's NAT maps."""
        return self._observer.first_look() if self._observer is not None else succeed(None)

    def discovered(self) -> Deferred[None]:
        """Fires when all is known that will be."""
        waiting: Deferred[None] = Deferred()
        self._discovered.addCallback(lambda _: waiting.callback(None))
        return waiting

    def refresh(self) -> Deferred[None]:
        """Learn the mapping anew; without the broker there is nobody who could tell."""
        return self._observer.refresh() if self._observer is not None and self._link is not None else succeed(None)

    def about_to_dial(self, candidates: Sequence[Candidate]) -> Endpoint:
        """The last outside endpoint that this peer's NAT is taken to have taken; dials of these will follow."""
        assert self._observer is not None
        return self._observer.ports.about_to_dial(candidates)

    # -- what is told

    def candidates(self, before: Sequence[Endpoint] = ()) -> tuple[Candidate, ...]:
        """What the broker and everybody in the room may know.

        ``before``: what was the latest outside endpoint at earlier starts towards the same member.
        """
        return tuple(one for one in self._all(before) if not (self._closed and one.kind in ("host", "mapped")))

    def sealed(self) -> tuple[Candidate, ...]:
        """What only a proven peer may know; the best goes first, since where there is much it is cut."""
        found = [one for one in self._all() if one.kind in ("host", "mapped")]
        return tuple(sorted(found, key=lambda one: one.kind == "host"))

    def _all(self, before: Sequence[Endpoint] = ()) -> tuple[Candidate, ...]:
        observer = self._observer
        assert observer is not None
        found = (*gather(self.surroundings, observer.seen), *observer.ports.predictions(before))
        # How it is seen from outside must not be crowded out by a machine with many interfaces.
        mapped = told(self._claimed, observer.observed)
        outside = [*mapped, *(one for one in found if one.kind != "host" and one.endpoint != self._claimed)]
        inside = [one for one in found if one.kind == "host" and self._hosts]
        return (*inside[: MAX_CANDIDATES - len(outside)], *outside)

    def ask_for(self, theirs: Identity, before: Sequence[Endpoint] = ()) -> None:
        """Ask the broker for another introduction to this one, whose fingerprint may be empty: unknown."""
        if self._link is not None:
            told = self.candidates(before)
            self._link.send(Request(theirs.instance, told, self.behaviour, self.prepares, theirs.fingerprint))

    def tell_broker(self) -> None:
        """Bring up to date what the broker tells others of this peer."""
        if self._link is not None:
            self._link.send(Update(self.candidates(), self.behaviour, self.prepares))

    # -- the machine around

    @property
    def addresses(self) -> frozenset[IPAddress]:
        """This machine's, as they were at the last look."""
        return frozenset(interface.ip for interface in self._own)

    def look_around(self) -> bool:
        """Whether this machine's addresses have changed."""
        try:
            found = self._interfaces()
        except OSError as error:  # out of descriptors, say: there is a next look
            _log.debug("Cannot look at this machine's addresses: {error}", error=error)
            return False
        changed, self._own = found != self._own, found
        if changed and self._mapper is not None:
            self._mapper.refresh()
        return changed

    def _map_changed(self, claimed: Endpoint | None) -> None:
        self._claimed = claimed
        if self._observer is None:
            return  # it will be told with the registration
        why = doubt(claimed, self._observer.observed) if claimed is not None else None
        if why is not None:
            _log.warn("The mapped port is of no use: {why}.", why=why)
        elif claimed is not None:
            _log.info("The router has mapped {where}.", where=str(claimed))
        self.tell_broker()

    def stop(self) -> Deferred[None]:
        """Look no more, and give back what was mapped."""
        self._link = None
        if self._learning is not None:
            self._learning.cancel()
            self._learning = None
        for observer in (*self._before, self._observer):
            if observer is not None:
                observer.stop()
        return self._mapper.stop() if self._mapper is not None else succeed(None)
