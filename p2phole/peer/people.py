"""What a peer asks of the book of people, and an empty one."""

from __future__ import annotations

from typing import Protocol as Interface


class People(Interface):
    """What is kept of others: :class:`~p2phole.secure.known.Known`."""

    def is_known(self, fingerprint: str) -> bool:
        """Whether this key is kept, or was proven by a code lately."""

    def is_kept(self, fingerprint: str) -> bool:
        """Whether this key is kept."""

    def fingerprint_of(self, name: str) -> str | None:
        """The key that was kept under this name."""

    def shown(self, claimed: str, fingerprint: str) -> str:
        """What to call who has this key."""

    def met_by(self, mark: str) -> str | None:
        """Whose key was proven by the code with that mark, which may be typed again."""

    def met(self, fingerprint: str, claimed: str, how: str, mark: str = "") -> None:
        """A connection to who has this key was authenticated; ``how``: the word of the event; ``mark``: of the
        code that was typed here."""

    def use_up(self, mark: str) -> None:
        """The code with that mark is not to be typed again."""


class Strangers:
    """:class:`People` of whom none is known, and none is kept."""

    def is_kept(self, fingerprint: str) -> bool:
        """See :class:`People`."""
        return False

    def is_known(self, fingerprint: str) -> bool:
        """See :class:`People`."""
        return False

    def fingerprint_of(self, name: str) -> str | None:
        """See :class:`People`."""
        return None

    def shown(self, claimed: str, fingerprint: str) -> str:
        """See :class:`People`."""
        return claimed

    def met_by(self, mark: str) -> str | None:
        """See :class:`People`."""
        return None

    def met(self, fingerprint: str, claimed: str, how: str, mark: str = "") -> None:
        """See :class:`People`."""

    def use_up(self, mark: str) -> None:
        """See :class:`People`."""
