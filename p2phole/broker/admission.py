"""Whether a peer's message is taken at all, and whether and where a registration gets in.  Pure."""

from __future__ import annotations

from collections.abc import Callable

from p2phole.text import check_name
from p2phole.wire.codec import BadLine
from p2phole.wire.messages import PROTOCOL_VERSION, Hello, Register, ToBroker

Prove = Callable[[Register, str], None]
"""Raises :class:`BadLine` for a registration that is not by who holds the key; see
:meth:`p2phole.broker.proof.Proof.check`."""

_HEXADECIMAL = set("0123456789abcdef")


def check(message: ToBroker) -> None:
    """Raise :class:`BadLine` for what no state accepts: another version, a name not fit to be shown."""
    if isinstance(message, Hello) and message.version != PROTOCOL_VERSION:
        side = "the peer" if message.version < PROTOCOL_VERSION else "the broker"
        raise BadLine(
            "version",
            f"the peer speaks version {message.version} of the protocol, the broker version "
            f"{PROTOCOL_VERSION}: update {side}",
        )
    if isinstance(message, Register):
        try:
            check_name(message.name, "name")
            if message.space == "open":
                check_name(message.room, "room")
        except ValueError as error:
            raise BadLine("bad-name", str(error)) from None
        if message.space == "secret" and not (len(message.room) == 64 and set(message.room) <= _HEXADECIMAL):
            raise BadLine("bad-name", "a room with a secret is named by 64 hexadecimal digits")


class Admission:
    """Decides on registrations.  ``prove``: see :data:`Prove`."""

    def __init__(self, prove: Prove) -> None:
        self._prove = prove

    def enter(self, message: Register, nonce: str) -> str:
        """The room that the peer is in from now on.  Raises :class:`BadLine` if it is not admitted.

        ``nonce``: what this broker has sent it in ``welcome``.
        """
        self._prove(message, nonce)
        if message.space == "code":
            raise BadLine("no-such-code", "no invitation with this number: check it, or ask for a new one")
        return message.room
