"""What a running peer tells of itself, as one line of JSON, and how fast its bytes flow.  Pure.

The keys of the line are the names of the fields here: keys may be added, none goes away.
"""

from __future__ import annotations

import json
import math
from collections import deque
from dataclasses import asdict, dataclass, fields
from typing import Any, TypeVar

from p2phole.text import harmless_json

MOST_BYTES = 4 * 1024 * 1024
"""In a line that is read."""
MOST_PARTNERS = 4096
"""In it."""
MOST_TEXT = 1024
"""Characters of a text in it."""
RATE_SECONDS = 5.0
"""What is called now, of a rate."""


@dataclass(frozen=True, slots=True)
class Reached:
    """Another member.  ``path``: ``direct``, ``lan``, ``ipv6`` or ``relayed``; null with the other three where
    there is no connection now.  ``round_trip``: seconds, null: nobody knows.  ``since``: when that began, or when
    the connection was lost; seconds since the epoch.  ``bytes_in``, ``bytes_out``: since they met; ``rate_in``,
    ``rate_out``: bytes a second, over the last five.  ``streams``: open ones."""

    name: str
    id: str
    instance: str
    authenticated: str
    path: str | None
    candidate: str | None
    local: str | None
    remote: str | None
    round_trip: float | None
    since: float
    bytes_in: int
    bytes_out: int
    rate_in: float
    rate_out: float
    streams: int


@dataclass(frozen=True, slots=True)
class Report:
    """A peer.  ``command``: what was started.  ``id``: its own key's fingerprint.  ``registered``: whether the
    broker has it.  ``since``: when it was started; seconds since the epoch."""

    pid: int
    command: str
    name: str
    id: str
    room: str
    broker: str
    registered: bool
    since: float
    partners: tuple[Reached, ...]


def encode(report: Report) -> bytes:
    """The line, with its end."""
    return harmless_json(json.dumps(asdict(report), ensure_ascii=False)).encode() + b"\n"


def decode(line: bytes) -> Report:
    """Of whoever may have written it.

    :raises ValueError: with a few words: it is no such line.
    """
    if len(line) > MOST_BYTES:
        raise ValueError(f"more than {MOST_BYTES} bytes")
    try:
        document = json.loads(line.decode(), parse_constant=_no_constant)
    except (ValueError, RecursionError):
        raise ValueError("not JSON in UTF-8") from None
    if not isinstance(document, dict):
        raise ValueError("no JSON object")
    partners = document.get("partners")
    if not isinstance(partners, list) or len(partners) > MOST_PARTNERS:
        raise ValueError("partners: no list of them")
    return _made(Report, document, partners=tuple(_made(Reached, each) for each in partners))


Made = TypeVar("Made", Report, Reached)


def _made(kind: type[Made], document: object, **given: Any) -> Made:
    if not isinstance(document, dict):
        raise ValueError(f"{kind.__name__.lower()}: no JSON object")
    values = dict(given)
    for field in fields(kind):
        if field.name not in given:
            values[field.name] = _value(field.name, str(field.type), document.get(field.name))
    return kind(**values)


def _value(name: str, kind: str, value: object) -> object:
    kind, _, optional = kind.partition(" | ")
    if value is None and optional:
        return None
    if kind == "str" and isinstance(value, str) and len(value) <= MOST_TEXT:
        value.encode("utf-8")  # a lone surrogate is a ValueError
        return value
    if kind == "bool" and isinstance(value, bool):
        return value
    if kind == "int" and type(value) is int and 0 <= value < 2**63:
        return value
    if kind == "float" and type(value) in (int, float) and math.isfinite(value) and abs(value) < 1e15:  # type: ignore[arg-type]
        return float(value)  # type: ignore[arg-type]
    raise ValueError(f"{name}: not of its kind")


def _no_constant(text: str) -> object:
    raise ValueError(f"{text} is not JSON")


class Rates:
    """Bytes a second each way, over the last :data:`RATE_SECONDS`, from counters that only grow."""

    def __init__(self) -> None:
        self._samples: deque[tuple[float, int, int]] = deque()

    def sample(self, now: float, came: int, went: int) -> None:
        """What the counters say; about once a second."""
        samples = self._samples
        samples.append((now, came, went))
        # The oldest that counts is the last one that is that old.
        while len(samples) > 2 and samples[1][0] <= now - RATE_SECONDS:
            samples.popleft()

    @property
    def now(self) -> tuple[float, float]:
        """In, and out."""
        if len(self._samples) < 2:
            return 0.0, 0.0
        (first, came_first, went_first), (last, came, went) = self._samples[0], self._samples[-1]
        seconds = last - first
        if seconds <= 0:
            return 0.0, 0.0
        return (came - came_first) / seconds, (went - went_first) / seconds
