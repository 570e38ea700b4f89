"""What the endpoints of a process do with the peer that they share: streams for those who listen, and streams to
those who are called."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.interfaces import IProtocolFactory, IReactorTime
from twisted.logger import Logger

from p2phole import events
from p2phole.endpoints.call import Call, address_of
from p2phole.errors import P2pholeError
from p2phole.peer.use import Idle, Partner
from p2phole.secure.names import looks
from p2phole.session.peer_address import PeerAddress
from p2phole.session.streams import Stream
from p2phole.session.transport import StreamTransport

MOST_REMEMBERED = 1024
"""Members of whom it is known that they are being connected to, and what stood in the way."""

_log = Logger()


class Switchboard(Idle):
    """A use (:class:`~p2phole.peer.use.Use`) of one peer, and the sink of its events.

    ``unused``: called when nothing of the process needs that peer any more; what it returns fires when the peer
    has left, or at once if it is to stay for a while.
    """

    def __init__(self, clock: IReactorTime) -> None:
        self.clock = clock
        self.own = PeerAddress("", "")
        """This peer itself, once that is known."""
        self.unused: Callable[[], Deferred[None]] = lambda: succeed(None)
        self.users = 0
        self.error: P2pholeError | None = None
        self._listening: dict[str, IProtocolFactory] = {}
        self._calls: dict[Call, None] = {}
        self._present: dict[Partner, None] = {}
        self._in_room = False
        self._waiting: list[Deferred[None]] = []
        self._broker = ""
        """Why the broker is away."""
        self._introduced: dict[str, str] = {}
        """What the names look like of those who are being connected to, by instance."""
        self._failures: dict[str, str] = {}
        """What stood in the way last, by what the name looks like."""

    # -- who needs it

    def hold(self) -> None:
        """Somebody needs the peer."""
        self.users += 1

    def release(self) -> Deferred[None]:
        """No more; fires when the peer has left, where this was the last one, or at once."""
        self.users -= 1
        return succeed(None) if self.users else self.unused()

    # -- what endpoints do

    def entered(self) -> Deferred[None]:
        """Fires when the peer is in its room, which may be at once; fails when it can't go on."""
        if self.error is not None:
            return fail(self.error)
        if self._in_room:
            return succeed(None)
        waiting: Deferred[None] = Deferred(lambda _: self._waiting.remove(waiting))
        self._waiting.append(waiting)
        return waiting

    def listen(self, purpose: str, factory: IProtocolFactory) -> None:
        """Have the factory's protocols take streams for this.  Raises :class:`ValueError`: another one does."""
        if purpose in self._listening:
            raise ValueError(
                "another endpoint of this process listens with these options: give each its own service"
            )
        self._listening[purpose] = factory
        for partner in self._present:
            self._offer(partner, purpose)

    def unlisten(self, purpose: str) -> None:
        """No longer; connections that are there stay."""
        del self._listening[purpose]
        for partner in self._present:
            partner.session.withdraw(purpose)

    def call(self, call: Call) -> None:
        """Begin; it is told when there is somebody new to ask."""
        self._calls[call] = None
        if self.error is None:
            call.look()
        else:
            call.give_up(self.error)

    def done_with(self, call: Call) -> None:
        """It has come to its end."""
        self._calls.pop(call, None)

    def reachable(self, name: str) -> Iterator[Partner]:
        """Those of that name to whom there is a connection, the newest first: who was restarted may still be
        there as who it was before."""
        for partner in reversed(tuple(self._present)):
            if looks(partner.name) == looks(name) and partner.path is not None:
                yield partner

    def is_coming(self, name: str) -> bool:
        """Whether somebody of that name is being connected to."""
        return looks(name) in self._introduced.values()

    def is_awaited(self, name: str) -> bool:
        """The same, or somebody was connected to and may come back."""
        return self.is_coming(name) or self._is_present(name)

    def _is_present(self, name: str) -> bool:
        return any(looks(partner.name) == looks(name) for partner in self._present)

    def why_not(self, name: str) -> str:
        """Why nobody of that name was reached, as far as is known."""
        if self._is_present(name):
            return "the connection is lost for now"
        if self.is_coming(name):
            return "a connection is still being tried"
        if looks(name) in self._failures:
            return self._failures[looks(name)].rstrip(".")
        if not self._in_room:
            return f"the broker cannot be reached{self._broker and f' ({self._broker})'}"
        return "nobody of that name is in the room"

    # -- the peer: see Use, and EventSink

    def emit(self, event: events.Event) -> None:
        """See :class:`~p2phole.events.EventSink`."""
        if isinstance(event, events.Registered):
            self.own = PeerAddress(event.name, event.id)
            self._enter()
        elif isinstance(event, events.BrokerBack):
            self._in_room = True
        elif isinstance(event, events.BrokerLost):
            self._in_room, self._broker = False, event.reason
        elif isinstance(event, events.Introduced):
            _remember(self._introduced, event.instance, looks(event.peer))
        elif isinstance(event, events.Failed):
            self._introduced.pop(event.instance, None)
            _remember(self._failures, looks(event.peer), event.detail)
            for call in self._calls_of(event.peer):
                call.failed_to_reach()

    def _enter(self) -> None:
        self._in_room = True
        waiting, self._waiting = self._waiting, []
        for each in waiting:
            each.callback(None)

    def _calls_of(self, name: str) -> list[Call]:
        return [call for call in self._calls if looks(call.name) == looks(name)]

    def met(self, partner: Partner) -> None:
        """See :class:`~p2phole.peer.use.Use`."""
        self._present[partner] = None
        for purpose in self._listening:
            self._offer(partner, purpose)

    def linked(self, partner: Partner) -> None:
        """See :class:`~p2phole.peer.use.Use`."""
        self._introduced.pop(partner.instance, None)
        self._failures.pop(looks(partner.name), None)
        for call in self._calls_of(partner.name):
            call.look()

    def unlinked(self, partner: Partner) -> None:
        """See :class:`~p2phole.peer.use.Use`."""
        for call in tuple(self._calls):
            call.lost(partner)

    def over(self, partner: Partner, error: P2pholeError) -> None:
        """See :class:`~p2phole.peer.use.Use`."""
        self._present.pop(partner, None)
        for call in tuple(self._calls):
            call.lost(partner)

    def give_up(self, error: P2pholeError) -> None:
        """The peer can't go on."""
        self.error = error
        waiting, self._waiting = self._waiting, []
        for each in waiting:
            each.errback(error)
        for call in tuple(self._calls):
            call.give_up(error)
        for purpose in self._listening:
            _log.critical(
                "Nobody reaches what listens for {purpose} any more: {error}", purpose=purpose, error=error
            )

    # -- streams of others

    def _offer(self, partner: Partner, purpose: str) -> None:
        partner.session.offer(purpose, partial(self._opened, partner))

    def _opened(self, partner: Partner, stream: Stream) -> None:
        factory = self._listening.get(stream.purpose)
        peer = address_of(partner)
        try:
            protocol = factory.buildProtocol(peer) if factory is not None else None
        except Exception:
            _log.failure("A factory on an endpoint failed.")
            stream.abort("what serves it failed")
            return
        if protocol is None:
            stream.abort("it is taken by nobody")
            return
        self.hold()
        StreamTransport(self.clock, protocol, self.own, peer, gone=self.release).take(stream)


def _remember(what: dict[str, str], key: str, value: str) -> None:
    """The last ones only: a broker may name any number of members."""
    what.pop(key, None)
    what[key] = value
    if len(what) > MOST_REMEMBERED:
        del what[next(iter(what))]
