"""The known people for people, by rich: tables that fit a terminal, one line for each of them elsewhere."""

from __future__ import annotations

from typing import TextIO

from rich.console import Console
from rich.table import Table
from rich.text import Text

from p2phole.people.times import ago, day
from p2phole.secure.people import People
from p2phole.secure.words import phrase
from p2phole.terminal import drawn

MOST_WIDTH = 110
UNBOUNDED = 1_000
START = 8
"""Digits of a fingerprint: enough to tell those of one list apart."""

NOBODY = "You keep nobody yet: 'p2phole id keep NAME' keeps somebody whom you have met.\n"
TOFU = "tofu: only a broker has said whose key that is. Compare the words aloud before you keep it.\n"


def shown(people: People, now: float, stream: TextIO) -> str:
    """All of them, as it is to be written to ``stream``."""

    def draw(console: Console) -> None:
        _kept(console, people)
        _met(console, people, now)

    return drawn(stream, UNBOUNDED, MOST_WIDTH, draw)


def _kept(console: Console, people: People) -> None:
    if not people.kept:
        console.print(NOBODY, end="")
        return
    table = _table("name", "key", "phrase", "since")
    for one in sorted(people.kept, key=lambda one: one.name.casefold()):
        table.add_row(Text(one.name, "bold"), one.fingerprint[:START], phrase(one.fingerprint), day(one.since))
    console.print(table)


def _met(console: Console, people: People, now: float) -> None:
    met = [one for one in reversed(people.met) if people.kept_with(one.fingerprint) is None]
    if not met:
        return
    console.print()
    table = _table("met as", "key", "phrase", "proof", "last")
    for one in met:
        proof = Text(one.how, "yellow" if one.how == "tofu" else "green")
        name = people.shown(one.claimed, one.fingerprint)
        table.add_row(Text(name), one.fingerprint[:START], phrase(one.fingerprint), proof, ago(now - one.at))
    console.print(table)
    if any(one.how == "tofu" for one in met):
        console.print()
        console.print(TOFU, end="", style="dim")


def _table(*columns: str) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold underline", padding=(0, 2, 0, 0))
    for column in columns:
        # A phrase may go on below, and so may a long name; what is short has its place.
        table.add_column(Text(column), overflow="fold", no_wrap=column not in ("name", "met as", "phrase"))
    return table
