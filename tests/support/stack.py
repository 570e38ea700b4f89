"""The TCP of one host's kernel: who has which port, and which socket a packet is for."""

from __future__ import annotations

import errno
import random
import socket
import zlib
from collections.abc import Callable
from typing import TYPE_CHECKING

from tests.support.packets import ACK, ICMP, RST, SYN, Endpoint, Packet, is_loopback, reset_for
from tests.support.sockets import Socket, error_from
from tests.support.transmission import State, Transmission

if TYPE_CHECKING:
    from tests.support.network import Network

EPHEMERAL_PORTS = range(32768, 61000)
"""net.ipv4.ip_local_port_range as Linux ships it."""


class Stack:
    """
    The sockets of one host.

    :param addresses: the host's own, in canonical text, without loopback, which it has too.
    :param transmit: takes each packet that leaves a socket.
    :param woken: called with the descriptor of a socket on which something changed.
    """

    def __init__(
        self,
        network: Network,
        name: str,
        addresses: list[str],
        transmit: Callable[[Packet], None],
        woken: Callable[[int], None],
    ) -> None:
        self._network = network
        self._addresses = addresses
        self.emit = transmit
        self.woken = woken
        self.random = random.Random(f"{network.seed}/{name}")
        self.mss = network.mss
        self.buffer = network.buffer
        self.seconds = network.timeline.seconds
        self.later = network.timeline.later
        self.sockets: dict[int, Socket] = {}
        self.ports: dict[int, list[Socket]] = {}
        self.connections: dict[tuple[Endpoint, Endpoint], Socket] = {}
        self._next_descriptor = 3

    def chunk(self, size: int) -> int:
        """How much of `size` readable bytes a read gets: all, or with `chop` any part, mostly a small one."""
        if not self._network.chop:
            return size
        return min(size, int(2 ** self.random.uniform(0, 17)))

    def owns(self, host: str) -> bool:
        return host in self._addresses or is_loopback(host)

    # Descriptors

    def open(self, new: Socket) -> Socket:
        new.fd = self._next_descriptor
        self._next_descriptor += 1
        self.sockets[new.fd] = new
        return new

    def closed(self, old: Socket) -> None:
        del self.sockets[old.fd]
        old.fd = -1

    def close_all(self) -> None:
        """The process died: the kernel closes its sockets."""
        for each in [*self.sockets.values()]:
            each.close()

    # Ports

    def _bound(self, port: int) -> list[Socket]:
        for each in [*self.ports.get(port, ())]:
            if each.expires is not None and each.expires <= self.seconds():
                self.forget(each)
        return self.ports.get(port, [])

    def check_conflicts(self, new: Socket, endpoint: Endpoint) -> None:
        """
        EADDRINUSE as Linux decides it (inet_csk_bind_conflict).

        Two sockets whose addresses overlap may share a port where both have SO_REUSEPORT, or both have
        SO_REUSEADDR and the older does not listen.
        """
        for old in self._bound(endpoint.port):
            if old is new or (new.reuse_port and old.reuse_port):
                continue
            if new.reuse_address and old.reuse_address and old.state is not State.LISTEN:
                continue
            if _overlap(new, endpoint.host, old, old.local.host):
                raise error_from(errno.EADDRINUSE)

    def bind(self, new: Socket, endpoint: Endpoint) -> None:
        """Gives a socket its address and port; 0 means a free one."""
        if endpoint.host not in ("0.0.0.0", "::") and not self.owns(endpoint.host):
            raise error_from(errno.EADDRNOTAVAIL)
        if endpoint.port:
            self.check_conflicts(new, endpoint)
        else:
            endpoint = endpoint._replace(port=self._free_port())
        new.local = endpoint
        self.ports.setdefault(endpoint.port, []).append(new)

    def _free_port(self) -> int:
        start = self.random.randrange(len(EPHEMERAL_PORTS))
        for offset in range(len(EPHEMERAL_PORTS)):
            port = EPHEMERAL_PORTS[(start + offset) % len(EPHEMERAL_PORTS)]
            if not self._bound(port):
                return port
        raise error_from(errno.EADDRNOTAVAIL)

    def forget(self, old: Transmission) -> None:
        """A connection is no more. Its port stays with the socket until that is closed."""
        assert isinstance(old, Socket)
        if self.connections.get((old.local, old.remote)) is old:
            del self.connections[old.local, old.remote]
        if old.fd < 0:
            owners = self.ports.get(old.local.port, [])
            if old in owners:
                owners.remove(old)
                if not owners:
                    del self.ports[old.local.port]

    # Connections

    def connect(self, new: Socket, remote: Endpoint) -> None:
        """Chooses the source. ENETUNREACH: no address of that kind; EADDRNOTAVAIL: the 4-tuple is taken."""
        local = new.local
        if local.host in ("0.0.0.0", "::"):
            local = local._replace(host=self._source_for(remote.host))
        elif (":" in local.host) != (":" in remote.host):
            raise error_from(errno.ENETUNREACH)
        elif is_loopback(local.host) and not self.owns(remote.host):
            raise error_from(errno.EINVAL)
        if not local.port:
            local = local._replace(port=self._free_port())
            self.ports[local.port] = [new]
        if self._connection(local, remote) is not None:
            # Also where a SYN of theirs came first and our listener has not got its last ACK yet.
            raise error_from(errno.EADDRNOTAVAIL)
        new.local, new.remote = local, remote
        self.connections[local, remote] = new

    def _source_for(self, host: str) -> str:
        if self.owns(host):
            return host
        for address in self._addresses:
            if (":" in address) == (":" in host):
                return address
        raise error_from(errno.ENETUNREACH)

    def _connection(self, local: Endpoint, remote: Endpoint) -> Socket | None:
        found = self.connections.get((local, remote))
        if found is not None and found.expires is not None and found.expires <= self.seconds():
            self.forget(found)
            return None
        return found

    def receive(self, packet: Packet) -> None:
        """Gives a packet to its connection, which comes first, or to a listener, or answers with RST."""
        found = self._connection(packet.destination, packet.source)
        opens = packet.flags & (SYN | ACK) == SYN
        if found is not None and found.state is State.TIME_WAIT and opens:
            self.forget(found)  # RFC 9293 section 3.10.7.4: a new SYN may end the wait
            found = None
        if found is not None:
            found.receive(packet)
        elif packet.flags & (RST | ICMP):
            pass
        elif opens and (listener := self._listener(packet)) is not None:
            listener.incoming(packet)
        else:
            self.emit(reset_for(packet))

    def _listener(self, packet: Packet) -> Socket | None:
        """The most specific listener; among several with SO_REUSEPORT one by a hash of the peer, as Linux."""
        host, port = packet.destination
        exact, own, other = [], [], []
        for each in self.ports.get(port, ()):
            if each.state is not State.LISTEN:
                continue
            if each.local.host == host:
                exact.append(each)
            elif each.local.host == ("::" if ":" in host else "0.0.0.0"):
                own.append(each)
            elif each.local.host == "::" and each.takes_ipv4:
                other.append(each)
        group = exact or own or other
        return group[zlib.crc32(str(packet.source).encode()) % len(group)] if group else None

    def new_socket(self, family: socket.AddressFamily) -> Socket:
        return self.open(Socket(self, family))


def _overlap(new: Socket, new_host: str, old: Socket, old_host: str) -> bool:
    if new_host == old_host:
        return True
    for wild, wildcard, host in ((new, new_host, old_host), (old, old_host, new_host)):
        if wildcard == "0.0.0.0" and ":" not in host:
            return True
        if wildcard == "::" and (":" in host or wild.takes_ipv4):
            return True
    return False
