"""What the observations of one local port from several places tell about the NAT.  Pure.

Terms are those of RFC 4787 (4.1 mapping, 4.2.1 allocation, 5 filtering).  Where one broker address
can't tell two behaviours apart the answer is ``unknown``: a guess would be believed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from p2phole.addresses import Endpoint, IPAddress
from p2phole.behaviour import ADDRESS, INDEPENDENT, PORT, Behaviour

LARGEST_STEP = 8
"""Distance of successive ports up to which the allocation is called sequential."""

FIRST = 3
"""Different ports by which the allocation is judged: between later ones there may be those that other
clients of the NAT have taken."""


@dataclass(frozen=True, slots=True)
class Observation:
    """``target`` saw the local port ``port`` as ``observed``."""

    target: Endpoint
    observed: Endpoint
    port: int = 0


def find(
    local: Endpoint,
    own: Sequence[IPAddress],
    observations: Sequence[Observation],
    dialled_back: Mapping[str, str],
    ports: Sequence[int],
) -> Behaviour:
    """Judge by what was seen, in the order in which it was seen (the broker's own sight first), and by what
    came of the broker's dialling back (``origin`` to ``outcome``).

    ``ports``: the outside ports that were seen, also of other local ports, in order.
    """
    seen = [item for item in observations if item.observed.ip.version == local.ip.version]
    answers = [outcome for outcome in dialled_back.values() if outcome != "accepted"]
    unsolicited = answers[0] if answers else "unknown"
    filtering = _filtering(dialled_back)
    if not seen:
        return Behaviour("unknown", filtering, "unknown", unsolicited)
    if all(item.observed.ip in own and item.observed.port == local.port for item in seen):
        return Behaviour("none", "none" if filtering == INDEPENDENT else filtering, "preserved", unsolicited)
    # Of a pool of addresses, arbitrary ones (RFC 4787 REQ-2): the address alone can't be told.
    pooled = len({item.observed.ip for item in seen}) > 1
    return Behaviour(_mapping(seen), filtering, "random" if pooled else _allocation(local, ports), unsolicited)


def step_of(ports: Sequence[int]) -> int:
    """The distance of successive outside ports where they are allocated in sequence; 0 where they are not.

    Other clients of the NAT, and this peer's other connections, take ports in between: a distance counts
    when it was seen twice and none was shorter, else it is taken for 1, which misses none.
    """
    steps = [after - before for before, after in pairwise(list(dict.fromkeys(ports))[:FIRST])]
    if not steps or not all(0 < step <= LARGEST_STEP for step in steps):
        return 0
    return min(steps) if steps.count(min(steps)) > 1 else 1


def _mapping(seen: Sequence[Observation]) -> str:
    by_address: dict[IPAddress, set[Endpoint]] = {}
    for item in seen:
        by_address.setdefault(item.target.ip, set()).add(item.observed)
    if any(len(observed) > 1 for observed in by_address.values()):
        return PORT
    if len(by_address) < 2:
        return "unknown"
    if len({item.observed for item in seen}) == 1:
        return INDEPENDENT
    # One endpoint for each address: it depends on that, if some address was asked at two ports.
    asked_twice = any(
        len({item.target.port for item in seen if item.target.ip == address}) > 1 for address in by_address
    )
    return ADDRESS if asked_twice else "unknown"


def _filtering(dialled_back: Mapping[str, str]) -> str:
    port, address = dialled_back.get("port"), dialled_back.get("address")
    if address == "accepted":
        return INDEPENDENT
    if port is None:
        return "unknown"
    if port != "accepted":
        return PORT
    return ADDRESS if address is not None else "unknown"


def _allocation(local: Endpoint, ports: Sequence[int]) -> str:
    if all(port == local.port for port in ports):
        return "preserved"
    if len(set(ports)) < 2:
        return "unknown"
    return "sequential" if step_of(ports) else "random"
