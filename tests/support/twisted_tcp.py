"""Twisted's own connector, client and port, on the sockets of the memory network."""

from __future__ import annotations

import socket

from twisted.internet import tcp

from tests.support.sockets import Socket


class Client(tcp.Client):
    """The transport of a connection that this host makes; an accepted one has `tcp.Server` as it is."""

    def createInternetSocket(self) -> Socket:
        return self.connector.reactor.stack.new_socket(self.addressFamily)


class Connector(tcp.Connector):
    """The `IConnector` that `connectTCP` returns."""

    def _makeTransport(self) -> Client:
        return Client(self.host, self.port, self.bindAddress, self, self.reactor)


class Port(tcp.Port):
    """The `IListeningPort` that `listenTCP` returns."""

    def createInternetSocket(self) -> Socket:
        new = self.reactor.stack.new_socket(self.addressFamily)
        new.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, self._reuseAddress)
        new.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, self._reusePort)
        return new
