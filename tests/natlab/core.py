"""The process that is the internet of the laboratory: it carries packets between the uplinks of its sites.

Each site has a TUN device; what the site sends is read here, and what arrives for it is written there.
"""

from __future__ import annotations

import gc
import ipaddress
import os
import select
import socket
import time
from dataclasses import dataclass
from typing import Any

from tests.natlab import capture, kernel
from tests.natlab.behaviour import Behaviour
from tests.natlab.capture import Packet, write_packet
from tests.natlab.channel import Channel, ChannelClosed, Message
from tests.natlab.internet import CarrierLink, Internet, Link, Uplink
from tests.natlab.translator import Translator

_ETHERTYPES = (0x0800, 0x86DD)
# Packets read from one device before the others and the due deliveries have their turn.
_BURST = 64
# More than one device or packet socket holds back: where even a busy one is empty for a moment.
_QUEUE = 4096


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
        self._internet = Internet(seed, refuse, self._record)
        self._links: dict[str, Uplink | CarrierLink] = {}
        self._taps: dict[int, Tap] = {}

    def run(self) -> None:
        """The loop. select() because epoll's timeouts are whole milliseconds."""
        control = self._control.fileno()
        while True:
            timeout = self._internet.deliver()
            readers: dict[int, Uplink | Tap] = {uplink.descriptor: uplink for uplink in self._uplinks()}
            for tap in self._taps.values():
                if tap.interface is not None:
                    readers[tap.interface.fileno()] = tap
            ready, _, _ = select.select([control, *readers], [], [], timeout)
            for reader in ready:
                if reader == control:
                    try:
                        self._obey()
                    except ChannelClosed:
                        return
                else:
                    self._drain(readers[reader], _BURST)

    def _uplinks(self) -> list[Uplink]:
        """The ones that have a device."""
        return [link for link in self._links.values() if isinstance(link, Uplink) and link.descriptor >= 0]

    # -- packets

    def _drain(self, reader: Uplink | Tap, limit: int) -> None:
        for _ in range(limit):
            try:
                if isinstance(reader, Tap):
                    self._observe(reader)
                    continue
                packet = os.read(reader.descriptor, 65536)
            except BlockingIOError:
                return
            except OSError:
                # The device went down or away: nothing more will come from it.
                if isinstance(reader, Uplink):
                    reader.descriptor = -1
                return
            reader.arrived(packet)

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
        for uplink in self._uplinks():
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
            reply = getattr(self, f"do_{message['do']}")(**arguments) or {}
        except (LookupError, TypeError, ValueError, AttributeError) as error:
            reply["error"] = f"core: {message['do']}: {error!r}"
        self._control.send(reply)

    def do_attach(
        self,
        site: str,
        routes: list[str],
        one_way: float,
        carrier: str | None,
        behaviour: dict[str, Any] | None,
        descriptors: list[int],
    ) -> None:
        """A new site behind the TUN device ``descriptors[0]``; ``routes``: IPv4 addresses, IPv6 /48s.

        ``carrier``: by whom its IPv4 is connected. ``behaviour``: that of a NAT, whose the IPv4 addresses are.
        """
        network = self._internet.root if carrier is None else self._carrier(carrier).inside
        link = Uplink(site, one_way, self._internet, network, descriptors[0])
        if behaviour is not None:
            link.translator = self._translator(site, [route for route in routes if ":" not in route], behaviour)
        self._links[site] = link
        for route in routes:
            packed = ipaddress.ip_address(route.split("/")[0]).packed
            if len(packed) == 16:
                self._internet.root.routes[packed[:6]] = link
            else:
                network.routes[packed] = link

    def do_carrier(
        self, name: str, addresses: list[str], one_way: float, isolated: bool, behaviour: dict[str, Any]
    ) -> None:
        """A new carrier with these public addresses."""
        translator = self._translator(name, addresses, behaviour)
        self._links[name] = link = CarrierLink(name, one_way, self._internet, translator, isolated)
        for address in addresses:
            self._internet.root.routes[ipaddress.ip_address(address).packed] = link

    def _translator(self, name: str, addresses: list[str], behaviour: dict[str, Any]) -> Translator:
        packed = [ipaddress.ip_address(address).packed for address in addresses]
        return Translator(Behaviour.from_message(behaviour), packed, f"{self._seed}/{name}")

    def _carrier(self, name: str) -> CarrierLink:
        link = self._links[name]
        if not isinstance(link, CarrierLink):
            raise ValueError(f"{name} is no carrier")
        return link

    def _nat(self, name: str) -> Translator:
        translator = self._links[name].translator
        if translator is None:
            raise ValueError(f"{name} has no NAT in user space")
        return translator

    def do_forget(self, name: str) -> None:
        """Reboot the NAT of a site or carrier."""
        self._nat(name).reboot()

    def do_age(self, name: str, seconds: float) -> None:
        """Let the clock of the NAT of a site or carrier jump ahead."""
        self._nat(name).age(seconds)

    def do_mappings(self, name: str) -> Message:
        """The table of the NAT of a site or carrier."""
        return {"mappings": self._nat(name).mappings(time.monotonic())}

    def do_one_way(self, site: str, seconds: float) -> None:
        """The delay between a site and the core."""
        self._links[site].one_way = seconds

    def do_pair_one_way(self, first: str, second: str, seconds: float) -> None:
        """The whole delay between two neighbours, instead of the sum of theirs."""
        self._internet.pair_delays[self._neighbours(first, second)] = seconds

    def do_loss(self, site: str, probability: float) -> None:
        """Loss on a site's link, each way."""
        self._links[site].loss = probability

    def do_narrow(self, site: str, largest: int) -> None:
        """Have a site's link swallow larger packets, each way."""
        self._links[site].largest = largest

    def do_pair_loss(self, first: str, second: str, probability: float) -> None:
        """The whole loss between two neighbours, instead of that of their links."""
        self._internet.pair_losses[self._neighbours(first, second)] = probability

    def _neighbours(self, first: str, second: str) -> frozenset[str]:
        """Two that are in one network: what passes a carrier's NAT passes between others."""
        reached = [
            {id(link.network)} if isinstance(link, Uplink) else {id(self._internet.root), id(link.inside)}
            for link in (self._links[first], self._links[second])
        ]
        if not reached[0] & reached[1]:
            raise ValueError(f"{first} and {second} have a carrier between them")
        return frozenset((first, second))

    def do_link(self, site: str, up: bool) -> None:
        """Cut or mend a site's link; what is on its way is gone too."""
        link: Link = self._links[site]
        link.up = up
        self._internet.drop(link)

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
