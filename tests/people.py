"""Known people, in memory: in place of the file."""

from __future__ import annotations


class FakePeople:
    """See :class:`~p2phole.peer.trust.People`; ``kept``: name to fingerprint."""

    def __init__(self, **kept: str) -> None:
        self.kept = kept
        self.seen: list[tuple[str, str, str]] = []

    def is_known(self, fingerprint: str) -> bool:
        return fingerprint in self.kept.values()

    def fingerprint_of(self, name: str) -> str | None:
        return self.kept.get(name)

    def shown(self, claimed: str, fingerprint: str) -> str:
        for name, key in self.kept.items():
            if key == fingerprint:
                return name
        return f"{claimed}?{fingerprint[:4]}" if claimed in self.kept else claimed

    def met(self, fingerprint: str, claimed: str, how: str) -> None:
        self.seen.append((fingerprint, claimed, how))
