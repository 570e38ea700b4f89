"""The translator without a laboratory: what it writes into packets, and corners of its table."""

from __future__ import annotations

import random
import struct
from unittest import TestCase

from hypothesis import given
from hypothesis import strategies as st

from tests.natlab import headers
from tests.natlab.behaviour import APD, EI, Behaviour
from tests.natlab.headers import ACK, ICMP, RST, SYN, Endpoint
from tests.natlab.packets import TCP, checksum, tcp_segment, unreachable
from tests.natlab.profiles import PROFILES, table
from tests.natlab.translator import Translator

_HOST, _PUBLIC, _REMOTE = bytes([192, 168, 1, 10]), bytes([203, 0, 113, 1]), bytes([198, 51, 100, 1])

_addresses = st.binary(min_size=4, max_size=4)
_endpoints = st.tuples(_addresses, st.integers(0, 65535))


def tcp(source: Endpoint, destination: Endpoint, flags: int, payload: bytes = b"") -> bytes:
    """A packet with right checksums."""
    segment = struct.pack("!HHIIBBHHH", source[1], destination[1], 7, 9, 0x50, flags, 1000, 0, 0) + payload
    pseudo = source[0] + destination[0] + struct.pack("!BBH", 0, TCP, len(segment))
    segment = segment[:16] + struct.pack("!H", checksum(pseudo + segment)) + segment[18:]
    header = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(segment), 0, 0, 64, TCP, 0) + source[0] + destination[0]
    return header[:10] + struct.pack("!H", checksum(header)) + header[12:] + segment


def right(packet: bytes) -> bool:
    """Whether all checksums of a packet are."""
    body = packet[20:]
    pseudo = packet[12:20] + struct.pack("!BBH", 0, TCP, len(body)) if packet[9] == TCP else b""
    return checksum(packet[:20]) == 0 and checksum(pseudo + body) == 0


class HeadersTests(TestCase):
    """Packets."""

    @given(_endpoints, _endpoints, _endpoints, _endpoints, st.binary(max_size=9))
    def test_rewrite(self, one: Endpoint, two: Endpoint, three: Endpoint, four: Endpoint, data: bytes) -> None:
        """What is adjusted equals what is computed anew."""
        changed = headers.rewrite(tcp(one, two, SYN, data), three, four)
        self.assertTrue(right(changed))
        parsed = headers.parse(changed)
        assert parsed is not None
        self.assertEqual((parsed.source, parsed.destination), (three, four))
        self.assertEqual(changed[40:], data)

    @given(_endpoints, _endpoints, _endpoints)
    def test_broken_stays_broken(self, one: Endpoint, two: Endpoint, three: Endpoint) -> None:
        """No NAT repairs what arrived damaged."""
        self.assertFalse(right(headers.rewrite(tcp(one, two, SYN, b"x")[:-1] + b"y", three)))

    @given(_endpoints, _endpoints, st.sampled_from([SYN, ACK, SYN | ACK]))
    def test_reset(self, one: Endpoint, two: Endpoint, flags: int) -> None:
        """RFC 9293: with ACK if the segment had none, and where that one's ACK points otherwise."""
        answer = headers.reset(tcp(one, two, flags))
        segment = tcp_segment(0, answer)
        assert segment is not None
        self.assertTrue(right(answer))
        self.assertEqual(segment.flags, "R" if flags & ACK else "RA")
        self.assertEqual(struct.unpack_from("!II", answer, 24), (9, 0) if flags & ACK else (0, 8))

    @given(_endpoints, _endpoints, _endpoints)
    def test_error(self, inside: Endpoint, public: Endpoint, remote: Endpoint) -> None:
        """The quoted packet of a translated error has the sender's own source, and its header is right."""
        error = unreachable(tcp(public, remote, SYN), bytes([203, 0, 113, 9]), 3)
        if error is None:  # about a multicast address
            return
        about = headers.quoted(error)
        assert about is not None
        self.assertEqual((about.source, about.destination), (public, remote))
        changed = headers.rewrite_error(error, inside)
        about = headers.quoted(changed)
        assert about is not None
        self.assertEqual((about.source, about.destination, changed[16:20]), (inside, remote, inside[0]))
        self.assertTrue(right(changed))
        self.assertEqual(checksum(changed[28:48]), 0)

    @given(st.integers(0, 65535), st.integers(0, 65535))
    def test_echo(self, identifier: int, other: int) -> None:
        """Echoes are translated by their identifier, and answered."""
        body = struct.pack("!BBHHH", 8, 0, 0, identifier, 1) + b"odd"
        body = body[:2] + struct.pack("!H", checksum(body)) + body[4:]
        header = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(body), 0, 0, 64, ICMP, 0) + _HOST + _REMOTE
        packet = header[:10] + struct.pack("!H", checksum(header)) + header[12:] + body
        changed = headers.rewrite(packet, (_PUBLIC, other))
        self.assertTrue(right(changed))
        answer = headers.echo_reply(changed)
        self.assertTrue(right(answer))
        parsed = headers.parse(answer)
        assert parsed is not None
        self.assertEqual((parsed.kind, parsed.destination), (0, (_PUBLIC, other)))

    @given(st.binary(max_size=80))
    def test_rubbish(self, packet: bytes) -> None:
        """Whatever comes, nothing breaks."""
        translator = Translator(Behaviour(stray="reset", hairpin="external"), [_PUBLIC], 0)
        header = b"\x45\0\0\x40" + bytes(5) + bytes([TCP, 0, 0]) + _HOST + _PUBLIC
        for head in (packet, b"\x45" + packet, header + packet):
            if head:
                translator.outbound(head, 0)
                translator.inbound(head, 0)


