"""The picture of :mod:`benchmarks.bulk`: one panel for each column and one for many streams."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from benchmarks.bulk import COLUMNS, STREAMS, summary

# Told apart by everybody, and in grey.
_COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")


def draw(document: dict[str, Any], path: Path) -> None:
    """Write the picture; needs matplotlib."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    places = document["places"]
    figure, panels = pyplot.subplots(1, len(COLUMNS) + 1, figsize=(15, 4), layout="constrained")
    for axis, (column, title) in zip(panels, COLUMNS.items(), strict=False):
        _bars(axis, column, {place: summary(results) for place, results in places.items()})
        axis.set_title(title)
    found = document["crowd"]
    names = ["one stream", f"{STREAMS:,} used", f"{STREAMS:,} unread"]
    bars = panels[-1].bar(names, [found[key] for key in ("alone", "many", "unread")], color=_COLOURS[0])
    panels[-1].bar_label(bars, fmt="%.0f")
    panels[-1].margins(y=0.25)
    panels[-1].set_title("MiB of a process")
    figure.suptitle(
        f"medians of {document['rounds']} rounds of {document['mib']} MiB; above a bar: to the first one. "
        f"50 streams beside a stalled one take {found['stalled']:.2f} times as long"
    )
    figure.savefig(path, dpi=100, metadata={"Software": None})
    pyplot.close(figure)


def _bars(axis: Any, column: str, places: dict[str, dict[str, dict[str, tuple[float, float]]]]) -> None:
    names = list(dict.fromkeys(name for place in places.values() for name in place))
    width = 0.8 / max(1, len(names))
    for number, name in enumerate(names):
        there = [place for place in places if column in places[place].get(name, {})]
        where = [list(places).index(place) + (number - (len(names) - 1) / 2) * width for place in there]
        values = [places[place][name][column] for place in there]
        colour = _COLOURS[number % len(_COLOURS)]
        bars = axis.bar(where, [value for value, _ in values], width, label=name, color=colour)
        axis.bar_label(bars, [f"{ratio:.2f}" for _, ratio in values])
    axis.set_xticks(range(len(places)), places)
    axis.margins(y=0.25)
    axis.legend(fontsize=8, loc="upper center", ncols=2)
