"""What is written on a stream of files, one record after the other, as long as the stream takes it."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from typing import Any
from typing import Protocol as Interface

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from p2phole.errors import P2pholeError
from p2phole.session.streams import Stream
from p2phole.use.files.errors import why
from p2phole.use.files.hashing import Digest
from p2phole.use.files.listing import Entry, Have, Result, encode_entries, encode_offer
from p2phole.use.files.records import AT, BEGIN, HEADER, PIECE, SAME, Kind, record
from p2phole.use.files.source import Changed, Reading, Sources

LEAST = 8 * 1024
"""Bytes of a file that are read at a time, at the least."""

MOST_AHEAD = 500
"""Entries that are compared together."""
MOST_BYTES_AHEAD = 16 * 1024 * 1024
"""And bytes of them, but for the last one."""

Work = Callable[..., Deferred[Any]]
"""Calls what blocks, elsewhere."""


class SendingUser(Interface):
    """Whom it tells."""

    def accepted(self) -> None:
        """The other side wants it."""

    def file(self, path: str) -> None:
        """This one is next."""

    def progress(self, done: int, moved: int) -> None:
        """So many bytes of all are at the other side; so many of them were sent now."""

    def failed(self, path: str, why: str) -> None:
        """This one can't be sent."""

    def over(self, result: Result | None, error: P2pholeError | None) -> None:
        """What the other side has, or why that is unknown."""


