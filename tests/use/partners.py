"""A host and partners for a use, with real sessions in memory."""

from __future__ import annotations

from collections.abc import Sequence

from twisted.internet.task import Clock

from p2phole import events
from p2phole.addresses import Endpoint
from p2phole.errors import LocalError, P2pholeError
from p2phole.peer.use import Partner, Path, Use
from p2phole.session.session import Session
from tests.session.sides import Cable, Side

PATH = Path(Endpoint("10.0.0.1", 4000), Endpoint("10.0.0.2", 4000), "host", 0.01)


class FakePartner:
    """One side of a pair, as the other side's use sees it; made by :func:`meet`."""

    def __init__(self, name: str, fingerprint: str, instance: str, side: Side) -> None:
        self.name = name
        self.fingerprint = fingerprint
        self.instance = instance
        self.authenticated = "secret"
        self.side = side
        self.path: Path | None = PATH

    @property
    def session(self) -> Session:
        return self.side.session


class FakeHost:
    """A peer of that name, which keeps what its use tells it."""

    def __init__(self, clock: Clock, name: str, use: Use, fingerprint: str = "") -> None:
        self.clock = clock
        self.events: events.EventSink = events.NullSink()
        self.name = name
        self.fingerprint = fingerprint or name
        self.use = use
        self.partners: Sequence[Partner] = []
        self.error: LocalError | None = None
        self.finished = 0
        use.start(self)

    def label(self, partner: Partner) -> str:
        return partner.name

    def fail(self, error: LocalError) -> None:
        assert self.error is None
        self.error = error

    def finish(self) -> None:
        self.finished += 1


class Pairing:
    """Two hosts that have met, the first one leading.  ``partners``: as the first and the second one see it."""

    def __init__(self, one: FakeHost, two: FakeHost, instances: tuple[str, str] = ("i", "i")) -> None:
        self.hosts = one, two
        sides = [Side(one.clock, f"{host.name}-{id(self)}", host is one, offers=False) for host in self.hosts]
        self.partners = tuple(
            FakePartner(host.name, host.fingerprint, instance, side)
            for host, instance, side in zip((two, one), reversed(instances), sides, strict=True)
        )
        for host, partner in zip(self.hosts, self.partners, strict=True):
            partner.side.over = lambda error, host=host, partner=partner: host.use.over(partner, error)  # type: ignore[method-assign,misc]
            host.partners = [*host.partners, partner]
        for host, partner in zip(self.hosts, self.partners, strict=True):
            host.use.met(partner)
        self.cable = Cable(partners_side(self.partners[0]), partners_side(self.partners[1]))
        for host, partner in zip(self.hosts, self.partners, strict=True):
            host.use.linked(partner)

    def cut(self) -> None:
        """The link is lost."""
        self.cable.cut()
        for host, partner in zip(self.hosts, self.partners, strict=True):
            partner.path = None
            host.use.unlinked(partner)

    def relink(self) -> None:
        """There is another one."""
        self.cable = Cable(partners_side(self.partners[0]), partners_side(self.partners[1]))
        for host, partner in zip(self.hosts, self.partners, strict=True):
            partner.path = PATH
            host.use.linked(partner)

    def end(self, which: int, error: P2pholeError) -> None:
        """The session is over for one of the two."""
        self.partners[which].session.end(error)


def partners_side(partner: FakePartner) -> Side:
    return partner.side
