"""The sending side of one stream of files, as a machine.

States: *offering* (the other side is told what there is, and decides), *sending*, *awaiting* (all is sent; the
other side tells what it has verified), *over*.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from typing import Protocol as Interface

from automat import NoTransition, TypeMachineBuilder

from p2phole.errors import P2pholeError
from p2phole.session.streams import Stream
from p2phole.use.files.errors import BadOffer
from p2phole.use.files.feeding import Feeding, SendingUser, Work
from p2phole.use.files.listing import Offer, Result, decode_plan, decode_result, encode_offer
from p2phole.use.files.records import Kind, RecordReader, from_json, record
from p2phole.use.files.source import Sources


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
        self._planned = -1
        self._over = False
        self._feeding: Feeding | None = None
        """None: the stream is not open yet."""

    def begin(self, stream: Stream) -> None:
        """Offer it on this stream, which was just opened."""
        self.stream = stream
        if self._over:
            return  # the other side does not offer it
        self._feeding = Feeding(stream, self._sources, self._work, self._user, self._life.sent)
        if self._text is not None:
            stream.write(record(Kind.OFFER, encode_offer(Offer(text=self._text))))
            self._life.sent()
        else:
            self._feeding.list()

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
        if self._feeding is not None:
            self._feeding.paused = True

    def resume(self) -> None:
        """See :class:`~p2phole.session.interfaces.StreamUser`."""
        if self._feeding is not None:
            self._feeding.paused = False
            self._feeding.go_on()

    def taken(self, count: int) -> None:
        """See :class:`~p2phole.session.interfaces.StreamUser`."""
        if self._feeding is not None:
            self._feeding.taken(count)

    def ended(self, error: P2pholeError | None) -> None:
        """See :class:`~p2phole.session.interfaces.StreamUser`."""
        self._life.ended(error or BadOffer(why="an end before the result"))

    # -- what the machine does

    def plan(self, found: Any) -> None:
        """Keep what the other side has."""
        assert self._feeding is not None
        for have in decode_plan(found, self._sources.entries, self._planned):
            self._feeding.plan[have.at] = have
            self._planned = have.at

    def start(self) -> None:
        """Send the first one."""
        assert self._feeding is not None
        self._user.accepted()
        self._feeding.start()

    def conclude(self, result: Result) -> None:
        """The other side has told."""
        assert self._feeding is not None
        self._feeding.conclude()
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
        if self._feeding is not None:
            self._feeding.stop()


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
