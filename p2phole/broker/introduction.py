"""Introducing two members: to whom, with what delay, how often; and their letters.  Pure.

Both get the message at about the same moment and wait so that their first SYNs leave together:
no clock of theirs is asked, only the round trip to each of them.  A second introduction of a pair
takes place when both have asked for it, so that both know their mapping afresh; so does the first one
where a member wants to prepare.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from p2phole.broker.directory import Directory, Key, Member, Place
from p2phole.bucket import Bucket, Rate
from p2phole.wire.messages import LINKED_PREFIX, Absent, Introduction, Letter, Requested

MOST_ROUND_TRIP = 1.0
"""Seconds at which a member's round trip is counted at the most: by answering late it could make others wait."""
MOST_LETTERS = 4
"""Letters from either side to the other for one introduction."""
WISHES = Rate(30, 0.2)
"""How often the wishes of a pair are passed on, each of which has the other one learn its mapping anew, answer and
dial: a pair that fails asks three times in half a minute."""
MOST_REMEMBERED = 1024
"""Links of one member that are remembered, those to members that have left the room included."""


def delays(first: float, second: float) -> tuple[float, float]:
    """Seconds that each of two members is to wait, given their round trips in seconds.

    The message takes half a round trip to each; the nearer one waits for the difference.
    """
    ways = [min(max(round_trip, 0.0), MOST_ROUND_TRIP) / 2 for round_trip in (first, second)]
    return max(ways) - ways[0], max(ways) - ways[1]


@dataclass(slots=True, eq=False)
class _Pair:
    """What is known of two members while both are there.  A large room has very many of these."""

    attempts: int = 0
    token: str = ""
    """That of the latest introduction."""
    asked: frozenset[Key] = frozenset()
    """Who has asked for the other one and waits."""
    told: frozenset[Key] = frozenset()
    """Who was told to ask for the other one and has not yet."""
    letters: tuple[Key, ...] = ()
    """From whom letters came since the latest introduction."""
    wishes: Bucket | None = None


