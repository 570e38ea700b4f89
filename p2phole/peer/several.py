"""Several uses of one peer, told in turn; one that fails does not keep the others from being told."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from twisted.internet.defer import Deferred, DeferredList
from twisted.logger import Logger

from p2phole.errors import P2pholeError
from p2phole.peer.use import Host, Partner, Use

_log = Logger()


class Several:
    """See above; a :class:`~p2phole.peer.use.Use`."""

    def __init__(self, uses: Sequence[Use]) -> None:
        self._uses = uses

    def start(self, host: Host) -> None:
        """See :class:`~p2phole.peer.use.Use`; whoever can't start keeps the peer from starting."""
        for use in self._uses:
            use.start(host)

    def met(self, partner: Partner) -> None:
        """See :class:`~p2phole.peer.use.Use`."""
        self._each(lambda use: use.met(partner))

    def linked(self, partner: Partner) -> None:
        """See :class:`~p2phole.peer.use.Use`."""
        self._each(lambda use: use.linked(partner))

    def unlinked(self, partner: Partner) -> None:
        """See :class:`~p2phole.peer.use.Use`."""
        self._each(lambda use: use.unlinked(partner))

    def over(self, partner: Partner, error: P2pholeError) -> None:
        """See :class:`~p2phole.peer.use.Use`."""
        self._each(lambda use: use.over(partner, error))

    def stop(self) -> Deferred[None] | None:
        """See :class:`~p2phole.peer.use.Use`."""
        waited: list[Deferred[None]] = []

        def stop(use: Use) -> None:
            if (waiting := use.stop()) is not None:
                waited.append(waiting)

        self._each(stop)
        return DeferredList(waited, consumeErrors=True).addCallback(lambda _: None) if waited else None

    def _each(self, call: Callable[[Use], None]) -> None:
        for use in self._uses:
            try:
                call(use)
            except Exception:
                _log.failure("What runs on the peer has failed.")
