"""The files that are wanted, one after the other, until each has its name and the disk has it."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from typing import Any
from typing import Protocol as Interface

from twisted.internet.defer import Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure

from p2phole.errors import P2pholeError
from p2phole.use.files.deciding import Decision, Proposal
from p2phole.use.files.errors import BadOffer, CannotWrite, why
from p2phole.use.files.feeding import Work
from p2phole.use.files.hashing import Digest
from p2phole.use.files.incoming import Clash, Incoming
from p2phole.use.files.listing import Entry, Result
from p2phole.use.files.store import Store

MOST_FINISHING = 64
"""Files that have come and are being written to the disk; beyond that the other side waits."""

_log = Logger()


class ReceivingUser(Interface):
    """Whom it tells."""

    def asked(self, proposal: Proposal) -> Deferred[Clash | None]:
        """What to do with files whose names are taken; None: nothing of it is wanted."""

    def text(self, text: str) -> None:
        """A text has come."""

    def file(self, path: str) -> None:
        """This one comes next."""

    def progress(self, done: int, moved: int) -> None:
        """So many bytes of all are here; so many of them came now."""

    def arrived(self, path: str, name: str) -> None:
        """This one is here, was verified, and is called so."""

    def failed(self, path: str, why: str) -> None:
        """This one is not."""

    def settled(self, result: Result) -> None:
        """What has arrived; the other side is told, too."""

    def over(self, result: Result | None, error: P2pholeError | None) -> None:
        """What has arrived, the other side knows; or why it ended too early."""


class Arriving:
    """See above.  ``work``: for what blocks.  ``hold``: takes no more of the stream until ``go_on``, as the disk
    is slower.  ``done``: all has come, and is on the disk or has failed."""

    def __init__(
        self,
        decision: Decision,
        store: Store,
        work: Work,
        user: ReceivingUser,
        hold: Callable[[], None],
        go_on: Callable[[], None],
        done: Callable[[], None],
    ) -> None:
        self.passed = self.moved = 0
        """Bytes of files that are dealt with; and that came."""
        self._decision = decision
        self._store = store
        self._work = work
        self._user = user
        self._hold = hold
        self._resume = go_on
        self._done = done
        self._last = -1
        self._at = 0
        self._incoming: Incoming | None = None
        self._digest: Digest | None = None
        self._left = 0
        """Bytes of the file that are still to come."""
        self._finishing = 0
        self._held = self._all_came = self._over = False
        self._begun = 0
        """What :attr:`passed` was at the beginning of the file."""

    def open(self, at: int, start: int) -> None:
        """A file begins."""
        entry, have = self._next(at), self._decision.plan.get(at)
        if have is not None and have.skip:
            raise BadOffer(why=f"{entry.path}, which was not wanted")
        if start and (have is None or have.part is None or have.part[0] != start):
            raise BadOffer(why=f"{entry.path} from a byte on that was not asked for")
        assert entry.size is not None
        self._at, self._left, self._begun = at, entry.size - start, self.passed
        self._digest = self._decision.digests[at] if start else hashlib.sha256()
        self.passed += start
        self._user.file(entry.path)
        try:
            self._incoming = self._store.open(entry, start)
        except OSError as problem:
            raise CannotWrite(path=entry.path, why=why(problem)) from None

    def _next(self, at: int) -> Entry:
        """The entries come in their order, each once."""
        entry = self._decision.wanted.get(at)
        if entry is None or at <= self._last:
            raise BadOffer(why="a file that is not in the list, or not due")
        self._last = at
        return entry

    def write(self, data: bytes | memoryview) -> None:
        """Some of it."""
        incoming = self._incoming
        if incoming is None:
            raise BadOffer(why="data of no file")
        assert self._digest is not None
        self._left -= len(data)
        if self._left < 0:
            raise BadOffer(why=f"more of {incoming.entry.path} than it said")
        self.passed += len(data)
        self.moved += len(data)
        try:
            incoming.write(data)
        except OSError as problem:
            raise CannotWrite(path=incoming.entry.path, why=why(problem)) from None
        self._digest.update(data)

    def finish(self, digest: bytes) -> None:
        """All of it: it gets its name when the disk has it."""
        entry, incoming, self._incoming = self._decision.wanted[self._at], self._incoming, None
        assert incoming is not None and self._digest is not None
        if self._left or self._digest.digest() != digest:
            incoming.drop()
            raise BadOffer(why=f"{entry.path} with another digest than it has")
        at = self._at
        self._decision.digests.pop(at, None)
        clash = Clash.REPLACE if at in self._decision.replaced else Clash.KEEP_BOTH

        def done(found: Any) -> None:
            self._finishing -= 1
            if isinstance(found, Failure):
                if found.check(OSError) is None:
                    _log.failure("A file could not be finished.", failure=found)
                reason = why(found.value) if isinstance(found.value, OSError) else str(found.value)
                incoming.close()
                self._has_failed(at, reason)
            else:
                self._has_arrived(at, found)
            self._go_on()

        self._finishing += 1
        if self._finishing >= MOST_FINISHING:
            self._held = True
            self._hold()
        self._work(incoming.finish, clash).addBoth(done)

    def _has_arrived(self, at: int, name: str) -> None:
        entry = self._decision.wanted.pop(at)
        self._decision.failed.pop(at, None)
        self._decision.arrived += 1
        if not self._over:
            self._user.arrived(entry.path, name)

    def _has_failed(self, at: int, reason: str) -> None:
        entry = self._decision.wanted.pop(at)
        self._decision.failed[at] = reason
        if not self._over:
            self._user.failed(entry.path, reason)

    def _go_on(self) -> None:
        if self._over:
            return
        if self._held and self._finishing <= MOST_FINISHING // 2:
            self._held = False
            self._resume()
        if self._all_came and not self._finishing:
            self._all_came = False
            self._done()

    def is_same(self, at: int, digest: bytes) -> None:
        """It is here already."""
        entry, have = self._next(at), self._decision.plan.get(at)
        if have is None or digest not in have.copies:
            raise BadOffer(why=f"that {entry.path} is here, which it is not")
        assert entry.size is not None
        self.passed += entry.size
        self._store.forget(entry)
        self._has_arrived(at, entry.path)

    def give_up(self, at: int, reason: str) -> None:
        """The other side can't send it."""
        if self._incoming is not None:
            if at != self._at:
                raise BadOffer(why="a failure of another file")
            self._incoming.drop()
            self._incoming = None
            self.passed = self._begun
        else:
            self._next(at)
        self.passed += self._decision.wanted[at].size or 0
        self._has_failed(at, f"the other side can't send it: {reason}")

    # -- the end

    def settle(self) -> None:
        """All has come."""
        for at in list(self._decision.wanted):
            if at in self._decision.failed:
                self._has_failed(at, self._decision.failed[at])
        self._all_came = True
        self._go_on()

    def result(self, entries: Sequence[Entry]) -> Result:
        """What came of all.  Raises :class:`BadOffer`."""
        if self._decision.wanted:
            raise BadOffer(why="fewer files than it said")
        failed = tuple(sorted(self._decision.failed.items()))
        for at, reason in failed:
            if entries[at].size is None:
                self._user.failed(entries[at].path, reason)
        return Result(self._decision.arrived, len(failed), failed)

    def stop(self) -> None:
        """Nothing more comes."""
        self._over = True
        if self._incoming is not None:
            self._incoming.close()
            self._incoming = None
