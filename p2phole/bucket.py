"""So many at once, and so many a second after that.  Pure: times are seconds of a clock that never goes back."""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Rate:
    """``burst`` at once, and ``per_second`` from then on."""

    burst: float
    per_second: float


class Bucket:
    """A token bucket, known by the moment at which it is full again (the generic cell rate algorithm).

    Whoever finds anything in it gets all that it asks for, and the bucket owes the rest: so no request is
    too large for ever.
    """

    __slots__ = ("_full_at", "_rate")

    def __init__(self, rate: Rate) -> None:
        self._rate = rate
        self._full_at = -math.inf

    def take(self, now: float, cost: float = 1.0) -> float:
        """Take so much; 0.0 if that was possible, else the seconds until it is."""
        rate = self._rate
        missing = max(0.0, self._full_at - now) * rate.per_second
        # Whole tokens, save for what floats lose.
        if missing > rate.burst - 1 + 1e-6:
            return (missing - rate.burst + 1) / rate.per_second
        self._full_at = max(self._full_at, now) + cost / rate.per_second
        return 0.0

    def give_back(self, cost: float = 1.0) -> None:
        """What was taken was not used."""
        self._full_at -= cost / self._rate.per_second

    def full(self, now: float) -> bool:
        """Whether it is as if nobody had ever taken anything."""
        return self._full_at <= now
