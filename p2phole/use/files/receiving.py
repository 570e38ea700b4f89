"""The receiving side of one stream of files, as a machine.

States: *waiting* (for the offer), *listing* (the entries come), *deciding* (the user is asked, and what is there
already is looked at), *receiving* (between files), *taking* (a file), *settling* (all has come; the disk is
waited for), *over*.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Callable, Iterator
from typing import Any
from typing import Protocol as Interface

from automat import NoTransition, TypeMachineBuilder
from twisted.internet.defer import Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure

from p2phole.errors import LocalError, P2pholeError
from p2phole.session.streams import Stream
from p2phole.text import harmless
from p2phole.use.files.deciding import Deciding, Decision, Proposal
from p2phole.use.files.errors import BadOffer, CannotWrite, NoRoom, NotTaken, why
from p2phole.use.files.feeding import Work
from p2phole.use.files.hashing import Digest
from p2phole.use.files.incoming import Clash, Incoming
from p2phole.use.files.listing import (
    Entry,
    Listing,
    Offer,
    Result,
    decode_offer,
    encode_result,
)
from p2phole.use.files.records import AT, BEGIN, SAME, Kind, RecordReader, from_json, record
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


class Life(Interface):
    """What can happen."""

    def offered(self, offer: Offer) -> None:
        """What there is in all."""

    def texted(self, text: str) -> None:
        """A text, and that is all."""

    def entries(self, size: int, found: Any) -> None:
        """Some of it, one by one."""

    def listed(self) -> None:
        """Those were all."""

    def decided(self) -> None:
        """The user wants it, and the other side was told what is here."""

    def began(self, at: int, start: int) -> None:
        """A file, from there on."""

    def finished(self, digest: bytes) -> None:
        """All of that file."""

    def same(self, at: int, digest: bytes) -> None:
        """A file that is here already."""

    def failed(self, at: int, reason: str) -> None:
        """A file that the other side can't send."""

    def done(self) -> None:
        """That was all."""

    def settled(self) -> None:
        """Everything is on the disk, and the other side was told."""

    def ended(self, error: P2pholeError | None) -> None:
        """Nothing more can come."""


