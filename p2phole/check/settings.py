"""What a check is told by its user."""

from __future__ import annotations

from dataclasses import dataclass

from p2phole.peer.settings import BrokerAddress


@dataclass(frozen=True, slots=True)
class CheckSettings:
    """Checked settings.

    ``peer``: whom to try; None: nobody, and then the room is a random one of its own.  ``name``: shown to the
    others in ``room``.  ``port``: the local port; 0: the system picks.  ``json``: for programs.
    """

    broker: BrokerAddress
    name: str
    peer: str | None = None
    room: str = "lobby"
    port: int = 0
    json: bool = False
