"""How packets travel: links, networks of links, and what is on its way between them.

Each network is one link, not a chain of routers: the TTL stays as it is. There is the internet, and inside of
each carrier one more. Within an ordered pair of links packets never overtake each other.
"""

from __future__ import annotations

import heapq
import itertools
import os
import random
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from tests.natlab import capture
from tests.natlab.packets import destination, unreachable
from tests.natlab.translator import Emitted, Translator

# From where "unreachable" is answered: addresses of the broker's side that no host has.
_OWN_ADDRESSES = {4: bytes([198, 51, 100, 254]), 16: bytes.fromhex("20010db8ffff000000000000000000fe")}

_DONT_FRAGMENT = 0x40
"""In the seventh byte of an IPv4 header (RFC 791 3.1)."""

Record = Callable[[str, str, str, bytes], None]
"""Sender, receiver, fate, packet."""


@dataclass(slots=True, eq=False)
class Network:
    """``routes``: who has an address (IPv4) or a /48 (IPv6); ``gateway``: who has all others;
    ``isolated``: whether its links reach nothing but the gateway."""

    routes: dict[bytes, Link] = field(default_factory=dict)
    gateway: Link | None = None
    isolated: bool = False

    def route(self, packet: bytes, sender: Link) -> Link | None:
        """Who gets this packet."""
        target = destination(packet)
        receiver = self.routes.get(target[:6] if len(target) == 16 else target)
        if self.isolated and sender is not self.gateway:
            receiver = None
        receiver = receiver or self.gateway
        return None if receiver is sender else receiver


class Link:
    """Who sends and gets packets. ``one_way``: seconds between it and the middle; ``loss``: of its link.
    ``largest``: IPv4 packets that may not be fragmented and have more bytes are dropped, and nobody is told."""

    def __init__(self, name: str, one_way: float) -> None:
        self.name = name
        self.one_way = one_way
        self.loss = 0.0
        self.largest = 65535
        self.up = True

    def swallows(self, packet: bytes) -> bool:
        """Whether a packet is too large for it."""
        return len(packet) > self.largest and packet[0] >> 4 == 4 and bool(packet[6] & _DONT_FRAGMENT)

    def take(self, network: Network, packet: bytes) -> None:
        """What arrives for it over one of its networks."""
        raise NotImplementedError

    def share(self, network: Network) -> tuple[float, float]:
        """Its part of the delay and loss in a network."""
        return self.one_way, self.loss


