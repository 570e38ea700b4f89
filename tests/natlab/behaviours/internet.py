"""What the core does, shown."""

from __future__ import annotations

import errno
import hashlib
import socket
import threading

from tests.natlab import capture
from tests.natlab.laboratory import Laboratory
from tests.natlab.probes import connected, datagrams, expect, fence, listening, meet, round_trip
from tests.natlab.routers import Masquerade
from tests.natlab.sites import Open

# How much later than it should a packet may be on a busy machine; too early it may never be.
_LATE = 0.03
_PORT = 9000


def _expect_delay(seen: float, wanted: float, what: str) -> str:
    expect(wanted <= seen < wanted + _LATE, f"{what}: {seen * 1000:.1f} ms instead of {wanted * 1000:g} ms")
    return f"{what} {seen * 1000:.1f} ms"


def delays() -> str:
    """10 ms each way between site and core; a pair may be nearer; a site may be far."""
    with Laboratory() as lab:
        broker, alice, bob = lab.broker(), lab.site("alice"), lab.site("bob", one_way=0.03)
        with listening(broker, broker.address, _PORT), listening(bob, bob.address, _PORT):
            shown = [
                _expect_delay(round_trip(alice, broker.address, _PORT), 0.02, "site to broker"),
                _expect_delay(round_trip(bob, broker.address, _PORT), 0.06, "far site to broker"),
                _expect_delay(round_trip(alice, bob.address, _PORT), 0.08, "site to far site"),
            ]
            lab.one_way("alice", "bob", 0.001)
            shown.append(_expect_delay(round_trip(alice, bob.address, _PORT), 0.002, "the same made neighbours"))
            shown.append(_expect_delay(round_trip(bob, broker.address, _PORT), 0.06, "still to broker"))
    return ", ".join(shown)


def order() -> str:
    """What was sent earlier arrives earlier, also when the delay becomes shorter meanwhile."""
    with Laboratory() as lab:
        alice, bob = lab.site("alice"), lab.site("bob")
        with datagrams(alice, alice.address, _PORT) as sender, datagrams(bob, bob.address, _PORT) as receiver:
            lab.one_way("alice", "bob", 0.05)
            for number in range(50):
                sender.sendto(bytes([number]), (bob.address, _PORT))
            lab.one_way("alice", "bob", 0.001)
            for number in range(50, 100):
                sender.sendto(bytes([number]), (bob.address, _PORT))
            numbers = [receiver.recv(10)[0] for _ in range(100)]
    expect(numbers == list(range(100)), f"packets overtook each other: {numbers}")
    return "100 of 100 datagrams in order"


def broker_addresses() -> str:
    """The broker has two addresses of each family."""
    with Laboratory() as lab:
        broker, alice = lab.broker(), lab.site("alice", Open(ipv6=True))
        expect([":" in address for address in broker.addresses] == [False, False, True, True], "families")
        for address in broker.addresses:
            with (
                listening(broker, address, _PORT) as listener,
                connected(alice, address, _PORT) as connection,
            ):
                accepted, seen = listener.accept()
                accepted.close()
                expect(seen[0] in alice.addresses, f"{address} saw {seen}")
                expect(connection.getpeername()[0] == address, f"{address} is {connection.getpeername()}")
    return "connections to " + ", ".join(broker.addresses)


def link_down() -> str:
    """While a link is down nothing passes; afterwards everything does."""
    with Laboratory() as lab:
        alice, bob = lab.site("alice"), lab.site("bob")
        with datagrams(alice, alice.address, _PORT) as sender, datagrams(bob, bob.address, _PORT) as receiver:
            with lab.capture() as core:
                sender.sendto(b"cut off on its way", (bob.address, _PORT))
                lab.link_down("bob")
                sender.sendto(b"sent while it was down", (bob.address, _PORT))
                lab.link_up("bob")
                sender.sendto(b"sent afterwards", (bob.address, _PORT))
                got = receiver.recv(100)
            fates = [packet.fate for packet in core.packets()]
    expect(got == b"sent afterwards", f"{got!r} arrived")
    expect(fates == [capture.FORWARDED, capture.LINK_DOWN, capture.FORWARDED], f"{fates}")
    return "of three datagrams the last one arrived"


def loss() -> str:
    """Loss has its probability, and the same seed loses the same packets."""

    def lost(seed: int) -> set[int]:
        with Laboratory(seed=seed) as lab:
            alice, bob = lab.site("alice"), lab.site("bob")
            lab.loss("alice", None, 0.3)
            with (
                datagrams(alice, alice.address, _PORT) as sender,
                datagrams(bob, bob.address, _PORT) as receiver,
            ):
                for number in range(200):
                    sender.sendto(bytes([number]), (bob.address, _PORT))
                lab.loss("alice", None, 0.0)
                sender.sendto(b"end", (bob.address, _PORT))
                arrived = set(iter(lambda: receiver.recv(10), b"end"))
        return {number for number in range(200) if bytes([number]) not in arrived}

    first = lost(1)
    expect(first == lost(1), "the same seed lost other packets")
    expect(first != lost(2), "another seed lost the same packets")
    expect(30 <= len(first) <= 90, f"of 200 packets {len(first)} were lost instead of about 60")
    return f"{len(first)} of 200 lost at 30 %, the same ones again with the same seed"


def unknown_destination() -> str:
    """An address that nobody has: silence, or ICMP where the laboratory is told so. No private one passes."""
    with Laboratory() as lab:
        alice, bob = lab.site("alice", Masquerade()), lab.site("bob", Masquerade())
        with lab.capture() as core, lab.capture(alice) as lan, alice.socket() as dialled:
            dialled.setblocking(False)
            dialled.connect_ex((bob.address, _PORT))
            fence(alice, bob.site.ipv4[0])
            fates = [packet.fate for packet in core.packets() if packet.receiver == ""]
        expect([segment.dst for segment in lan.tcp()][:1] == [bob.address], "the LAN's capture shows no SYN")
        expect(fates[:1] == [capture.UNREACHABLE], f"the core did with a private destination: {fates}")
    with Laboratory(unknown="icmp") as lab:
        alice = lab.site("alice", Open(ipv6=True))
        for address in ("203.0.113.99", "2001:db8:99::1"):
            try:
                with connected(alice, address, _PORT):
                    raise AssertionError(f"somebody is at {address}")
            except OSError as error:
                expect(error.errno in (errno.EHOSTUNREACH, errno.ENETUNREACH), f"{address}: {error}")
    return "dropped and recorded; with unknown='icmp' refused, in both families"


def bulk() -> str:
    """Many bytes pass whole through two routers and the core: segments and checksums are complete."""
    data = hashlib.sha256(b"natlab").digest() * 65536
    with Laboratory(one_way=0.001) as lab:
        alice, bob = lab.site("alice", Masquerade()), lab.site("bob", Masquerade())
        one, two = meet(alice, 5000, alice.site.ipv4[0], bob, 6000, bob.site.ipv4[0])

        def send() -> None:
            one.sendall(data)
            one.shutdown(socket.SHUT_WR)

        with one, two:
            sender = threading.Thread(target=send)
            sender.start()
            got = b"".join(iter(lambda: two.recv(65536), b""))
            sender.join()
    expect(got == data, f"{len(got)} of {len(data)} bytes arrived, or others")
    return f"{len(data) >> 20} MiB arrived as sent"


BEHAVIOURS = (
    delays,
    order,
    broker_addresses,
    link_down,
    loss,
    unknown_destination,
    bulk,
)
