"""How much of the broker one connection, one address, one key, and all together may take.  Pure.

An address is an IPv4 address, or the /64 of an IPv6 one, which is what one customer gets at the least; an
IPv6 address that carries an IPv4 one is that one.  Times are seconds of any clock that does not go back.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable

from p2phole.addresses import IPAddress, judged
from p2phole.broker.settings import LimitSettings
from p2phole.bucket import Bucket, Rate
from p2phole.wire.codec import BadLine

IN_ALL = 10
"""How many times as much as one address all of them together may take."""
BURST_SECONDS = 20.0
"""So many seconds' worth of lines and bytes may come at once: a member of a large room has much to say."""
BUSY_SECONDS = 15.0
"""When to come again to a broker, or to a room, that is full."""
GUESTS = 3
"""The part of the invitations' rate that an address may try at once of numbers that are nobody's: one
in so many."""
GUEST_SECONDS = 600.0
"""After so long it may try as many again."""
SHARES = 8
"""The part of a room's places that one key may take: one in so many."""
FEWEST_PLACES = 8
"""Places that one key may take in any room: a home has several peers."""
MOST_NAMES = 65_536
"""Addresses and keys of which it is remembered, for each rate, what they took lately."""


def address_group(ip: IPAddress) -> bytes:
    """What counts as one address: 4 or 8 bytes."""
    return judged(ip).packed[:8]


def over(detail: str, seconds: float) -> BadLine:
    """The error of who is over a limit; ``seconds``: until it is so no more."""
    return BadLine("limit", detail, float(max(1, math.ceil(seconds))))


class Buckets:
    """A bucket for each name.  Those that are full again are forgotten, and beyond ``most`` the oldest."""

    def __init__(self, rate: Rate, most: int = MOST_NAMES) -> None:
        self._rate = rate
        self._most = most
        self._buckets: dict[Hashable, Bucket] = {}
        self._sweep_at = 64

    def __len__(self) -> int:
        return len(self._buckets)

    def take(self, name: Hashable, now: float, cost: float = 1.0) -> float:
        """See :meth:`Bucket.take`."""
        bucket = self._buckets.get(name)
        if bucket is None:
            if len(self._buckets) >= self._sweep_at:
                self._sweep(now)
            bucket = self._buckets[name] = Bucket(self._rate)
        return bucket.take(now, cost)

    def give_back(self, name: Hashable) -> None:
        """See :meth:`Bucket.give_back`."""
        if name in self._buckets:
            self._buckets[name].give_back()

    def _sweep(self, now: float) -> None:
        kept = [(name, bucket) for name, bucket in self._buckets.items() if not bucket.full(now)]
        # At the most half of them stay, so that a sweep is rare.
        self._buckets = dict(kept[-self._most // 2 :])
        self._sweep_at = min(self._most, max(64, 2 * len(self._buckets)))


class Allowance:
    """So much a minute for each name, and :data:`IN_ALL` times that for all."""

    def __init__(self, what: str, per_minute: float) -> None:
        self._what = what
        self._each = Buckets(Rate(per_minute, per_minute / 60))
        self._all = Bucket(Rate(IN_ALL * per_minute, IN_ALL * per_minute / 60))

    def by_address(self, address: bytes, now: float, cost: float = 1.0) -> None:
        """Raise :class:`BadLine` if there were too many of late."""
        if wait := self._each.take(address, now, cost):
            raise over(f"too many {self._what} from this address", wait)
        if wait := self._all.take(now, cost):
            raise over(f"too many {self._what} at this broker", wait)

    def by_key(self, fingerprint: str, now: float, cost: float = 1.0) -> None:
        """Raise :class:`BadLine` if there were too many of late."""
        if wait := self._each.take(fingerprint, now, cost):
            raise over(f"too many {self._what} with this key", wait)


class Traffic:
    """What one connection says."""

    __slots__ = ("_bytes", "_lines")

    def __init__(self, settings: LimitSettings) -> None:
        lines, octets = settings.line_rate, settings.byte_rate
        self._lines = Bucket(Rate(BURST_SECONDS * lines, lines))
        self._bytes = Bucket(Rate(BURST_SECONDS * octets, octets))

    def line(self, now: float) -> None:
        """A line has come.  Raises :class:`BadLine` if that is one too many."""
        if wait := self._lines.take(now):
            raise over("too many lines on this connection", wait)

    def data(self, size: int, now: float) -> None:
        """So many bytes have come.  Raises :class:`BadLine` if that is too much."""
        if wait := self._bytes.take(now, size):
            raise over("too many bytes on this connection", wait)


class Limits:
    """The limits of one broker.  ``seconds``: its clock."""

    def __init__(self, settings: LimitSettings, seconds: Callable[[], float]) -> None:
        self.settings = settings
        self.seconds = seconds
        self.registrations = Allowance("registrations", settings.registration_rate)
        self.introductions = Allowance("introductions", settings.introduction_rate)
        self.invitations = Allowance("invitations", settings.invitation_rate)
        guests = settings.invitation_rate / GUESTS
        self._guests = Buckets(Rate(max(1.0, guests), guests / GUEST_SECONDS))
        self._here: dict[bytes, int] = {}
        self._connections = 0
        self._most = settings.max_connections

    def bear(self, most: int) -> None:
        """So many connections at the most, since the system allows no more."""
        self._most = most

    def check_connection(self, address: bytes | None) -> None:
        """Raise :class:`BadLine` if there is no room for another connection, from that address if it is
        known."""
        if self._connections >= self._most:
            raise over("this broker has as many connections as it can bear", BUSY_SECONDS)
        if address is not None and self._here.get(address, 0) >= self.settings.max_per_address:
            raise over("this address has as many connections as one may have", BUSY_SECONDS)

    def connected(self, address: bytes | None) -> None:
        """Another connection is there."""
        self._connections += 1
        if address is not None:
            self._here[address] = self._here.get(address, 0) + 1

    def disconnected(self, address: bytes | None) -> None:
        """It is there no more."""
        self._connections -= 1
        if address is not None:
            left = self._here.pop(address) - 1
            if left:
                self._here[address] = left

    def check_guest(self, address: bytes) -> None:
        """Raise :class:`BadLine` if from there too many numbers were tried of late that were nobody's: a guest
        without the right words spoils the invitation, and who knows none has to try many."""
        if wait := self._guests.take(address, self.seconds()):
            raise over("too many codes were tried from this address", wait)

    def found(self, address: bytes) -> None:
        """That number was somebody's."""
        self._guests.give_back(address)

    def check_room(self, others: int, same: int) -> None:
        """Raise :class:`BadLine` if a room with so many members, ``same`` of them with one key, takes no further
        one with that key."""
        most = self.settings.max_room_members
        if others >= most:
            raise over(f"the room is full: it has {others} members", BUSY_SECONDS)
        if same >= max(FEWEST_PLACES, most // SHARES):
            raise over(f"the room has {same} members with this key, as many as one may have", BUSY_SECONDS)
