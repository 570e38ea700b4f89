"""What a broker is told by its user, whichever way it was told."""

from __future__ import annotations

from dataclasses import dataclass

DEFAULT_PORT = 9000


@dataclass(frozen=True, slots=True)
class BrokerSettings:
    """Checked settings of one broker.

    ``listen``: server endpoint strings; empty: ``port`` on all interfaces, IPv4 and IPv6.
    ``probe_port``: second port by which peers learn how their NAT maps; 0: none.
    ``probe_address``: an address literal, the broker's second one, announced to peers.
    ``public_names``: ``HOST:PORT`` by which peers dial it; empty: by any name.
    """

    port: int = DEFAULT_PORT
    listen: tuple[str, ...] = ()
    probe_port: int = DEFAULT_PORT + 1
    probe_address: str | None = None
    public_names: tuple[str, ...] = ()
