"""One request and its answer over UDP."""

from __future__ import annotations

from ipaddress import IPv4Address

from twisted.internet.defer import CancelledError, Deferred
from twisted.trial.unittest import SynchronousTestCase

from p2phole.punch.portmap.exchange import ask
from p2phole.punch.portmap.grant import BadAnswer, NoMapping, Refused
from tests.punch.portmap.lan import GATEWAY, OWN, Lan


def read(data: bytes) -> bytes | None:
    """Knows a few words."""
    if data == b"bad":
        raise BadAnswer(why="it is bad")
    if data == b"no":
        raise Refused(way="test", why="no")
    return None if data == b"other" else data


class AskTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.lan = Lan()

    def ask(self) -> Deferred[bytes]:
        waits = iter([0.25, 0.5, 1.0])
        return ask(self.lan, "test", IPv4Address(GATEWAY), lambda own: f"from {own}".encode(), read, waits)

    def check_over(self) -> None:
        self.lan.advance(0)
        self.assertEqual((self.lan.open_sockets(), self.lan.getDelayedCalls()), (0, []))

    def test_answered(self) -> None:
        self.lan.gateway = lambda data: [b"yes", b"yes"]
        asked = self.ask()
        self.lan.advance(0.01)
        self.assertEqual(self.successResultOf(asked), b"yes")
        self.assertEqual(self.lan.sent, [(0.0, f"from {OWN}".encode())])
        self.check_over()

    def test_sent_again(self) -> None:
        asked = self.ask()
        self.lan.pass_time(1.625, 0.125)
        self.assertEqual([when for when, _ in self.lan.sent], [0.0, 0.25, 0.75])
        self.assertNoResult(asked)
        self.lan.pass_time(0.125, 0.125)
        self.failureResultOf(asked, NoMapping)
        self.check_over()

    def test_only_the_gateway_is_heard(self) -> None:
        asked = self.ask()
        [socket] = self.lan.sockets
        self.assertEqual(socket.peer, (GATEWAY, 5351))
        for source in (("192.168.1.66", 5351), (GATEWAY, 5350), (OWN, 5351)):
            socket.receive(b"yes", source)
        self.assertNoResult(asked)
        socket.receive(b"yes")
        self.assertEqual(self.successResultOf(asked), b"yes")
        self.check_over()

    def test_what_is_no_answer_changes_nothing(self) -> None:
        asked = self.ask()
        [socket] = self.lan.sockets
        for data in (b"bad", b"other") * 100:
            socket.receive(data)
        self.assertNoResult(asked)
        socket.receive(b"yes")
        self.assertEqual(self.successResultOf(asked), b"yes")
        self.check_over()

    def test_refused(self) -> None:
        asked = self.ask()
        self.lan.sockets[0].receive(b"no")
        self.lan.sockets[0].receive(b"yes")
        self.failureResultOf(asked, Refused)
        self.check_over()

    def test_port_unreachable(self) -> None:
        asked = self.ask()
        self.lan.sockets[0].protocol.connectionRefused()
        self.failureResultOf(asked, NoMapping)
        self.check_over()

    def test_port_unreachable_as_epoll_tells_it(self) -> None:
        asked = self.ask()
        self.lan.sockets[0].open = False
        self.lan.sockets[0].protocol.doStop()
        self.failureResultOf(asked, NoMapping)
        self.check_over()

    def test_cancelled(self) -> None:
        asked = self.ask()
        asked.cancel()
        self.failureResultOf(asked, CancelledError)
        self.lan.sockets[0].protocol.datagramReceived(b"yes", (GATEWAY, 5351))
        self.check_over()

    def test_no_socket(self) -> None:
        self.lan.full = True
        self.failureResultOf(self.ask(), NoMapping)
        self.check_over()

    def test_no_route(self) -> None:
        self.lan.unreachable = True
        self.failureResultOf(self.ask(), NoMapping)
        self.check_over()

    def test_not_allowed_to_send(self) -> None:
        self.lan.unwritable = True
        self.failureResultOf(self.ask(), NoMapping)
        self.check_over()
