"""Who is in which room.  Pure; in memory here, and behind one interface so that it need not stay there."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol as Interface

from p2phole.addresses import Candidate, Endpoint
from p2phole.behaviour import UNKNOWN, Behaviour
from p2phole.wire.messages import ToPeer

Key = tuple[str, str]
"""A member: its key's fingerprint and its instance."""
Place = tuple[str, str]
"""A room: its name space and its name there."""


@dataclass(slots=True)
class Profile:
    """What a member said of itself, and how the broker saw it."""

    name: str
    room: str
    fingerprint: str
    instance: str
    observed: Endpoint
    candidates: tuple[Candidate, ...]
    nat: Behaviour = UNKNOWN
    prepare: bool = False
    space: str = "open"

    @property
    def place(self) -> Place:
        """Where it is, or wants to be."""
        return self.space, self.room

    @property
    def key(self) -> Key:
        """What tells this member from all others."""
        return self.fingerprint, self.instance


class Member(Interface):
    """A member as the broker's own logic sees it."""

    profile: Profile
    linked: set[str]
    """Prefixes of the instances to which it has a connection, as far as the broker knows."""

    @property
    def round_trip(self) -> float:
        """Seconds to it and back, as it let us measure."""

    def tell(self, message: ToPeer) -> None:
        """Send it a message."""

    def replaced(self) -> None:
        """The same member has come by another connection."""

    def expired(self) -> None:
        """The room's time is over."""


class Directory(Interface):
    """Rooms and their members."""

    def join(self, member: Member) -> tuple[Member, ...]:
        """Put it in its room, in place of an earlier connection of the same one; those there besides."""

    def leave(self, member: Member) -> bool:
        """Take it out; False if it was not in, or another connection has taken its place."""

    def others(self, place: Place, key: Key) -> tuple[int, int]:
        """How many members that room has beside this one, and how many of those have the same key."""

    def members(self, place: Place) -> tuple[Member, ...]:
        """All members of that room."""

    def find(self, place: Place, instance: str, fingerprint: str) -> tuple[Member, ...]:
        """The members of that room with this instance and key; ``fingerprint``: empty for any.

        With any: one, or, where somebody has taken another one's instance for its own, each of them, so that
        nobody is hidden."""


class MemoryDirectory:
    """A :class:`Directory` for one broker process."""

    def __init__(self) -> None:
        self._rooms: dict[Place, dict[Key, Member]] = {}

    def join(self, member: Member) -> tuple[Member, ...]:
        """See :class:`Directory`."""
        room = self._rooms.setdefault(member.profile.place, {})
        before = room.pop(member.profile.key, None)
        others = tuple(room.values())
        room[member.profile.key] = member
        if before is not None:
            before.replaced()
        return others

    def leave(self, member: Member) -> bool:
        """See :class:`Directory`."""
        room = self._rooms.get(member.profile.place, {})
        if room.get(member.profile.key) is not member:
            return False
        del room[member.profile.key]
        if not room:
            del self._rooms[member.profile.place]
        return True

    def others(self, place: Place, key: Key) -> tuple[int, int]:
        """See :class:`Directory`."""
        room = self._rooms.get(place, {})
        same = sum(fingerprint == key[0] for fingerprint, _instance in room)
        return len(room) - (key in room), same - (key in room)

    def members(self, place: Place) -> tuple[Member, ...]:
        """See :class:`Directory`."""
        return tuple(self._rooms.get(place, {}).values())

    def find(self, place: Place, instance: str, fingerprint: str) -> tuple[Member, ...]:
        """See :class:`Directory`."""
        room = self._rooms.get(place, {})
        if fingerprint:
            member = room.get((fingerprint, instance))
            return () if member is None else (member,)
        # Small enough to be looked through.
        return tuple(member for (_fingerprint, present), member in room.items() if present == instance)