class Receiving:
    """See above; a :class:`~p2phole.session.interfaces.StreamUser`.  ``work``: for what blocks."""

    def __init__(self, stream: Stream, store: Store, work: Work, user: ReceivingUser) -> None:
        self._stream = stream
        self._store = store
        self._work = work
        self._user = user
        self._life = _machine(self)
        self._reader = RecordReader()
        self._rest: Iterator[tuple[Kind, bytes | memoryview]] = iter(())
        self._offer: Offer
        self._listing: Listing
        self._decision: Decision
        self._last = -1
        self._at = 0
        self._incoming: Incoming | None = None
        self._digest: Digest | None = None
        self._left = 0
        """Bytes of the file that are still to come."""
        self._finishing = 0
        self._held = self._taking = self._over = self._all_came = False
        self._result: Result | None = None
        """What the other side was told."""
        self._passed = self._moved = self._begun = 0

    def begin(self) -> None:
        """Take the stream."""
        self._stream.accept(self)

    def abandon(self, reason: str) -> None:
        """Take no more of this stream, and tell nobody."""
        if not self._over:
            self._stop()
            self._stream.abort(reason)

    # -- StreamUser

    def accepted(self) -> None:
        """See :class:`~p2phole.session.interfaces.StreamUser`."""

    def received(self, data: bytes) -> None:
        """See :class:`~p2phole.session.interfaces.StreamUser`."""
        self._rest = self._reader.feed(data)
        self._read()

    def _read(self) -> None:
        self._taking = True
        try:
            while not (self._held or self._over):
                found = next(self._rest, None)
                if found is None:
                    break
                self._take(*found)
        except LocalError as error:
            self._break_off(error)
        except BadOffer as error:
            self._break_off(error)
        except NoTransition:
            self._break_off(BadOffer(why="a record out of turn"))
        finally:
            self._taking = False
        if not self._over:
            self._user.progress(self._passed, self._moved)

    def _take(self, kind: Kind, payload: bytes | memoryview) -> None:
        life = self._life
        if kind is Kind.DATA:
            # Not by way of the machine, which looks through all of its transitions each time.
            if self._incoming is None:
                raise BadOffer(why="data of no file")
            self._write(self._incoming, payload)
        elif kind is Kind.FILE:
            life.began(*BEGIN.unpack(payload))
        elif kind is Kind.END:
            life.finished(bytes(payload))
        elif kind is Kind.SAME:
            life.same(*SAME.unpack(payload))
        elif kind is Kind.OFFER:
            offer = decode_offer(from_json(bytes(payload)))
            if offer.text is not None:
                life.texted(offer.text)
            else:
                life.offered(offer)
        elif kind is Kind.ENTRIES:
            life.entries(len(payload), from_json(bytes(payload)))
        elif kind is Kind.LISTED:
            life.listed()
        elif kind is Kind.DONE:
            life.done()
        elif kind is Kind.FAILED:
            try:
                (at,) = AT.unpack_from(payload)
            except struct.error:
                raise BadOffer(why="a failure of nothing") from None
            life.failed(at, harmless(bytes(payload[AT.size :])[:200].decode("utf-8", "replace")))
        else:
            raise BadOffer(why=f"a {kind.name} from who sends")

    def finished(self) -> None:
        """See :class:`~p2phole.session.interfaces.StreamUser`."""
        if self._result is None:
            self._break_off(BadOffer(why="an end before all had come"))

    def pause(self) -> None:
        """See :class:`~p2phole.session.interfaces.StreamUser`."""

    def resume(self) -> None:
        """See :class:`~p2phole.session.interfaces.StreamUser`."""

    def taken(self, count: int) -> None:
        """See :class:`~p2phole.session.interfaces.StreamUser`."""

    def ended(self, error: P2pholeError | None) -> None:
        """See :class:`~p2phole.session.interfaces.StreamUser`."""
        self._life.ended(error or BadOffer(why="an end before all had come"))

    def _break_off(self, error: P2pholeError) -> None:
        self._life.ended(error)
        self._stream.abort(_for_them(error))

    # -- the list

    def keep_offer(self, offer: Offer) -> None:
        """The entries are next."""
        self._offer = offer
        self._listing = Listing(offer)

    def add(self, size: int, found: Any) -> None:
        """Some of them."""
        self._listing.add(size, found)

    def tell_text(self, text: str) -> None:
        """That was all."""
        self._user.text(text)
        self._conclude(Result(1))

    def decide(self) -> None:
        """Look, ask, prepare, and tell the other side; nothing is written before the user wants it."""
        self._listing.finish()
        self._guard(Deferred.fromCoroutine(self._decide()))

    async def _decide(self) -> None:
        entries = self._listing.entries
        deciding = Deciding(self._offer, entries, self._store, self._work, self._is_over)
        answer = await self._user.asked(await deciding.look())
        if self._over:
            return
        if answer is None:
            raise NotTaken()
        self._decision = await deciding.prepare(answer)
        if self._over:
            return
        for batch in self._decision.batches:
            self._stream.write(record(Kind.PLAN, batch))
        self._stream.write(record(Kind.ACCEPT))
        self._life.decided()

    def _is_over(self) -> bool:
        return self._over

    # -- the files

    def open(self, at: int, start: int) -> None:
        """A file begins."""
        entry, have = self._next(at), self._decision.plan.get(at)
        if have is not None and have.skip:
            raise BadOffer(why=f"{entry.path}, which was not wanted")
        if start and (have is None or have.part is None or have.part[0] != start):
            raise BadOffer(why=f"{entry.path} from a byte on that was not asked for")
        assert entry.size is not None
        self._at, self._left, self._begun = at, entry.size - start, self._passed
        self._digest = self._decision.digests[at] if start else hashlib.sha256()
        self._passed += start
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

    def _write(self, incoming: Incoming, data: bytes | memoryview) -> None:
        """Some of it."""
        assert self._digest is not None
        self._left -= len(data)
        if self._left < 0:
            raise BadOffer(why=f"more of {incoming.entry.path} than it said")
        self._passed += len(data)
        self._moved += len(data)
        try:
            incoming.write(data)
        except OSError as problem:
            raise CannotWrite(path=incoming.entry.path, why=why(problem)) from None
        self._digest.update(data)

    def finish(self, digest: bytes) -> None:
        """All of it: it gets its name when the disk has it."""
        entry, incoming, self._incoming = self._listing.entries[self._at], self._incoming, None
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
            self._stream.pause()
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
            if not self._taking:
                self._read()
            if not (self._held or self._over):
                self._stream.resume()
        if self._all_came and not self._finishing:
            self._all_came = False
            self._guard(self._work(self._store.settle).addCallback(self._settled))

    def is_same(self, at: int, digest: bytes) -> None:
        """It is here already."""
        entry, have = self._next(at), self._decision.plan.get(at)
        if have is None or digest not in have.copies:
            raise BadOffer(why=f"that {entry.path} is here, which it is not")
        assert entry.size is not None
        self._passed += entry.size
        self._store.forget(entry)
        self._has_arrived(at, entry.path)

    def give_up(self, at: int, reason: str) -> None:
        """The other side can't send it."""
        if self._incoming is not None:
            if at != self._at:
                raise BadOffer(why="a failure of another file")
            self._incoming.drop()
            self._incoming = None
            self._passed = self._begun
        else:
            self._next(at)
        self._passed += self._decision.wanted[at].size or 0
        self._has_failed(at, f"the other side can't send it: {reason}")

    # -- the end

    def settle(self) -> None:
        """All has come."""
        for at in list(self._decision.wanted):
            if at in self._decision.failed:
                self._has_failed(at, self._decision.failed[at])
        self._all_came = True
        self._go_on()

    def _settled(self, _: object) -> None:
        if self._decision.wanted:
            raise BadOffer(why="fewer files than it said")
        failed = tuple(sorted(self._decision.failed.items()))
        for at, _reason in failed:
            if self._listing.entries[at].size is None:
                self._user.failed(self._listing.entries[at].path, self._decision.failed[at])
        self._conclude(Result(self._decision.arrived, len(failed), failed))

    def _conclude(self, result: Result) -> None:
        self._result = result
        self._stream.write(record(Kind.RESULT, encode_result(result)))
        self._stream.finish()
        self._life.settled()
        self._user.progress(self._passed, self._moved)
        self._user.settled(result)

    def close(self, error: P2pholeError | None) -> None:
        """It ended."""
        if self._over:
            return
        self._stop()
        self._user.over(self._result, error if self._result is None else None)

    def _stop(self) -> None:
        self._over = True
        if self._incoming is not None:
            self._incoming.close()
            self._incoming = None
        self._store.close()

    def _guard(self, deferred: Deferred[Any]) -> None:
        """What goes wrong in it ends all of it."""

        def failed(failure: Failure) -> None:
            if isinstance(failure.value, P2pholeError):
                self._break_off(failure.value)
            elif isinstance(failure.value, OSError):
                self._break_off(CannotWrite(path=self._store.folder, why=why(failure.value)))
            elif not self._over:
                _log.failure("Receiving failed.", failure=failure)
                self._break_off(CannotWrite(path=self._store.folder, why=str(failure.value)))

        deferred.addErrback(failed)


