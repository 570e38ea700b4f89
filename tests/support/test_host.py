"""A host as a reactor: Twisted's connectors, ports, transports and producers on the memory network."""

from __future__ import annotations

import errno
from typing import Any

from twisted.internet import error
from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.interfaces import (
    IConnector,
    IHostnameResolver,
    IListeningPort,
    IReactorCore,
    IReactorFDSet,
    IReactorPluggableNameResolver,
    IReactorTCP,
    IReactorTime,
    ITCPTransport,
)
from twisted.internet.task import Clock
from twisted.internet.tcp import makeBinding
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from tests.support.network import Network
from tests.support.recorder import Factory

SHARED = makeBinding("", 4000, reuseAddress=True, reusePort=True)


class HostCase(SynchronousTestCase):
    """Alice and Bob on the core."""

    def setUp(self) -> None:
        self.network = Network(Clock())
        self.alice = self.network.host("alice", ["203.0.113.5", "2001:db8::5"])
        self.bob = self.network.host("bob", ["203.0.113.6", "2001:db8::6"])
        self.dialled, self.accepted = Factory(), Factory()

    def connect(self) -> tuple[Any, Any]:
        """Transports of a connection from Alice to Bob."""
        self.port = self.bob.listenTCP(80, self.accepted)
        self.connector = self.alice.connectTCP("203.0.113.6", 80, self.dialled)
        self.network.advance(1)
        return self.dialled.only.transport, self.accepted.only.transport


class InterfaceTests(HostCase):
    """It is a reactor, by what it says and by what it does."""

    def test_interfaces(self) -> None:
        """Everything provides what Twisted's own provides."""
        for interface in (IReactorCore, IReactorFDSet, IReactorTCP, IReactorTime):
            verifyObject(interface, self.alice)
        verifyObject(IReactorPluggableNameResolver, self.alice)
        verifyObject(IHostnameResolver, self.alice.nameResolver)
        for transport in self.connect():
            verifyObject(ITCPTransport, transport)
        verifyObject(IConnector, self.connector)
        verifyObject(IListeningPort, self.port)

    def test_time(self) -> None:
        """Calls are on the shared clock, but each host lists only its own."""
        order: list[str] = []
        self.alice.callLater(2, order.append, "late")
        call = self.alice.callLater(1, order.append, "early")
        self.bob.callLater(1.5, order.append, "other")
        cancelled = self.alice.callLater(1, order.append, "never")
        cancelled.cancel()
        self.assertEqual(len(self.alice.getDelayedCalls()), 2)
        self.assertIs(self.alice.getDelayedCalls()[0], call)
        self.network.advance(3)
        self.assertEqual(order, ["early", "other", "late"])
        self.assertEqual(self.alice.getDelayedCalls(), [])
        self.assertEqual(self.alice.seconds(), 3)

    def test_system_events(self) -> None:
        """Triggers run in their phases when the host is stopped."""
        order: list[str] = []
        self.alice.callWhenRunning(order.append, "running")
        self.alice.addSystemEventTrigger("after", "shutdown", order.append, "after")
        self.alice.addSystemEventTrigger("before", "shutdown", order.append, "before")
        removed = self.alice.addSystemEventTrigger("during", "shutdown", order.append, "removed")
        self.alice.removeSystemEventTrigger(removed)
        self.alice.stop()
        self.assertEqual(order, ["running", "before", "after"])
        self.assertFalse(self.alice.running)

    def test_endless_loop(self) -> None:
        """Code that goes round without time passing fails, and does not hang."""

        def again() -> None:
            self.alice.callLater(0, again)

        again()
        self.assertRaises(RuntimeError, self.network.advance, 1)


