"""The internet of the laboratory: one process that carries packets between the uplinks of its sites.

Each site has a TUN device; what the site sends is read here, kept for the one-way delay of the pair and
written to the device of the site that owns the destination address. It is one link, not a chain of routers:
the TTL stays as it is. Within an ordered pair of sites packets never overtake each other.
"""

from __future__ import annotations

import gc
import heapq
import ipaddress
import itertools
import os
import random
import select
import socket
import time
from dataclasses import dataclass
from typing import Any

from tests.natlab import capture, kernel
from tests.natlab.capture import Packet, write_packet
from tests.natlab.channel import Channel, ChannelClosed, Message
from tests.natlab.packets import destination, unreachable

# From where "unreachable" is answered: addresses of the broker's side that no host has.
_OWN_ADDRESSES = {
    4: ipaddress.ip_address("198.51.100.254").packed,
    16: ipaddress.ip_address("2001:db8:ffff::fe").packed,
}
_ETHERTYPES = (0x0800, 0x86DD)
# Packets read from one device before the others and the due deliveries have their turn.
_BURST = 64
# More than one device or packet socket holds back: where even a busy one is empty for a moment.
_QUEUE = 4096


@dataclass(slots=True, eq=False)
class Uplink:
    """One site as the core sees it. ``one_way``: seconds between it and the core; ``loss``: of its link."""

    name: str
    descriptor: int
    one_way: float
    loss: float = 0.0
    up: bool = True


@dataclass(slots=True, eq=False)
class Tap:
    """A capture that is running. ``interface``: a packet socket in a host; None: the core itself."""

    output: int
    name: str
    interface: socket.socket | None


