"""Routers that follow connections and filter, in the words of RFC 4787 and RFC 5382."""

from __future__ import annotations

import errno
import random
from collections.abc import Hashable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from tests.support.packets import ACK, FIN, ICMP, RST, SYN, Endpoint, Packet, reset_for

if TYPE_CHECKING:
    from tests.support.network import Lan, Network

Behaviour = Literal["endpoint-independent", "address-dependent", "address-and-port-dependent"]
Stray = Literal["silent", "reset", "icmp"]

HALF_OPEN_SECONDS = 120.0
"""Life of a session in which only one side has spoken (nf_conntrack_tcp_timeout_syn_sent)."""
CLOSED_SECONDS = 120.0
"""After a FIN both ways (nf_conntrack_tcp_timeout_time_wait)."""
RESET_SECONDS = 10.0
"""After a RST (nf_conntrack_tcp_timeout_close)."""

_BOTH = 3


@dataclass(slots=True)
class _Session:
    """What a router remembers of one connection."""

    expires: float
    answered: bool = False
    """A packet came back from outside, other than a RST."""
    dead: bool = False
    """A RST ended it: nothing comes in until a SYN goes out."""
    fins: int = 0


@dataclass(slots=True)
class _Mapping:
    inside: Endpoint
    outside: Endpoint
    key: Hashable
    sessions: dict[Endpoint, _Session] = field(default_factory=dict)
    """By the remote endpoint as the router sees it."""

    def expired(self, now: float) -> bool:
        return all(session.expires <= now for session in self.sessions.values())

    def session(self, remote: Endpoint, now: float) -> _Session | None:
        found = self.sessions.get(remote)
        return found if found is not None and not found.dead and found.expires > now else None