def _for_them(error: P2pholeError) -> str:
    """What the other side is told of what this side's user is told."""
    if isinstance(error, NotTaken):
        return "its user does not take it"
    if isinstance(error, NoRoom):
        return f"{error.fields['missing']} more are needed there, and {error.fields['free']} are free"
    if isinstance(error, CannotWrite):
        return "{path} cannot be written there ({why})".format(**error.fields)
    return str(error.fields.get("why", error))


def _build() -> Callable[[Receiving], Life]:
    builder = TypeMachineBuilder(Life, Receiving)
    waiting = builder.state("waiting")
    listing = builder.state("listing")
    deciding = builder.state("deciding")
    receiving = builder.state("receiving")
    taking = builder.state("taking")
    settling = builder.state("settling")
    told = builder.state("told")
    over = builder.state("over")

    @waiting.upon(Life.offered).to(listing)
    def offered(life: Life, core: Receiving, offer: Offer) -> None:
        core.keep_offer(offer)

    @waiting.upon(Life.texted).to(settling)
    def texted(life: Life, core: Receiving, text: str) -> None:
        core.tell_text(text)

    @listing.upon(Life.entries).loop()
    def entries(life: Life, core: Receiving, size: int, found: Any) -> None:
        core.add(size, found)

    @listing.upon(Life.listed).to(deciding)
    def listed(life: Life, core: Receiving) -> None:
        core.decide()

    deciding.upon(Life.decided).to(receiving).returns(None)

    @receiving.upon(Life.began).to(taking)
    def began(life: Life, core: Receiving, at: int, start: int) -> None:
        core.open(at, start)

    @taking.upon(Life.finished).to(receiving)
    def finished(life: Life, core: Receiving, digest: bytes) -> None:
        core.finish(digest)

    @receiving.upon(Life.same).loop()
    def same(life: Life, core: Receiving, at: int, digest: bytes) -> None:
        core.is_same(at, digest)

    @receiving.upon(Life.failed).loop()
    @taking.upon(Life.failed).to(receiving)
    def failed(life: Life, core: Receiving, at: int, reason: str) -> None:
        core.give_up(at, reason)

    @receiving.upon(Life.done).to(settling)
    def done(life: Life, core: Receiving) -> None:
        core.settle()

    settling.upon(Life.settled).to(told).returns(None)

    for state in (waiting, listing, deciding, receiving, taking, settling, told):

        @state.upon(Life.ended).to(over)
        def ended(life: Life, core: Receiving, error: P2pholeError | None) -> None:
            core.close(error)

    over.upon(Life.ended).loop().returns(None)
    return builder.build()


_machine = _build()
