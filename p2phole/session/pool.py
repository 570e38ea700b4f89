"""How much all sessions of a process hold together.  Pure."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

MOST_IN_PROCESS = 128 * 1024 * 1024
"""Bytes of each kind that the sessions of one process hold together; beyond that each keeps to :data:`MODEST`."""
MODEST = 1024 * 1024
"""Bytes that a session may hold whatever the others do: so nobody can starve anybody else."""


class Pool:
    """Counts bytes, and calls whoever waits when there is room again."""

    def __init__(self, most: int = MOST_IN_PROCESS) -> None:
        self._most = most
        self._used = 0
        self._waiting: dict[Callable[[], None], None] = {}

    @property
    def used(self) -> int:
        """Bytes that are held."""
        return self._used

    @property
    def exhausted(self) -> bool:
        """Whether as much is held as there may be."""
        return self._used >= self._most

    def take(self, size: int) -> None:
        """So many bytes more are held."""
        self._used += size

    def give(self, size: int) -> None:
        """So many bytes are held no longer."""
        self._used -= size
        if self._waiting and not self.exhausted:
            waiting, self._waiting = self._waiting, {}
            for callback in waiting:
                callback()

    def when_free(self, callback: Callable[[], None]) -> None:
        """Call this once when there is room; asking twice is asking once."""
        self._waiting[callback] = None

    def never_mind(self, callback: Callable[[], None]) -> None:
        """Do not call it after all."""
        self._waiting.pop(callback, None)


@dataclass(frozen=True, slots=True)
class Pools:
    """One of each in a process: what was sent and not acknowledged, and what came and was not consumed."""

    kept: Pool = field(default_factory=Pool)
    unread: Pool = field(default_factory=Pool)
