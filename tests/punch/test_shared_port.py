"""One local port for everything."""

from __future__ import annotations

import socket
from typing import Any

from twisted.internet.error import CannotListenError
from twisted.internet.protocol import ClientFactory, Protocol, ServerFactory
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from p2phole.addresses import Endpoint
from p2phole.demo import free_ports
from p2phole.errors import PortTaken
from p2phole.punch.shared_port import SharedPort, require_free
from tests.support.network import Network


class Accepting(ServerFactory):
    noisy = False

    def __init__(self) -> None:
        self.seen: list[str] = []

    def buildProtocol(self, addr: Any) -> Protocol:
        self.seen.append(f"{addr.host} {addr.port}")
        return Protocol()


class Dialling(ClientFactory):
    noisy = False

    def __init__(self) -> None:
        self.made: list[Protocol] = []
        self.failed: list[object] = []

    def buildProtocol(self, addr: Any) -> Protocol:
        self.made.append(Protocol())
        return self.made[-1]

    def clientConnectionFailed(self, connector: object, reason: Any) -> None:
        self.failed.append(reason.value)


class SharedPortTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.network = Network(Clock())
        self.host = self.network.host("here", ["192.0.2.1", "2001:db8::1"])
        self.other = self.network.host("there", ["192.0.2.2", "2001:db8::2"])
        self.asked: list[int] = []

    def port(self, number: int = 0, host: Any = None, factory: ServerFactory | None = None) -> SharedPort:
        return SharedPort(host or self.host, number, factory or Accepting(), self.asked.append)

    def test_the_system_picks(self) -> None:
        port = self.port()
        self.assertTrue(0 < port.port < 65536)
        self.assertEqual(self.asked, [])

    def test_another_port(self) -> None:
        """What is connected stays so, and nothing comes in at the old port any more."""
        accepting, dialling = Accepting(), Dialling()
        port = self.port(factory=accepting)
        before = port.port
        self.other.connectTCP("192.0.2.1", before, dialling)
        self.network.advance(1)
        self.assertTrue(port.move())
        self.assertNotEqual(port.port, before)
        for number in (before, port.port):
            self.other.connectTCP("192.0.2.1", number, dialling)
        self.network.advance(1)
        self.assertEqual((len(dialling.made), len(dialling.failed), len(accepting.seen)), (2, 1, 2))
        self.assertTrue(all(made.connected for made in dialling.made))
        port.dial(Endpoint.parse("192.0.2.2:7"), dialling, 1)
        self.network.advance(1)
        sources = {each.source.port for each in self.network.packets if each.destination.port == 7}
        self.assertEqual(sources, {port.port})

    def test_no_other_port(self) -> None:
        """Not where this one was named, nor where none is left."""
        port = self.port(4000)
        self.assertFalse(port.move())
        self.assertEqual(port.port, 4000)
        port = self.port()
        before = port.port
        self.patch(self.host, "listenTCP", self.refuse)
        self.assertFalse(port.move())
        self.assertEqual(port.port, before)

    def refuse(self, *args: Any, **options: Any) -> None:
        raise CannotListenError("", 0, OSError(24, "Too many open files"))

    def test_a_port_that_was_chosen_is_asked_for_first(self) -> None:
        self.assertEqual((self.port(4000).port, self.asked), (4000, [4000]))

    def test_everything_by_one_port_and_both_families(self) -> None:
        remote = Accepting()
        self.port(5000, self.other, remote)
        accepting, dialling, incoming = Accepting(), Dialling(), Dialling()
        port = self.port(4000, factory=accepting)
        for address in ("192.0.2.2", "2001:db8::2"):
            port.dial(Endpoint.parse(f"[{address}]:5000" if ":" in address else f"{address}:5000"), dialling, 5)
        self.other.connectTCP("192.0.2.1", 4000, incoming)
        self.network.advance(1)
        self.assertEqual((len(dialling.made), len(incoming.made)), (2, 1))
        self.assertEqual(sorted(remote.seen), ["2001:db8::1 4000", "::ffff:192.0.2.1 4000"])
        [seen] = accepting.seen
        self.assertTrue(seen.startswith("::ffff:192.0.2.2 "))

    def test_by_the_binding_too(self) -> None:
        remote, dialling = Accepting(), Dialling()
        self.port(5000, self.other, remote)
        port = self.port(4000)
        self.host.connectTCP("192.0.2.2", 5000, dialling, bindAddress=port.binding)
        self.network.advance(1)
        self.assertEqual(remote.seen, ["::ffff:192.0.2.1 4000"])

    def test_how_long_it_waits(self) -> None:
        dialling = Dialling()
        self.port(4000).dial(Endpoint.parse("192.0.2.99:1024"), dialling, 2.5)
        self.network.advance(2.4)
        self.assertEqual(dialling.failed, [])
        self.network.advance(0.2)
        self.assertEqual(len(dialling.failed), 1)

    def test_taken(self) -> None:
        self.host.listenTCP(4000, Accepting())
        error = self.assertRaises(PortTaken, self.port, 4000)
        self.assertIn("Port 4000 cannot be listened on (address already in use)", str(error))

    def test_without_ipv6(self) -> None:
        host = self.host

        class WithoutIPv6:
            def listenTCP(self, port: Any, factory: Any, backlog: int, interface: str) -> Any:
                if interface == "::":
                    raise CannotListenError(interface, port, OSError(97, "Address family not supported"))
                return host.listenTCP(port, factory, backlog, interface)

        accepting, incoming = Accepting(), Dialling()
        self.port(4000, WithoutIPv6(), accepting)
        self.other.connectTCP("192.0.2.1", 4000, incoming)
        self.network.advance(1)
        self.assertEqual(len(accepting.seen), 1)

    def test_closed(self) -> None:
        incoming = Dialling()
        closed = self.port(4000).close()
        self.network.advance(0.1)
        self.assertIsNone(self.successResultOf(closed))  # type: ignore[arg-type]
        self.other.connectTCP("192.0.2.1", 4000, incoming)
        self.network.advance(1)
        self.assertEqual((incoming.made, len(incoming.failed)), ([], 1))


class RequireFreeTests(SynchronousTestCase):
    """On this machine: the kernel is what is asked."""

    def listening(self, reuse_port: bool) -> tuple[socket.socket, int]:
        taken = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        self.addCleanup(taken.close)
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if reuse_port:
            taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        # What the system picks for one address may be a connection's at another one, or become that.
        port = free_ports()[0]
        taken.bind(("127.0.0.1", port))
        taken.listen(1)
        return taken, port

    def test_taken_also_by_one_who_would_share(self) -> None:
        for reuse_port in (False, True):
            taken, port = self.listening(reuse_port)
            error = self.assertRaises(PortTaken, require_free, port)
            self.assertIn(f"Port {port} ", str(error))
            taken.close()
            require_free(port)

    def test_it_is_free_again_afterwards(self) -> None:
        taken, port = self.listening(False)
        taken.close()
        require_free(port)
        require_free(port)

    def test_a_port_of_the_system(self) -> None:
        class Refusing:
            def __enter__(self) -> Refusing:
                return self

            def __exit__(self, *_: object) -> None: ...
            def setsockopt(self, *_: object) -> None: ...
            def bind(self, address: object) -> None:
                raise PermissionError(13, "Permission denied")

        self.patch(socket, "socket", lambda *_: Refusing())
        error = self.assertRaises(PortTaken, require_free, 22)
        self.assertIn("permission denied", str(error))
