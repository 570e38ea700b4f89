"""A NAT as a pure function of packets, its state and the time: TCP and ICMP echo over IPv4.

It is at the outer edge of a site (or of a carrier's network): all that leaves goes through :meth:`outbound`,
all that arrives through :meth:`inbound`, and each answers with what goes where.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any, Literal

from tests.natlab import headers
from tests.natlab.behaviour import EI, Behaviour
from tests.natlab.headers import ACK, FIN, ICMP, RST, SYN, Endpoint, Ipv4
from tests.natlab.mappings import Mapping, Table
from tests.natlab.packets import unreachable

Side = Literal["in", "out"]
Emitted = list[tuple[Side, bytes]]

_PORT_UNREACHABLE = 3
# RFC 5508 REQ-1: a query's mapping lives 60 s at least.
_ECHOES = Behaviour(filtering=EI, ports=(1, 65535), syn_timeout=60.0)


class Translator:
    """``public``: its addresses, packed. IPv6 passes untouched; what it cannot translate is dropped."""

    def __init__(self, behaviour: Behaviour, public: Sequence[bytes], seed: object) -> None:
        self.behaviour = behaviour
        self._public = frozenset(public)
        self._own = public[0]
        self._tcp = Table(behaviour, public, random.Random(f"{seed}/tcp"))
        self._echoes = Table(_ECHOES, public[:1], random.Random(f"{seed}/echo"))
        self._ahead = 0.0

    def reboot(self) -> None:
        """Forget everything."""
        self._tcp.forget()
        self._echoes.forget()

    def age(self, seconds: float) -> None:
        """Let its clock jump ahead."""
        self._ahead += seconds

    def mappings(self, now: float) -> list[dict[str, Any]]:
        """Its TCP table, for people and tests: endpoints as text, contacted ones as a list."""
        return [
            {
                "inside": _text(mapping.inside),
                "public": _text(mapping.public),
                "remote": [_text(remote) for remote in mapping.connections],
            }
            for mapping in self._tcp.all(now + self._ahead)
        ]

    def outbound(self, packet: bytes, now: float) -> Emitted:
        """A packet from inside."""
        if packet[0] >> 4 == 6:
            return [("out", packet)]
        parsed = headers.parse(packet)
        if parsed is None:
            return []
        now += self._ahead
        if parsed.protocol == ICMP:
            return self._echo_out(packet, parsed, now)
        hairpin = parsed.destination[0] in self._public
        if hairpin and self.behaviour.hairpin == "none":
            return self._stray(packet, parsed, "in")
        return self._tcp_out(packet, parsed, now, hairpin)

    def inbound(self, packet: bytes, now: float) -> Emitted:
        """A packet from outside, to one of the public addresses."""
        if packet[0] >> 4 == 6:
            return [("in", packet)]
        parsed = headers.parse(packet)
        if parsed is None:
            return []
        now += self._ahead
        if parsed.protocol == ICMP:
            return self._icmp_in(packet, parsed, now)
        return self._tcp_in(packet, parsed, now, "out")

    # -- TCP

    def _tcp_out(self, packet: bytes, parsed: Ipv4, now: float, hairpin: bool) -> Emitted:
        flags, remote = parsed.kind, parsed.destination
        opens = bool(flags & SYN) and not flags & (ACK | RST)
        mapping = self._tcp.outgoing(parsed.source, remote, now, opens)
        # Only a SYN begins something (RFC 5382 section 4): the rest of a forgotten connection is dropped.
        if mapping is None or not (opens or remote in mapping.connections):
            return []
        if opens and self._crosses(mapping, remote, from_inside=True):
            return [("in", headers.reset(packet))] if self.behaviour.crossing == "refused" else []
        self._follow(mapping, remote, flags, now, from_inside=True)
        translated = headers.rewrite(packet, source=mapping.public)
        if not hairpin:
            return [("out", translated)]
        seen = headers.parse(translated)
        assert seen is not None
        return self._tcp_in(translated, seen, now, "in", parsed.source)

    def _tcp_in(
        self, packet: bytes, parsed: Ipv4, now: float, back: Side, hairpinned: Endpoint | None = None
    ) -> Emitted:
        """``back``: where the sender is; ``hairpinned``: its private endpoint, if it is inside."""
        flags, remote = parsed.kind, parsed.source
        opens = bool(flags & SYN) and not flags & (ACK | RST)
        mapping = self._tcp.incoming(parsed.destination, now)
        if (
            mapping is None
            or not self._tcp.admits(mapping, remote)
            or not (opens or remote in mapping.connections)
        ):
            return _to_sender(self._stray(packet, parsed, back), hairpinned)
        if opens and self._crosses(mapping, remote, from_inside=False):
            refused: Emitted = [(back, headers.reset(packet))] if self.behaviour.crossing == "refused" else []
            return _to_sender(refused, hairpinned)
        self._follow(mapping, remote, flags, now, from_inside=False)
        source = hairpinned if self.behaviour.hairpin == "internal" else None
        return [("in", headers.rewrite(packet, source, mapping.inside))]

    def _crosses(self, mapping: Mapping, remote: Endpoint, from_inside: bool) -> bool:
        """Whether a SYN meets one of the other direction, and this NAT does not allow that (REQ-2)."""
        connection = mapping.connections.get(remote)
        if self.behaviour.crossing == "allowed" or connection is None:
            return False
        return connection.half_open and connection.syn == {not from_inside}

    def _follow(self, mapping: Mapping, remote: Endpoint, flags: int, now: float, from_inside: bool) -> None:
        """Keep the state of a connection by a segment that passes."""
        connection = self._tcp.touch(mapping, remote, now)
        if flags & RST:
            if from_inside or connection.established or self.behaviour.reset_forgets:
                self._tcp.end(mapping, remote)
            return
        if flags & SYN:
            if connection.established and not flags & ACK:  # the same endpoints again
                connection.syn, connection.fin, connection.established = set(), set(), False
            connection.syn.add(from_inside)
        elif len(connection.syn) == 2 and flags & ACK:
            connection.established = True
        if flags & FIN:
            connection.fin.add(from_inside)
        self._tcp.lower(connection)

    def _stray(self, packet: bytes, parsed: Ipv4, back: Side) -> Emitted:
        """Unsolicited. RST for all that is not one; ICMP port unreachable for SYNs (RFC 5382 REQ-4)."""
        flags = parsed.kind
        if self.behaviour.stray == "reset" and not flags & RST:
            return [(back, headers.reset(packet))]
        if self.behaviour.stray == "icmp" and flags & SYN and not flags & (ACK | RST):
            error = unreachable(packet, parsed.destination[0], _PORT_UNREACHABLE)
            return [(back, error)] if error is not None else []
        return []

    # -- ICMP

    def _echo_out(self, packet: bytes, parsed: Ipv4, now: float) -> Emitted:
        if parsed.kind != headers.ECHO_REQUEST:
            return []
        if parsed.destination[0] in self._public:
            return [("in", headers.echo_reply(packet))]
        remote = (parsed.destination[0], 0)
        mapping = self._echoes.outgoing(parsed.source, remote, now, True)
        if mapping is None:
            return []
        self._echoes.lower(self._echoes.touch(mapping, remote, now))
        return [("out", headers.rewrite(packet, source=mapping.public))]

    def _icmp_in(self, packet: bytes, parsed: Ipv4, now: float) -> Emitted:
        if parsed.kind == headers.ECHO_REQUEST:
            return [("out", headers.echo_reply(packet))]
        if parsed.kind == headers.ECHO_REPLY:
            # The identifiers were all handed out for the first address.
            mapping = self._echoes.incoming((self._own, parsed.destination[1]), now)
            return [] if mapping is None else [("in", headers.rewrite(packet, destination=mapping.inside))]
        if parsed.kind != headers.UNREACHABLE:
            return []
        # RFC 5382 REQ-9 and 10: errors are passed on, and end no mapping.
        about = headers.quoted(packet)
        mapping = None if about is None else self._tcp.incoming(about.source, now)
        if about is None or mapping is None or about.destination not in mapping.connections:
            return []
        return [("in", headers.rewrite_error(packet, mapping.inside))]


def _to_sender(answers: Emitted, hairpinned: Endpoint | None) -> Emitted:
    """What answers a packet that came back in has the public endpoint of its sender, who is inside."""
    if hairpinned is None:
        return answers
    return [
        (side, headers.rewrite_error(answer, hairpinned))
        if answer[9] == ICMP
        else (side, headers.rewrite(answer, destination=hairpinned))
        for side, answer in answers
    ]


def _text(endpoint: Endpoint) -> str:
    return f"{'.'.join(map(str, endpoint[0]))}:{endpoint[1]}"
