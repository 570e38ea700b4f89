"""How the broker, and its further ports and addresses, see this peer's port."""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import ip_address

from twisted.internet.defer import Deferred, ensureDeferred, succeed
from twisted.internet.interfaces import IReactorTime

from p2phole import __version__
from p2phole.addresses import Endpoint, IPAddress, is_loopback, is_private, is_undiallable
from p2phole.punch.dial import Dialler
from p2phole.punch.discovery import probe
from p2phole.punch.mapping import Finding, Observation, find
from p2phole.wire.codec import BadLine, decode_to_peer, encode
from p2phole.wire.messages import PROTOCOL_VERSION, Hello, Welcome


class Observer:
    """One registration's view from outside.  ``observed``: as the broker sees its live connection,
    which is proof that the mapping stands; ``seen``: as the probes were seen last, where that differs."""

    def __init__(
        self, clock: IReactorTime, dialler: Dialler, local: Endpoint, broker: Endpoint, welcome: Welcome
    ) -> None:
        self.broker = broker
        self.observed = welcome.observed
        self.seen: tuple[Endpoint, ...] = ()
        self._clock = clock
        self._dialler = dialler
        self._local = local
        self._port = welcome.probe_port
        self._targets = _targets(broker, welcome)
        self._observations: list[Observation] = []

    def look(self, everywhere: bool = False) -> Deferred[None]:
        """Ask again; ``everywhere``: at every port and address, else at the probe port alone."""
        targets = self._targets if everywhere else self._targets[:1]
        if not targets:
            return succeed(None)
        return ensureDeferred(self._look(targets))

    async def _look(self, targets: Sequence[Endpoint]) -> None:
        self._observations = await probe(self._clock, self._dialler, self, targets)
        seen = dict.fromkeys(item.observed for item in self._observations)
        self.seen = tuple(endpoint for endpoint in seen if endpoint != self.observed)[:4]

    def finding(self, own: Sequence[IPAddress]) -> Finding:
        """What the last look told of the NAT; ``own``: this machine's addresses."""
        live = Observation(self.broker, self.observed)
        return find(self._local, own, [live, *self._observations])

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


def _targets(broker: Endpoint, welcome: Welcome) -> tuple[Endpoint, ...]:
    """Where else the broker answers, the probe port at its own address first."""
    found = [Endpoint(broker.ip, welcome.probe_port)] if welcome.probe_port else []
    try:
        other = ip_address(welcome.probe_address)
    except ValueError:
        pass
    else:
        if _may_be_asked(other, broker.ip):
            # As with candidates: no port below 1024 but the one that this peer's user has named.
            ports = (broker.port, welcome.probe_port if welcome.probe_port >= 1024 else 0)
            found += [Endpoint(other, port) for port in ports if port]
    return tuple(target for target in found if target != broker)


def _may_be_asked(other: IPAddress, broker: IPAddress) -> bool:
    """Whether a broker may send us to this second address: not into networks of our own, from outside."""
    return (
        other.version == broker.version
        and not is_undiallable(other)
        and (is_loopback(broker) or not is_loopback(other))
        and (is_private(broker) or is_loopback(broker) or not is_private(other))
    )
