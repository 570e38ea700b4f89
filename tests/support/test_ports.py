"""Ports of a host on the memory network, and who may share one."""

from __future__ import annotations

import errno

from twisted.internet import error
from twisted.internet.tcp import makeBinding

from tests.support.recorder import Factory
from tests.support.test_host import SHARED, HostCase

ADDRESS_ONLY = makeBinding("", 4000, reuseAddress=True)


class PortTests(HostCase):
    """Through Twisted; the rules as such are in `test_like_linux`."""

    def test_shared_port(self) -> None:
        """Broker connection, listener and dial from one port, with both flags on all, in either order."""
        self.bob.listenTCP(9000, Factory())
        self.bob.listenTCP(4000, self.accepted)
        for listen_first in (True, False):
            broker, inbound, outbound = Factory(), Factory(), Factory()
            if listen_first:
                port = self.alice.listenTCP(SHARED, inbound)
            self.alice.connectTCP("203.0.113.6", 9000, broker, bindAddress=SHARED)
            self.alice.connectTCP("203.0.113.6", 4000, outbound, bindAddress=SHARED)
            if not listen_first:
                port = self.alice.listenTCP(SHARED, inbound)
            incoming = Factory()
            self.bob.connectTCP("203.0.113.5", 4000, incoming)
            self.network.advance(1)
            for factory in (broker, inbound, outbound, incoming):
                self.assertEqual(len(factory.made), 1)
            port.stopListening()
            broker.only.transport.abortConnection()
            outbound.only.transport.abortConnection()
            incoming.only.transport.abortConnection()
            self.network.advance(1)
            self.assertNotIn(4000, self.alice.stack.ports)

    def test_address_reuse_alone(self) -> None:
        """A dial from a port on which we listen needs SO_REUSEPORT too."""
        self.alice.listenTCP(ADDRESS_ONLY, self.accepted)
        self.alice.connectTCP("203.0.113.6", 80, self.dialled, bindAddress=ADDRESS_ONLY)
        self.network.advance(0)
        self.assertIs(type(self.dialled.error), error.ConnectBindError)
        self.assertEqual(self.dialled.error.osError, errno.EADDRINUSE)

    def test_one_socket_without_flags(self) -> None:
        """It blocks all others, even a connection whose port the kernel chose."""
        self.connect()
        port = self.dialled.only.transport.getHost().port
        binding = makeBinding("", port, reuseAddress=True, reusePort=True)
        self.assertRaises(error.CannotListenError, self.alice.listenTCP, binding, Factory())

    def test_restarted_server(self) -> None:
        """A port with connections in TIME_WAIT can be listened on again, as `listenTCP` of a number does."""
        _, acceptor = self.connect()
        acceptor.loseConnection()
        self.port.stopListening()
        self.network.advance(1)
        unflagged = makeBinding("", 80)
        self.assertRaises(error.CannotListenError, self.bob.listenTCP, unflagged, self.accepted)
        self.bob.listenTCP(80, self.accepted).stopListening()
        self.network.advance(61)
        self.bob.listenTCP(unflagged, self.accepted)

    def test_stop_listening(self) -> None:
        """Nobody is accepted any more; the connections live on."""
        dialler, _ = self.connect()
        stopped: list[object] = []
        self.port.stopListening().addCallback(stopped.append)
        self.network.advance(0)
        self.assertEqual(len(stopped), 1)
        refused = Factory()
        self.alice.connectTCP("203.0.113.6", 80, refused)
        dialler.write(b"still here")
        self.network.advance(1)
        self.assertIsInstance(refused.error, error.ConnectionRefusedError)
        self.assertEqual(self.accepted.only.received, b"still here")
        self.assertEqual(self.accepted.events[-1], "stop")

    def test_foreign_address(self) -> None:
        """Only own addresses can be bound."""
        failure = self.assertRaises(
            error.CannotListenError, self.alice.listenTCP, 80, self.accepted, interface="203.0.113.6"
        )
        self.assertEqual(failure.socketError.errno, errno.EADDRNOTAVAIL)
