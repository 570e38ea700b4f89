"""One trial of the product: two peers in a topology, each trial in a laboratory of its own.

The seed decides what the user-space NATs hand out and what is lost, so a trial can be looked at again.
"""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from p2phole.addresses import Endpoint
from tests.natlab.capture import Capture
from tests.natlab.laboratory import Laboratory
from tests.natlab.namespace import Host
from tests.natlab.nature import nature
from tests.natlab.probes import wait_until
from tests.natlab.profiles import PROFILES
from tests.natlab.scenario import BROKER, BROKER_PORT, Event, Program, start_broker, start_peer
from tests.natlab.topologies import build


@dataclass(frozen=True)
class Result:
    """``connected`` or ``failed``: the first such event of each side, if it came in time.

    ``syns``: for each side, how many SYNs its host sent to each endpoint but the broker's; ``own``: the addresses
    of its host.
    """

    connected: tuple[Event | None, Event | None]
    failed: tuple[Event | None, Event | None]
    syns: tuple[Counter[Endpoint], Counter[Endpoint]]
    own: tuple[tuple[str, ...], tuple[str, ...]]

    @property
    def direct(self) -> bool:
        """Whether both sides have a direct connection."""
        return all(event is not None and event["path"] == "direct" for event in self.connected)


def trial(
    first: str,
    second: str,
    topology: str = "apart",
    seed: int = 0,
    timeout: float = 25.0,
    save: Path | None = None,
) -> Result:
    """Two profiles by name. ``save``: a folder for the pcap files of the core and of both hosts."""
    profiles = PROFILES[first], PROFILES[second]
    families = [set(nature(profile).families) for profile in profiles]
    with Laboratory(seed=seed) as lab:
        host = lab.broker()
        # Both of its addresses of each family can be asked; where one peer has no IPv4 it is met over IPv6.
        start_broker(lab, host, probe_address=host.addresses[1])
        broker = BROKER if all(4 in each for each in families) else f"[{host.addresses[2]}]:{BROKER_PORT}"
        pair = build(lab, topology, *profiles)
        hosts = pair.first, pair.second
        with lab.capture() as core, lab.capture(hosts[0]) as one, lab.capture(hosts[1]) as two:
            peers = [start_peer(hosts[0], "alice", broker)]
            peers[0].wait("registered")
            peers.append(start_peer(hosts[1], "bob", broker))
            try:
                wait_until(lambda: all(_decided(peer) for peer in peers), "an outcome", timeout)
            except AssertionError:
                pass  # A result as well, and the one that tells most.
            # What is sent in this moment belongs to it: the kernel's repeats of SYNs that are not needed any more.
            time.sleep(0.05)
            if save is not None:
                for name, capture in (("core", core), ("first", one), ("second", two)):
                    capture.save(save / f"{name}.pcap")
            syns = _syns(one, hosts[0], host), _syns(two, hosts[1], host)
        return Result(
            (_first(peers[0], "connected"), _first(peers[1], "connected")),
            (_first(peers[0], "failed"), _first(peers[1], "failed")),
            syns,
            (tuple(hosts[0].addresses), tuple(hosts[1].addresses)),
        )


def _first(peer: Program, event: str) -> Event | None:
    return next(iter(peer.events.all(event)), None)


def _decided(peer: Program) -> bool:
    return bool(peer.events.all("connected") or peer.events.all("failed"))


def _syns(capture: Capture, host: Host, broker: Host) -> Counter[Endpoint]:
    sent = capture.tcp(sender=host.name)
    return Counter(
        Endpoint.make(segment.dst, segment.dport)
        for segment in sent
        if segment.flags == "S" and segment.dst not in broker.addresses
    )
