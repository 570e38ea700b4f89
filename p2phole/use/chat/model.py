"""A conversation as a chat shows it: who is here, what was said, and how far it has come.  Pure.

The screen draws what is here, and the session tells it what happens; neither knows of the other.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum

from p2phole.text import harmless

MOST_ENTRIES = 2_000
"""Entries that are kept to be scrolled back to."""
MOST_CHARACTERS = 2 * 1024 * 1024
"""Characters of all of them together."""
MOST_HELD = 1_000
"""Lines that wait for one who is away."""


class Mark(Enum):
    """How far what the user said has come; of several for whom it is, the one who is behind."""

    QUEUED = "it waits until the other side is there"
    SENT = "it has left this machine"
    ARRIVED = "the other side's user has it"
    LOST = "it may not have arrived, and never will"


class Kind(Enum):
    """What an entry is."""

    HEARD = "said by somebody else"
    SAID = "said here"
    NOTE = "told by the program"
    WARNING = "and to be noticed"


@dataclass(frozen=True, slots=True)
class Way:
    """How somebody is reached: ``path`` direct, lan, ipv6 or relayed; ``remote`` as "ip:port"; ``round_trip``
    in seconds, None: nobody knows."""

    path: str
    remote: str
    round_trip: float | None = None


@dataclass(eq=False, slots=True)
class Person:
    """Somebody to talk to.  ``way``: None: away.  ``since``: when that began; seconds since the epoch."""

    name: str
    fingerprint: str
    proof: str
    since: float
    way: Way | None = None
    due: deque[Entry] = field(default_factory=deque)
    """What was said to this one and has not arrived, in order."""
    held: deque[tuple[Entry, str]] = field(default_factory=deque)
    """The last part of that: not sent yet, with the text as it was typed."""
    replaced: bool = False
    """Whether the same one is here anew, while this one is away: its program was started again."""


@dataclass(eq=False, slots=True)
class Entry:
    """Something in the conversation.  ``who``: by whom it was, or for whom; empty: for everybody.
    ``text`` is one line, harmless."""

    kind: Kind
    at: float
    who: str
    text: str
    waits_for: list[Person] = field(default_factory=list)
    unsaid: bool = False
    """Whether nobody was there to hear it."""
    lost: bool = False
    size: int = field(init=False)
    """Characters that it had at first, which is what it is counted for."""
    wrapped: tuple[tuple[int, int], tuple[str, ...]] | None = None
    """For whoever draws it: the text in rows, and for which widths."""

    def __post_init__(self) -> None:
        self.size = len(self.text)

    @property
    def mark(self) -> Mark:
        """See :class:`Mark`; of what the user has said."""
        if self.lost:
            return Mark.LOST
        if self.unsaid or any(person.way is None for person in self.waits_for):
            return Mark.QUEUED
        return Mark.SENT if self.waits_for else Mark.ARRIVED


class Transcript:
    """See above.  ``now``: seconds since the epoch.  ``changed``: called after everything that shows."""

    def __init__(self, now: Callable[[], float], changed: Callable[[], None] = lambda: None) -> None:
        self.changed = changed
        self.entries: deque[Entry] = deque()
        self.added = 0
        """Entries that there ever were."""
        self.to: Person | None = None
        """To whom alone the user talks."""
        self._now = now
        self._people: dict[object, Person] = {}
        self._unsaid: deque[tuple[Entry, str]] = deque()
        self._characters = 0

    # -- what there is

    @property
    def people(self) -> tuple[Person, ...]:
        """Who has come and not left, the first one first."""
        return tuple(self._people.values())

    @property
    def unsaid(self) -> int:
        """Lines that wait for somebody to come."""
        return len(self._unsaid)

    def person(self, key: object) -> Person:
        """Of one who is in it.  Raises :class:`KeyError`."""
        return self._people[key]

    def named(self, name: str) -> Person | None:
        """Whom the user means by a name: exactly that, or else in whatever case where only one has it."""
        for person in self.people:
            if person.name == name:
                return person
        alike = [person for person in self.people if person.name.casefold() == name.casefold()]
        return alike[0] if len(alike) == 1 else None

    @property
    def undelivered(self) -> int:
        """What the user has said that somebody does not have."""
        return len({id(entry) for person in self.people for entry in person.due}) + len(self._unsaid)

    # -- who is here

    def came(self, key: object, name: str, fingerprint: str, proof: str) -> None:
        """Somebody has come, and is not here before :meth:`here`."""
        person = Person(harmless(name), fingerprint, proof, self._now())
        to = self.to
        if to is not None and to.fingerprint == fingerprint and (to.way is None or to not in self.people):
            self.to = person  # the same one, started again
        self._people[key] = person
        unsaid, self._unsaid = self._unsaid, deque()
        for entry, text in unsaid:
            entry.unsaid = False
            self._hold(person, entry, text)
        for other in self.people:
            self._replace(other)
        self.changed()

    def renamed(self, key: object, name: str) -> None:
        """Somebody is called differently from now on: another one with the same name has come."""
        self._people[key].name = harmless(name)

    def here(self, key: object, way: Way) -> None:
        """There is a way to this one, or another one than before, or it was measured anew."""
        person = self._people[key]
        if person.way is None:
            person.since = self._now()
        person.replaced = False
        if person.way != way:
            person.way = way
            self.changed()

    def away(self, key: object) -> None:
        """There is none."""
        person = self._people[key]
        if person.way is not None:
            person.way, person.since = None, self._now()
            self._replace(person)
            self.changed()

    def left(self, key: object) -> None:
        """This one will not come back, but perhaps as somebody new."""
        self.lost(key)
        del self._people[key]
        self.changed()

    # -- what is said

    def greet(self, key: object, text: str) -> None:
        """Something is said for the user to somebody who has come; it waits for :meth:`here`."""
        person = self._people[key]
        entry = Entry(Kind.SAID, self._now(), person.name, harmless(text))
        self._hold(person, entry, text)
        self._add(entry)

    @property
    def is_full(self) -> bool:
        """Whether so much waits that nothing should be added."""
        return any(len(waiting) >= MOST_HELD for waiting in (self._unsaid, *(one.held for one in self.people)))

    def say(self, text: str) -> list[object]:
        """The user has said something: to whom it is to be sent now.  For those who are away it waits, and if
        there is nobody, for the first one to come.

        Raises :class:`LookupError`: it is for one who has left.
        """
        people = {key: person for key, person in self._people.items() if not person.replaced}
        if self.to is not None:
            people = {key: person for key, person in self._people.items() if person is self.to}
            if not people:
                raise LookupError(self.to.name)
        entry = Entry(Kind.SAID, self._now(), self.to.name if self.to is not None else "", harmless(text))
        for person in people.values():
            if person.way is None:
                self._hold(person, entry, text)
            else:
                self._is_due(person, entry)
        if not people:
            entry.unsaid = True
            self._unsaid.append((entry, text))
        self._add(entry)
        return [key for key, person in people.items() if person.way is not None]

    def release(self, key: object) -> list[str]:
        """What has waited for this one, who is here: it is to be sent now."""
        held, self._people[key].held = self._people[key].held, deque()
        return [text for _, text in held]

    def heard(self, key: object, text: str) -> None:
        """Somebody has said something."""
        self._add(Entry(Kind.HEARD, self._now(), self._people[key].name, harmless(text)))

    def arrived(self, key: object) -> None:
        """The oldest thing that was said to this one has."""
        person = self._people[key]
        if person.due:
            person.due.popleft().waits_for.remove(person)
            self.changed()

    def lost(self, key: object) -> None:
        """All that has not arrived there will not."""
        person = self._people[key]
        person.held.clear()
        while person.due:
            entry = person.due.popleft()
            entry.waits_for.remove(person)
            entry.lost = True
        self.changed()

    def note(self, text: str) -> Entry:
        """The program has something to tell."""
        entry = Entry(Kind.NOTE, self._now(), "", harmless(text))
        self._add(entry)
        return entry

    def change(self, entry: Entry, text: str) -> None:
        """A note says something else from now on."""
        entry.text, entry.wrapped = harmless(text), None
        self.changed()

    def warn(self, text: str) -> None:
        """And it is to be noticed."""
        self._add(Entry(Kind.WARNING, self._now(), "", harmless(text)))

    # -- inside

    def _is_due(self, person: Person, entry: Entry) -> None:
        entry.waits_for.append(person)
        person.due.append(entry)

    def _hold(self, person: Person, entry: Entry, text: str) -> None:
        self._is_due(person, entry)
        person.held.append((entry, text))

    def _replace(self, person: Person) -> None:
        """What one who is away was not sent yet is for the same one, if that one has come anew."""
        later = self.people[self.people.index(person) + 1 :]
        anew = [other for other in later if other.fingerprint == person.fingerprint]
        if person.way is not None or not anew:
            return
        person.replaced = True
        held, person.held = person.held, deque()
        for entry, text in held:
            person.due.remove(entry)
            entry.waits_for.remove(person)
            self._hold(anew[-1], entry, text)

    def _add(self, entry: Entry) -> None:
        self.entries.append(entry)
        self.added += 1
        self._characters += entry.size
        while len(self.entries) > MOST_ENTRIES or self._characters > MOST_CHARACTERS:
            self._characters -= self.entries.popleft().size
        self.changed()
