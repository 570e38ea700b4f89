"""The picture of the matrix: one heat map for each puncher, the product's the largest."""

from __future__ import annotations

from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.matrix_page import Document, Entry, failures, possible, shown
from benchmarks.pairs import PRODUCT, PUNCHERS

_WIDTH, _HEIGHT = 12.0, 8.3
# From the left, from the bottom, length of a side: inches.
_PLACES = dict(zip(PUNCHERS, ((2.15, 2.25, 5.7), (8.3, 4.4, 3.55), (8.3, 0.45, 3.55)), strict=True))
_TITLES = {
    PRODUCT: "p2phole: seconds to an authenticated connection",
    "one connect": "one connect from the listening port",
    "fresh port": "a connect from a fresh port",
}
# Blue and vermilion are told apart by everybody; the cross and the hatching do not need colours at all.
_MISSED, _IMPOSSIBLE = "#d55e00", "#e4e4e4"
_CROSS = "\N{MULTIPLICATION SIGN}"
_FASTEST, _SLOWEST = 0.05, 15.0


def draw(document: Document, path: Path) -> None:
    """Write the picture; needs matplotlib."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot
    from matplotlib.colors import LogNorm
    from matplotlib.patches import Patch

    norm = LogNorm(_FASTEST, _SLOWEST, clip=True)
    colours = pyplot.get_cmap("Blues")
    figure = pyplot.figure(figsize=(_WIDTH, _HEIGHT))
    for name, (left, bottom, side) in _PLACES.items():
        axes = figure.add_axes((left / _WIDTH, bottom / _HEIGHT, side / _WIDTH, side / _HEIGHT))
        _map(axes, document, name, lambda seconds: colours(0.12 + 0.88 * float(norm(seconds))))
    legend = [
        Patch(facecolor=colours(0.12 + 0.88 * float(norm(seconds))), edgecolor="#888", label=f"{seconds:g} s")
        for seconds in (0.1, 0.3, 1, 3, 10)
    ]
    legend.append(
        Patch(facecolor=_MISSED, edgecolor="#888", label=f"{_CROSS} no connection, though one is possible")
    )
    legend.append(
        Patch(facecolor=_IMPOSSIBLE, edgecolor="#aaa", hatch="////", label="nothing can work; p2phole says so")
    )
    if any(failures(entry, "false") for entry in document["pairs"]):
        legend.append(Patch(facecolor=_IMPOSSIBLE, edgecolor="#888", label="? with a wrong reason"))
    figure.legend(
        handles=legend,
        loc="lower center",
        ncols=len(legend),
        frameon=False,
        fontsize=10,
        handlelength=1.2,
        columnspacing=1.1,
        handletextpad=0.4,
    )
    figure.savefig(path, dpi=100, metadata={"Software": None})
    pyplot.close(figure)


def _map(axes: Any, document: Document, puncher: str, colour: Any) -> None:
    profiles = document["profiles"]
    large = puncher == PRODUCT
    for entry in document["pairs"]:
        row, column = profiles.index(entry["first"]), profiles.index(entry["second"])
        for x, y in {(row, column), (column, row)}:
            _cell(axes, x, y, entry, puncher, colour, large)
    axes.set_xlim(-0.5, len(profiles) - 0.5)
    axes.set_ylim(len(profiles) - 0.5, -0.5)
    axes.set_aspect("equal", anchor="N")
    axes.tick_params(length=0)
    axes.set_xticks(range(len(profiles)), profiles if large else [], rotation=90, fontsize=11)
    axes.set_yticks(range(len(profiles)), profiles if large else [], fontsize=11)
    axes.set_title(_TITLES[puncher], fontsize=13 if large else 12)
    for spine in axes.spines.values():
        spine.set_visible(False)


def _cell(axes: Any, x: int, y: int, entry: Entry, puncher: str, colour: Any, large: bool) -> None:
    from matplotlib.patches import Rectangle

    result = entry["punchers"][puncher]
    settings: dict[str, Any] = {"edgecolor": "white", "linewidth": 0.8}
    text, ink = "", "black"
    if result["successes"]:
        middle = median(result["seconds"])
        settings["facecolor"] = colour(middle)
        text = shown(result["seconds"])
        if result["successes"] < result["trials"]:
            text = f"{result['successes']}/{result['trials']}"
        red, green, blue, _ = settings["facecolor"]
        ink = "black" if 0.3 * red + 0.59 * green + 0.11 * blue > 0.5 else "white"
    elif possible(entry):
        settings["facecolor"] = _MISSED
        text, ink = _CROSS, "white"
    else:
        settings.update(facecolor=_IMPOSSIBLE, edgecolor="#aaaaaa", hatch="////", linewidth=0)
        if large and failures(entry, "false"):
            settings.update(hatch="", edgecolor="white", linewidth=0.8)
            text = "?"
    axes.add_patch(Rectangle((x - 0.5, y - 0.5), 1, 1, **settings))
    if text and (large or text == _CROSS):
        axes.text(x, y, text, ha="center", va="center", color=ink, fontsize=9.5 if large else 9)