class Firewall:
    """
    A router with stateful filtering and no translation; hosts behind it have public addresses (RFC 6092).

    :param filtering: who may call an inside endpoint that has sent something (RFC 4787 section 5).
    :param stray: the answer to packets that it does not let pass: none (RFC 5382 REQ-4), a RST (Linux with an
        empty INPUT chain, OpenWrt), or ICMP host unreachable.
    :param reset_closes: whether a RST that comes back for a SYN ends the half-open session, so that the
        remote side's SYN is stray until a SYN goes out again. Linux conntrack does; the default is to do so
        where `stray` is `reset`.
    :param idle: seconds after which an established session without packets is forgotten (RFC 5382 REQ-5).
    :param behind: the router behind which this one is (carrier-grade NAT), else the core.
    :param delay: seconds, one way, to the core or to the router that it is behind.
    """

    address: str | None = None

    def __init__(
        self,
        filtering: Behaviour = "address-and-port-dependent",
        stray: Stray = "silent",
        *,
        name: str = "firewall",
        reset_closes: bool | None = None,
        idle: float = 7440.0,
        behind: Firewall | None = None,
        delay: float = 0.010,
    ) -> None:
        self.filtering = filtering
        self.stray = stray
        self.name = name
        self.reset_closes = stray == "reset" if reset_closes is None else reset_closes
        self.idle = idle
        self.behind = behind
        self.delay = delay
        self.network: Network | None = None
        self._by_key: dict[Hashable, _Mapping] = {}
        self._by_outside: dict[Endpoint, _Mapping] = {}
        self._called: dict[tuple[Endpoint, Endpoint], _Mapping] = {}

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name}>"

    def attach(self, network: Network, inside: Lan, outside: Lan) -> None:
        """Called by the network, once."""
        self.network, self.inside, self.outside = network, inside, outside
        self._seconds = network.timeline.seconds
        self._random = random.Random(f"{network.seed}/{self.name}")

    def translates(self, address: str) -> bool:
        """Whether an inside address is hidden from the outside."""
        return False

    def reboot(self) -> None:
        """Forgets all mappings: what belongs to an old connection is stray from now on, both ways."""
        self._by_key.clear()
        self._by_outside.clear()
        self._called.clear()

    # From the inside

    def outbound(self, packet: Packet) -> None:
        """A packet from the inside for somewhere else."""
        mapping, session = self._find_or_make(packet)
        if mapping is None or session is None:
            self._answer_stray(packet, self.inside)
            return
        self._note(session, packet, 1)
        self.outside.carry(self, packet._replace(source=mapping.outside))

    def _key(self, packet: Packet) -> Hashable:
        return packet.source

    def _find_or_make(self, packet: Packet) -> tuple[_Mapping | None, _Session | None]:
        now = self._seconds()
        key = self._key(packet)
        mapping = self._by_key.get(key)
        if mapping is not None and mapping.expired(now):
            self._drop(mapping)
            mapping = None
        session = mapping.session(packet.destination, now) if mapping is not None else None
        called = self._called.get((packet.source, packet.destination))
        if session is None and called is not None:
            # An answer leaves by the mapping that was called, where a call of our own would get another one.
            session = called.session(packet.destination, now)
            mapping = called if session is not None else mapping
        if session is None and packet.flags & (SYN | ACK) == SYN:
            if mapping is None:
                mapping = _Mapping(packet.source, self._allocate(packet.source), key)
                self._by_key[key] = self._by_outside[mapping.outside] = mapping
            session = mapping.sessions[packet.destination] = _Session(now + HALF_OPEN_SECONDS)
        return mapping, session

    def _drop(self, mapping: _Mapping) -> None:
        del self._by_key[mapping.key], self._by_outside[mapping.outside]
        for remote in mapping.sessions:
            self._called.pop((mapping.inside, remote), None)

    def _allocate(self, inside: Endpoint) -> Endpoint:
        return inside

    # From the outside

    def arrive(self, packet: Packet) -> None:
        """A packet from the outside for the router's address, or for one of those behind it."""
        now = self._seconds()
        mapping = self._by_outside.get(packet.destination)
        if mapping is not None and not mapping.expired(now) and self._admits(mapping, packet, now):
            session = mapping.session(packet.source, now)
            if session is None:
                session = mapping.sessions[packet.source] = _Session(now + HALF_OPEN_SECONDS)
                self._called[mapping.inside, packet.source] = mapping
            self._note(session, packet, 2)
            self.inside.carry(self, packet._replace(destination=mapping.inside))
        elif not self._cut_from_inside(packet.sender):
            self._answer_stray(packet, self.outside)

    def _admits(self, mapping: _Mapping, packet: Packet, now: float) -> bool:
        if mapping.session(packet.source, now) is not None:
            return True
        if packet.flags & (SYN | ACK) != SYN or self.filtering == "address-and-port-dependent":
            return False
        return self.filtering == "endpoint-independent" or any(
            remote.host == packet.source.host and mapping.session(remote, now) is not None
            for remote in mapping.sessions
        )

    def _cut_from_inside(self, sender: str) -> bool:
        assert self.network is not None
        return any(self.network.is_cut(sender, node.name) for node in self.inside.owners.values())

    # Both ways

    def _note(self, session: _Session, packet: Packet, direction: int) -> None:
        """Follows the connection by its flags; `direction` is 1 for out, 2 for in."""
        if packet.flags & ICMP:
            return
        if packet.flags & RST:
            if direction == 1 or session.answered or self.reset_closes:
                session.dead = True
                session.expires = self._seconds() + RESET_SECONDS
            return
        if direction == 2:
            session.answered = True
        if packet.flags & FIN:
            session.fins |= direction
        life = self.idle if session.answered else HALF_OPEN_SECONDS
        if session.fins == _BOTH:
            life = CLOSED_SECONDS
        session.expires = self._seconds() + life

    def _answer_stray(self, packet: Packet, lan: Lan) -> None:
        if packet.flags & (RST | ICMP) or self.stray == "silent":
            return
        if self.stray == "reset":
            answer = reset_for(packet)
        else:
            answer = Packet(packet.destination, packet.source, ICMP, seq=errno.EHOSTUNREACH)
        lan.carry(self, answer._replace(sender=self.name, sent=(answer.source, answer.destination)))
