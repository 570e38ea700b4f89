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
from typing import Literal

from tests.natlab.capture import Capture
from tests.natlab.keeper import SEARCH_PATH
from tests.natlab.namespace import Host, Keeper, LaboratoryError, Namespace
from tests.natlab.routers import Masquerade
from tests.natlab.sites import Open, Profile, Site

ONE_WAY = 0.010
"""Seconds between a site and the core by default: round trips are 20 ms to a broker, 40 ms to a peer."""

_GRACE = 1.0
_ETH_P_ALL = 0x0003
_MOST_SITES = 250


class Laboratory:
    """Sites around a core. Times are seconds, everywhere."""

    def __init__(
        self, seed: int = 0, one_way: float = ONE_WAY, unknown: Literal["drop", "icmp"] = "drop"
    ) -> None:
        """``seed``: for what is lost; ``one_way``: default delay of a site; ``unknown``: what packets to an
        address that nobody has get, silence or ICMP host unreachable."""
        self._default_one_way = one_way
        self._keeper = Keeper(seed, unknown == "icmp")
        self._taps = itertools.count()
        self._closed = False
        self.sites: dict[str, Site] = {}

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

    def site(self, name: str, profile: Profile | None = None, one_way: float | None = None) -> Host:
        """A new site and its first host, which has its name. Open where no profile is given."""
        number = 1 + sum(1 for site in self.sites.values() if site.number > 0)
        if number > _MOST_SITES:
            raise LaboratoryError("no more public addresses")
        ipv4, ipv6 = [f"203.0.113.{number}"], [f"2001:db8:{number:x}::1"]
        delay = self._default_one_way if one_way is None else one_way
        return self._add(name, profile or Open(), delay, number, ipv4, ipv6)

    def _add(
        self, name: str, profile: Profile, one_way: float, number: int, ipv4: list[str], ipv6: list[str]
    ) -> Host:
        if name in self.sites:
            raise LaboratoryError(f"there is a site {name} already")
        self.sites[name] = site = Site(name, number, profile, self._keeper, one_way, ipv4, ipv6)
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

    def link_down(self, site: str) -> None:
        """Cut a site off: the core drops everything from and to it, also what is on its way."""
        self._keeper.core.ask("link", site=site, up=False)

    def link_up(self, site: str) -> None:
        """Undo :meth:`link_down`."""
        self._keeper.core.ask("link", site=site, up=True)

    def reboot_router(self, site: str) -> None:
        """Make a site's router forget its connections, and lose what is on its way; addresses stay."""
        self.link_down(site)
        try:
            self.sites[site].profile.reboot(self.sites[site])
        finally:
            self.link_up(site)

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
