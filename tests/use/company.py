"""Peers with uses and sessions, and no broker: on a memory network, linked by TCP in the clear."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.internet.task import Clock
from twisted.python.failure import Failure

from p2phole.addresses import Endpoint
from p2phole.errors import LocalError, P2pholeError
from p2phole.events import NullSink
from p2phole.peer.use import Path, Use
from p2phole.session.attachment import Attachment
from p2phole.session.link import attach
from p2phole.session.pool import Pools
from p2phole.session.session import Session
from tests.support.network import Network

LINK_PORT = 7


class Company:
    """Some peers."""

    def __init__(self, **network: Any) -> None:
        self.clock = Clock()
        self.clock.advance(1_000_000)
        self.net = Network(self.clock, 0, **network)
        self.instances = 0

    def peer(self, name: str, use: Callable[[Any], Use], fingerprint: str = "") -> Peer:
        """A running peer."""
        machine = self.net.host(name, address=f"203.0.113.{100 + len(self.net.hosts)}")
        return Peer(self, machine, name, use, fingerprint or f"key of {name}")

    def until(self, predicate: Callable[[], object], limit: float = 30.0) -> None:
        """Let time pass until it holds."""
        self.net.run_until(predicate, limit)

    def meet(self, one: Peer, two: Peer) -> Pairing:
        """Introduce two to each other, and link them."""
        pairing = Pairing(one, two)
        pairing.link()
        return pairing


class Peer:
    """One peer; a :class:`~p2phole.peer.use.Host`."""

    def __init__(
        self, company: Company, machine: Any, name: str, use: Callable[[Any], Use], fingerprint: str
    ) -> None:
        self.company = company
        self.machine = machine
        self.clock = machine
        self.events = NullSink()
        self.name = name
        self.fingerprint = fingerprint
        self.partners: Sequence[Acquaintance] = []
        self.errors: list[LocalError] = []
        self.finished = 0
        self.pools = Pools()
        self.use = use(machine)
        self.use.start(self)

    def label(self, partner: Any) -> str:
        name: str = partner.name
        return name

    def fail(self, error: LocalError) -> None:
        self.errors.append(error)

    def finish(self) -> None:
        self.finished += 1

    def stop(self) -> None:
        """Stop the use, then end the sessions."""
        done: list[object] = []
        stopping = self.use.stop()
        if stopping is not None:
            stopping.addCallback(done.append)
            self.company.until(lambda: done, 5)
        for partner in tuple(self.partners):
            partner.leave()


class Acquaintance:
    """A :class:`~p2phole.peer.use.Partner`: what one peer has of the other."""

    authenticated = "pinned"

    def __init__(self, mine: Peer, theirs: Peer, leads: bool) -> None:
        self.mine, self.theirs = mine, theirs
        self.name, self.fingerprint = theirs.name, theirs.fingerprint
        mine.company.instances += 1
        self.instance = str(mine.company.instances)
        self.path: Path | None = None
        self.session = Session(mine.machine, self.instance, leads, self, mine.pools, 600.0)
        self.gone = False
        self.cable: _Cable | None = None

    def meet(self) -> None:
        """A link is there, and the session has not heard of it yet."""
        self.path = Path(Endpoint.make("192.0.2.1", 1), Endpoint.make("192.0.2.2", 2), "host", None)
        if self not in self.mine.partners:
            self.mine.partners = [*self.mine.partners, self]
            self.mine.use.met(self)

    def unlinked(self) -> None:
        if self.path is not None and not self.gone:
            self.path = None
            self.mine.use.unlinked(self)

    def leave(self) -> None:
        """Leave in good order."""
        self.session.say_bye()

    # -- SessionUser

    def left(self) -> None:
        assert self.cable is not None
        self.cable.transport.abortConnection()  # type: ignore[union-attr]

    def died(self, why: str) -> None:
        pass

    def resumed(self, seconds: float) -> None:
        pass

    def over(self, error: P2pholeError) -> None:
        if not self.gone:
            self.gone = True
            self.mine.partners = [each for each in self.mine.partners if each is not self]
            self.mine.use.over(self, error)


class _Cable(Protocol):
    attachment: Attachment

    def __init__(self, partner: Acquaintance) -> None:
        self.partner = partner
        self.lost = False

    def connectionMade(self) -> None:
        transport: Any = self.transport
        self.partner.meet()
        self.attachment = attach(self.partner.session, transport, transport.abortConnection)
        self.partner.cable = self
        self.partner.mine.use.linked(self.partner)

    def dataReceived(self, data: bytes) -> None:
        self.attachment.receive(data)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self.lost = True
        self.attachment.lost()
        self.partner.unlinked()


class Pairing:
    """Two who know each other."""

    def __init__(self, one: Peer, two: Peer) -> None:
        self.company = one.company
        self.one, self.two = Acquaintance(one, two, True), Acquaintance(two, one, False)
        self.cables: list[_Cable] = []

    def link(self) -> None:
        """Connect them, for the first time or again."""
        self.cables = []
        listening = self.two.mine.machine.listenTCP(LINK_PORT, self._factory(self.two))
        self.one.mine.machine.connectTCP(
            self.two.mine.machine.addresses[0], LINK_PORT, _client(self._factory(self.one))
        )
        self.company.until(lambda: len(self.cables) == 2 and all(each.connected for each in self.cables))
        listening.stopListening()

    def cut(self) -> None:
        """The link is gone; both notice."""
        for cable in self.cables:
            cable.transport.abortConnection()  # type: ignore[union-attr]
        self.company.until(lambda: all(each.lost for each in self.cables))

    def _factory(self, partner: Acquaintance) -> Factory:
        def build() -> _Cable:
            self.cables.append(_Cable(partner))
            return self.cables[-1]

        return Factory.forProtocol(build)


def _client(factory: Any) -> Any:
    from twisted.internet.protocol import ClientFactory

    client = ClientFactory()
    client.protocol = factory.protocol
    return client
