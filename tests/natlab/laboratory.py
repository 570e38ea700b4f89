"""The laboratory: where a test begins.

::

    with Laboratory(seed=1) as lab:
        broker = lab.broker()
        alice = lab.site("alice", Masquerade(stray="reset"))
        bob = lab.site("bob", Open())
        lab.one_way("alice", "bob", 0.001)
        alice.run(["ip", "address"])

It works in the process that makes it and in two of its own, the keeper and the core. The process that uses it
stays where it is, and nothing outside the new namespaces is touched. All of it ends with the ``with`` block
or with the process, whichever comes first and however it comes.
"""

from __future__ import annotations

import functools
import itertools
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Literal

from tests.natlab.behaviour import Behaviour
from tests.natlab.capture import Capture
from tests.natlab.keeper import SEARCH_PATH
from tests.natlab.lan import readdress, unplug
from tests.natlab.namespace import Host, Keeper, LaboratoryError, Namespace
from tests.natlab.nats import CARRIER_ONE_WAY, Carrier
from tests.natlab.routers import Masquerade
from tests.natlab.sites import Open, Profile, Site

ONE_WAY = 0.010
"""Seconds between a site and the core by default: round trips are 20 ms to a broker, 40 ms to a peer."""

_GRACE = 1.0
_ETH_P_ALL = 0x0003
_MOST_SITES = 250


