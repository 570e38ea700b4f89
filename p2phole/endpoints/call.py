"""One connection that an endpoint makes: who of that name is asked, and what comes of it.

As long as there is time, whoever turns up is asked; a name may be that of several, and not each of them has to
offer what is wanted.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Protocol as Interface

from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectingCancelledError, NoProtocol
from twisted.internet.interfaces import IDelayedCall, IProtocol, IProtocolFactory, IReactorTime
from twisted.python.failure import Failure

from p2phole.endpoints.errors import CannotConnect, NotReached, NotServed
from p2phole.errors import P2pholeError
from p2phole.peer.use import Partner
from p2phole.session.errors import NotOffered, Refused
from p2phole.session.peer_address import PeerAddress
from p2phole.session.transport import StreamTransport

AGAIN, LATER = 0.02, 1.0
"""Seconds after which somebody is asked again who did not offer it, at first and in the end: what is offered is
known on this side, so that costs nothing on the network."""
PATIENCE = 2.0
"""Seconds for which everybody of that name may decline, as it may just be starting; longer while somebody else of
that name is being connected to."""


class Exchange(Interface):
    """What a call needs of the switchboard."""

    clock: IReactorTime
    own: PeerAddress

    def reachable(self, name: str) -> Iterator[Partner]:
        """Those of that name to whom there is a connection; whom to ask first comes first."""

    def is_coming(self, name: str) -> bool:
        """Whether somebody of that name is being connected to."""

    def is_awaited(self, name: str) -> bool:
        """The same, or somebody was connected to and may come back."""

    def why_not(self, name: str) -> str:
        """Why nobody of that name was reached, as far as is known."""

    def done_with(self, call: Call) -> None:
        """It has come to its end."""


class Call:
    """``name``: who is to be reached; ``purpose``: for what; ``timeout``: in so many seconds.

    :attr:`connected` fires with the protocol, or fails with :class:`CannotConnect`, :class:`NotReached`,
    :class:`NotServed`, :class:`NoProtocol` or what ``buildProtocol`` raised; it may be cancelled.
    ``ended``: called once, when there is no connection any more or never will be.
    """

    def __init__(
        self,
        exchange: Exchange,
        name: str,
        purpose: str,
        factory: IProtocolFactory,
        timeout: float,
        ended: Callable[[], object],
    ) -> None:
        self.name = name
        self.ended = ended
        self.connected: Deferred[IProtocol] = Deferred(self._cancelled)
        self._exchange = exchange
        self._purpose = purpose
        self._factory = factory
        self._asked: _Calling | None = None
        self._over = False
        self._declined: dict[Partner, float] = {}
        """Who does not offer it, and when to ask again."""
        self._declining_since: float | None = None
        self._pause = AGAIN
        self._seconds = timeout
        clock = exchange.clock
        self._timeout: IDelayedCall = clock.callLater(timeout, self._timed_out)
        self._again: IDelayedCall | None = None

    # -- what the switchboard tells

    def look(self) -> None:
        """There may be somebody to ask."""
        if self._over or self._asked is not None:
            return
        now = self._exchange.clock.seconds()
        for partner in self._exchange.reachable(self.name):
            if self._declined.get(partner, now) <= now:
                self._asked = calling = _Calling(self, self._exchange, partner)
                calling.stream = partner.session.open(self._purpose, calling)
                return

    def lost(self, partner: Partner) -> None:
        """There is no connection to that one any more."""
        asked = self._asked
        if self._declined.pop(partner, None) is not None:
            self._declining_since = None  # what it said last may have been on its way
        if asked is not None and asked.partner is partner:
            self._asked = None
            asked.abortConnection()
            self.look()

    def failed_to_reach(self) -> None:
        """An attempt at somebody of that name has failed."""
        if not (self._over or self._exchange.is_awaited(self.name)):
            self._fail(CannotConnect(name=self.name, why=self._exchange.why_not(self.name)))

    def give_up(self, error: P2pholeError) -> None:
        """Nobody is reached any more."""
        self._fail(CannotConnect(name=self.name, why=str(error).rstrip(".")))

    # -- one who is asked

    def build(self, calling: _Calling) -> IProtocol | None:
        """That one takes it: a protocol for it; None: there is none."""
        try:
            protocol = self._factory.buildProtocol(calling.getPeer())
            if protocol is None:
                raise NoProtocol
        except Exception:
            self._asked = None
            self._fail(Failure())
            return None
        return protocol

    def made(self, calling: _Calling) -> None:
        """The protocol has its connection, or has failed when it got it."""
        assert calling.protocol is not None
        self._end()
        self.connected.callback(calling.protocol if calling.failure is None else calling.failure)

    def declined(self, calling: _Calling, error: P2pholeError | None) -> None:
        """That one does not take it, or is gone."""
        if calling is not self._asked:
            return
        self._asked = None
        if isinstance(error, Refused):
            self._fail(NotServed(name=self.name, why=str(error).rstrip(".")))
            return
        if isinstance(error, NotOffered):
            now = self._exchange.clock.seconds()
            self._declined[calling.partner] = now + self._pause
            since = self._declining_since = now if self._declining_since is None else self._declining_since
            if now - since >= PATIENCE and not self._exchange.is_coming(self.name):
                self._fail(NotServed(name=self.name, why=str(error).rstrip(".")))
                return
            if self._again is None:
                self._again = self._exchange.clock.callLater(self._pause, self._look_again)
                self._pause = min(2 * self._pause, LATER)
        self.look()

    def _look_again(self) -> None:
        self._again = None
        self.look()

    # -- the end

    def _timed_out(self) -> None:
        why = "it does not answer" if self._asked is not None else self._exchange.why_not(self.name)
        self._fail(NotReached(name=self.name, seconds=self._seconds, why=why))

    def _cancelled(self, connected: Deferred[IProtocol]) -> None:
        self._end()
        connected.errback(ConnectingCancelledError(PeerAddress(self.name, "")))
        self.ended()

    def _fail(self, error: Exception | Failure) -> None:
        if not self._over:
            self._end()
            self.connected.errback(error)
            self.ended()

    def _end(self) -> None:
        self._over = True
        for timer in (self._timeout, self._again):
            if timer is not None and timer.active():
                timer.cancel()
        self._exchange.done_with(self)
        asked, self._asked = self._asked, None
        if asked is not None and not asked.connected:
            asked.abortConnection()


class _Calling(StreamTransport):
    """The transport of a connection that is being made, and of the protocol when it is."""

    def __init__(self, call: Call, exchange: Exchange, partner: Partner) -> None:
        super().__init__(exchange.clock, None, exchange.own, address_of(partner))
        self.partner = partner
        self._call = call
        self._failed = self._declined

    def accepted(self) -> None:
        """See :class:`~p2phole.session.interfaces.StreamUser`."""
        self.protocol = self._call.build(self)
        if self.protocol is None:
            self.abortConnection()
            return
        self._gone = self._call.ended
        super().accepted()
        self._call.made(self)

    def _declined(self, error: P2pholeError | None) -> None:
        self._call.declined(self, error)


def address_of(partner: Partner) -> PeerAddress:
    """Whom a protocol talks with."""
    return PeerAddress(partner.name, partner.fingerprint, partner.authenticated)
