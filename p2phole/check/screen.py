"""The findings for people, by rich: colours on a terminal, 80 columns of plain text elsewhere."""

from __future__ import annotations

from typing import TextIO

from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from p2phole.check import words
from p2phole.check.findings import Findings, Meeting
from p2phole.check.outlook import SECONDS, Outlook
from p2phole.punch.verdict import REASONS
from p2phole.terminal import drawn

PLAIN_WIDTH, MOST_WIDTH = 80, 100

_HOW = {"one port": "one port", "prediction": "predicted port", "birthday": "birthday"}
_COLOURS = {True: "green", False: "red"}
_LABELS = {
    "mapping": "mapping",
    "filtering": "filtering",
    "allocation": "allocation",
    "unsolicited": "stray SYN",
}
_LEGEND = {
    "prediction": "Predicted port: one that the NAT will take next is dialled.",
    "birthday": "Birthday: many ports on one side, many tries on the other, a hit by chance.",
}


def shown(found: Findings, stream: TextIO) -> str:
    """The whole report, as it is to be written to ``stream``: only what that can encode."""

    def draw(console: Console) -> None:
        console.print(words.summary(found.nat), style="bold")
        console.print(f"{found.local} is seen by the broker as {found.observed}.\n")
        if found.meeting is None:
            _network(console, found)
            _outlook(console, found)
        elif found.meeting.direct:
            _network(console, found)
            _direct(console, found, found.meeting)
        else:
            _failed(console, found, found.meeting)

    encoding = stream.encoding or "ascii"
    text = drawn(stream, PLAIN_WIDTH, MOST_WIDTH, draw)
    return text.encode(encoding, "backslashreplace").decode(encoding)


def _network(console: Console, found: Findings) -> None:
    table = _table("finding", "word", "meaning")
    for name, word, meaning in words.meaning(found.nat):
        table.add_row(_LABELS[name], word, meaning)
    console.print(table)
    console.print()


def _outlook(console: Console, found: Findings) -> None:
    kinds = words.kinds(found)
    table = _table("other side", "direct", "takes about")
    for kind, way in kinds:
        table.add_row(kind.name, Text(_how(way), _COLOURS[way.direct]), _time(way))
    console.print(table)
    console.print()
    for technique, sentence in _LEGEND.items():
        if any(way.technique == technique for _kind, way in kinds):
            console.print(sentence, style="dim")
    _list(console, words.notes(found))
    _list(console, words.advice(found))


def _how(way: Outlook) -> str:
    if not way.direct:
        return "no" if way.sure else "probably not"
    return f"{'yes' if way.sure else 'probably'}, {_HOW[way.technique]}"


def _time(way: Outlook) -> str:
    if not way.direct:
        return "-"
    usual, most = SECONDS[way.technique]
    return f"{usual:g} s" if way.technique == "one port" else f"{usual:g} s, up to {most:g} s"


def _direct(console: Console, found: Findings, meeting: Meeting) -> None:
    verdict = f"Direct connection to {meeting.peer}: {meeting.remote} ({meeting.candidate}), "
    console.print(Text(f"{verdict}{meeting.seconds:.2f} s.", "green"))
    _list(console, words.caveats(found))


def _failed(console: Console, found: Findings, meeting: Meeting) -> None:
    console.print(Text(f"No direct connection to {meeting.peer}: {meeting.reason}.", "red"))
    console.print(f"{REASONS[meeting.reason]}\n")
    table = _table("finding", "here", f"at {meeting.peer}")
    for name, label in _LABELS.items():
        table.add_row(label, getattr(found.nat, name), Text(getattr(meeting.theirs, name)))
    console.print(table)
    console.print()
    if sentence := words.unexpected(found, meeting):
        console.print(sentence)
    here, there, both = words.pair_advice(found, meeting)
    if here or there or both:
        console.print("What would help, one of these:")
    for where, what in (("here", here), (f"at {meeting.peer}", there), ("on both sides", both)):
        _list(console, [f"{where}: {each}" for each in what])
    _list(console, words.caveats(found))


def _table(*columns: str) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold underline", padding=(0, 2, 0, 0))
    for column in columns:
        table.add_column(Text(column), overflow="fold")
    return table


def _list(console: Console, sentences: list[str]) -> None:
    for sentence in sentences:
        grid = Table.grid(padding=(0, 1))
        grid.add_row("-", Text(sentence))
        console.print(Padding(grid, 0))
