"""What the observations of one local port from several places tell about the NAT.  Pure.

Terms are those of RFC 4787 (4.1 mapping, 4.2.1 allocation).  Where one broker address can't tell
two behaviours apart the answer is ``unknown``: a guess would be believed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from p2phole.addresses import Endpoint, IPAddress


@dataclass(frozen=True, slots=True)
class Observation:
    """``target`` saw our port as ``observed``."""

    target: Endpoint
    observed: Endpoint


@dataclass(frozen=True, slots=True)
class Finding:
    """``mapping`` and ``allocation`` in RFC 4787 words."""

    mapping: str = "unknown"
    allocation: str = "unknown"


def find(local: Endpoint, own: Sequence[IPAddress], observations: Sequence[Observation]) -> Finding:
    """Judge by what was seen, in the order in which it was seen; the broker's own sight comes first."""
    seen = [item for item in observations if item.observed.ip.version == local.ip.version]
    if not seen:
        return Finding()
    if all(item.observed.ip in own and item.observed.port == local.port for item in seen):
        return Finding("none", "preserved")
    return Finding(_mapping(seen), _allocation(local, [item.observed.port for item in seen]))


def _mapping(seen: Sequence[Observation]) -> str:
    by_address: dict[IPAddress, set[Endpoint]] = {}
    for item in seen:
        by_address.setdefault(item.target.ip, set()).add(item.observed)
    if any(len(observed) > 1 for observed in by_address.values()):
        return "address-and-port-dependent"
    if len(by_address) < 2:
        return "unknown"
    if len({item.observed for item in seen}) == 1:
        return "endpoint-independent"
    # One endpoint for each address: address-dependent, if each was asked at two ports.
    asked_twice = all(
        len({item.target.port for item in seen if item.target.ip == address}) > 1 for address in by_address
    )
    return "address-dependent" if asked_twice else "unknown"


def _allocation(local: Endpoint, ports: Sequence[int]) -> str:
    if all(port == local.port for port in ports):
        return "preserved"
    distinct = list(dict.fromkeys(ports))
    if len(distinct) < 3:
        return "unknown"
    steps = [after - before for before, after in pairwise(distinct)]
    return "sequential" if all(0 < step <= 8 for step in steps) else "random"
