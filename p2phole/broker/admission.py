"""Whether a peer's message is taken at all, and whether and where a registration gets in.  Pure."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from p2phole.addresses import IPAddress
from p2phole.broker.codes import Codes
from p2phole.broker.directory import Directory, Profile
from p2phole.broker.limits import Limits, address_group
from p2phole.text import check_name
from p2phole.wire.codec import BadLine
from p2phole.wire.messages import PROTOCOL_VERSION, Hello, Register, Request, ToBroker

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
    """Decides on registrations and requests.  ``prove``: see :data:`Prove`; ``entropy``: gives 16 random bytes."""

    def __init__(
        self,
        prove: Prove,
        limits: Limits,
        directory: Directory,
        later: Callable[..., Any],
        entropy: Callable[[], bytes],
    ) -> None:
        self._prove = prove
        self._limits = limits
        self._directory = directory
        self._codes = Codes(limits.seconds, later, self._expired, entropy)

    def enter(self, message: Register, nonce: str, ip: IPAddress) -> str:
        """The room that the peer is in from now on.  Raises :class:`BadLine` if it is not admitted.

        ``nonce``: what this broker has sent it in ``welcome``; ``ip``: where it is.
        """
        limits, now, address = self._limits, self._limits.seconds(), address_group(ip)
        limits.registrations.by_address(address, now)
        self._prove(message, nonce)
        limits.registrations.by_key(message.fingerprint, now)
        key = message.fingerprint, message.instance
        if message.space == "code":
            if self._codes.belongs(key, message.room):
                return self._codes.enter(key, message.room, message.inviter)
            is_guest = message.room and not message.inviter
            if is_guest:
                limits.check_guest(address)
            limits.invitations.by_address(address, now)
            number = self._codes.enter(key, message.room, message.inviter)
            if is_guest:
                limits.found(address)
            return number
        others, same = self._directory.others((message.space, message.room), key)
        limits.check_room(others, same)
        self._introduce(message.fingerprint, ip, others)
        return message.room

    def request(self, profile: Profile, message: Request) -> None:
        """A member asks to be introduced.  Raises :class:`BadLine` if it did so too often."""
        asked = len(self._directory.find(profile.place, message.instance, message.fingerprint))
        self._introduce(profile.fingerprint, profile.observed.ip, max(1, asked))

    def left(self, profile: Profile) -> None:
        """A member is gone."""
        if profile.space == "code":
            self._codes.left(profile.key, profile.room)

    def _introduce(self, fingerprint: str, ip: IPAddress, count: int) -> None:
        introductions, now = self._limits.introductions, self._limits.seconds()
        if count:
            introductions.by_key(fingerprint, now, count)
            introductions.by_address(address_group(ip), now, count)

    def _expired(self, number: str) -> None:
        for member in self._directory.members(("code", number)):
            member.expired()
