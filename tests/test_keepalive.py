"""Kernel keep-alive."""

import socket

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from p2phole.keepalive import keep_alive, leave_nothing
from tests.doubles import Wire


class Inside:
    """A transport that stands on another one, as TLS does."""

    def __init__(self, transport: Wire) -> None:
        self.transport = transport

    def setTcpKeepAlive(self, enabled: bool) -> None:
        self.transport.setTcpKeepAlive(enabled)

    def getHandle(self) -> object:
        return object()


class KeepAliveTests(SynchronousTestCase):
    def test_a_vanished_machine_is_noticed_within_a_minute(self) -> None:
        for wrap in (lambda wire: wire, Inside, lambda wire: Inside(Inside(wire))):  # type: ignore[arg-type]
            wire = Wire(Clock())
            keep_alive(wrap(wire))
            found = {name: value for (_, name), value in wire.socket.options.items()}
            self.assertTrue(wire.keep_alive)
            silence = found[socket.TCP_KEEPIDLE] + found[socket.TCP_KEEPINTVL] * found[socket.TCP_KEEPCNT]
            self.assertLess(silence, 60)
            self.assertLess(found[socket.TCP_USER_TIMEOUT], 60_000)

    def test_what_the_system_does_not_know_is_left_out(self) -> None:
        for name in ("TCP_KEEPIDLE", "TCP_USER_TIMEOUT"):
            number = getattr(socket, name)
            self.addCleanup(setattr, socket, name, number)
            delattr(socket, name)
        wire = Wire(Clock())
        keep_alive(wire)
        self.assertEqual({name for _, name in wire.socket.options}, {socket.TCP_KEEPINTVL, socket.TCP_KEEPCNT})


class ResetTests(SynchronousTestCase):
    def test_nothing_is_left_where_the_other_side_has_closed_first(self) -> None:
        """Another connection with the same ends can be made at once, whatever the other side still says."""
        with socket.create_server(("127.0.0.1", 0)) as server:
            for reset in (False, True):
                client = socket.create_connection(server.getsockname())
                accepted, ends = server.accept()[0], (client.getsockname(), client.getpeername())
                if reset:
                    wire = Wire(Clock())
                    wire.socket = client  # type: ignore[assignment]
                    leave_nothing(wire)
                client.close()
                self.assertIs(self.can_connect(*ends), reset)
                accepted.close()

    def can_connect(self, here: tuple[str, int], there: tuple[str, int]) -> bool:
        with socket.socket() as again:
            again.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                again.bind(here)
                again.connect(there)
            except OSError:
                return False
        return True
