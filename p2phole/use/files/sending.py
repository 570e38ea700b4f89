"""The sending side of one stream of files, as a machine.

States: *offering* (the other side is told what there is, and decides), *sending*, *awaiting* (all is sent; the
other side tells what it has verified), *over*.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from typing import Any
from typing import Protocol as Interface

from automat import NoTransition, TypeMachineBuilder
from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from p2phole.errors import P2pholeError
from p2phole.session.streams import Stream
from p2phole.use.files.errors import BadOffer, why
from p2phole.use.files.hashing import Digest
from p2phole.use.files.listing import (
    Entry,
    Have,
    Offer,
    Result,
    decode_plan,
    decode_result,
    encode_entries,
    encode_offer,
)
from p2phole.use.files.records import AT, BEGIN, HEADER, PIECE, SAME, Kind, RecordReader, from_json, record
from p2phole.use.files.source import Changed, Sources

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


class Life(Interface):
    """What can happen."""

    def planned(self, found: Any) -> None:
        """What the other side has of it."""

    def accepted(self) -> None:
        """It wants the rest."""

    def sent(self) -> None:
        """That was all."""

    def resulted(self, result: Result) -> None:
        """What has arrived."""

    def ended(self, error: P2pholeError) -> None:
        """Nothing more can come."""


class Sending:
    """See above; a :class:`~p2phole.session.interfaces.StreamUser`.  ``work``: for what blocks."""

    def __init__(self, sources: Sources, work: Work, user: SendingUser, text: str | None = None) -> None:
        self.stream: Stream
        self._sources = sources
        self._work = work
        self._user = user
        self._text = text
        self._count = 1 if text is not None else len(sources.entries)
        self._life = _machine(self)
        self._reader = RecordReader()
        self._plan: dict[int, Have] = {}
        self._planned = -1
        self._batches: Iterator[bytes] | None = None
        """What is left of the list."""
        self._sending = False
        self._next = 0
        self._known: dict[int, bytes | OSError | None] = {}
        """Digests of the next ones that may be there."""
        self._begun = 0
        """What :attr:`_passed` was at the beginning of the entry."""
        self._reading: Any = None
        self._digest: Digest
        self._paused = self._busy = self._going = self._over = False
        self._written = self._taken = 0
        """Bytes of the stream."""
        self._passed = self._moved = 0
        """Bytes of files that are dealt with; and that were written to the stream."""

    def begin(self, stream: Stream) -> None:
        """Offer it on this stream, which was just opened."""
        self.stream = stream
        if self._text is not None:
            self._write(record(Kind.OFFER, encode_offer(Offer(text=self._text))))
            self._life.sent()
            return
        self._write(record(Kind.OFFER, encode_offer(self._sources.offer)))
        self._batches = encode_entries(self._sources.entries)
        self._go_on()

    def abandon(self, reason: str) -> None:
        """Send no more on this stream, and tell nobody."""
        if not self._over:
            self._stop()
            self.stream.abort(reason)

    # -- StreamUser

    def accepted(self) -> None:
        """See :class:`~p2phole.session.interfaces.StreamUser`."""

    def received(self, data: bytes) -> None:
        """See :class:`~p2phole.session.interfaces.StreamUser`."""
        try:
            for kind, payload in self._reader.feed(data):
                if self._over:
                    return
                self._take(kind, bytes(payload))
        except BadOffer as error:
            self._break_off(error)
        except NoTransition:
            self._break_off(BadOffer(why="a record out of turn"))

    def _take(self, kind: Kind, payload: bytes) -> None:
        if kind is Kind.PLAN:
            self._life.planned(from_json(payload))
        elif kind is Kind.ACCEPT:
            self._life.accepted()
        elif kind is Kind.RESULT:
            self._life.resulted(decode_result(from_json(payload), self._count))
        else:
            raise BadOffer(why=f"a {kind.name} from who receives")

    def finished(self) -> None:
        """See :class:`~p2phole.session.interfaces.StreamUser`."""
        if not self._over:
            self._break_off(BadOffer(why="an end before the result"))

    def pause(self) -> None:
        """See :class:`~p2phole.session.interfaces.StreamUser`."""
        self._paused = True

    def resume(self) -> None:
        """See :class:`~p2phole.session.interfaces.StreamUser`."""
        self._paused = False
        self._go_on()

    def taken(self, count: int) -> None:
        """See :class:`~p2phole.session.interfaces.StreamUser`."""
        self._taken = count
        self._tell()

    def ended(self, error: P2pholeError | None) -> None:
        """See :class:`~p2phole.session.interfaces.StreamUser`."""
        self._life.ended(error or BadOffer(why="an end before the result"))

    # -- what the machine does

    def plan(self, found: Any) -> None:
        """Keep what the other side has."""
        for have in decode_plan(found, self._sources.entries, self._planned):
            self._plan[have.at] = have
            self._planned = have.at

    def start(self) -> None:
        """Send the first one."""
        self._user.accepted()
        self._sending = True
        self._go_on()

    def conclude(self, result: Result) -> None:
        """The other side has told."""
        self._user.progress(self._passed, self._moved)
        self._stop()
        self.stream.finish()
        self._user.over(result, None)

    def fail(self, error: P2pholeError) -> None:
        """It ended too early."""
        if not self._over:
            self._stop()
            self._user.over(None, error)

    # -- inside

    def _break_off(self, error: BadOffer) -> None:
        self._life.ended(error)
        self.stream.abort(str(error.fields["why"]))

    def _stop(self) -> None:
        self._over = True
        if self._reading is not None:
            self._reading.close()
            self._reading = None

    def _write(self, data: bytes) -> None:
        self._written += len(data)
        self.stream.write(data)

    def _tell(self) -> None:
        under_way = self._written - self._taken
        if not self._over:
            self._user.progress(max(self._passed - under_way, 0), max(self._moved - under_way, 0))

    def _go_on(self) -> None:
        if self._going:
            return
        self._going = True
        try:
            while not (self._paused or self._busy or self._over):
                if self._batches is not None:
                    self._list()
                elif not self._sending:
                    break
                elif self._reading is not None:
                    self._send_piece()
                elif self._next < len(self._sources.entries):
                    self._send_next(self._next)
                else:
                    self._sending = False
                    self._write(record(Kind.DONE))
                    self._life.sent()
        finally:
            self._going = False

    def _list(self) -> None:
        assert self._batches is not None
        batch = next(self._batches, None)
        if batch is None:
            self._batches = None
        self._write(record(Kind.LISTED) if batch is None else record(Kind.ENTRIES, batch))

    def _send_next(self, at: int) -> None:
        entry, have = self._sources.entries[at], self._plan.get(at)
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
            have = self._plan.get(at)
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
            if self._over:
                return
            if isinstance(result, Failure):
                if result.check(OSError) is None:
                    result.raiseException()
                result = result.value
            done(result)
            self._tell()
            self._go_on()

        work.addBoth(finished)

    def _is_over(self) -> bool:
        return self._over

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

    def _send_piece(self) -> None:
        at = self._next - 1
        entry = self._sources.entries[at]
        try:
            # With what waits already it fills a frame, so that the other side has it in one piece.
            room = PIECE - self.stream.waiting
            data = self._reading.read(room if room >= LEAST else PIECE)
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
            self._reading.close()
            self._reading = None
            self._write(record(Kind.END, self._digest.digest()))

    def _cannot(self, at: int, entry: Entry, reason: str) -> None:
        if self._reading is not None:
            self._reading.close()
            self._reading = None
        self._next = at + 1
        self._passed = self._begun + (entry.size or 0)
        self._user.failed(entry.path, reason)
        self._write(record(Kind.FAILED, AT.pack(at) + reason.encode()[:200]))


def _build() -> Callable[[Sending], Life]:
    builder = TypeMachineBuilder(Life, Sending)
    offering = builder.state("offering")
    sending = builder.state("sending")
    awaiting = builder.state("awaiting")
    over = builder.state("over")

    @offering.upon(Life.planned).loop()
    def planned(life: Life, core: Sending, found: Any) -> None:
        core.plan(found)

    @offering.upon(Life.accepted).to(sending)
    def accepted(life: Life, core: Sending) -> None:
        core.start()

    @offering.upon(Life.sent).to(awaiting)
    @sending.upon(Life.sent).to(awaiting)
    def sent(life: Life, core: Sending) -> None:
        """A text is sent with its offer."""

    @awaiting.upon(Life.resulted).to(over)
    def resulted(life: Life, core: Sending, result: Result) -> None:
        core.conclude(result)

    @offering.upon(Life.ended).to(over)
    @sending.upon(Life.ended).to(over)
    @awaiting.upon(Life.ended).to(over)
    def ended(life: Life, core: Sending, error: P2pholeError) -> None:
        core.fail(error)

    over.upon(Life.ended).loop().returns(None)
    return builder.build()


_machine = _build()
