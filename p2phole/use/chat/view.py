"""A conversation as rows of a terminal, of any size.  Pure.

A row is a list of styles and texts, as prompt_toolkit takes them; no row is wider than it may be.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from itertools import islice

from prompt_toolkit.utils import get_cwidth

from p2phole.use.chat.model import Entry, Kind, Mark, Person, Transcript
from p2phole.use.times import round_trip

Row = list[tuple[str, str]]

WIDE = 60
"""Columns from which on each entry has its time."""
NARROW = 10
"""Columns from which on each entry has its mark."""
MOST_NAME = 24
"""Columns of a name."""
MOST_ACCENTS = 8
"""Characters without a width on one that has some: what is more is not shown."""
ELLIPSIS = "\N{HORIZONTAL ELLIPSIS}"

MARKS = {
    Mark.QUEUED: ("", ELLIPSIS),
    Mark.SENT: ("", "\N{CHECK MARK}"),
    Mark.ARRIVED: ("class:arrived", "\N{CHECK MARK}\N{CHECK MARK}"),
    Mark.LOST: ("class:warning", "\N{BALLOT X}"),
}
GUTTERS = {Kind.HEARD: ("", ""), Kind.NOTE: ("", "--"), Kind.WARNING: ("class:warning", "!!")}
GUTTER = 3
"""Columns of the mark and the space behind it."""


def clock(at: float) -> str:
    """The time of day, where this machine is."""
    return time.strftime("%H:%M", time.localtime(at))


def width_of(text: str) -> int:
    """Columns that a text takes."""
    return get_cwidth(text)


def cut(text: str, most: int) -> str:
    """The text, or as much of it as fits into so many columns, with an ellipsis."""
    if width_of(text) <= most:
        return text
    kept, width = "", 1
    for character in text:
        width += width_of(character)
        if width > most:
            break
        kept += character
    return kept + ELLIPSIS if most > 0 else ""


def wrap(text: str, first: int, rest: int) -> tuple[str, ...]:
    """A text in rows of at most so many columns, broken between words where there are any."""
    rows: list[str] = []
    row, width, room = "", 0, max(first, 1)
    space = -1  # where in the row the last one is
    accents = 0
    for character in text:
        own = width_of(character)
        if not own:
            accents += 1
            if accents <= MOST_ACCENTS:
                row += character
            continue
        accents = 0
        if width + own > room:
            if character == " ":
                rows.append(row)
                row, width, space, room = "", 0, -1, max(rest, 1)
                continue
            if space > 0:
                rows.append(row[:space])
                row = row[space + 1 :]
            elif row or room < own <= rest:
                rows.append(row)
                row = ""
            width, space, room = width_of(row), -1, max(rest, 1)
            while row and width + own > room:  # what was left is for a wider row than those that follow
                fits = next((at for at in range(len(row), 1, -1) if width_of(row[:at]) <= room), 1)
                rows.append(row[:fits])
                row = row[fits:]
                width = width_of(row)
        if character == " ":
            space = len(row)
        row += character
        width += own
    rows.append(row)
    return tuple(rows)


def _wrapped(entry: Entry, first: int, rest: int) -> tuple[str, ...]:
    # All that is below what was scrolled back to is gone through for each drawing.
    if entry.wrapped is None or entry.wrapped[0] != (first, rest):
        entry.wrapped = (first, rest), wrap(entry.text, first, rest)
    return entry.wrapped[1]


def rows_of(entry: Entry, width: int) -> list[Row]:
    """One entry."""
    style, mark = MARKS[entry.mark] if entry.kind is Kind.SAID else GUTTERS[entry.kind]
    before = mark.ljust(GUTTER) if width >= NARROW else ""
    moment = f"{clock(entry.at)} " if width >= WIDE else ""
    indent = len(moment) + len(before)
    room = width - indent
    head = ""
    if entry.kind is Kind.HEARD:
        head = f"{cut(entry.who, MOST_NAME)}: "
    elif entry.kind is Kind.SAID:
        head = f"you to {cut(entry.who, MOST_NAME)}: " if entry.who else "you: "
    head = cut(head, room // 2)
    texts = _wrapped(entry, room - width_of(head), room)
    told = {Kind.HEARD: "class:name", Kind.SAID: "class:own"}.get(entry.kind, style)
    body = "class:warning" if entry.kind is Kind.WARNING else ""
    rows: list[Row] = [[("", moment), (style, before), (told, head), (body, texts[0])]]
    rows += [[("", " " * indent), (body, text)] for text in texts[1:]]
    return rows


class View:
    """The part of a conversation that shows: the end of it, or what was scrolled back to."""

    def __init__(self, transcript: Transcript) -> None:
        self._transcript = transcript
        self._back = 0
        """Rows below the ones that show."""
        self._seen = 0
        """Entries that there were when it was drawn last."""
        self._height = 1

    @property
    def unread(self) -> bool:
        """Whether there is something below."""
        return self._back > 0

    @property
    def page(self) -> int:
        """Rows to go by, so that one of them stays."""
        return max(self._height - 1, 1)

    def scroll(self, rows: int) -> None:
        """So many rows back, or forth where it is negative."""
        self._back = max(0, self._back + rows)

    def to_end(self) -> None:
        """Show what is newest."""
        self._back = 0

    def rows(self, width: int, height: int) -> list[Row]:
        """What shows; as many rows as there are lines."""
        transcript = self._transcript
        new = min(transcript.added - self._seen, len(transcript.entries))
        if self._back:  # what is read stays where it is
            newest = islice(reversed(transcript.entries), new)
            self._back += sum(len(rows_of(entry, width)) for entry in newest)
        self._seen, self._height = transcript.added, height
        found = list(islice(self._upwards(width), self._back + height))
        self._back = max(0, min(self._back, len(found) - height))
        shown = found[self._back : self._back + height][::-1]
        return [[]] * (height - len(shown)) + shown

    def _upwards(self, width: int) -> Iterator[Row]:
        for entry in reversed(self._transcript.entries):
            yield from reversed(rows_of(entry, width))


def person_in_short(person: Person) -> str:
    """As the status line has somebody."""
    name = cut(person.name, MOST_NAME)
    if person.way is None:
        waiting = f" \N{MIDDLE DOT} {len(person.due)} waiting" if person.due else ""
        return f"{name} \N{MIDDLE DOT} away{waiting}"
    trip = person.way.round_trip
    measured = "" if trip is None else f" \N{MIDDLE DOT} {round_trip(trip)}"
    return f"{name} \N{MIDDLE DOT} {person.way.path}{measured}"


def status(transcript: Transcript, nobody: str, below: bool, width: int) -> str:
    """The status line: who is here and how, and whether there is something below; exactly so wide.
    ``nobody``: what to say where nobody is."""
    people = [person for person in transcript.people if person.due or not person.replaced]
    people.sort(key=lambda person: person.way is None)
    right = " \N{DOWNWARDS ARROW} more " if below else ""
    if not people and transcript.unsaid:
        nobody += f" \N{MIDDLE DOT} {transcript.unsaid} waiting"
    room = width - width_of(right) - 1
    left = _as_many_as_fit([person_in_short(person) for person in people], room) if people else nobody
    left = " " + cut(left, room)
    return left + " " * (width - width_of(left) - width_of(right)) + right


def _as_many_as_fit(parts: list[str], width: int) -> str:
    for count in range(len(parts), 0, -1):
        more = f"   +{len(parts) - count}" if count < len(parts) else ""
        text = "   ".join(parts[:count]) + more
        if width_of(text) <= width or count == 1:
            return text
    return ""


PROOFS = {
    "secret": "proven",
    "pinned": "known to you",
    "tofu": "named by the broker alone",
}


def who(transcript: Transcript) -> list[str]:
    """Everybody, a line each."""
    lines = []
    for person in transcript.people:
        proof = PROOFS.get(person.proof, person.proof)
        if person.way is None:
            line = f"{person.name}: away since {clock(person.since)}, {len(person.due)} waiting, {proof}"
        else:
            trip = person.way.round_trip
            measured = "" if trip is None else f", {round_trip(trip)}"
            line = f"{person.name}: {person.way.path}{measured}, {person.way.remote}, {proof}"
        lines.append(line)
    return lines or ["Nobody is here."]