class Introductions:
    """The pairs of all rooms.  ``token``: gives 16 random bytes; ``seconds``: the broker's clock."""

    def __init__(self, directory: Directory, token: Callable[[], bytes], seconds: Callable[[], float]) -> None:
        self._directory = directory
        self._token = token
        self._seconds = seconds
        self._pairs: dict[Place, dict[Key, dict[Key, _Pair]]] = {}
        """By room; each pair is there twice, under either of its members."""

    def arrived(self, member: Member) -> None:
        """Introduce a new member to those there, save where both say that they are connected."""
        others = self._directory.join(member)
        mine = member.profile.key
        for pair in self._pairs.get(member.profile.place, {}).get(mine, {}).values():
            # It has come by another connection, on which nothing was said yet.
            pair.asked, pair.told = pair.asked - {mine}, pair.told - {mine}
        for other in others:
            if _linked(member, other) and _linked(other, member):
                continue
            hesitant = [each for each in (member, other) if each.profile.prepare]
            if not hesitant:
                self._introduce(member, other)
            for each in hesitant:
                self._ask(each, other if each is member else member)

    def left(self, member: Member) -> bool:
        """Forget a member that is gone; False if it was not there, or has come by another connection."""
        there = self._directory.leave(member)
        if there:
            mine, place = member.profile.key, member.profile.place
            room = self._pairs.get(place, {})
            for other, pair in room.pop(mine, {}).items():
                if other in pair.asked:
                    self._tell_absent(place, other, mine)
                del room[other][mine]
                if not room[other]:
                    del room[other]
            if not room:
                self._pairs.pop(place, None)
        return there

    def _tell_absent(self, place: Place, waiting: Key, gone: Key) -> None:
        """Who waits for one that has gone need not: if it comes back, it is another arrival."""
        for member in self._directory.find(place, waiting[1], waiting[0]):
            member.tell(Absent(gone[1], gone[0]))

    def requested(self, member: Member, instance: str, fingerprint: str = "") -> None:
        """A member asks to be introduced again, of its own accord or because the other one did.

        ``fingerprint``: to whom of those with that instance; empty: to each."""
        member.linked.discard(instance[:LINKED_PREFIX])
        found = self._directory.find(member.profile.place, instance, fingerprint)
        others = [one for one in found if one is not member]
        if not others:
            member.tell(Absent(instance, fingerprint))
        for other in others:
            pair, mine = self._pair(member, other), member.profile.key
            pair.told -= {mine}
            if other.profile.key in pair.asked:
                self._introduce(member, other)
            else:
                pair.asked |= {mine}
                self._pass_on(pair, member, other)

    def letter(self, member: Member, letter: Letter) -> None:
        """Pass a letter on to a member to whom this one was introduced, last with this token; up to
        :data:`MOST_LETTERS`.  Any other goes nowhere: that member may have left meanwhile."""
        profile = member.profile
        for other in self._directory.find(profile.place, letter.instance, letter.fingerprint):
            pair = self._pairs.get(profile.place, {}).get(profile.key, {}).get(other.profile.key)
            if pair and pair.token == letter.token and pair.letters.count(profile.key) < MOST_LETTERS:
                pair.letters += (profile.key,)
                other.tell(Letter(profile.instance, letter.token, letter.body, profile.fingerprint))

    def _pair(self, one: Member, two: Member) -> _Pair:
        room = self._pairs.setdefault(one.profile.place, {})
        first, second = one.profile.key, two.profile.key
        pair = room.setdefault(first, {}).get(second)
        if pair is None:
            pair = room[first][second] = room.setdefault(second, {})[first] = _Pair()
        return pair

    def _ask(self, hesitant: Member, other: Member) -> None:
        """Have a member prepare, unless it has and waits; the other one, if it need not, has as good as asked."""
        pair = self._pair(hesitant, other)
        if not other.profile.prepare:
            pair.asked |= {other.profile.key}
        if hesitant.profile.key not in pair.asked:
            self._tell(hesitant, other)

    def _pass_on(self, pair: _Pair, member: Member, other: Member) -> None:
        """Have the other one ask too, unless it had to too often; then the wish waits until it does by itself."""
        if other.profile.key in pair.told:
            return
        if pair.wishes is None:
            pair.wishes = Bucket(WISHES)
        if not pair.wishes.take(self._seconds()):
            self._tell(other, member)

    def _tell(self, member: Member, other: Member) -> None:
        """Have a member ask for the other one, if it has not been told to already."""
        pair = self._pair(member, other)
        if member.profile.key not in pair.told:
            pair.told |= {member.profile.key}
            member.tell(Requested(other.profile.instance, other.profile.fingerprint))

    def _introduce(self, first: Member, second: Member) -> None:
        pair = self._pair(first, second)
        pair.attempts += 1
        pair.asked = pair.told = frozenset()
        pair.token, pair.letters = self._token().hex(), ()
        waits = delays(first.round_trip, second.round_trip)
        for member, other, delay in ((first, second, waits[0]), (second, first, waits[1])):
            profile = other.profile
            self._link(member, profile.instance[:LINKED_PREFIX])
            member.tell(
                Introduction(
                    name=profile.name,
                    fingerprint=profile.fingerprint,
                    instance=profile.instance,
                    observed=profile.observed,
                    candidates=profile.candidates,
                    token=pair.token,
                    attempt=pair.attempts,
                    delay=round(delay, 6),
                    nat=profile.nat,
                )
            )

    def _link(self, member: Member, prefix: str) -> None:
        if len(member.linked) >= MOST_REMEMBERED:
            profile = member.profile
            there = self._pairs.get(profile.place, {}).get(profile.key, {})
            member.linked &= {instance[:LINKED_PREFIX] for _fingerprint, instance in there}
        member.linked.add(prefix)


def _linked(member: Member, other: Member) -> bool:
    return other.profile.instance[:LINKED_PREFIX] in member.linked
