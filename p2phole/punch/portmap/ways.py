"""The ways by which a gateway is asked over UDP, alike for whoever uses them: PCP and NAT-PMP."""

from __future__ import annotations

from collections.abc import Callable
from ipaddress import IPv4Address
from typing import Protocol as Interface
from typing import TypeVar

from twisted.internet.defer import Deferred

from p2phole.addresses import Endpoint, IPAddress
from p2phole.punch.portmap import natpmp, pcp
from p2phole.punch.portmap.exchange import UDPReactor, ask
from p2phole.punch.portmap.grant import LEASE, BadAnswer, Epoch, Grant, Refused, grant

T = TypeVar("T")


class Way(Interface):
    """One way to have the TCP port mapped.  Deferreds fail with :class:`NoMapping`, and may be cancelled;
    there is no deadline here."""

    name: str

    def ask(self, wanted: Endpoint | None) -> Deferred[Grant]:
        """Have a mapping made, or renewed; ``wanted``: what it was before."""

    def check(self) -> Deferred[bool]:
        """Whether the gateway still has what it granted, as far as it tells."""

    def release(self) -> Deferred[None]:
        """Have the mapping deleted."""


def believed(way: str, ip: IPAddress, port: int, seconds: int) -> Grant:
    """What the gateway granted.  Raises :class:`Refused` where that can be no mapping: it is its last word."""
    try:
        return grant(ip, port, seconds)
    except BadAnswer as problem:
        raise Refused(way=way, why=problem.fields["why"]) from None


def suggestion(port: int, wanted: Endpoint | None) -> int:
    """The external port to ask for: what it was, or that of inside; any (0) instead of one that nobody dials."""
    best = wanted.port if wanted is not None else port
    return best if best >= 1024 else 0


class Pcp:
    """PCP (RFC 6887).  ``nonce``: 12 bytes that stay the same as long as this peer wants its mapping: the
    gateway lets nobody else renew or delete it."""

    name = "PCP"

    def __init__(
        self,
        reactor: UDPReactor,
        gateway: IPv4Address,
        port: int,
        nonce: bytes,
        random: Callable[[], float],
    ) -> None:
        self._reactor = reactor
        self._gateway = gateway
        self._port = port
        self._nonce = nonce
        self._random = random
        self._epoch: Epoch | None = None

    def ask(self, wanted: Endpoint | None) -> Deferred[Grant]:
        """See :class:`Way`."""
        ip = wanted.ip if wanted is not None and isinstance(wanted.ip, IPv4Address) else None
        port = suggestion(self._port, wanted)

        def read(data: bytes) -> Grant | None:
            answer = self._mapping(data)
            if answer is None or not answer.seconds:
                return None
            found = believed(self.name, answer.ip, answer.external, answer.seconds)
            self._epoch = Epoch(answer.epoch, self._reactor.seconds())
            return found

        return self._send(
            lambda own: pcp.map_request(own, self._nonce, self._port, port, LEASE, ip if port else None), read
        )

    def check(self) -> Deferred[bool]:
        """See :class:`Way`."""

        def read(data: bytes) -> bool | None:
            answer = pcp.decode(data)
            if isinstance(answer, pcp.Refusal) and answer.opcode == pcp.ANNOUNCE:
                return True  # it does not tell
            if not isinstance(answer, pcp.Announcement):
                return None
            before, self._epoch = self._epoch, Epoch(answer.epoch, self._reactor.seconds())
            return before is None or not pcp.has_forgotten(before, self._epoch)

        return self._send(pcp.announce_request, read)

    def release(self) -> Deferred[None]:
        """See :class:`Way`."""

        def read(data: bytes) -> bool | None:
            answer = self._mapping(data)
            return None if answer is None or answer.seconds else True

        done = self._send(lambda own: pcp.map_request(own, self._nonce, self._port, 0, 0), read)
        return done.addCallback(lambda _: None)

    def _send(self, compose: Callable[[IPv4Address], bytes], read: Callable[[bytes], T | None]) -> Deferred[T]:
        return ask(self._reactor, self.name, self._gateway, compose, read, pcp.waits(self._random))

    def _mapping(self, data: bytes) -> pcp.Mapping | None:
        """The answer to this peer's request for a mapping, if it is that (11.4: nonce, protocol and port)."""
        answer = pcp.decode(data)
        if isinstance(answer, pcp.Refusal):
            if answer.opcode == pcp.MAP and answer.nonce in (None, self._nonce):
                raise Refused(way=self.name, why=answer.why)
            return None
        if isinstance(answer, pcp.Mapping) and (answer.nonce, answer.internal) == (self._nonce, self._port):
            return answer
        return None


class NatPmp:
    """NAT-PMP (RFC 6886)."""

    name = "NAT-PMP"

    def __init__(self, reactor: UDPReactor, gateway: IPv4Address, port: int) -> None:
        self._reactor = reactor
        self._gateway = gateway
        self._port = port
        self._epoch: Epoch | None = None
        self._outside: IPv4Address | None = None

    def ask(self, wanted: Endpoint | None) -> Deferred[Grant]:
        """See :class:`Way`."""
        return Deferred.fromCoroutine(self._ask(suggestion(self._port, wanted)))

    async def _ask(self, wanted: int) -> Grant:
        # One after the other: a gateway may be too simple for two requests at once (RFC 6886 3.1).
        address = await self._address()
        request = natpmp.map_request(self._port, wanted, LEASE)
        mapping = await self._send(request, lambda data: self._mapping(data, deleted=False))
        self._epoch, self._outside = Epoch(mapping.epoch, self._reactor.seconds()), address.ip
        return believed(self.name, address.ip, mapping.external, mapping.seconds)

    def check(self) -> Deferred[bool]:
        """See :class:`Way`."""
        return Deferred.fromCoroutine(self._check())

    async def _check(self) -> bool:
        address = await self._address()
        before, self._epoch = self._epoch, Epoch(address.epoch, self._reactor.seconds())
        known = before is None or not natpmp.has_forgotten(before, self._epoch)
        return known and address.ip == self._outside

    def release(self) -> Deferred[None]:
        """See :class:`Way`."""
        done = self._send(natpmp.map_request(self._port, 0, 0), lambda data: self._mapping(data, deleted=True))
        return done.addCallback(lambda _: None)

    def _address(self) -> Deferred[natpmp.Address]:
        def read(data: bytes) -> natpmp.Address | None:
            answer = self._decoded(data, natpmp.ADDRESS)
            return answer if isinstance(answer, natpmp.Address) else None

        return self._send(natpmp.address_request(), read)

    def _mapping(self, data: bytes, deleted: bool) -> natpmp.Mapping | None:
        answer = self._decoded(data, natpmp.MAP_TCP)
        if isinstance(answer, natpmp.Mapping) and answer.internal == self._port:
            return answer if deleted == (answer.seconds == 0) else None
        return None

    def _decoded(self, data: bytes, opcode: int) -> natpmp.Address | natpmp.Mapping | None:
        """An answer that is no refusal.  Raises :class:`Refused` if this opcode is."""
        answer = natpmp.decode(data)
        if isinstance(answer, natpmp.Refusal):
            if answer.opcode == opcode:
                raise Refused(way=self.name, why=answer.why)
            return None
        return answer

    def _send(self, request: bytes, read: Callable[[bytes], T | None]) -> Deferred[T]:
        return ask(self._reactor, self.name, self._gateway, lambda _: request, read, natpmp.waits())
