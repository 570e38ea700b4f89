"""The table of a NAT: which public endpoint stands for which private one, and who has been contacted from it."""

from __future__ import annotations

import itertools
import random
from collections.abc import Sequence
from dataclasses import dataclass, field

from tests.natlab.behaviour import APD, EI, Behaviour
from tests.natlab.headers import Endpoint


@dataclass(slots=True, eq=False)
class Connection:
    """What was seen between a mapping and one remote endpoint, by direction (``True``: from inside)."""

    seen: float
    syn: set[bool] = field(default_factory=set)
    fin: set[bool] = field(default_factory=set)
    established: bool = False

    @property
    def half_open(self) -> bool:
        """Not established yet."""
        return not self.established


@dataclass(slots=True, eq=False)
class Mapping:
    """One public endpoint in use, for as long as it has connections."""

    key: tuple[object, ...]
    inside: Endpoint
    public: Endpoint
    connections: dict[Endpoint, Connection] = field(default_factory=dict)


class Table:
    """Mappings by private and by public endpoint. A given seed allocates the same ports."""

    def __init__(self, behaviour: Behaviour, public: Sequence[bytes], dice: random.Random) -> None:
        self._behaviour = behaviour
        self._public = list(public)
        self._dice = dice
        self._by_key: dict[tuple[object, ...], Mapping] = {}
        self._by_public: dict[Endpoint, Mapping] = {}
        # By private and remote endpoint: what came in through a mapping is answered through the same one.
        self._by_pair: dict[tuple[Endpoint, Endpoint], Mapping] = {}
        # Nothing runs out before this; connections only live longer than they seemed to, or are lowered here.
        self._earliest = float("inf")
        self._pairs: dict[bytes, bytes] = {}
        self._turn = itertools.count()
        self._last = dict.fromkeys(public, self._somewhere())

    def _somewhere(self) -> int:
        """Where sequential ports begin. In the lower half: a short run never wraps."""
        first, last = self._behaviour.ports
        return self._dice.randint(first, (first + last) // 2)

    def forget(self) -> None:
        """Reboot."""
        self._by_key.clear()
        self._by_public.clear()
        self._by_pair.clear()
        self._pairs.clear()
        self._last = dict.fromkeys(self._public, self._somewhere())

    def all(self, now: float) -> list[Mapping]:
        """Those in use."""
        self._purge(now)
        return list(self._by_public.values())

    def incoming(self, public: Endpoint, now: float) -> Mapping | None:
        """The mapping that has this public endpoint."""
        self._purge(now)
        return self._by_public.get(public)

    def admits(self, mapping: Mapping, remote: Endpoint) -> bool:
        """Whether the filter lets ``remote`` in (RFC 4787 section 5)."""
        if self._behaviour.filtering == EI:
            return True
        contacts = list(mapping.connections)
        if self._behaviour.contacts == "endpoint":
            contacts = [other for inside, other in self._by_pair if inside == mapping.inside]
        if self._behaviour.filtering == APD:
            return remote in contacts
        return any(address == remote[0] for address, _port in contacts)

    def outgoing(self, inside: Endpoint, remote: Endpoint, now: float, new: bool) -> Mapping | None:
        """The mapping for what ``inside`` sends to ``remote``; None if there is none and ``new`` is false, or
        if no port is left."""
        self._purge(now)
        known = self._by_pair.get((inside, remote))
        if known is not None:
            return known
        mapping = self._behaviour.mapping
        part: tuple[object, ...] = () if mapping == EI else remote if mapping == APD else remote[:1]
        key = (*inside, *part)
        found = self._by_key.get(key)
        if found is None and new:
            public = self._allocate(inside)
            if public is not None:
                found = self._by_key[key] = self._by_public[public] = Mapping(key, inside, public)
        return found

    def touch(self, mapping: Mapping, remote: Endpoint, now: float) -> Connection:
        """The connection, made if need be, seen now."""
        connection = mapping.connections.setdefault(remote, Connection(now))
        connection.seen = now
        self._by_pair[mapping.inside, remote] = mapping
        return connection

    def lower(self, connection: Connection) -> None:
        """To be called whenever a connection's flags have changed: it may run out sooner now."""
        self._earliest = min(self._earliest, connection.seen + self._lifetime(connection))

    def end(self, mapping: Mapping, remote: Endpoint) -> None:
        """One connection is over."""
        mapping.connections.pop(remote, None)
        if self._by_pair.get((mapping.inside, remote)) is mapping:
            del self._by_pair[mapping.inside, remote]
        if not mapping.connections:
            self._by_key.pop(mapping.key, None)
            self._by_public.pop(mapping.public, None)

    # -- timeouts

    def _lifetime(self, connection: Connection) -> float:
        transitory = connection.half_open or len(connection.fin) == 2
        return self._behaviour.syn_timeout if transitory else self._behaviour.idle_timeout

    def _purge(self, now: float) -> None:
        if now < self._earliest:
            return
        self._earliest = float("inf")
        for mapping in list(self._by_public.values()):
            for remote, connection in list(mapping.connections.items()):
                if connection.seen + self._lifetime(connection) <= now:
                    self.end(mapping, remote)
                else:
                    self.lower(connection)

    # -- allocation (RFC 4787 4.2)

    def _allocate(self, inside: Endpoint) -> Endpoint | None:
        address = self._address(inside[0])
        first, last = self._behaviour.ports
        count = last - first + 1
        if sum(1 for taken, _port in self._by_public if taken == address) >= count:
            return None
        if self._behaviour.allocation == "random":
            while True:
                port = self._dice.randint(first, last)
                if (address, port) not in self._by_public:
                    return address, port
        if self._behaviour.allocation == "preserved":
            step = 1
            port = inside[1] if first <= inside[1] <= last else first
        else:
            step = self._behaviour.step
            port = self._last[address] + step
        for _ in range(count):
            port = first + (port - first) % count
            if (address, port) not in self._by_public:
                self._last[address] = port
                return address, port
            port += step
        return None

    def _address(self, inside: bytes) -> bytes:
        if self._behaviour.pooling == "arbitrary":
            return self._public[next(self._turn) % len(self._public)]
        return self._pairs.setdefault(inside, self._public[len(self._pairs) % len(self._public)])
