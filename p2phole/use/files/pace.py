"""How fast it goes, and how long it will take; and both in words.  Pure."""

from __future__ import annotations

from collections import deque

WINDOW = 10.0
"""Seconds over which the rate is taken."""
LEAST = 1.0
"""Seconds before there is one."""


class Pace:
    """The rate of the last seconds."""

    def __init__(self) -> None:
        self._samples: deque[tuple[float, int]] = deque()

    def add(self, now: float, moved: int) -> None:
        """So many bytes were moved up to now; fewer than before: counting begins anew."""
        if self._samples and moved < self._samples[-1][1]:
            self._samples.clear()
        self._samples.append((now, moved))
        while len(self._samples) > 2 and self._samples[1][0] <= now - WINDOW:
            self._samples.popleft()

    def forget(self) -> None:
        """It stood still: that counts for nothing."""
        self._samples.clear()

    @property
    def rate(self) -> float | None:
        """Bytes a second; None: too early to tell."""
        if not self._samples:
            return None
        (since, before), (now, moved) = self._samples[0], self._samples[-1]
        return (moved - before) / (now - since) if now - since >= LEAST else None

    def left(self, missing: int) -> float | None:
        """Seconds until so many bytes more are moved; None: nobody knows."""
        rate = self.rate
        return missing / rate if rate else None


def in_bytes(size: float) -> str:
    """``12.3 MB``, as people read it: powers of ten."""
    units = ["bytes", "kB", "MB", "GB", "TB"]
    at = 0
    while size >= 999.5 and at < len(units) - 1:
        size /= 1000
        at += 1
    return f"{size:.3g} {units[at]}" if at and size < 99.95 else f"{size:.0f} {units[at]}"


def in_time(seconds: float) -> str:
    """``0:12``, ``1:02:03``."""
    whole = int(seconds + 0.5)
    minutes, hours = whole // 60, whole // 3600
    if hours > 99:
        return "long"
    return f"{hours}:{minutes % 60:02}:{whole % 60:02}" if hours else f"{minutes}:{whole % 60:02}"


def counted(count: int, one: str, many: str) -> str:
    """``1 file``, ``1,234 files``."""
    return f"{count:,} {one if count == 1 else many}"


def in_numbers(files: int, folders: int, size: int) -> str:
    """``3 files in 2 folders, 12.3 MB``."""
    text = counted(files, "file", "files")
    if folders:
        text += f" in {counted(folders, 'folder', 'folders')}"
    return f"{text}, {in_bytes(size)}"


def named(names: tuple[str, ...]) -> str:
    """The first ones, and how many more."""
    shown = ", ".join(names[:3])
    return shown if len(names) <= 3 else f"{shown} and {len(names) - 3:,} more"
