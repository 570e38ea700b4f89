"""Who is in which room.  Pure; in memory here, and behind one interface so that it need not stay there."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol as Interface

from p2phole.addresses import Candidate, Endpoint
from p2phole.behaviour import UNKNOWN, Behaviour
from p2phole.wire.messages import ToPeer

Key = tuple[str, str]
"""A member: its key's fingerprint and its instance."""


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


class Directory(Interface):
    """Rooms and their members."""

    def join(self, member: Member) -> tuple[Member, ...]:
        """Put it in its room, in place of an earlier connection of the same one; those there besides."""

    def leave(self, member: Member) -> bool:
        """Take it out; False if it was not in, or another connection has taken its place."""

    def find(self, room: str, instance: str) -> Member | None:
        """The member of that room with this instance."""


class MemoryDirectory:
    """A :class:`Directory` for one broker process."""

    def __init__(self) -> None:
        self._rooms: dict[str, dict[Key, Member]] = {}

    def join(self, member: Member) -> tuple[Member, ...]:
        """See :class:`Directory`."""
        room = self._rooms.setdefault(member.profile.room, {})
        before = room.pop(member.profile.key, None)
        others = tuple(room.values())
        room[member.profile.key] = member
        if before is not None:
            before.replaced()
        return others

    def leave(self, member: Member) -> bool:
        """See :class:`Directory`."""
        room = self._rooms.get(member.profile.room, {})
        if room.get(member.profile.key) is not member:
            return False
        del room[member.profile.key]
        if not room:
            del self._rooms[member.profile.room]
        return True

    def find(self, room: str, instance: str) -> Member | None:
        """See :class:`Directory`."""
        # Rooms are small; an index by instance alone would let one member hide another.
        for (_fingerprint, present), member in self._rooms.get(room, {}).items():
            if present == instance:
                return member
        return None