class Core:
    """Forwards until the control channel closes; does what comes in over it between packets."""

    def __init__(self, control: Channel, seed: int, refuse: bool) -> None:
        """``refuse``: answer packets to unknown destinations with ICMP instead of silence."""
        self._control = control
        self._seed = seed
        self._refuse = refuse
        self._uplinks: dict[str, Uplink] = {}
        self._routes: dict[bytes, Uplink] = {}
        self._pair_delays: dict[frozenset[str], float] = {}
        self._pair_losses: dict[frozenset[str], float] = {}
        self._dice: dict[tuple[str, str], random.Random] = {}
        self._last_due: dict[tuple[str, str], float] = {}
        self._order = itertools.count()
        # (due, order, from, to, packet); "order" makes equal times first come, first served
        self._waiting: list[tuple[float, int, Uplink, Uplink, bytes]] = []
        self._taps: dict[int, Tap] = {}

    def run(self) -> None:
        """The loop. select() because epoll's timeouts are whole milliseconds."""
        control = self._control.fileno()
        while True:
            self._deliver()
            readers: dict[int, Uplink | Tap] = {
                uplink.descriptor: uplink for uplink in self._uplinks.values() if uplink.descriptor >= 0
            }
            for tap in self._taps.values():
                if tap.interface is not None:
                    readers[tap.interface.fileno()] = tap
            timeout = max(0.0, self._waiting[0][0] - time.monotonic()) if self._waiting else None
            ready, _, _ = select.select([control, *readers], [], [], timeout)
            for reader in ready:
                if reader == control:
                    try:
                        self._obey()
                    except ChannelClosed:
                        return
                else:
                    self._drain(readers[reader], _BURST)

    # -- packets

    def _drain(self, reader: Uplink | Tap, limit: int) -> None:
        for _ in range(limit):
            try:
                if isinstance(reader, Tap):
                    self._observe(reader)
                else:
                    self._arrived(reader, os.read(reader.descriptor, 65536))
            except BlockingIOError:
                return
            except OSError:
                # The device went down or away: nothing more will come from it.
                if isinstance(reader, Uplink):
                    reader.descriptor = -1
                return

    def _arrived(self, sender: Uplink, packet: bytes) -> None:
        target = destination(packet)
        receiver = self._routes.get(target[:6] if len(target) == 16 else target)
        if receiver is None or receiver is sender:
            self._record(sender.name, "", capture.UNREACHABLE, packet)
            answer = unreachable(packet, _OWN_ADDRESSES[len(target)]) if self._refuse and target else None
            if answer is not None and sender.up:
                self._enqueue(sender, sender, 2 * sender.one_way, answer)
        elif not (sender.up and receiver.up):
            self._record(sender.name, receiver.name, capture.LINK_DOWN, packet)
        elif self._is_lost(sender, receiver):
            self._record(sender.name, receiver.name, capture.LOST, packet)
        else:
            self._record(sender.name, receiver.name, capture.FORWARDED, packet)
            pair = frozenset((sender.name, receiver.name))
            delay = self._pair_delays.get(pair, sender.one_way + receiver.one_way)
            self._enqueue(sender, receiver, delay, packet)

    def _is_lost(self, sender: Uplink, receiver: Uplink) -> bool:
        both = 1 - (1 - sender.loss) * (1 - receiver.loss)
        probability = self._pair_losses.get(frozenset((sender.name, receiver.name)), both)
        if probability <= 0:
            return False
        # Dice of its own for each direction: what one pair loses does not depend on what others send.
        key = (sender.name, receiver.name)
        dice = self._dice.setdefault(key, random.Random(f"{self._seed}/{sender.name}/{receiver.name}"))
        return dice.random() < probability

    def _enqueue(self, sender: Uplink, receiver: Uplink, delay: float, packet: bytes) -> None:
        key = (sender.name, receiver.name)
        due = max(time.monotonic() + delay, self._last_due.get(key, 0.0))
        self._last_due[key] = due
        heapq.heappush(self._waiting, (due, next(self._order), sender, receiver, packet))

    def _deliver(self) -> None:
        now = time.monotonic()
        while self._waiting and self._waiting[0][0] <= now:
            _due, _order, sender, receiver, packet = heapq.heappop(self._waiting)
            if sender.up and receiver.up and receiver.descriptor >= 0:
                try:
                    os.write(receiver.descriptor, packet)
                except OSError:
                    pass  # The device is down or its queue is full: an internet drops packets then.

    def _record(self, sender: str, receiver: str, fate: str, raw: bytes) -> None:
        for tap in self._taps.values():
            if tap.interface is None:
                write_packet(tap.output, Packet(time.time(), sender, receiver, fate, raw))

    def _observe(self, tap: Tap) -> None:
        assert tap.interface is not None
        raw, (interface, protocol, kind, *_) = tap.interface.recvfrom(1 << 18)
        if protocol not in _ETHERTYPES or interface == "lo":
            return
        if kind == socket.PACKET_OUTGOING:
            packet = Packet(time.time(), tap.name, "", capture.SENT, raw)
        else:
            packet = Packet(time.time(), "", tap.name, capture.RECEIVED, raw)
        write_packet(tap.output, packet)

    def _drain_everything(self) -> None:
        for uplink in self._uplinks.values():
            if uplink.descriptor >= 0:
                self._drain(uplink, _QUEUE)
        for tap in self._taps.values():
            if tap.interface is not None:
                self._drain(tap, _QUEUE)

    # -- commands: do_NAME is called with the message's other keys, and with its descriptors where it has any

    def _obey(self) -> None:
        message, descriptors = self._control.receive()
        # A command holds for what is sent after it: first take in what was sent before.
        self._drain_everything()
        arguments: dict[str, Any] = {key: value for key, value in message.items() if key != "do"}
        if descriptors:
            arguments["descriptors"] = descriptors
        reply: Message = {}
        try:
            getattr(self, f"do_{message['do']}")(**arguments)
        except (LookupError, TypeError, ValueError, AttributeError) as error:
            reply["error"] = f"core: {message['do']}: {error!r}"
        self._control.send(reply)

    def do_attach(self, site: str, routes: list[str], one_way: float, descriptors: list[int]) -> None:
        """A new site behind the TUN device ``descriptors[0]``; ``routes``: IPv4 addresses, IPv6 /48s."""
        uplink = Uplink(site, descriptors[0], one_way)
        self._uplinks[site] = uplink
        for route in routes:
            packed = ipaddress.ip_address(route.split("/")[0]).packed
            self._routes[packed[:6] if len(packed) == 16 else packed] = uplink

    def do_one_way(self, site: str, seconds: float) -> None:
        """The delay between a site and the core."""
        self._uplinks[site].one_way = seconds

    def do_pair_one_way(self, first: str, second: str, seconds: float) -> None:
        """The whole delay between two sites, instead of the sum of theirs."""
        self._pair_delays[frozenset((self._uplinks[first].name, self._uplinks[second].name))] = seconds

    def do_loss(self, site: str, probability: float) -> None:
        """Loss on a site's link, each way."""
        self._uplinks[site].loss = probability

    def do_pair_loss(self, first: str, second: str, probability: float) -> None:
        """The whole loss between two sites, instead of that of their links."""
        self._pair_losses[frozenset((self._uplinks[first].name, self._uplinks[second].name))] = probability

    def do_link(self, site: str, up: bool) -> None:
        """Cut or mend a site's link; what is on its way is gone too."""
        uplink = self._uplinks[site]
        uplink.up = up
        self._waiting = [entry for entry in self._waiting if uplink not in entry[2:4]]
        heapq.heapify(self._waiting)

    def do_tap(self, number: int, name: str, descriptors: list[int]) -> None:
        """Record into ``descriptors[0]``: the packet socket ``descriptors[1]``, or without one the core."""
        interface = socket.socket(fileno=descriptors[1]) if len(descriptors) > 1 else None
        if interface is not None:
            interface.setblocking(False)
        self._taps[number] = Tap(descriptors[0], name, interface)

    def do_untap(self, number: int) -> None:
        """Stop recording."""
        tap = self._taps.pop(number)
        os.close(tap.output)
        if tap.interface is not None:
            tap.interface.close()

    def do_synchronise(self) -> None:
        """Nothing more than what comes with any command: all that was sent before it is recorded."""


def main(control: Channel, seed: int, refuse: bool) -> None:
    """Be the core until ``control`` closes."""
    gc.disable()  # Nothing here makes cycles, and a collection would show as jitter.
    kernel.precise_timers()
    try:
        os.setpriority(os.PRIO_PROCESS, 0, -10)
    except PermissionError:
        pass  # Only a real root may; delays are then as precise as the machine is idle.
    Core(control, seed, refuse).run()
