"""What a peer is told by its user, whichever way it was told."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from p2phole.secure.codes import Code

RESUME_FOR = 600.0
"""Seconds without a connection after which a session is given up, where nothing else is said."""


@dataclass(frozen=True, slots=True)
class BrokerAddress:
    """Where the broker is: ``host`` a name or an address literal; ``tls``: with certificate checks, against
    the certificates in the file ``ca`` if there is one, else against the system's."""

    host: str
    port: int
    tls: bool = False
    ca: Path | None = None

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"


@dataclass(frozen=True, slots=True)
class PeerSettings:
    """Checked settings of one peer.

    ``port``: the local port that all connections share; 0: the system picks.
    ``map_port``: whether the router is asked to map that port.
    ``events``: path of the events file, ``-`` for standard output; None: no events.
    ``secret_file``: holds the room's secret; None: the room is open.
    ``to``: the name of the known one that is the only one to meet; None: everybody in the room.
    ``code``: meet who has invited by it.  ``invite``: meet whom this peer invites by a code.
    ``host_candidates``: whether this machine's own addresses are told to anybody.
    ``resume_for``: seconds without a connection after which a session is given up.
    """

    broker: BrokerAddress
    name: str
    key_file: Path
    room: str = "lobby"
    messages: tuple[str, ...] = ()
    events: str | None = None
    port: int = 0
    map_port: bool = False
    secret_file: Path | None = None
    to: str | None = None
    code: Code | None = None
    invite: bool = False
    host_candidates: bool = True
    resume_for: float = RESUME_FOR
