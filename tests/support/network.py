"""A deterministic in-memory TCP/IP network with NATs, on which a broker and many peers run in one process."""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Callable, Iterator, Sequence

from twisted.internet.task import Clock

from tests.support.firewall import Firewall
from tests.support.host import Host
from tests.support.lan import Lan, Node
from tests.support.nat import Nat
from tests.support.packets import Endpoint, Packet, Record, canonical
from tests.support.timeline import Timeline

__all__ = ["Endpoint", "Firewall", "Host", "Nat", "Network", "Packet", "Record"]

CORE_DELAY = 0.010
"""Seconds, one way, from a site to the core unless the test says otherwise."""
PAYLOAD_LIMIT = 1 << 20
"""Bytes kept of each flow for `Network.payload_seen_at`, the last ones."""


class Network:
    """
    Hosts, routers, and the time it takes between them. The same seed gives the same run.

    :param clock: shared by all hosts; drive it with `advance` and `run_until`, which go from event to event
        (`clock.advance` itself does all that is due at the end of its step, too late).
    :param seed: of ports, sequence numbers, random allocation and chunks.
    :param mss: the largest payload of a packet: 1460 for Ethernet, more for speed.
    :param chop: reads get a random part of what has come, often one byte or a few: shakes out parsers.
    :param buffer: bytes of each socket's send buffer and of its receive buffer.
    :param history: how many packets `packets` remembers.
    """

    def __init__(
        self,
        clock: Clock,
        seed: int = 0,
        *,
        mss: int = 16_384,
        chop: bool = False,
        buffer: int = 65_536,
        history: int = 50_000,
    ) -> None:
        self.clock = clock
        self.seed = seed
        self.mss = mss
        self.chop = chop
        self.buffer = buffer
        self.timeline = Timeline(clock)
        self.core = Lan(self, "core", None)
        self.hosts: dict[str, Host] = {}
        self.packets: deque[Record] = deque(maxlen=history)
        self.delays: dict[tuple[str, str], float] = {}
        self.isolated: set[str] = set()
        self._cuts: set[frozenset[str]] = set()
        self._names: dict[str, list[str]] = {}
        self._insides: dict[Firewall, Lan] = {}
        self._payloads: defaultdict[str, dict[tuple[Endpoint, Endpoint], bytearray]] = defaultdict(dict)

    # Building

    def host(
        self,
        name: str,
        addresses: Sequence[str] = (),
        *,
        address: str | None = None,
        behind: Firewall | None = None,
        delay: float | None = None,
    ) -> Host:
        """
        A new host on the core, or `behind` a router.

        :param addresses: its own; those to be seen on the core need not be given again to a `Firewall`.
        :param address: for a host that has only one.
        :param delay: seconds, one way, to the core (default 0.010), or to its router (default 0).
        """
        if name in self.hosts:
            raise ValueError(f"there is a host {name} already")
        host = Host(self, name)
        self.move(host, [address] if address else addresses, behind=behind, delay=delay)
        self.hosts[name] = host
        return host

    def move(
        self,
        host: Host,
        addresses: Sequence[str],
        *,
        behind: Firewall | None = None,
        delay: float | None = None,
    ) -> None:
        """Takes a host elsewhere, to another access network say; old connections keep their dead address."""
        for each in host.addresses:
            for lan, _ in self._ways_to(host, each):
                del lan.owners[each]
        host.lan = self.core if behind is None else self.router(behind)
        host.delay = delay if delay is not None else 0.0 if behind else CORE_DELAY
        host.addresses[:] = [canonical(each) for each in addresses]
        for each in host.addresses:
            for lan, node in self._ways_to(host, each):
                lan.add(each, node)

    def _ways_to(self, host: Host, address: str) -> Iterator[tuple[Lan, Node]]:
        """Who answers for a host's address: itself, and outside each router that does not translate, that."""
        yield host.lan, host
        router = host.lan.gateway
        while router is not None and not router.translates(address):
            yield self._outside(router), router
            router = router.behind

    def router(self, router: Firewall) -> Lan:
        """The inside of a router; attaches it, if no host behind it has done so, to what it is `behind`."""
        inside = self._insides.get(router)
        if inside is None:
            if any(router.name == each.name for each in self._insides):
                raise ValueError(f"there is a router {router.name} already")
            inside = self._insides[router] = Lan(self, router.name, router)
            outside = self._outside(router)
            if router.address is not None:
                outside.add(router.address, router)
            router.attach(self, inside, outside)
        return inside

    def _outside(self, router: Firewall) -> Lan:
        return self.core if router.behind is None else self.router(router.behind)

    def name(self, name: str, *addresses: str) -> None:
        """Registers a name for every host's resolver; again, to change it."""
        self._names[name] = [canonical(each) for each in addresses]

    def lookup(self, name: str) -> list[str]:
        """The addresses of a name or a literal; none for an unknown name."""
        try:
            return [canonical(name)]
        except OSError:
            return self._names.get(name, [])

    def set_delay(self, a: Host | Firewall, b: Host | Firewall, seconds: float, back: float | None = None) -> None:
        """
        The seconds from `a` to `b`, and `back` (default: as many), instead of the sum of their own delays.

        It holds for sites: where their ways meet, mostly on the core, a router stands for all that is behind.
        """
        chain_a, chain_b = self._chain(a), self._chain(b)
        meeting = next(lan for lan in chain_a if lan in chain_b)
        there, here = chain_a[meeting].name, chain_b[meeting].name
        self.delays[there, here] = seconds
        self.delays[here, there] = seconds if back is None else back

    def _chain(self, node: Host | Firewall) -> dict[Lan, Host | Firewall]:
        """Who stands for a node on each network from its own out to the core."""
        lan = node.lan if isinstance(node, Host) else self._outside(node)
        chain = {lan: node}
        return chain if lan.gateway is None else chain | self._chain(lan.gateway)

    # Breaking

    def cut(self, a: Host, b: Host) -> None:
        """Packets between two hosts vanish from now on, those under way too."""
        self._cuts.add(frozenset((a.name, b.name)))

    def isolate(self, host: Host) -> None:
        """Packets to and from a host vanish, before they reach its router."""
        self.isolated.add(host.name)

    def restore(self, a: Host, b: Host | None = None) -> None:
        """Ends `cut(a, b)`, or `isolate(a)`."""
        if b is None:
            self.isolated.discard(a.name)
        else:
            self._cuts.discard(frozenset((a.name, b.name)))

    def is_cut(self, sender: str, receiver: str) -> bool:
        if sender == receiver:
            return False
        return receiver in self.isolated or frozenset((sender, receiver)) in self._cuts

    # Watching

    def record(self, network: str, packet: Packet) -> None:
        sent = packet.sent or (packet.source, packet.destination)
        self.packets.append(
            Record(
                self.timeline.seconds(),
                network,
                packet.sender,
                packet.source,
                packet.destination,
                *sent,
                packet.flag_name,
                len(packet.payload),
            )
        )

    def tap(self, host: str, packet: Packet) -> None:
        if packet.payload:
            flow = self._payloads[host].setdefault((packet.source, packet.destination), bytearray())
            flow += packet.payload
            if len(flow) > PAYLOAD_LIMIT:
                del flow[:-PAYLOAD_LIMIT]

    def payload_seen_at(self, host: Host | str) -> bytes:
        """All payload that a host sent or received: flow after flow, the last MiB of each, NUL between."""
        flows = self._payloads[host if isinstance(host, str) else host.name]
        return b"\0".join(bytes(flow) for flow in flows.values())

    def syn_destinations(self, sender: Host | str) -> list[Endpoint]:
        """Where the SYNs of a host in `packets` went, as it wrote them, each once, in order of the first."""
        name = sender if isinstance(sender, str) else sender.name
        return list(
            dict.fromkeys(
                each.sent_destination for each in self.packets if each.sender == name and each.flags == "SYN"
            )
        )

    # Driving

    def advance(self, seconds: float) -> None:
        """Lets time pass, from event to event."""
        self.timeline.advance(seconds)

    def run_until(self, predicate: Callable[[], object], limit: float = 60.0) -> None:
        """Lets time pass until `predicate()`, tried after each instant, holds; else `AssertionError`."""
        if not self.timeline.run_until(predicate, limit):
            last = "".join(f"\n  {each}" for each in list(self.packets)[-12:])
            raise AssertionError(
                f"{limit} simulated seconds are over at {self.clock.seconds():.4f} s and it does not hold:"
                f" {predicate!r}; the last packets:{last or ' none'}"
            )
