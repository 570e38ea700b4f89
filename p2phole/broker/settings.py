"""What a broker is told by its user, whichever way it was told."""

from __future__ import annotations

from dataclasses import dataclass

DEFAULT_PORT = 9000


@dataclass(frozen=True, slots=True)
class LimitSettings:
    """How much of the broker anybody may take; see :mod:`p2phole.broker.limits`.

    Rates are by the minute, for each address and for each key; those of lines and bytes by the second, for
    each connection.
    """

    max_connections: int = 10_000
    max_per_address: int = 4_000
    max_room_members: int = 512
    registration_rate: int = 1_200
    introduction_rate: int = 60_000
    invitation_rate: int = 30
    line_rate: int = 100
    byte_rate: int = 131_072


@dataclass(frozen=True, slots=True)
class BrokerSettings:
    """Checked settings of one broker.

    ``listen``: server endpoint strings; empty: ``port`` on all interfaces, IPv4 and IPv6.
    ``probe_port``: second port by which peers learn how their NAT maps; 0: none.
    ``probe_address``: an address literal, the broker's second one, announced to peers.
    ``public_names``: ``HOST:PORT`` by which peers dial it; empty: by any name.
    ``log_addresses``: whether the log says whose connections are closed.
    """

    port: int = DEFAULT_PORT
    listen: tuple[str, ...] = ()
    probe_port: int = DEFAULT_PORT + 1
    probe_address: str | None = None
    public_names: tuple[str, ...] = ()
    limits: LimitSettings = LimitSettings()
    log_addresses: bool = False
