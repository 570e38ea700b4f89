"""Times in words.  Pure."""

from __future__ import annotations


def round_trip(seconds: float) -> str:
    """How long the way there and back takes."""
    if seconds < 0.001:
        return "<1 ms"
    return f"{seconds * 1000:.0f} ms" if seconds < 1 else f"{seconds:.1f} s"


def duration(seconds: float) -> str:
    """For how long something has been so; the clock may have been put back meanwhile."""
    whole = int(max(seconds, 0))
    for unit, size in (("d", 86400), ("h", 3600), ("min", 60)):
        if whole >= 2 * size:
            return f"{whole // size} {unit}"
    return f"{whole} s"
