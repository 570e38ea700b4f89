"""How many wrong secrets are put up with.  Pure: the time comes in as a number of seconds.

Whoever gets our confirmation can try one guess on it, whether or not anything comes back: so each one
counts as a guess from the moment it leaves, and is taken back when the other side has proved itself.
"""

from __future__ import annotations

MOST_GUESSES = 10
"""Failed proofs by strangers, over all addresses, until a room's secret is defended."""
EVERY = 3600.0
"""Seconds from then on for one more."""


class Guesses:
    """At most ``most``, then one in ``every`` seconds; None: never again."""

    def __init__(self, most: int = MOST_GUESSES, every: float | None = EVERY) -> None:
        self._most = most
        self._left = most
        self._every = every
        self._spent_at = 0.0

    def may(self, now: float) -> bool:
        """Whether there is a guess left."""
        if not self._left and self._every is not None and now - self._spent_at >= self._every:
            self._left = 1
        return bool(self._left)

    def take(self, now: float) -> bool:
        """One more guess, if there is one left."""
        if not self.may(now):
            return False
        self._left -= 1
        self._spent_at = now
        return True

    def give_back(self) -> None:
        """It was none: the other side has the secret."""
        self._left = min(self._left + 1, self._most)

    @property
    def spent(self) -> bool:
        """Whether there was none left when the last one was taken."""
        return not self._left