class Feeding:
    """The list, and then what the other side wants of it.  ``done``: called behind the last record."""

    def __init__(
        self, stream: Stream, sources: Sources, work: Work, user: SendingUser, done: Callable[[], None]
    ) -> None:
        self.plan: dict[int, Have] = {}
        """What the other side has, by the numbers of entries."""
        self.paused = self.over = False
        self._stream = stream
        self._sources = sources
        self._work = work
        self._user = user
        self._done = done
        self._batches: Iterator[bytes] | None = None
        """What is left of the list."""
        self._sending = False
        self._next = 0
        self._known: dict[int, bytes | OSError | None] = {}
        """Digests of the next ones that may be there."""
        self._begun = 0
        """What :attr:`_passed` was at the beginning of the entry."""
        self._reading: Reading | None = None
        self._digest: Digest
        self._busy = self._going = False
        self._written = self._taken = 0
        """Bytes of the stream."""
        self._passed = self._moved = 0
        """Bytes of files that are dealt with; and that were written to the stream."""

    def list(self) -> None:
        """Offer, and tell what there is."""
        self._write(record(Kind.OFFER, encode_offer(self._sources.offer)))
        self._batches = encode_entries(self._sources.entries)
        self.go_on()

    def start(self) -> None:
        """It is wanted."""
        self._sending = True
        self.go_on()

    def taken(self, count: int) -> None:
        """So many bytes of the stream were consumed."""
        self._taken = count
        self.tell()

    def tell(self) -> None:
        """How far it is."""
        under_way = self._written - self._taken
        if not self.over:
            self._user.progress(max(self._passed - under_way, 0), max(self._moved - under_way, 0))

    def conclude(self) -> None:
        """The other side has all of it."""
        self._user.progress(self._passed, self._moved)
        self.stop()

    def stop(self) -> None:
        """Write no more."""
        self.over = True
        self._stop_reading()

    def _stop_reading(self) -> None:
        reading, self._reading = self._reading, None
        if reading is not None:
            reading.close()

    def _write(self, data: bytes) -> None:
        self._written += len(data)
        self._stream.write(data)

    def go_on(self) -> None:
        """Write, as long as there is something and the stream takes it."""
        if self._going:
            return
        self._going = True
        try:
            while not (self.paused or self._busy or self.over):
                if self._batches is not None:
                    self._list()
                elif not self._sending:
                    break
                elif self._reading is not None:
                    self._send_piece(self._reading)
                elif self._next < len(self._sources.entries):
                    self._send_next(self._next)
                else:
                    self._sending = False
                    self._write(record(Kind.DONE))
                    self._done()
        finally:
            self._going = False

    def _list(self) -> None:
        assert self._batches is not None
        batch = next(self._batches, None)
        if batch is None:
            self._batches = None
        self._write(record(Kind.LISTED) if batch is None else record(Kind.ENTRIES, batch))

    def _send_next(self, at: int) -> None:
        entry, have = self._sources.entries[at], self.plan.get(at)
        if entry.size is None:
            self._next += 1
        elif have is None:
            self._open(at, entry, 0, hashlib.sha256())
        elif have.copies and at not in self._known:
            self._look_ahead(at)
        else:
            digest = self._known.pop(at, None)
            if isinstance(digest, bytes) and digest in have.copies:
                self._write(record(Kind.SAME, SAME.pack(at, digest)))
                self._pass(entry)
            elif have.skip:
                self._pass(entry)
            elif have.part is not None:
                self._compare(at, entry, *have.part)
            else:
                self._open(at, entry, 0, hashlib.sha256())

    def _pass(self, entry: Entry) -> None:
        """There is nothing to send of the next one."""
        self._next += 1
        self._passed += entry.size or 0

    def _look_ahead(self, first: int) -> None:
        """Digests of this and of others that may be there: one by one, they would cost more than their data."""
        ats, size = [], 0
        for at in range(first, min(first + MOST_AHEAD, len(self._sources.entries))):
            have = self.plan.get(at)
            if have is not None and have.copies:
                ats.append(at)
                size += self._sources.entries[at].size or 0
                if size >= MOST_BYTES_AHEAD:
                    break
        self._user.file(self._sources.entries[first].path)

        def done(found: list[bytes | OSError | None]) -> None:
            self._known.update(zip(ats, found, strict=True))

        self._elsewhere(self._work(self._sources.digests, ats, self._is_over), done)

    def _compare(self, at: int, entry: Entry, size: int, theirs: bytes) -> None:
        """Whether the other side has the beginning."""
        self._user.file(entry.path)
        self._begun = self._passed

        def done(digest: Digest | OSError | None) -> None:
            if isinstance(digest, OSError):
                self._cannot(at, entry, why(digest))
            elif digest is not None and digest.digest() == theirs:
                self._open(at, entry, size, digest)
            else:
                self._open(at, entry, 0, hashlib.sha256())

        self._elsewhere(self._work(self._sources.digest, at, size, self._is_over), done)

    def _elsewhere(self, work: Deferred[Any], done: Callable[[Any], None]) -> None:
        """Wait for it, and go on; an error of the system is a result, too."""
        self._busy = True

        def finished(result: Any) -> None:
            self._busy = False
            if self.over:
                return
            if isinstance(result, Failure):
                if result.check(OSError) is None:
                    result.raiseException()
                result = result.value
            done(result)
            self.tell()
            self.go_on()

        work.addBoth(finished)

    def _is_over(self) -> bool:
        return self.over

    def _open(self, at: int, entry: Entry, start: int, digest: Digest) -> None:
        self._user.file(entry.path)
        self._next = at + 1
        self._begun = self._passed
        try:
            self._reading = self._sources.open(at, start)
        except OSError as problem:
            self._cannot(at, entry, why(problem))
        except Changed as changed:
            self._cannot(at, entry, str(changed))
        else:
            self._digest = digest
            self._passed += start
            self._write(record(Kind.FILE, BEGIN.pack(at, start)))

    def _send_piece(self, reading: Reading) -> None:
        at = self._next - 1
        entry = self._sources.entries[at]
        try:
            # With what waits already it fills a frame, so that the other side has it in one piece.
            room = PIECE - self._stream.waiting
            data = reading.read(room if room >= LEAST else PIECE)
        except OSError as problem:
            self._cannot(at, entry, why(problem))
            return
        except Changed as changed:
            self._cannot(at, entry, str(changed))
            return
        if data:
            self._digest.update(data)
            self._passed += len(data)
            self._moved += len(data)
            self._write(HEADER.pack(Kind.DATA, len(data)) + data)
        else:
            self._stop_reading()
            self._write(record(Kind.END, self._digest.digest()))

    def _cannot(self, at: int, entry: Entry, reason: str) -> None:
        self._stop_reading()
        self._next = at + 1
        self._passed = self._begun + (entry.size or 0)
        self._user.failed(entry.path, reason)
        self._write(record(Kind.FAILED, AT.pack(at) + reason.encode()[:200]))
