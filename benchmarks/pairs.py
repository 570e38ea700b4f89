"""Two profiles of the laboratory: what should be possible, what the product does, what two baselines do.

Each puncher has a laboratory of its own, but for the two baselines, which share one, in rooms of their own.
"""

from __future__ import annotations

import json
import sys
from contextlib import suppress
from typing import Any

from p2phole.behaviour import Behaviour
from p2phole.punch.birthday import MANY_PORTS
from p2phole.punch.verdict import spoilt, technique
from tests.natlab.laboratory import Laboratory
from tests.natlab.namespace import Host
from tests.natlab.nats import Nat
from tests.natlab.nature import nature
from tests.natlab.probes import wait_until
from tests.natlab.profiles import PROFILES
from tests.natlab.scenario import BROKER, BROKER_PORT, Program, ScenarioError, start_broker, start_peer
from tests.natlab.sites import Profile
from tests.natlab.topologies import build

PRODUCT = "p2phole"
POLICIES = {"one connect": "one", "fresh port": "fresh"}
"""The baselines, and what :mod:`benchmarks.bare` calls them."""
PUNCHERS = (PRODUCT, *POLICIES)

OUTCOME_SECONDS = 25.0
BASELINE_SECONDS = 4.0
"""For the one connect of a baseline: the kernel sends SYNs at 0, 1 and 3 s."""
NO_ANSWER = "no connection"
NO_OUTCOME = "no outcome"
TRUE_REASONS = {
    "symmetric": {"symmetric"},
    "answers": {"answers"},
    "no family": {"unreachable", "nothing-to-dial"},
}
"""What :func:`expected` says where nothing can work, and what a peer may then rightly give as its reason."""

Trial = dict[str, Any]
"""``seconds`` (None: no connection on both sides), ``attempts``, ``candidate``, ``reasons``."""


def expected(first: str, second: str) -> str:
    """``IPv6``, ``one port``, ``prediction`` or ``birthday``, or a key of :data:`TRUE_REASONS`; by how the
    two sites are made."""
    profiles = PROFILES[first], PROFILES[second]
    families = set(nature(profiles[0]).families) & set(nature(profiles[1]).families)
    if not families:
        return "no family"
    if 6 in families:
        return "IPv6"
    sides = [_behaviour(profile) for profile in profiles]
    takes = technique(*sides)
    if takes == "none":
        return "symmetric"
    if spoilt(*sides) or (takes == "birthday" and any(map(_few, profiles)) and _answers(*sides)):
        return "answers"
    return takes


def _few(profile: Profile) -> bool:
    """Whether it has no more ports than are needed at one time: all are taken, and closed, at the first tries."""
    return isinstance(profile, Nat) and profile.behaviour.ports[1] - profile.behaviour.ports[0] < MANY_PORTS


def _answers(*sides: Behaviour) -> bool:
    """Whether the one that does not map by endpoint answers what is stray."""
    return any(not side.is_hard and side.unsolicited in ("reset", "icmp") for side in sides)


def _behaviour(profile: Profile) -> Behaviour:
    what = nature(profile)
    # Of several addresses, any for each mapping, the next one can't be told, whatever its port is.
    arbitrary = isinstance(profile, Nat) and profile.behaviour.pooling == "arbitrary"
    return Behaviour(what.mapping, what.filtering, "random" if arbitrary else what.allocation, what.unsolicited)


def run_pair(first: str, second: str, seed: int) -> dict[str, Trial]:
    """One trial of each puncher."""
    results = {}
    with Laboratory(seed=seed) as lab:
        results[PRODUCT] = _product(lab, first, second)
    with Laboratory(seed=seed) as lab:
        results.update(_baselines(lab, first, second))
    return results


def _sites(lab: Laboratory, first: str, second: str) -> list[tuple[Host, str]]:
    """The broker, which is running, and the two hosts, each with the broker's address to be told."""
    host = lab.broker()
    start_broker(lab, host, probe_address=host.addresses[1])
    profiles = PROFILES[first], PROFILES[second]
    pair = build(lab, "apart", *profiles)
    families = [set(nature(profile).families) for profile in profiles]
    common = families[0] & families[1]
    result = []
    for peer, own in zip((pair.first, pair.second), families, strict=True):
        ipv4 = 4 in (common or own)
        result.append((peer, BROKER if ipv4 else f"[{host.addresses[2]}]:{BROKER_PORT}"))
    return result


def _product(lab: Laboratory, first: str, second: str) -> Trial:
    peers: list[Program] = []
    try:
        for name, (host, broker) in zip(("alice", "bob"), _sites(lab, first, second), strict=True):
            peers.append(start_peer(host, name, broker))
            peers[-1].wait("registered")
            if name == "alice":
                peers[-1].wait("nat")
    except ScenarioError as error:
        return _trial(reasons=[str(error).partition("\n")[0]])
    with suppress(AssertionError):
        wait_until(lambda: all(map(_decided, peers)), "an outcome", OUTCOME_SECONDS)
    connected = [event for peer in peers for event in peer.events.all("connected", path="direct")[:1]]
    if len(connected) == len(peers):
        slower = max(connected, key=lambda event: float(event["seconds"]))
        return _trial(round(slower["seconds"], 3), slower["attempts"], slower["candidate"])
    failed = [next(iter(peer.events.all("failed")), None) for peer in peers]
    return _trial(reasons=[event["reason"] if event else NO_OUTCOME for event in failed])


def _decided(peer: Program) -> bool:
    return bool(peer.events.all("connected") or peer.events.all("failed"))


def _trial(
    seconds: float | None = None, attempts: int = 0, candidate: str = "", reasons: list[str] | None = None
) -> Trial:
    return {"seconds": seconds, "attempts": attempts, "candidate": candidate, "reasons": reasons or []}


def _baselines(lab: Laboratory, first: str, second: str) -> dict[str, Trial]:
    sites = _sites(lab, first, second)
    programs: dict[str, list[Program]] = {name: [] for name in POLICIES}
    for side, (host, broker) in zip(("alice", "bob"), sites, strict=True):
        for name, policy in POLICIES.items():
            programs[name].append(_start_bare(host, f"{side}-{policy}", broker, policy))
        for started in programs.values():
            with suppress(AssertionError):
                wait_until(lambda one=started[-1]: _told(one, "registered"), "registered")  # type: ignore[misc]
    results = {}
    for name, (alice, bob) in programs.items():
        seconds = [_seconds(alice), _seconds(bob)]
        slower = None if None in seconds else round(max(filter(None, seconds)), 3)
        results[name] = _trial(slower, reasons=[] if slower else [NO_ANSWER] * 2)
    return results


def _start_bare(host: Host, name: str, broker: str, policy: str) -> Program:
    command = [sys.executable, "-m", "benchmarks.bare", broker, name, policy, str(BASELINE_SECONDS)]
    return Program(host, name, lambda events: command)


def _told(program: Program, event: str) -> dict[str, Any] | None:
    lines = [json.loads(line) for line in program.output.read_text().splitlines()]
    return next((line for line in lines if line["event"] == event), None)


def _seconds(program: Program) -> float | None:
    try:
        told = wait_until(lambda: _told(program, "ended"), "an end", BASELINE_SECONDS + 4.0)
    except AssertionError:
        return None
    seconds: float | None = told["seconds"]
    return seconds
