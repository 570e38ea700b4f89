"""What is here already of what is offered, what the user is asked about it, and what the other side is told."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from twisted.internet.defer import Deferred

from p2phole.use.files.errors import CannotWrite, NoRoom, why
from p2phole.use.files.hashing import Digest
from p2phole.use.files.incoming import Clash
from p2phole.use.files.listing import Entry, Have, Offer, encode_plan
from p2phole.use.files.pace import in_bytes
from p2phole.use.files.store import Found, Store


@dataclass(frozen=True, slots=True)
class Proposal:
    """What the user is asked about.  ``names``: those at the top of ``entries``.  ``taken``: paths at which there
    is something else, or the same, already; ``missing``: bytes that are to come."""

    offer: Offer
    entries: tuple[Entry, ...]
    names: tuple[str, ...]
    taken: tuple[str, ...]
    missing: int


@dataclass(slots=True)
class Decision:
    """``plan``: what the other side is told, by the numbers of entries; ``batches``: the same, encoded.
    ``digests``: of the parts that are here.  ``wanted``: files that are to come, or to be found the same.
    ``failed``: entries that do not arrive, as far as it is known, and why.  ``arrived``: how many are here.
    ``replaced``: files that take the place of others."""

    plan: dict[int, Have] = field(default_factory=dict)
    batches: list[bytes] = field(default_factory=list)
    digests: dict[int, Digest] = field(default_factory=dict)
    wanted: dict[int, Entry] = field(default_factory=dict)
    failed: dict[int, str] = field(default_factory=dict)
    arrived: int = 0
    replaced: set[int] = field(default_factory=set)


class Deciding:
    """For one offer.  ``work``: for what blocks; ``stopped``: whether all of it is of no more interest."""

    def __init__(
        self,
        offer: Offer,
        entries: Sequence[Entry],
        store: Store,
        work: Callable[..., Deferred[Any]],
        stopped: Callable[[], bool],
    ) -> None:
        self._offer = offer
        self._entries = entries
        self._store = store
        self._work = work
        self._stopped = stopped
        self._found: list[Found] = []
        self._replaced: set[tuple[str, tuple[int, int] | None]] = set()
        """Files whose place is taken, each by its path without what may make no difference."""

    async def look(self) -> Proposal:
        """At what is here; nothing is written.  Raises :class:`NoRoom`, :class:`CannotWrite`."""
        self._found = await self._work(self._store.look, self._entries, self._stopped)
        # There are fewer only where it was stopped, and nobody is asked then.
        pairs = list(zip(self._entries, self._found, strict=False))
        self._check_room(pairs)
        taken = tuple(entry.path for entry, found in pairs if found.taken or found.wrong)
        names = tuple(entry.path for entry in self._entries if "/" not in entry.path)
        missing = self._offer.size - sum(found.part for found in self._found)
        return Proposal(self._offer, tuple(self._entries), names, taken, missing)

    def _check_room(self, pairs: list[tuple[Entry, Found]]) -> None:
        # What may be here already needs no room; where it is not the same after all, the disk says so.
        needed = sum(entry.size - found.part for entry, found in pairs if entry.size and not found.copies)
        try:
            free = self._store.free()
        except OSError as problem:
            raise CannotWrite(path=self._store.folder, why=why(problem)) from None
        if needed > free:
            raise NoRoom(missing=in_bytes(needed), free=in_bytes(free), folder=self._store.folder)

    async def prepare(self, clash: Clash) -> Decision:
        """Make the folders, and compare.  Raises :class:`CannotWrite`."""
        folders = [entry.path for entry in self._entries if entry.size is None]
        wrong: dict[str, str] = await self._work(self._store.make, folders, self._stopped)
        decision: Decision = await self._work(self._compare, clash, wrong)
        return decision

    def _compare(self, clash: Clash, wrong: dict[str, str]) -> Decision:
        """What to tell of each.  Blocks."""
        made = Decision()
        for at, (entry, found) in enumerate(zip(self._entries, self._found, strict=True)):
            if self._stopped():
                break
            reason = found.wrong or wrong.get(entry.path) or wrong.get(entry.path.rpartition("/")[0], "")
            if entry.size is not None:
                made.wanted[at] = entry
                self._compare_file(made, at, entry, found, reason, clash)
            elif reason:
                wrong[entry.path] = made.failed[at] = reason
            else:
                made.arrived += 1
        made.batches = list(encode_plan(list(made.plan.values())))
        return made

    def _compare_file(
        self, made: Decision, at: int, entry: Entry, found: Found, reason: str, clash: Clash
    ) -> None:
        if found.taken and clash is Clash.SKIP:
            reason = reason or "another file has its name"
        elif found.taken and clash is Clash.REPLACE and self._is_first(entry, found):
            made.replaced.add(at)
        copies = [] if found.wrong else self._digests_of_copies(entry, found, clash)
        part = None
        if reason:
            made.failed[at] = reason
        elif found.part:
            digest = self._digest(entry, found.part, None)
            if digest is not None:
                made.digests[at] = digest
                part = found.part, digest.digest()
        if part is not None or copies or reason:
            made.plan[at] = Have(at, part, tuple(dict.fromkeys(copies)), bool(reason))

    def _is_first(self, entry: Entry, found: Found) -> bool:
        """Whether no other entry takes the place of that very file, as ``a`` and ``A`` both would on a file system
        that sees no difference: one of them would be lost."""
        key = unicodedata.normalize("NFKC", entry.path).casefold(), found.taken
        first = key not in self._replaced
        self._replaced.add(key)
        return first

    def _digests_of_copies(self, entry: Entry, found: Found, clash: Clash) -> list[bytes]:
        name = entry.path.rpartition("/")[2]
        # Another one that is the same is of no use to who wants that one replaced.
        names = [copy for copy in found.copies if copy == name or clash is not Clash.REPLACE]
        digests = [self._digest(entry, entry.size or 0, copy) for copy in names]
        return [digest.digest() for digest in digests if digest is not None]

    def _digest(self, entry: Entry, size: int, copy: str | None) -> Digest | None:
        try:
            return self._store.digest(entry, size, copy, self._stopped)
        except OSError:  # not to be read, so it counts as another one
            return None
