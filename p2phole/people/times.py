"""Moments in words.  Pure, but for the time zone of the machine."""

from __future__ import annotations

from datetime import datetime


def day(at: int) -> str:
    """The date of a moment, seconds since the epoch, where this machine is."""
    return datetime.fromtimestamp(at).date().isoformat()


def ago(seconds: float) -> str:
    """How long ago; the clock may have been put back meanwhile."""
    minutes = int(max(seconds, 0) // 60)
    if minutes < 1:
        return "just now"
    if minutes < 60:
        return f"{minutes} min ago"
    return f"{minutes // 60} h ago" if minutes < 48 * 60 else f"{minutes // (24 * 60)} d ago"
