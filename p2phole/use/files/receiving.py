"""The receiving side of one stream of files: records in, answers out, the disk in between."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Any

from automat import NoTransition
from twisted.internet.defer import Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure

from p2phole.errors import LocalError, P2pholeError
from p2phole.session.streams import Stream
from p2phole.text import harmless
from p2phole.use.files.arriving import Arriving, ReceivingUser
from p2phole.use.files.deciding import Deciding, Decision
from p2phole.use.files.errors import BadOffer, CannotWrite, NoRoom, NotTaken, why
from p2phole.use.files.feeding import Work
from p2phole.use.files.listing import Listing, Offer, Result, decode_offer, encode_result
from p2phole.use.files.reception import reception
from p2phole.use.files.records import AT, BEGIN, SAME, Kind, RecordReader, from_json, record
from p2phole.use.files.store import Store

_log = Logger()


class Receiving:
    """See above; a :class:`~p2phole.session.interfaces.StreamUser`, and does what its course says.
    ``work``: for what blocks."""

    def __init__(self, stream: Stream, store: Store, work: Work, user: ReceivingUser) -> None:
        self._stream = stream
        self._store = store
        self._work = work
        self._user = user
        self.arriving = self._arriving(Decision())
        self._course = reception(self)
        self._reader = RecordReader()
        self._rest: Iterator[tuple[Kind, bytes | memoryview]] = iter(())
        self._offer: Offer
        self._listing: Listing
        self._held = self._taking = self._over = False
        self._result: Result | None = None
        """What the other side was told."""

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
            self._user.progress(self.arriving.passed, self.arriving.moved)

    def _take(self, kind: Kind, payload: bytes | memoryview) -> None:
        course = self._course
        if kind is Kind.DATA:
            # Not by way of the machine, which looks through all of its transitions each time.
            self.arriving.write(payload)
        elif kind is Kind.FILE:
            course.began(*BEGIN.unpack(payload))
        elif kind is Kind.END:
            course.finished(bytes(payload))
        elif kind is Kind.SAME:
            course.same(*SAME.unpack(payload))
        elif kind is Kind.OFFER:
            offer = decode_offer(from_json(bytes(payload)))
            if offer.text is not None:
                course.texted(offer.text)
            else:
                course.offered(offer)
        elif kind is Kind.ENTRIES:
            course.entries(len(payload), from_json(bytes(payload)))
        elif kind is Kind.LISTED:
            course.listed()
        elif kind is Kind.DONE:
            course.done()
        elif kind is Kind.FAILED:
            try:
                (at,) = AT.unpack_from(payload)
            except struct.error:
                raise BadOffer(why="a failure of nothing") from None
            course.failed(at, harmless(bytes(payload[AT.size :])[:200].decode("utf-8", "replace")))
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
        self._course.ended(error or BadOffer(why="an end before all had come"))

    def _break_off(self, error: P2pholeError) -> None:
        self._course.ended(error)
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
        proposal = await deciding.look()
        if self._over:
            return
        answer = await self._user.asked(proposal)
        if self._over:
            return
        if answer is None:
            raise NotTaken()
        decision = await deciding.prepare(answer)
        if self._over:
            return
        self.arriving = self._arriving(decision)
        for batch in decision.batches:
            self._stream.write(record(Kind.PLAN, batch))
        self._stream.write(record(Kind.ACCEPT))
        self._course.decided()

    def _is_over(self) -> bool:
        return self._over

    # -- the files

    def _arriving(self, decision: Decision) -> Arriving:
        return Arriving(decision, self._store, self._work, self._user, self._hold, self._go_on, self._all_is_done)

    def _hold(self) -> None:
        self._held = True
        self._stream.pause()

    def _go_on(self) -> None:
        self._held = False
        if not self._taking:
            self._read()
        if not (self._held or self._over):
            self._stream.resume()

    # -- the end

    def _all_is_done(self) -> None:
        self._guard(self._work(self._store.settle).addCallback(self._settled))

    def _settled(self, _: object) -> None:
        self._conclude(self.arriving.result(self._listing.entries))

    def _conclude(self, result: Result) -> None:
        self._result = result
        self._stream.write(record(Kind.RESULT, encode_result(result)))
        self._stream.finish()
        self._course.settled()
        self._user.progress(self.arriving.passed, self.arriving.moved)
        self._user.settled(result)

    def close(self, error: P2pholeError | None) -> None:
        """It ended."""
        if self._over:
            return
        self._stop()
        self._user.over(self._result, error if self._result is None else None)

    def _stop(self) -> None:
        self._over = True
        self.arriving.stop()
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
