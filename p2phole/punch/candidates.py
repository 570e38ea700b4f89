"""Which endpoints to tell the other side, and which of its endpoints may be dialled.  Pure.

The rules are the contract's: a broker, or a member of the room, may say anything, and a peer that
dialled whatever it is told would be a tool for scanning its own network and for flooding others.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from p2phole.addresses import (
    Candidate,
    Endpoint,
    InterfaceAddress,
    IPAddress,
    is_loopback,
    is_private,
    is_undiallable,
    judged,
)

MOST_DIALLED = 16
"""Candidates of one member that are dialled at the most."""


@dataclass(frozen=True, slots=True)
class Surroundings:
    """Where this peer is: its interfaces, the port that all its sockets share, the broker's address
    as it was reached, and its own endpoint as the broker saw it."""

    interfaces: tuple[InterfaceAddress, ...]
    port: int
    broker: IPAddress
    observed: Endpoint


def gather(here: Surroundings, seen: Iterable[Endpoint] = ()) -> tuple[Candidate, ...]:
    """This peer's candidates: its own addresses (host), then how it was seen from outside (srflx).

    Loopback is told only where the broker itself was reached over it; link-local addresses need a
    scope that means nothing to others.
    """
    found: dict[Endpoint, Candidate] = {}
    for interface in here.interfaces:
        ip = interface.ip
        if ip.is_link_local or is_undiallable(ip) or (is_loopback(ip) and not is_loopback(here.broker)):
            continue
        endpoint = Endpoint(ip, here.port)
        found.setdefault(endpoint, Candidate("host", endpoint))
    for endpoint in (here.observed, *seen):
        found.setdefault(endpoint, Candidate("srflx", endpoint))
    return tuple(found.values())


def forbidden(endpoint: Endpoint, theirs: Endpoint, here: Surroundings, proven: bool = False) -> str | None:
    """Why this endpoint may not be dialled, or None if it may.

    ``theirs``: the other member's endpoint as the broker observed it.  ``proven``: this endpoint is told by
    the other side itself, which has proved to be known (secret, code or pin).
    """
    ip, inside = endpoint.ip, judged(endpoint.ip)
    if is_undiallable(ip) or _is_broadcast(inside, here):
        return "it is not the address of one machine"
    if is_loopback(ip) and not is_loopback(here.broker):
        return "it is loopback, and the broker was not reached over loopback"
    if endpoint.port < 1024 and endpoint != theirs:
        return "its port is below 1024 and the broker has not seen it itself"
    if here.observed in (endpoint, Endpoint(inside, endpoint.port)) or (
        endpoint.port == here.port and (is_loopback(ip) or any(own.ip in (ip, inside) for own in here.interfaces))
    ):
        return "it is this peer itself"
    if is_private(ip) and not (proven or theirs.ip == here.observed.ip or _shares_network_with_broker(ip, here)):
        return "it is a private address of another network"
    return None


def to_dial(
    candidates: Sequence[Candidate], theirs: Endpoint, here: Surroundings, proven: bool = False
) -> tuple[Candidate, ...]:
    """The candidates that may be dialled, the best first, each endpoint once, sixteen at the most.

    What the broker observed is always among the candidates considered.  ``proven``: host candidates and
    port mappings come sealed from a known one; all else is still the broker's word.
    """
    best: dict[Endpoint, Candidate] = {}
    for candidate in (*candidates, Candidate("srflx", theirs)):
        by_itself = proven and candidate.kind in ("host", "mapped")
        if forbidden(candidate.endpoint, theirs, here, by_itself) is None:
            best.setdefault(candidate.endpoint, candidate)
    # The observed endpoint is the one that the broker vouches for, and a mapped one lets in whoever comes: neither
    # is crowded out by a machine's many interfaces, nor the first by claims of any kind.
    ranked = sorted(
        best.values(), key=lambda one: (one.endpoint != theirs, one.kind != "mapped", -_preference(one))
    )
    return tuple(sorted(ranked[:MOST_DIALLED], key=_preference, reverse=True))


def _preference(candidate: Candidate) -> int:
    # RFC 8445 5.1.2.2 (host before server reflexive) and RFC 8421 4 (IPv6 first among equals).
    return {"host": 126, "mapped": 110, "srflx": 100, "predicted": 90}[candidate.kind] * 2 + (
        candidate.endpoint.ip.version == 6
    )


def _is_broadcast(ip: IPAddress, here: Surroundings) -> bool:
    return any(
        own.network.version == 4 and own.network.prefixlen < 31 and ip == own.network.broadcast_address
        for own in here.interfaces
    )


def _shares_network_with_broker(ip: IPAddress, here: Surroundings) -> bool:
    return any(
        own.network.version == ip.version == here.broker.version
        and not is_loopback(own.ip)
        and ip in own.network
        and here.broker in own.network
        for own in here.interfaces
    )