class Internet:
    """Everything on its way."""

    def __init__(self, seed: int, refuse: bool, record: Record) -> None:
        """``refuse``: answer packets to unknown destinations with ICMP instead of silence."""
        self.root = Network()
        self._seed = seed
        self._refuse = refuse
        self._record = record
        self.pair_delays: dict[frozenset[str], float] = {}
        self.pair_losses: dict[frozenset[str], float] = {}
        self._dice: dict[tuple[str, str], random.Random] = {}
        self._last_due: dict[tuple[str, str], float] = {}
        self._order = itertools.count()
        # (due, order, from, to, over, packet); "order" makes equal times first come, first served
        self._waiting: list[tuple[float, int, Link, Link, Network, bytes]] = []

    def send(self, network: Network, sender: Link, packet: bytes) -> None:
        """Put a packet on its way, or drop it; it is recorded either way. IPv6 has no carriers."""
        if packet and packet[0] >> 4 == 6:
            network = self.root
        receiver = network.route(packet, sender)
        if receiver is None:
            self._record(sender.name, "", capture.UNREACHABLE, packet)
            target = destination(packet)
            answer = unreachable(packet, _OWN_ADDRESSES[len(target)]) if self._refuse and target else None
            if answer is not None and sender.up:
                self._enqueue(sender, sender, network, 2 * sender.share(network)[0], answer)
        elif not (sender.up and receiver.up):
            self._record(sender.name, receiver.name, capture.LINK_DOWN, packet)
        else:
            (near, loss), (far, more_loss) = sender.share(network), receiver.share(network)
            swallowed = sender.swallows(packet) or receiver.swallows(packet)
            if swallowed or self._is_lost(sender, receiver, 1 - (1 - loss) * (1 - more_loss)):
                self._record(sender.name, receiver.name, capture.LOST, packet)
                return
            self._record(sender.name, receiver.name, capture.FORWARDED, packet)
            delay = self.pair_delays.get(frozenset((sender.name, receiver.name)), near + far)
            self._enqueue(sender, receiver, network, delay, packet)

    def _is_lost(self, sender: Link, receiver: Link, both: float) -> bool:
        probability = self.pair_losses.get(frozenset((sender.name, receiver.name)), both)
        if probability <= 0:
            return False
        # Dice of its own for each direction: what one pair loses does not depend on what others send.
        key = (sender.name, receiver.name)
        dice = self._dice.setdefault(key, random.Random(f"{self._seed}/{sender.name}/{receiver.name}"))
        return dice.random() < probability

    def _enqueue(self, sender: Link, receiver: Link, network: Network, delay: float, packet: bytes) -> None:
        key = (sender.name, receiver.name)
        due = max(time.monotonic() + delay, self._last_due.get(key, 0.0))
        self._last_due[key] = due
        heapq.heappush(self._waiting, (due, next(self._order), sender, receiver, network, packet))

    def deliver(self) -> float | None:
        """Hand over what is due; seconds until the next is, or None."""
        while self._waiting:
            remaining = self._waiting[0][0] - time.monotonic()
            if remaining > 0:
                return remaining
            _due, _order, sender, receiver, network, packet = heapq.heappop(self._waiting)
            if sender.up and receiver.up:
                receiver.take(network, packet)
        return None

    def drop(self, link: Link) -> None:
        """Lose what is on its way from and to a link."""
        self._waiting = [entry for entry in self._waiting if link not in entry[2:4]]
        heapq.heapify(self._waiting)


class Uplink(Link):
    """A site: its TUN device, and the translator in front of that, if it has one."""

    def __init__(self, name: str, one_way: float, internet: Internet, network: Network, descriptor: int) -> None:
        super().__init__(name, one_way)
        self.descriptor = descriptor
        self.network = network
        self.translator: Translator | None = None
        self._internet = internet

    def arrived(self, packet: bytes) -> None:
        """What the site sends."""
        if self.translator is None:
            self._internet.send(self.network, self, packet)
        elif packet:
            self._emit(self.translator.outbound(packet, time.monotonic()))

    def take(self, network: Network, packet: bytes) -> None:
        if self.translator is None:
            self._write(packet)
        else:
            self._emit(self.translator.inbound(packet, time.monotonic()))

    def _emit(self, emitted: Emitted) -> None:
        for side, packet in emitted:
            if side == "in":
                self._write(packet)
            else:
                self._internet.send(self.network, self, packet)

    def _write(self, packet: bytes) -> None:
        if self.descriptor >= 0:
            try:
                os.write(self.descriptor, packet)
            except OSError:
                pass  # The device is down or its queue is full: an internet drops packets then.


class CarrierLink(Link):
    """A carrier's NAT: a link of the internet, and the gateway of a network of its own."""

    def __init__(
        self, name: str, one_way: float, internet: Internet, translator: Translator, isolated: bool
    ) -> None:
        super().__init__(name, one_way)
        self.translator = translator
        self.inside = Network(gateway=self, isolated=isolated)
        self._internet = internet

    def share(self, network: Network) -> tuple[float, float]:
        """Its subscribers' links are all there is on its inside."""
        return (0.0, 0.0) if network is self.inside else (self.one_way, self.loss)

    def take(self, network: Network, packet: bytes) -> None:
        translate = self.translator.outbound if network is self.inside else self.translator.inbound
        for side, translated in translate(packet, time.monotonic()):
            target = self.inside if side == "in" else self._internet.root
            self._internet.send(target, self, translated)
