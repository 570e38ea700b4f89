"""What the pages say of the matrix: counts, two tables, and where they stand.  Pure but for :func:`write`."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.pairs import NO_OUTCOME, POLICIES, PRODUCT, PUNCHERS, TRUE_REASONS

Document = dict[str, Any]
Entry = dict[str, Any]

BEGIN, END = "<!-- matrix -->", "<!-- /matrix -->"
PAGES = ("README.md", "docs/nat.md")
_TAKES = {
    "one port": "one port: where the broker saw the other side",
    "IPv6": "IPv6, with firewalls on both sides",
    "prediction": "prediction of ports taken in sequence",
    "birthday": "birthday: many ports, many tries",
    "symmetric": "nothing can work: no port can be told on either side, and one side's are random",
    "answers": "nothing to count on: random ports and RST from both routers, or few ports and RST",
    "no family": "nothing can work: one side has IPv4 only, the other IPv6 only",
}


def possible(entry: Entry) -> bool:
    """Whether a direct connection should come about."""
    return entry["expected"] not in TRUE_REASONS


def failures(entry: Entry, kind: str) -> int:
    """How often the product did not connect: ``true`` (nothing can work, and both sides said why), ``false``
    (nothing can work, and one side at least gave another reason or none) or ``unexpected``."""
    reasons = entry["punchers"][PRODUCT]["reasons"]
    if possible(entry):
        return len(reasons) if kind == "unexpected" else 0
    true = sum(set(each) <= TRUE_REASONS[entry["expected"]] for each in reasons)
    return {"true": true, "false": len(reasons) - true}.get(kind, 0)


def shown(seconds: Iterable[float]) -> str:
    """The median, in few characters."""
    middle = median(seconds)
    return f"{middle:.2f}" if middle < 1 else f"{middle:.1f}" if middle < 10 else f"{middle:.0f}"


def _total(entries: Iterable[Entry], puncher: str, key: str) -> int:
    return sum(entry["punchers"][puncher][key] for entry in entries)


def sentence(document: Document) -> str:
    """The counts."""
    pairs = document["pairs"]
    hopeful = [entry for entry in pairs if possible(entry)]
    hopeless = [entry for entry in pairs if not possible(entry)]
    of = {name: f"{_total(hopeful, name, 'successes')} of {_total(hopeful, name, 'trials')}" for name in PUNCHERS}
    names = list(POLICIES)
    text = (
        f"Of {len(pairs)} pairs of networks, {len(hopeful)} can be connected directly: p2phole connected "
        f"{of[PRODUCT]}, one connect from the listening port {of[names[0]]}, a connect from a fresh port "
        f"{of[names[1]]}."
    )
    if hopeless:
        true, false = (sum(failures(entry, kind) for entry in hopeless) for kind in ("true", "false"))
        text += (
            f" The other {len(hopeless)} have no way, or none to count on: both sides gave up "
            f"for the true reason in {true} of {_total(hopeless, PRODUCT, 'trials')}"
        )
        text += f", for a wrong one on one side at least in {false}" if false else ""
        lucky = _total(hopeless, PRODUCT, "successes")
        text += f", and connected all the same in {lucky}." if lucky else "."
    return text


def summary_table(document: Document) -> str:
    """By what it takes."""
    lines = [
        f"| what it takes | pairs | {' | '.join(PUNCHERS)} | median | slowest |",
        "|---|---|" + "---|" * len(PUNCHERS) + "---|---|",
    ]
    for takes, words in _TAKES.items():
        entries = [entry for entry in document["pairs"] if entry["expected"] == takes]
        if not entries:
            continue
        counts = [f"{_total(entries, name, 'successes')}/{_total(entries, name, 'trials')}" for name in PUNCHERS]
        seconds = [second for entry in entries for second in entry["punchers"][PRODUCT]["seconds"]]
        times = f"{shown(seconds)} s | {shown([max(seconds)])} s" if seconds else "- | -"
        lines.append(f"| {words} | {len(entries)} | {' | '.join(counts)} | {times} |")
    return "\n".join(lines)


def cell(entry: Entry) -> str:
    """Seconds, and how often if not always; or the reasons, in bold where they are not to be expected."""
    result = entry["punchers"][PRODUCT]
    count = f" ({result['successes']}/{result['trials']})" if result["reasons"] else ""
    if result["successes"]:
        return shown(result["seconds"]) + count
    words = "/".join(dict.fromkeys(word for each in result["reasons"] for word in each)) or NO_OUTCOME
    return words if failures(entry, "true") == result["trials"] else f"**{words}**"


def pair_table(document: Document) -> str:
    """All pairs: the product's seconds."""
    profiles = document["profiles"]
    found = {(entry["first"], entry["second"]): entry for entry in document["pairs"]}
    lines = [
        "| | network | " + " | ".join(str(number) for number in range(1, len(profiles) + 1)) + " |",
        "|---" * (len(profiles) + 2) + "|",
    ]
    for row, first in enumerate(profiles):
        cells = [""] * row
        for second in profiles[row:]:
            cells.append(cell(found[first, second]) if (first, second) in found else "·")
        lines.append(f"| {row + 1} | `{first}` | {' | '.join(cells)} |")
    return "\n".join(lines)


def unexpected(document: Document) -> str:
    """The pairs that should have connected but did not, each time."""
    lines = []
    for entry in document["pairs"]:
        if failures(entry, "unexpected"):
            result = entry["punchers"][PRODUCT]
            count = f"{len(result['reasons'])} of {result['trials']}"
            lines.append(f"- `{entry['first']}` with `{entry['second']}` should connect, but did not in {count}.")
    return "\n".join(lines)


def section(document: Document, page: str) -> str:
    """What stands between the markers of a page."""
    if page == "README.md":
        picture = "![Heat maps: which pairs connect, and how fast](docs/nat-matrix.png)"
        return f"{sentence(document)}\n\n{picture}"
    how = (
        f"`make matrix` ran all of it on {document['date']}, Linux {document['kernel']}, Python "
        f"{document['python']}, Twisted {document['twisted']}, commit `{document['commit'][:12]}`, "
        f"{document['trials']} trial(s) of each; all figures are in [nat-matrix.json](nat-matrix.json)."
    )
    picture = "![Heat maps: which pairs connect, and how fast](nat-matrix.png)"
    parts = (sentence(document), how, picture, summary_table(document), _LEGEND, pair_table(document))
    return "\n\n".join(part for part in (*parts, unexpected(document)) if part)


_LEGEND = (
    "*Median* and *slowest* are p2phole's, from the introduction to the proof on the slower side. The baselines "
    "have no TLS, no second start, and 4 s. Each pair, with p2phole's seconds, or the reason in the `failed` "
    "events where nothing can work (bold: not the true one, or a pair that should connect); the columns are "
    "the rows' numbers:"
)


def placed(text: str, document: Document, page: str) -> str:
    """The page with what stands between its markers made anew."""
    pattern = re.compile(f"{re.escape(BEGIN)}.*?{re.escape(END)}", re.DOTALL)
    if not pattern.search(text):
        raise ValueError(f"{page} has no {BEGIN}")
    return pattern.sub(lambda _: f"{BEGIN}\n{section(document, page)}\n{END}", text)


def write(document: Document, root: Path) -> None:
    """Make the pages and the picture anew."""
    from benchmarks.matrix_picture import draw

    for page in PAGES:
        path = root / page
        path.write_text(placed(path.read_text("utf-8"), document, page), "utf-8")
    draw(document, root / "docs" / "nat-matrix.png")
