"""The endpoint that connects."""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IProtocol, IProtocolFactory, IStreamClientEndpoint
from zope.interface import implementer

from p2phole.endpoints.call import Call
from p2phole.endpoints.switchboard import Switchboard


@implementer(IStreamClientEndpoint)
class CallingEndpoint:
    """Connects to the one called ``name``, for ``purpose``.  ``switchboard``: finds the one to use, and holds
    it."""

    def __init__(self, switchboard: Callable[[], Switchboard], name: str, purpose: str, timeout: float) -> None:
        self._switchboard = switchboard
        self._name = name
        self._purpose = purpose
        self._timeout = timeout

    def __repr__(self) -> str:
        return f"<{self._purpose} of {self._name}>"  # as ClientService logs it

    def connect(self, protocolFactory: IProtocolFactory) -> Deferred[IProtocol]:
        """See :class:`IStreamClientEndpoint`.  What it fails with: see :class:`~p2phole.endpoints.call.Call`."""
        board = self._switchboard()

        def ended() -> None:
            protocolFactory.doStop()
            board.release()

        protocolFactory.doStart()
        call = Call(board, self._name, self._purpose, protocolFactory, self._timeout, ended)
        board.call(call)
        return call.connected
