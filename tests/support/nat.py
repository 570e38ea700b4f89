"""Routers that translate addresses, in the words of RFC 4787 and RFC 5382."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Literal

from tests.support.firewall import Behaviour, Firewall, Stray
from tests.support.packets import Endpoint, Packet, canonical

Allocation = Literal["preserved", "next free", "sequential", "random"]


class Nat(Firewall):
    """
    A router that hides IPv4 hosts behind one address. IPv6 passes it as through a `Firewall`.

    :param address: its outside address.
    :param mapping: when connections from one inside endpoint share an outside port (RFC 4787 section 4.1).
    :param allocation: the outside port of a new mapping: `preserved`, that of the inside while it is free,
        else a random one; `next free`, else the next one above it that is; `sequential`, the one
        after the last; or `random`.
    :param hairpin: whether inside hosts reach each other at their outside endpoints (RFC 5382 REQ-8).

    The defaults are RFC 5382's, with the strictest filtering. A stock Linux router is the same with
    `stray="reset"`.
    """

    def __init__(
        self,
        address: str,
        mapping: Behaviour = "endpoint-independent",
        filtering: Behaviour = "address-and-port-dependent",
        allocation: Allocation = "preserved",
        stray: Stray = "silent",
        hairpin: bool = False,
        *,
        name: str | None = None,
        reset_closes: bool | None = None,
        idle: float = 7440.0,
        behind: Firewall | None = None,
        delay: float = 0.010,
    ) -> None:
        super().__init__(
            filtering,
            stray,
            name=name or f"nat-{address}",
            reset_closes=reset_closes,
            idle=idle,
            behind=behind,
            delay=delay,
        )
        self.address: str = canonical(address)
        self.mapping = mapping
        self.allocation = allocation
        self.hairpin = hairpin
        self._next_port: int | None = None

    def translates(self, address: str) -> bool:
        return ":" not in address

    def reboot(self, address: str | None = None) -> None:
        """Forgets all mappings; also gets another outside address, as from some providers at each dial-in."""
        super().reboot()
        if address is not None:
            del self.outside.owners[self.address]
            self.address = canonical(address)
            self.outside.add(self.address, self)

    def outbound(self, packet: Packet) -> None:
        if packet.destination.host != self.address:
            super().outbound(packet)
        elif not self.hairpin:
            self._answer_stray(packet, self.inside)
        else:
            # RFC 5382 REQ-8: the source is translated too, so the answer comes back through the router.
            mapping, session = self._find_or_make(packet)
            if mapping is not None and session is not None:
                self._note(session, packet, 1)
                turned = packet._replace(source=mapping.outside)
                self.inside.network.record(self.name, turned)
                self.arrive(turned)

    def _key(self, packet: Packet) -> Hashable:
        if not self.translates(packet.source.host) or self.mapping == "endpoint-independent":
            return packet.source
        if self.mapping == "address-dependent":
            return packet.source, packet.destination.host
        return packet.source, packet.destination

    def _allocate(self, inside: Endpoint) -> Endpoint:
        if not self.translates(inside.host):
            return inside
        if self.allocation == "preserved" and self._is_free(inside.port):
            return Endpoint(self.address, inside.port)
        if self.allocation == "sequential":
            port = self._next_port or self._random.randrange(20_000, 40_000)
        elif self.allocation == "next free":
            port = inside.port
        if self.allocation in ("sequential", "next free"):
            while not self._is_free(port):
                port = port + 1 if port < 65_535 else 1_024
            self._next_port = port + 1
        else:
            port = self._random.randrange(1_024, 65_536)
            while not self._is_free(port):
                port = self._random.randrange(1_024, 65_536)
        return Endpoint(self.address, port)

    def _is_free(self, port: int) -> bool:
        holder = self._by_outside.get(Endpoint(self.address, port))
        if holder is not None and holder.expired(self._seconds()):
            self._drop(holder)
            holder = None
        return holder is None
