"""Finding out with plain sockets what a host's connection does: RFC 5780's questions, asked of TCP.

The broker's two addresses of a family and two ports on each are the four endpoints that mappings are seen
from; what has not been contacted of them dials back.
"""

from __future__ import annotations

import contextlib
import itertools
import socket
from dataclasses import dataclass

from tests.natlab.behaviour import AD, APD, EI, Dependence
from tests.natlab.capture import Capture
from tests.natlab.headers import UNREACHABLE
from tests.natlab.laboratory import Laboratory
from tests.natlab.namespace import Host
from tests.natlab.nature import Nature
from tests.natlab.probes import DEADLINE, expect

PORTS = (9000, 9001)
_FREE = 30007
"""A port that no connection of an examination has been given."""

Address = tuple[str, int]


def bound(host: Host, address: Address) -> socket.socket:
    """A TCP socket whose port may be that of others too."""
    made = host.socket(socket.AF_INET6 if ":" in address[0] else socket.AF_INET)
    made.settimeout(DEADLINE)
    for option in (socket.SO_REUSEADDR, socket.SO_REUSEPORT):
        made.setsockopt(socket.SOL_SOCKET, option, 1)
    made.bind(address)
    return made


@dataclass
class Contact:
    """A connection from a host to the broker: both ends, and the public endpoint that the broker saw."""

    near: socket.socket
    far: socket.socket
    public: Address

    def fence(self) -> None:
        """There and back: whatever was sent before has arrived where it goes, its answer too.

        A byte of its own path: what passes the NAT and the LAN behind it passes in order.
        """
        for sender, receiver in ((self.far, self.near), (self.near, self.far)):
            sender.send(b".")
            expect(receiver.recv(1) == b".", "the connection ended")


class Examination:
    """Of one host, from a broker; ``family``: 4 or 6; ``ports``: of the broker, not in use yet.

    A context manager: it holds its sockets open.
    """

    def __init__(
        self, lab: Laboratory, broker: Host, host: Host, family: int = 4, ports: tuple[int, int] = PORTS
    ) -> None:
        self.host = host
        self.broker = broker
        self.addresses = [address for address in broker.addresses if (":" in address) == (family == 6)][:2]
        self._lab = lab
        self._ports = ports
        self._own = next(address for address in host.addresses if (":" in address) == (family == 6))
        self._open = contextlib.ExitStack()
        self._listeners = {
            (address, port): self._open.enter_context(bound(broker, (address, port)))
            for address in self.addresses
            for port in ports
        }
        for listener in self._listeners.values():
            listener.listen()

    def __enter__(self) -> Examination:
        return self

    def __exit__(self, *_error: object) -> None:
        self._open.close()

    def dial(self, port: int, target: Address | None = None) -> Contact:
        """A connection from this port of the host to one of the four endpoints (default: the first)."""
        target = target or (self.addresses[0], self._ports[0])
        near = self._open.enter_context(bound(self.host, (self._own, port)))
        near.connect(target)
        far, public = self._listeners[target].accept()
        self._open.enter_context(far).settimeout(DEADLINE)
        return Contact(near, far, (public[0], public[1]))

    def listen(self, port: int) -> socket.socket:
        """Have the host accept on a port."""
        listener = self._open.enter_context(bound(self.host, (self._own, port)))
        listener.listen()
        return listener

    def knock(self, source: Address, target: Address, fence: Contact) -> str:
        """A SYN from an endpoint of the broker: ``accepted`` by the host, or ``silent``, ``reset``, ``icmp``."""
        with self._lab.capture() as core, bound(self.broker, source) as knocking:
            knocking.setblocking(False)
            knocking.connect_ex(target)
            fence.fence()
            return _answer(core, target, source)

    # -- the questions

    def seen(self, port: int) -> list[Address]:
        """How the four endpoints see one port of the host: both ports of an address, then of the other."""
        return [self.dial(port, (address, other)).public for address in self.addresses for other in self._ports]

    def mapping(self, port: int = 20000) -> Dependence | str:
        """RFC 4787 4.1."""
        seen = self.seen(port)
        if len(set(seen)) == 1:
            return "none" if seen[0][0] == self._own else EI
        return AD if seen[0] == seen[1] and seen[2] == seen[3] else APD

    def allocation(self, first: int = 21000) -> str:
        """RFC 4787 4.2, from eight ports in no order."""
        ports = [first + 37 * (5 * number % 8) for number in range(8)]
        public = [self.dial(port).public for port in ports]
        if [port for _address, port in public] == ports:
            return "preserved"
        steps = set()
        for address in {address for address, _port in public}:
            of_one = [port for other, port in public if other == address]
            steps |= {later - earlier for earlier, later in itertools.pairwise(of_one)}
        return "sequential" if len(steps) == 1 else "random"

    def filtering(self, port: int = 22000) -> Dependence:
        """RFC 4787 5: a listening port with one contact, dialled from others."""
        contact = self.dial(port)
        self.listen(port)
        if self.knock((self.addresses[1], 7001), contact.public, contact) == "accepted":
            return EI
        if self.knock((self.addresses[0], 7002), contact.public, contact) == "accepted":
            return AD
        return APD

    def unsolicited(self, port: int = 23000) -> str:
        """RFC 5382 REQ-4: a port that has no mapping."""
        contact = self.dial(port)
        return self.knock((self.addresses[1], 7003), (contact.public[0], _FREE), contact)

    def nature(self) -> Nature:
        """All of it; what is not asked is as in ``Nature``'s defaults."""
        return Nature(self.mapping(), self.filtering(), self.allocation(), self.unsolicited())  # type: ignore[arg-type]


def _answer(core: Capture, target: Address, source: Address) -> str:
    for segment in core.tcp():
        back = (segment.src, segment.sport, segment.dst, segment.dport) == (*target, *source)
        if back and (segment.flags == "SA" or "R" in segment.flags):
            return "accepted" if segment.flags == "SA" else "reset"
    for packet in core.packets():
        six = packet.raw[0] >> 4 == 6
        start, error = (40, 1) if six else ((packet.raw[0] & 0x0F) * 4, UNREACHABLE)
        if packet.raw[6 if six else 9] == (58 if six else 1) and packet.raw[start] == error:
            return "icmp"
    return "silent"
