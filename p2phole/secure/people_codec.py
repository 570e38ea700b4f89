"""The known people as the JSON of a file, and back.  Pure."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Any, TypeVar

from p2phole.secure.names import check_own_name, looks
from p2phole.secure.people import (
    HOWS,
    LATEST,
    MOST_KEPT,
    MOST_MET,
    MOST_PASSING,
    Kept,
    Met,
    Passing,
    People,
    check_fingerprint,
)
from p2phole.text import check_name

VERSION = 1
MOST_BYTES = 1 << 20
"""In a file; the longest that is written has half of it."""

_Entry = TypeVar("_Entry", Kept, Met, Passing)


def encode(people: People) -> bytes:
    """UTF-8, a line for each value, so that a person can read it."""
    document = {"p2phole": "known people", "version": VERSION, **asdict(people)}
    return json.dumps(document, ensure_ascii=False, indent=1).encode() + b"\n"


def decode(data: bytes) -> People:
    """The same people as were encoded.

    :raises ValueError: with a few words: it is something else, or something that :func:`encode` would not write.
    """
    if len(data) > MOST_BYTES:
        raise ValueError(f"it has more than {MOST_BYTES} bytes")
    try:
        document = json.loads(data.decode())
    except UnicodeDecodeError:
        raise ValueError("it is not text in UTF-8") from None
    except (ValueError, RecursionError):
        raise ValueError("it is not JSON") from None
    if not isinstance(document, dict) or document.get("p2phole") != "known people":
        raise ValueError("it is no such file")
    if document.get("version") != VERSION:
        raise ValueError("another version of p2phole wrote it")
    if set(document) != {"p2phole", "version", "kept", "met", "passing"}:
        raise ValueError("it has other parts")
    kept = _entries(document["kept"], Kept, MOST_KEPT)
    if len({looks(one.name) for one in kept}) < len(kept):
        raise ValueError("'kept' has a name twice")
    return People(
        kept,
        _entries(document["met"], Met, MOST_MET),
        _entries(document["passing"], Passing, MOST_PASSING),
    )


def _entries(values: Any, kind: type[_Entry], most: int) -> tuple[_Entry, ...]:
    where = kind.__name__.lower()
    if not isinstance(values, list) or len(values) > most:
        raise ValueError(f"{where!r} is no list of up to {most}")
    found = []
    for place, value in enumerate(values, 1):
        try:
            one = kind(**value)
            _check(one)
        except TypeError:
            raise ValueError(f"{where!r}, number {place}: it has other keys or values") from None
        except ValueError as problem:
            raise ValueError(f"{where!r}, number {place}: {problem}") from None
        found.append(one)
    if len({(one.fingerprint, getattr(one, "mark", "")) for one in found}) < len(found):
        raise ValueError(f"{where!r} has a fingerprint twice")
    return tuple(found)


def _check(one: Kept | Met | Passing) -> None:
    check_fingerprint(one.fingerprint)
    at = one.since if isinstance(one, Kept) else one.at
    if type(at) is not int or not 0 <= at <= LATEST:
        raise ValueError("the time is none")
    if isinstance(one, Kept):
        check_own_name(one.name)
    elif isinstance(one, Passing):
        if one.mark != "":
            check_fingerprint(one.mark)
    elif isinstance(one, Met):
        check_name(one.claimed, "name")
        if one.how not in HOWS:
            raise ValueError("nobody is met so")
