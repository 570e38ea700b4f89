"""The documents are executed: what they claim is compared with the code.  Here is how they are read."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGES = tuple(sorted((*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"))))

_FENCE = re.compile(r"^```([^\n]*)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
_SPAN = re.compile(r"`([^`\n]+)`")


@dataclass(frozen=True)
class Block:
    """A fenced block: the words behind the fence, its text, and the number of its first line."""

    words: tuple[str, ...]
    text: str
    line: int


def read(name: str) -> str:
    """The text of a page, by its path from the root."""
    return (ROOT / name).read_text("utf-8")


def blocks(text: str, word: str = "") -> list[Block]:
    """The fenced blocks of a page, or those whose fence begins with ``word``."""
    found = [
        Block(tuple(match[1].split()), match[2], text.count("\n", 0, match.start()) + 2)
        for match in _FENCE.finditer(text)
    ]
    return [block for block in found if not word or block.words[:1] == (word,)]


def code(text: str) -> Iterator[str]:
    """Whatever a page shows as code: the lines of its fenced and indented blocks, and its spans."""
    for block in blocks(text):
        yield from block.text.replace("\\\n", " ").splitlines()
    prose = _FENCE.sub("", text)
    for line in prose.splitlines():
        if line.startswith("    "):
            yield line.strip()
    yield from _SPAN.findall(prose)


def table(text: str, first: str) -> list[list[str]]:
    """The rows of the table whose header begins with the cell ``first``, without header and rule."""
    lines = iter(text.splitlines())
    for line in lines:
        if _cells(line)[:1] == [first]:
            next(lines)
            rows = []
            for row in lines:
                if not row.startswith("|"):
                    break
                rows.append(_cells(row))
            return rows
    raise AssertionError(f"there is no table that begins with {first!r}")


def _cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.strip().strip("|").split("|")] if line.startswith("|") else []


def bare(cell: str) -> str:
    """A cell without the marks of code."""
    return cell.strip("`")
