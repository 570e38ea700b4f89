"""What carries packets between hosts and routers: the core, and the private networks behind routers."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

from tests.support.packets import Packet

if TYPE_CHECKING:
    from tests.support.firewall import Firewall
    from tests.support.network import Network

LAN_DELAY = 0.001
"""Seconds, one way, between two hosts of one private network."""


class Node(Protocol):
    """A host, or a router seen from either side."""

    name: str
    delay: float

    def arrive(self, packet: Packet) -> None: ...


class Lan:
    """A network in which addresses are unique: the core, or the inside of a router."""

    def __init__(self, network: Network, name: str, gateway: Firewall | None) -> None:
        self.network = network
        self.name = name
        self.gateway = gateway
        self.owners: dict[str, Node] = {}

    def add(self, address: str, node: Node) -> None:
        if address in self.owners:
            raise ValueError(f"{address} is {self.owners[address]!r} in {self.name} already")
        self.owners[address] = node

    def carry(self, sender: Node, packet: Packet) -> None:
        """Takes a packet to the owner of its destination, else towards the core, where it vanishes."""
        target = self.owners.get(packet.destination.host)
        if target is None or target is sender:
            if self.gateway is not None and self.gateway is not sender:
                self._hop(sender.delay, self.gateway.outbound, packet)
            elif self.gateway is None:
                self.network.record(self.name, packet)
            return
        if sender is not self.gateway or packet.sender == sender.name:  # else recorded further out
            self.network.record(self.name, packet)
        self._hop(self._delay(sender, target), target.arrive, packet)

    def _delay(self, sender: Node, target: Node) -> float:
        chosen = self.network.delays.get((sender.name, target.name))
        if chosen is not None:
            return chosen
        if self.gateway is None:
            return sender.delay + target.delay
        if sender is self.gateway:
            return target.delay
        return sender.delay + target.delay or LAN_DELAY

    def _hop(self, delay: float, arrive: Callable[[Packet], None], packet: Packet) -> None:
        # Never at once: a router's answer must not reach a socket that is in the middle of sending.
        self.network.timeline.later(delay, arrive, packet)