class ConnectorTests(HostCase):
    """`connectTCP` and what comes back."""

    def test_success(self) -> None:
        """Callbacks in Twisted's order, none before `connectTCP` returns but `startedConnecting`."""
        self.bob.listenTCP(80, self.accepted)
        connector = self.alice.connectTCP("203.0.113.6", 80, self.dialled)
        self.assertEqual(self.dialled.events, ["start", "connecting"])
        self.assertEqual(connector.state, "connecting")
        self.assertEqual(connector.getDestination(), IPv4Address("TCP", "203.0.113.6", 80))
        self.network.advance(1)
        self.assertEqual(connector.state, "connected")
        self.assertIs(connector.transport, self.dialled.only.transport)
        connector.disconnect()
        self.network.advance(1)
        self.assertEqual(self.dialled.events, ["start", "connecting", "build", "lost", "stop"])

    def test_stopped(self) -> None:
        """`stopConnecting` fails with `UserError`; nothing is sent any more."""
        self.network.isolate(self.bob)
        connector = self.alice.connectTCP("203.0.113.6", 80, self.dialled)
        self.network.advance(0.5)
        connector.stopConnecting()
        self.assertIs(type(self.dialled.error), error.UserError)
        self.network.advance(10)
        self.assertEqual(len(self.network.packets), 1)
        self.assertRaises(error.NotConnectingError, connector.stopConnecting)

    def test_timeout(self) -> None:
        """The connector's own, 30 s unless said otherwise."""
        self.network.isolate(self.bob)
        for timeout, options in ((30.0, {}), (2.5, {"timeout": 2.5})):
            factory, start = Factory(), self.network.clock.seconds()
            self.alice.connectTCP("203.0.113.6", 80, factory, **options)
            self.network.run_until(lambda f=factory: f.failures, 60)
            self.assertIs(type(factory.error), error.TimeoutError)
            self.assertAlmostEqual(self.network.clock.seconds() - start, timeout)

    def test_again(self) -> None:
        """`connect` on the connector of a failed attempt makes another one."""
        connector = self.alice.connectTCP("203.0.113.6", 80, self.dialled)
        self.network.advance(1)
        self.bob.listenTCP(80, self.accepted)
        connector.connect()
        self.network.advance(1)
        self.assertEqual(len(self.dialled.made), 1)

    def test_name(self) -> None:
        """A name is looked up; an unknown one fails as in Twisted."""
        self.network.name("bob.example", "2001:db8::6", "203.0.113.6")
        self.bob.listenTCP(80, self.accepted)
        unknown = Factory()
        self.alice.connectTCP("bob.example", 80, self.dialled)
        self.alice.connectTCP("nobody.example", 80, unknown)
        self.network.advance(1)
        self.assertEqual(len(self.dialled.made), 1)
        self.assertIsInstance(unknown.error, error.DNSLookupError)

    def test_no_protocol(self) -> None:
        """A factory that builds none gets its connection closed."""
        self.accepted.buildProtocol = lambda addr: None  # type: ignore[method-assign,assignment,return-value]
        self.bob.listenTCP(80, self.accepted)
        self.alice.connectTCP("203.0.113.6", 80, self.dialled)
        self.network.advance(1)
        self.assertIsInstance(self.dialled.only.lost.value, error.ConnectionDone)


class AddressTests(HostCase):
    """Who is seen where."""

    def test_ipv4(self) -> None:
        """Each side's peer is the other side's host."""
        dialler, acceptor = self.connect()
        self.assertEqual(dialler.getPeer(), IPv4Address("TCP", "203.0.113.6", 80))
        self.assertEqual(acceptor.getHost(), dialler.getPeer())
        self.assertEqual(acceptor.getPeer(), dialler.getHost())
        self.assertEqual(self.accepted.peers, [dialler.getHost()])
        self.assertEqual(self.port.getHost(), IPv4Address("TCP", "0.0.0.0", 80))

    def test_ipv6(self) -> None:
        """With a bound port, an IPv6 Binding and `interface`."""
        self.bob.listenTCP(makeBinding("2001:db8::6", 80), self.accepted, interface="2001:db8::6")
        self.alice.connectTCP("2001:db8::6", 80, self.dialled, bindAddress=makeBinding("::", 4000))
        self.network.advance(1)
        self.assertEqual(self.dialled.only.transport.getHost(), IPv6Address("TCP", "2001:db8::5", 4000))
        self.assertEqual(self.accepted.only.transport.getPeer(), IPv6Address("TCP", "2001:db8::5", 4000))

    def test_dual_stack(self) -> None:
        """`::` takes IPv4 too, shown as an IPv4-mapped address, and keeps the port from 0.0.0.0."""
        self.bob.listenTCP(80, self.accepted, interface="::")
        for host in ("203.0.113.6", "2001:db8::6"):
            self.alice.connectTCP(host, 80, self.dialled, bindAddress=("", 4000))
            self.network.advance(1)
            self.dialled.made[-1].transport.abortConnection()
            self.network.advance(1)
        self.assertEqual(
            self.accepted.peers,
            [IPv6Address("TCP", "::ffff:203.0.113.5", 4000), IPv6Address("TCP", "2001:db8::5", 4000)],
        )
        failure = self.assertRaises(error.CannotListenError, self.bob.listenTCP, 80, self.accepted)
        self.assertEqual(failure.socketError.errno, errno.EADDRINUSE)

    def test_mapped_destination(self) -> None:
        """An IPv4-mapped literal goes out as IPv4."""
        self.bob.listenTCP(80, self.accepted)
        self.alice.connectTCP("::ffff:203.0.113.6", 80, self.dialled)
        self.network.advance(1)
        self.assertEqual(self.accepted.only.transport.getPeer().host, "203.0.113.5")

    def test_loopback(self) -> None:
        """Each host has its own, which no other reaches."""
        self.bob.listenTCP(80, self.accepted, interface="127.0.0.1")
        near, far, own = Factory(), Factory(), Factory()
        self.bob.connectTCP("127.0.0.1", 80, near)
        self.bob.connectTCP("203.0.113.6", 80, own)
        self.alice.connectTCP("127.0.0.1", 80, far)
        self.network.advance(1)
        self.assertEqual(len(near.made), 1)
        self.assertEqual([type(each.error) for each in (far, own)], [error.ConnectionRefusedError] * 2)

    def test_own_endpoint(self) -> None:
        """Dialling oneself from the listening port succeeds: the connection is a loop."""
        self.alice.listenTCP(SHARED, self.accepted)
        self.alice.connectTCP("203.0.113.5", 4000, self.dialled, bindAddress=SHARED)
        self.network.advance(1)
        self.dialled.only.transport.write(b"echo")
        self.network.advance(1)
        self.assertEqual(self.dialled.only.received, b"echo")
        self.assertEqual(self.accepted.made, [])
