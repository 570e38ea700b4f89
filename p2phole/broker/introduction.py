"""Introducing two members: to whom, with what delay, how often.  Pure.

Both get the message at about the same moment and wait so that their first SYNs leave together:
no clock of theirs is asked, only the round trip to each of them.  A second introduction of a pair
takes place when both have asked for it, so that both know their mapping afresh; so does the first one
where a member wants to prepare.
"""

from __future__ import annotations

from collections.abc import Callable

from p2phole.broker.directory import Directory, Key, Member
from p2phole.wire.messages import LINKED_PREFIX, Absent, Introduction, Requested

MOST_ROUND_TRIP = 1.0
"""Seconds at which a member's round trip is counted at the most: by answering late it could make others wait."""


def delays(first: float, second: float) -> tuple[float, float]:
    """Seconds that each of two members is to wait, given their round trips in seconds.

    The message takes half a round trip to each; the nearer one waits for the difference.
    """
    ways = [min(max(round_trip, 0.0), MOST_ROUND_TRIP) / 2 for round_trip in (first, second)]
    return max(ways) - ways[0], max(ways) - ways[1]


class Introductions:
    """The pairs of all rooms.  ``token``: gives 16 random bytes."""

    def __init__(self, directory: Directory, token: Callable[[], bytes]) -> None:
        self._directory = directory
        self._token = token
        self._asked: set[tuple[Key, Key]] = set()
        """Who has asked for whom and waits."""
        self._told: set[tuple[Key, Key]] = set()
        """Who was told to ask for whom and has not yet."""
        self._attempts: dict[Key, dict[Key, int]] = {}

    def arrived(self, member: Member) -> None:
        """Introduce a new member to those there, save where both say that they are connected."""
        for other in self._directory.join(member):
            if _linked(member, other) and _linked(other, member):
                continue
            hesitant = [each for each in (member, other) if each.profile.prepare]
            if not hesitant:
                self._introduce(member, other)
            for each in hesitant:
                self._ask(each, other if each is member else member)

    def left(self, member: Member) -> None:
        """Forget a member that is gone."""
        if self._directory.leave(member):
            mine = member.profile.key
            for other in self._attempts.pop(mine, {}):
                self._attempts.get(other, {}).pop(mine, None)
                for table in (self._asked, self._told):
                    table -= {(mine, other), (other, mine)}

    def requested(self, member: Member, instance: str) -> None:
        """A member asks to be introduced again, of its own accord or because the other one did."""
        member.linked.discard(instance[:LINKED_PREFIX])
        other = self._directory.find(member.profile.room, instance)
        if other is None or other is member:
            member.tell(Absent(instance))
            return
        mine, theirs = member.profile.key, other.profile.key
        self._told.discard((mine, theirs))
        if (theirs, mine) in self._asked:
            self._introduce(member, other)
        else:
            self._asked.add((mine, theirs))
            self._tell(other, member)

    def _ask(self, hesitant: Member, other: Member) -> None:
        """Have a member prepare; the other one, if it need not, has as good as asked."""
        if not other.profile.prepare:
            self._asked.add((other.profile.key, hesitant.profile.key))
        self._tell(hesitant, other)

    def _tell(self, member: Member, other: Member) -> None:
        """Have a member ask for the other one, if it has not been told to already."""
        pair = (member.profile.key, other.profile.key)
        self._count(*pair, 0)
        if pair not in self._told:
            self._told.add(pair)
            member.tell(Requested(other.profile.instance))

    def _count(self, one: Key, two: Key, more: int) -> int:
        attempts = self._attempts.setdefault(one, {}).get(two, 0) + more
        self._attempts[one][two] = self._attempts.setdefault(two, {})[one] = attempts
        return attempts

    def _introduce(self, first: Member, second: Member) -> None:
        one, two = first.profile.key, second.profile.key
        for table in (self._asked, self._told):
            table -= {(one, two), (two, one)}
        attempt = self._count(one, two, 1)
        token = self._token().hex()
        waits = delays(first.round_trip, second.round_trip)
        for member, other, delay in ((first, second, waits[0]), (second, first, waits[1])):
            profile = other.profile
            member.linked.add(profile.instance[:LINKED_PREFIX])
            member.tell(
                Introduction(
                    name=profile.name,
                    fingerprint=profile.fingerprint,
                    instance=profile.instance,
                    observed=profile.observed,
                    candidates=profile.candidates,
                    token=token,
                    attempt=attempt,
                    delay=round(delay, 6),
                    nat=profile.nat,
                )
            )


def _linked(member: Member, other: Member) -> bool:
    return other.profile.instance[:LINKED_PREFIX] in member.linked
