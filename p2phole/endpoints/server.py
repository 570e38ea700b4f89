"""The endpoint that listens, and its port."""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IAddress, IListeningPort, IProtocolFactory, IStreamServerEndpoint
from zope.interface import implementer

from p2phole.endpoints.errors import CannotListen
from p2phole.endpoints.switchboard import Switchboard
from p2phole.errors import LocalError


@implementer(IStreamServerEndpoint)
class AnsweringEndpoint:
    """Takes connections for ``purpose``.  ``switchboard``: finds the one to use, and holds it.
    ``name``: what the peer is called, for errors."""

    def __init__(self, switchboard: Callable[[], Switchboard], name: str, purpose: str) -> None:
        self._switchboard = switchboard
        self._name = name
        self._purpose = purpose

    def listen(self, protocolFactory: IProtocolFactory) -> Deferred[IListeningPort]:
        """See :class:`IStreamServerEndpoint`: fires when the peer is in its room; fails with
        :class:`CannotListen`.  While the broker cannot be reached it goes on trying."""
        return Deferred.fromCoroutine(self._listen(protocolFactory))

    async def _listen(self, factory: IProtocolFactory) -> IListeningPort:
        board = self._switchboard()
        try:
            board.listen(self._purpose, factory)
        except ValueError as problem:
            await board.release()
            raise self._error(problem) from None
        port = SwitchboardPort(board, self._purpose, factory)
        try:
            await board.entered()
        except LocalError as error:
            await port.stopListening()
            raise self._error(error) from None
        except BaseException:  # it was cancelled
            await port.stopListening()
            raise
        return port

    def _error(self, problem: Exception) -> CannotListen:
        return CannotListen(name=self._name, why=str(problem).rstrip("."))


@implementer(IListeningPort)
class SwitchboardPort:
    """What listens; from the beginning on."""

    def __init__(self, board: Switchboard, purpose: str, factory: IProtocolFactory) -> None:
        self._board = board
        self._purpose = purpose
        self._factory = factory
        self._stopped = False
        factory.doStart()

    def __repr__(self) -> str:
        return f"<{self._purpose} as {self._board.own.name}>"

    def getHost(self) -> IAddress:
        """See :class:`IListeningPort`: the name and the fingerprint of this peer."""
        return self._board.own

    def startListening(self) -> None:
        """See :class:`IListeningPort`: it does from the beginning on."""

    def stopListening(self) -> Deferred[None]:
        """See :class:`IListeningPort`: connections that are there stay; without any the peer leaves its room."""
        if self._stopped:
            return succeed(None)
        self._stopped = True
        self._board.unlisten(self._purpose)
        self._factory.doStop()
        return self._board.release()
