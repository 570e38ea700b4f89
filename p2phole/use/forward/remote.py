"""Listening for one another: one side asks, the other one listens, and what arrives there comes back."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.protocol import Factory
from twisted.logger import Logger

from p2phole.errors import LocalError, P2pholeError
from p2phole.peer.use import Host, Partner
from p2phole.session.errors import NotOffered, Refused, SessionOver
from p2phole.session.streams import Stream
from p2phole.text import harmless
from p2phole.use.forward.dialling import Dialler
from p2phole.use.forward.listening import Listening, listen
from p2phole.use.forward.specs import ARRIVAL, LISTEN, NOT_ALLOWED, Forward, Target
from p2phole.use.forward.splice import Nobody, Splice

MOST_TOLD = 300
"""Bytes of what the other side says about where it listens."""

_log = Logger()


class _Quiet:
    """A stream that says little, and lives as long as somebody listens; see
    :class:`~p2phole.session.interfaces.StreamUser`."""

    stream: Stream

    def accepted(self) -> None:
        """See :class:`~p2phole.session.interfaces.StreamUser`."""

    def received(self, data: bytes) -> None:
        """See :class:`~p2phole.session.interfaces.StreamUser`."""

    def finished(self) -> None:
        """See :class:`~p2phole.session.interfaces.StreamUser`."""
        self.stream.abort("it is over")

    def pause(self) -> None:
        """See :class:`~p2phole.session.interfaces.StreamUser`."""

    def resume(self) -> None:
        """See :class:`~p2phole.session.interfaces.StreamUser`."""

    def taken(self, count: int) -> None:
        """See :class:`~p2phole.session.interfaces.StreamUser`."""

    def ended(self, error: P2pholeError | None) -> None:
        """See :class:`~p2phole.session.interfaces.StreamUser`."""


class Asking:
    """What this side asks of each partner: to listen there, for targets on this side."""

    def __init__(self, host: Host, dialler: Dialler, forwards: Sequence[Forward]) -> None:
        self._host = host
        self._dialler = dialler
        self._forwards = forwards

    def met(self, partner: Partner) -> None:
        """There is a new session with this one."""
        if not self._forwards:
            return
        granted = [_Asked(partial(self._host.label, partner), forward) for forward in self._forwards]
        partner.session.offer(ARRIVAL, partial(self._arrived, granted))
        for number, asked in enumerate(granted):
            argument = f"{number} {asked.forward.listen}"
            asked.stream = partner.session.open(LISTEN, asked, argument.encode())

    def _arrived(self, granted: Sequence[_Asked], stream: Stream) -> None:
        for number, asked in enumerate(granted):
            if stream.argument == b"%d" % number and asked.granted:
                self._dialler.connect(stream, asked.forward.target)
                return
        stream.abort("nobody has asked for that")


class _Asked(_Quiet):
    """One forward, asked of one partner."""

    def __init__(self, label: Callable[[], str], forward: Forward) -> None:
        self.forward = forward
        self.granted = False
        self._label = label
        self._where = b""

    def accepted(self) -> None:
        """See :class:`~p2phole.session.interfaces.StreamUser`."""
        self.granted = True

    def received(self, data: bytes) -> None:
        """See :class:`~p2phole.session.interfaces.StreamUser`: where it listens, a line."""
        if self._where.endswith(b"\n"):
            return
        self._where += data[:MOST_TOLD]
        if self._where.endswith(b"\n"):
            _log.info(
                "{peer} listens on {where}: connections to that come to {target} here.",
                peer=self._label(),
                where=harmless(self._where[:-1].decode("utf-8", "replace")),
                target=str(self.forward.target),
            )

    def ended(self, error: P2pholeError | None) -> None:
        """See :class:`~p2phole.session.interfaces.StreamUser`."""
        was_granted, self.granted = self.granted, False
        if error is None or isinstance(error, SessionOver):
            return
        where, why = self.forward.listen, str(error.fields.get("why", error))
        if isinstance(error, NotOffered) or (isinstance(error, Refused) and why == NOT_ALLOWED):
            why = f"it does not allow that; there it takes --allow-listen {where}"
        _log.warn(
            "{peer} does not listen on {where}{longer}: {why}.",
            peer=self._label(),
            where=str(where),
            longer=" any longer" if was_granted else "",
            why=why.rstrip("."),
        )


class Granted(_Quiet):
    """This side listens for a partner, as long as the stream by which it has asked lives.  ``number``: how it
    calls this listener.  ``gone``: called when that is over."""

    def __init__(
        self,
        host: Host,
        partner: Partner,
        stream: Stream,
        number: bytes,
        where: Target,
        gone: Callable[[Granted], None],
    ) -> None:
        self.partner = partner
        self.stream = stream
        self.where = where
        self._host = host
        self._arrivals = _Arrivals(partner, number)
        self._gone = gone
        self._listening: Listening | None = None

    async def start(self, reactor: Any) -> None:
        """Listen, and tell where."""
        try:
            factory = Factory.forProtocol(partial(Splice, self._arrivals, "its client"))
            self._listening = await listen(reactor, self.where, factory)
        except LocalError as error:
            self.stream.abort(str(error))
            self._gone(self)
            return
        self.stream.accept(self)
        if not self.stream.over:
            where = str(self._listening.where)
            _log.info("Listening on {where} for {peer}.", where=where, peer=self._host.label(self.partner))
            self.stream.write(f"{where}\n".encode())

    async def stop(self) -> None:
        """Listen no more."""
        listening, self._listening = self._listening, None
        self.stream.abort("it listens no more")
        if listening is not None:
            await listening.stop()

    def ended(self, error: P2pholeError | None) -> None:
        """See :class:`~p2phole.session.interfaces.StreamUser`."""
        self._gone(self)
        Deferred.fromCoroutine(self.stop())


class _Arrivals(Nobody):
    """What is accepted there goes to the partner."""

    def __init__(self, partner: Partner, number: bytes) -> None:
        self._partner = partner
        self._number = number

    def made(self, splice: Splice) -> None:
        """See :class:`~p2phole.use.forward.splice.SpliceUser`."""
        try:
            splice.join(self._partner.session.open(ARRIVAL, splice, self._number))
        except SessionOver:
            splice.drop()
