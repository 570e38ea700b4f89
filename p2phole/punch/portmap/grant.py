"""What a router grants, what of it is believed, and what of that is told to others.  Pure."""

from __future__ import annotations

from dataclasses import dataclass

from p2phole.addresses import Candidate, Endpoint, IPAddress, is_loopback, is_undiallable, unmap
from p2phole.errors import LocalError, RemoteProtocolError

LEASE = 600
"""Seconds that a mapping is asked for: what a killed peer leaves behind is gone soon."""
SHORTEST_LEASE = 30
"""A router that grants less would be asked again and again."""
LONGEST_LEASE = 3600
"""A longer one is renewed as if it were so long: the router may have forgotten it long since."""


class BadAnswer(RemoteProtocolError):
    """The router's answer to a request for a port mapping makes no sense: {why}."""


class NoMapping(LocalError):
    """No port mapping by {way}: {why}."""


class Refused(NoMapping):
    """The router refuses a port mapping by {way}: {why}."""


@dataclass(frozen=True, slots=True)
class Grant:
    """``external``: where the router says that it takes connections for us; ``seconds``: for how long."""

    external: Endpoint
    seconds: int


@dataclass(frozen=True, slots=True)
class Epoch:
    """A gateway's clock, in seconds since it lost its mappings last, and ours when its answer came."""

    gateway: int
    here: float


def grant(ip: IPAddress, port: int, seconds: int) -> Grant:
    """What an answer's numbers mean.  Raises :class:`BadAnswer` for what can be no mapping at all."""
    if is_undiallable(ip) or is_loopback(ip):
        raise BadAnswer(why=f"{ip} is not an address that a router can have outside")
    if not 0 < port < 65536:
        raise BadAnswer(why=f"{port} is not a port")
    if seconds < SHORTEST_LEASE:
        raise BadAnswer(why=f"a mapping for {seconds} s is none")
    return Grant(Endpoint(unmap(ip), port), min(seconds, LONGEST_LEASE))


def doubt(claimed: Endpoint, observed: Endpoint) -> str | None:
    """Why the endpoint that a router claims is not told to others, or None if it is.

    ``observed``: this peer as the broker sees it.  A router that is itself behind a NAT (a carrier's,
    or another router of the house) names an address where its mapping cannot be reached; one that
    lies could name a third party's, which the others would then dial.
    """
    if claimed.ip != observed.ip:
        return f"the router says that it is {claimed.ip}, the broker sees {observed.ip}: another NAT is between"
    if claimed.port < 1024:
        return f"the router maps port {claimed.port}, and nobody dials a port below 1024"
    return None


def told(claimed: Endpoint | None, observed: Endpoint) -> tuple[Candidate, ...]:
    """The candidate of kind ``mapped``, if there is one to tell; see :func:`doubt`."""
    if claimed is None or doubt(claimed, observed) is not None:
        return ()
    return (Candidate("mapped", claimed),)
