"""Which paths may be sent and written: relative, of plain names, none of which leads out or deceives.  Pure."""

from __future__ import annotations

import hashlib

from p2phole.text import harmless

MOST_NAME = 255
"""Bytes of a name in UTF-8; file systems of Linux take no more."""
MOST_DEPTH = 128
"""Names in a path."""
MOST_PATH = 4000
"""Bytes of a path in UTF-8: the kernel takes 4,096."""
MOST_CANDIDATES = 1000
"""How many numbers are tried beside a name that is taken."""
PART = ".p2phole-part"
"""How the name of a file ends that has not arrived as a whole; nothing that is sent may be called so."""


def check_name(name: str) -> str:
    """The name of one file or folder.  Raises :class:`ValueError` with a sentence."""
    if name in ("", ".", ".."):
        raise ValueError(f"{name!r} is no name")
    if "/" in name:
        raise ValueError(f"{harmless(name)!r} is a path")
    if harmless(name) != name:
        raise ValueError(f"{harmless(name)} has a character that a terminal would obey or hide")
    if len(name.encode()) > MOST_NAME:
        raise ValueError(f"{name[:20]}... has more than {MOST_NAME} bytes")
    if name.lower().endswith(PART):  # in any case: some file systems see no difference
        raise ValueError(f"{name} is what a file is called that has not arrived as a whole")
    return name


def check_path(path: str) -> tuple[str, ...]:
    """The names of a path.  Raises :class:`ValueError` with a sentence."""
    names = tuple(path.split("/"))
    if len(names) > MOST_DEPTH:
        raise ValueError(f"{harmless(names[0][:20])}/... has more than {MOST_DEPTH} levels")
    if path.startswith("/"):
        raise ValueError(f"{harmless(path[:80])} is absolute")
    for name in names:
        check_name(name)
    if len(path.encode()) > MOST_PATH:
        raise ValueError(f"{names[0]}/... has more than {MOST_PATH} bytes")
    return names


def part_name(sender: str, path: str) -> str:
    """What a file is called as long as it is not whole: hidden, and another one for each sender and path.

    ``sender``: the fingerprint of the key.
    """
    tag = hashlib.sha256(f"{sender}\n{path}".encode()).hexdigest()[:16]
    ending = f".{tag}{PART}"
    name = path.rpartition("/")[2].encode()[: MOST_NAME - 1 - len(ending)].decode("utf-8", "ignore")
    return f".{name}{ending}"


def numbered(name: str, number: int) -> str:
    """``report (2).pdf`` for ``report.pdf``; shortened where it would be too long."""
    stem, dot, ending = name.rpartition(".")
    if not stem or len(ending) > 12:  # hidden files, and sentences
        stem, dot, ending = name, "", ""
    tail = f" ({number}){dot}{ending}"
    return stem.encode()[: MOST_NAME - len(tail.encode())].decode("utf-8", "ignore") + tail