class Laboratory:
    """Sites around a core. Times are seconds, everywhere."""

    def __init__(self, seed: int = 0, one_way: float = ONE_WAY, unknown: Literal["drop", "icmp"] = "drop") -> None:
        """``seed``: for what is lost; ``one_way``: default delay of a site; ``unknown``: what packets to an
        address that nobody has get, silence or ICMP host unreachable."""
        self._default_one_way = one_way
        self._keeper = Keeper(seed, unknown == "icmp")
        self._taps = itertools.count()
        self._closed = False
        self.sites: dict[str, Site] = {}
        self.carriers: dict[str, Carrier] = {}

    def __enter__(self) -> Laboratory:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    @property
    def folder(self) -> Path:
        """A temporary folder for logs and the like; removed with the laboratory."""
        return self._keeper.folder

    @property
    def helper_pids(self) -> list[int]:
        """The laboratory's own processes."""
        return [self._keeper.process.pid, self._keeper.core_pid]

    # -- building

    def broker(self, name: str = "broker", one_way: float = 0.0) -> Host:
        """A host right at the core with two IPv4 and two IPv6 addresses, in that order."""
        count = sum(1 for site in self.sites.values() if site.number == 0)
        pair = (2 * count + 1, 2 * count + 2)
        ipv4 = [f"198.51.100.{number}" for number in pair]
        ipv6 = [f"2001:db8:{0xFFFF - count:x}::{number}" for number in (1, 2)]
        return self._add(name, Open(ipv6=True), one_way, 0, ipv4, ipv6)

    def site(
        self,
        name: str,
        profile: Profile | None = None,
        one_way: float | None = None,
        carrier: Carrier | None = None,
    ) -> Host:
        """A new site and its first host, which has its name. Open where no profile is given.

        ``carrier``: whose NAT is in front of it; ``one_way`` is then the delay to that.
        """
        number = self._number()
        ipv4, ipv6 = [f"203.0.113.{number}"], [f"2001:db8:{number:x}::1"]
        delay = self._default_one_way if one_way is None else one_way
        return self._add(name, profile or Open(), delay, number, ipv4, ipv6, carrier)

    def carrier(
        self,
        name: str,
        behaviour: Behaviour | None = None,
        one_way: float = CARRIER_ONE_WAY,
        isolated: bool = True,
    ) -> Carrier:
        """A carrier's NAT for several sites. ``isolated``: they reach each other through it or not at all."""
        number = self._number()
        self._check_name(name)
        behaviour = behaviour or Behaviour()
        addresses = [f"203.0.113.{number}", *(f"198.18.{number}.{more}" for more in range(1, behaviour.pool))]
        self.carriers[name] = carrier = Carrier(self._keeper, name, number, addresses, behaviour)
        carrier.build(one_way, isolated)
        return carrier

    def _number(self) -> int:
        number = 1 + len(self.carriers) + sum(1 for site in self.sites.values() if site.number > 0)
        if number > _MOST_SITES:
            raise LaboratoryError("no more public addresses")
        return number

    def _check_name(self, name: str) -> None:
        if name in self.sites or name in self.carriers:
            raise LaboratoryError(f"there is a site {name} already")

    def _add(
        self,
        name: str,
        profile: Profile,
        one_way: float,
        number: int,
        ipv4: list[str],
        ipv6: list[str],
        carrier: Carrier | None = None,
    ) -> Host:
        self._check_name(name)
        site = Site(name, number, profile, self._keeper, one_way, ipv4, ipv6)
        if carrier is not None:
            carrier.subscribe(site)
        self.sites[name] = site
        return site.host(name)

    # -- what the internet does

    def one_way(self, first: str, second: str | None, seconds: float) -> None:
        """The whole delay between two sites, whatever their links say; with None: from one to the core."""
        if second is None:
            self._keeper.core.ask("one_way", site=first, seconds=seconds)
        else:
            self._keeper.core.ask("pair_one_way", first=first, second=second, seconds=seconds)

    def loss(self, first: str, second: str | None, probability: float) -> None:
        """How much is lost between two sites, whatever their links say; with None: on one site's link."""
        if second is None:
            self._keeper.core.ask("loss", site=first, probability=probability)
        else:
            self._keeper.core.ask("pair_loss", first=first, second=second, probability=probability)

    def narrow(self, site: str, largest: int) -> None:
        """Have a site's link swallow packets of more bytes that may not be fragmented, without an ICMP error."""
        self._keeper.core.ask("narrow", site=site, largest=largest)

    def link_down(self, site: str) -> None:
        """Cut a site off: the core drops everything from and to it, also what is on its way."""
        self._keeper.core.ask("link", site=site, up=False)

    def link_up(self, site: str) -> None:
        """Undo :meth:`link_down`."""
        self._keeper.core.ask("link", site=site, up=True)

    @contextmanager
    def outage(self, site: str) -> Iterator[None]:
        """Cut a site off for as long as the block lasts."""
        self.link_down(site)
        try:
            yield
        finally:
            self.link_up(site)

    @contextmanager
    def rebooting(self, site: str) -> Iterator[None]:
        """Have a site's router down for as long as the block lasts. Behind it the router knows no connection, and
        what was on its way is lost; addresses stay."""
        with self.outage(site):
            yield
            # Last: until now it has taken up what its hosts were sending.
            self.sites[site].profile.reboot(self.sites[site])

    def reboot_router(self, site: str) -> None:
        """The same, over in a moment."""
        with self.rebooting(site):
            pass

    def reboot_carrier(self, carrier: str) -> None:
        """The same for a carrier's NAT."""
        with self.outage(carrier):
            self._keeper.core.ask("forget", name=carrier)

    def move(self, host: Host, site: str) -> None:
        """Take a host's cable out of one LAN and put it into that of another site, where it gets a new address."""
        unplug(host)
        self.sites[site].take_in(host)

    def readdress(self, host: Host, address: str) -> None:
        """Give a host in a LAN another address there, as a new DHCP lease may."""
        readdress(host, address)

    def age(self, name: str, seconds: float) -> None:
        """Let time pass for the user-space NAT of a site or carrier: its timeouts come nearer."""
        self._keeper.core.ask("age", name=name, seconds=seconds)

    def mappings(self, name: str) -> list[dict[str, Any]]:
        """The TCP table of such a NAT: ``inside`` and ``public`` endpoints, and the ``remote`` ones of each."""
        reply, _ = self._keeper.core.ask("mappings", name=name)
        mappings: list[dict[str, Any]] = reply["mappings"]
        return mappings

    # -- watching

    @contextmanager
    def capture(self, target: Namespace | Literal["core"] = "core") -> Iterator[Capture]:
        """Record what reaches the core, or what passes the interfaces of a host or router (not loopback).

        The core's record is complete; of a host's bulk traffic the kernel may leave some out.
        """
        memory = os.memfd_create("natlab-capture")
        number = next(self._taps)
        descriptors = [memory]
        tap: socket.socket | None = None
        if isinstance(target, Namespace):
            # The protocol in network order; from now on the socket collects.
            tap = target.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(_ETH_P_ALL))
            descriptors.append(tap.fileno())
        name = target.name if isinstance(target, Namespace) else "core"
        capture = Capture(memory, self._synchronise)
        try:
            self._keeper.core.ask("tap", descriptors, number=number, name=name)
            yield capture
        finally:
            if tap is not None:
                tap.close()
            capture.finish()
            self._keeper.core.ask("untap", number=number)

    def _synchronise(self) -> None:
        self._keeper.core.ask("synchronise")

    # -- the end

    def namespaces(self) -> list[Namespace]:
        """Every namespace: hosts and routers."""
        return [
            namespace
            for site in self.sites.values()
            for namespace in ([site.router] if site.router else []) + list(site.hosts)
        ]

    def close(self) -> None:
        """End the programs that were started (SIGTERM, a second later SIGKILL), then everything else."""
        if self._closed:
            return
        self._closed = True
        started = [process for namespace in self.namespaces() for process in namespace.processes]
        running = [process for process in started if process.poll() is None]
        for process in running:
            process.terminate()
        deadline = time.monotonic() + _GRACE
        for process in running:
            try:
                process.wait(max(0.0, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        for process in started:
            for stream in (process.stdin, process.stdout, process.stderr):
                if stream is not None:
                    with suppress(OSError):
                        stream.close()
        self._keeper.close()


@functools.cache
def unavailable() -> str | None:
    """Why there can be no laboratory here, or None if there can. Found out by building a small one, once."""
    if sys.platform != "linux":
        return "the laboratory needs Linux"
    for program in ("ip", "nft", "nsenter"):
        if shutil.which(program, path=SEARCH_PATH) is None:
            return f"the laboratory needs the program {program}"
    try:
        with Laboratory() as lab:
            lab.broker()
            alice = lab.site("alice", Masquerade())
            lab.reboot_router("alice")
            with lab.capture(alice):
                done = alice.run(["true"])
            if done.returncode != 0:
                return f"no laboratory here: {done.stderr.strip()}"
    except (LaboratoryError, OSError) as error:
        return f"no laboratory here: {error}"
    return None