class TableTests(TestCase):
    """Mappings."""

    def ports(self, behaviour: Behaviour, count: int) -> list[int]:
        """The public ports of so many destinations from one port; 0 for none."""
        translator = Translator(behaviour, [_PUBLIC], 0)
        ports = []
        for number in range(count):
            emitted = translator.outbound(tcp((_HOST, 5000), (_REMOTE, 1 + number), SYN), 0)
            parsed = headers.parse(emitted[0][1]) if emitted else None
            ports.append(parsed.source[1] if parsed is not None else 0)
        return ports

    def test_wraps(self) -> None:
        """After the last port comes the first; no port is given twice."""
        for allocation in ("sequential", "random", "preserved"):
            behaviour = Behaviour(mapping=APD, allocation=allocation, ports=(40000, 40009))
            ports = self.ports(behaviour, 11)
            self.assertEqual(sorted(ports), [0, *range(40000, 40010)], allocation)

    def test_outgoing_reset_ends(self) -> None:
        """The host's own RST ends a connection, and with the last one the mapping."""
        translator = Translator(Behaviour(filtering=EI), [_PUBLIC], 0)
        for flags in (SYN, RST):
            self.assertEqual(len(translator.outbound(tcp((_HOST, 5000), (_REMOTE, 80), flags), 0)), 1)
        self.assertEqual(translator.mappings(0), [])

    def test_settings(self) -> None:
        """What cannot be is refused, and the channel carries the rest."""
        for wrong in ({"ports": (5, 4)}, {"ports": (0, 4)}, {"step": 0}, {"pool": 0}):
            with self.assertRaises(ValueError):
                Behaviour(**wrong)
        behaviour = Behaviour(mapping=APD, ports=(5, 6))
        self.assertEqual(Behaviour.from_message(behaviour.as_message()), behaviour)

    def test_dice(self) -> None:
        """Two NATs of one laboratory do not hand out the same random ports."""
        behaviour = Behaviour(allocation="random")
        first, second = (
            Translator(behaviour, [_PUBLIC], seed).outbound(tcp((_HOST, 5000), (_REMOTE, 80), SYN), 0)
            for seed in random.Random(1).sample(range(100), 2)
        )
        self.assertNotEqual(first, second)

    def test_listing(self) -> None:
        """The list of profiles has a line for each, and one above."""
        self.assertEqual(len(table().splitlines()), 1 + len(PROFILES))
