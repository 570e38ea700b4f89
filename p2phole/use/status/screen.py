"""Running peers for people, by rich: a table for each on a terminal, one line for each member elsewhere."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TextIO

from rich.console import Console
from rich.filesize import decimal
from rich.table import Table
from rich.text import Text

from p2phole.peer.status import Reached, Report
from p2phole.terminal import drawn
from p2phole.text import harmless
from p2phole.use.times import duration, round_trip

MOST_WIDTH = 120
UNBOUNDED = 1_000
START = 8
"""Digits of a fingerprint: enough to tell those of one list apart."""


def shown(reports: Sequence[Report], now: float, stream: TextIO) -> str:
    """All of them, as it is to be written to ``stream``."""

    def draw(console: Console) -> None:
        for number, report in enumerate(sorted(reports, key=lambda report: report.since)):
            if number:
                console.print()
            console.print(_heading(report, now), soft_wrap=True)
            if report.partners:
                console.print(_partners(report, now))
            else:
                console.print("nobody else has come yet")

    return drawn(stream, UNBOUNDED, MOST_WIDTH, draw)


def _heading(report: Report, now: float) -> Text:
    text = Text()
    text.append(f"p2phole {harmless(report.command)}", "bold")
    text.append(f"  {harmless(report.name)} in room {harmless(report.room)}, key {harmless(report.id[:START])}, ")
    text.append("at" if report.registered else "without", "" if report.registered else "red")
    text.append(f" its broker {harmless(report.broker)}, for {duration(now - report.since)}, process {report.pid}")
    return text


def _partners(report: Report, now: float) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold underline", padding=(0, 2, 0, 0))
    for column in ("name", "key", "path", "address", "round trip", "in", "out", "streams", "since"):
        table.add_column(Text(column), overflow="fold", no_wrap=column not in ("name", "address"))
    for one in sorted(report.partners, key=lambda one: one.path is None):
        table.add_row(*_row(one, now))
    return table


def _row(one: Reached, now: float) -> list[Text | str]:
    since = duration(now - one.since)
    start: list[Text | str] = [Text(harmless(one.name), "bold"), harmless(one.id[:START])]
    if one.path is None:
        return [*start, Text("away", "yellow"), "", "", "", "", str(one.streams), since]
    trip = "" if one.round_trip is None else round_trip(one.round_trip)
    return [
        *start,
        Text(harmless(one.path), "green"),
        harmless(one.remote or ""),
        trip,
        f"{decimal(max(0, round(one.rate_in)))}/s",
        f"{decimal(max(0, round(one.rate_out)))}/s",
        str(one.streams),
        since,
    ]
