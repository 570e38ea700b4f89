"""What a session needs of its connection, and what a broker tells of itself.  Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol as Interface

from p2phole.addresses import Endpoint
from p2phole.wire.messages import ToPeer


@dataclass(frozen=True, slots=True)
class Announcement:
    """Where else the broker tells a peer how it is seen; see :class:`~p2phole.wire.messages.Welcome`."""

    probe_port: int = 0
    probe_address: str = ""


class Line(Interface):
    """The connection."""

    @property
    def observed(self) -> Endpoint:
        """The peer's endpoint as it is seen here."""

    def send(self, message: ToPeer) -> None:
        """Write one message."""

    def close(self) -> None:
        """Close after what was written."""

    def dial_back(self) -> None:
        """Connect to the peer from where it has never been in contact, and tell it."""
