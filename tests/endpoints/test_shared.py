"""How long the peers live that endpoints share."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.application.service import Service
from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IReactorCore
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer

from p2phole import endpoints
from p2phole.endpoints import P2PClientEndpoint, P2PServerEndpoint, errors, leave_unused, peer_settings, shared
from p2phole.endpoints.shared import IDLE, STOP_SECONDS, Peers
from p2phole.endpoints.switchboard import Switchboard
from p2phole.errors import LocalError, PortTaken
from p2phole.events import Registered
from p2phole.peer.settings import PeerSettings


@implementer(IReactorCore)
class Reactor(Clock):
    """Of which only the triggers are of interest."""

    def __init__(self) -> None:
        super().__init__()
        self.triggers: list[tuple[Any, ...]] = []

    def addSystemEventTrigger(self, *trigger: Any) -> Any:
        self.triggers.append(trigger)
        return trigger

    def removeSystemEventTrigger(self, trigger: Any) -> None:
        self.triggers.remove(trigger)


class FakePeer(Service):
    """A peer that does nothing; ``left``: its end, when it is told to stop."""

    problem: LocalError | None = None

    def __init__(
        self, reactor: Any, settings: PeerSettings, fail: Callable[[LocalError], None], board: Switchboard
    ) -> None:
        self.settings, self.fail, self.board = settings, fail, board
        self.told: list[str] = []
        self.left: Deferred[None] = succeed(None)

    def privilegedStartService(self) -> None:
        self.told.append("privileged")
        if self.problem is not None:
            raise self.problem

    def startService(self) -> None:
        self.told.append("start")

    def stopService(self) -> Deferred[None]:
        self.told.append("stop")
        return self.left

    def enter(self) -> None:
        self.board.emit(Registered(self.settings.room, self.settings.name, "a" * 64, "", ""))


def factory() -> Factory[Any]:
    found: Factory[Any] = Factory.forProtocol(Protocol)
    found.noisy = False
    return found


class SharedTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.reactor = Reactor()
        self.made: list[FakePeer] = []
        self.patch(endpoints, "_peers", Peers(self.make))
        self.settings = self.given()

    def make(self, *given: Any) -> FakePeer:
        self.made.append(FakePeer(*given))
        return self.made[-1]

    def given(self, **options: Any) -> PeerSettings:
        return peer_settings("broker.example", **{"key_file": "/k", "name": "alice", **options})

    def connect(self, settings: PeerSettings | None = None) -> Deferred[Any]:
        connecting = P2PClientEndpoint(self.reactor, "bob", settings or self.settings).connect(factory())
        connecting.addErrback(lambda reason: None)
        return connecting

    def listen(self, service: str = "", settings: PeerSettings | None = None) -> Deferred[Any]:
        return P2PServerEndpoint(self.reactor, settings or self.settings, service).listen(factory())

    def test_who_shares(self) -> None:
        for _ in range(3):
            self.connect()
        self.assertEqual(len(self.made), 1)
        self.assertEqual(self.made[0].told, ["privileged", "start"])
        for service in ("", "web"):  # a process may connect to itself
            self.listen(service)
        self.assertEqual(len(self.made), 2)
        for options in ({"room": "other"}, {"name": "carol"}, {"to": "bob"}, {"key_file": "/other"}):
            self.listen(settings=self.given(**options))
        self.assertEqual(len(self.made), 6)
        other = Reactor()
        self.reactor = other
        self.connect()
        self.assertEqual(len(self.made), 7)

    def test_of_connections_it_stays_a_while(self) -> None:
        self.connect().cancel()
        self.reactor.advance(IDLE - 1)
        again = self.connect()
        self.reactor.advance(2)
        self.assertEqual((len(self.made), self.made[0].told[-1]), (1, "start"))
        again.cancel()
        self.reactor.advance(IDLE)
        self.assertEqual(self.made[0].told[-1], "stop")
        self.assertEqual((self.reactor.getDelayedCalls(), self.reactor.triggers), ([], []))
        self.connect()
        self.assertEqual(len(self.made), 2)

    def test_of_a_port_it_ends_with_it(self) -> None:
        listening = self.listen()
        other = self.listen("web")
        self.made[0].enter()
        port, second = self.successResultOf(listening), self.successResultOf(other)
        self.successResultOf(port.stopListening())
        self.assertEqual(self.made[0].told[-1], "start")
        self.made[0].left = Deferred()
        stopping = second.stopListening()
        self.assertEqual(self.made[0].told[-1], "stop")
        self.assertNoResult(stopping)
        self.made[0].left.callback(None)
        self.successResultOf(stopping)
        self.assertEqual((self.reactor.getDelayedCalls(), self.reactor.triggers), ([], []))

    def test_the_next_one_waits_until_the_last_one_has_left(self) -> None:
        """It may have been told which port to have."""
        listening = self.listen()
        self.made[0].enter()
        self.made[0].left = Deferred()
        stopping = self.successResultOf(listening).stopListening()
        again = self.listen()
        self.assertEqual(len(self.made), 1)
        self.made[0].left.callback(None)
        self.successResultOf(stopping)
        self.assertEqual(len(self.made), 2)
        self.made[1].enter()
        self.successResultOf(again)

    def test_nobody_waits_any_more(self) -> None:
        listening = self.listen()
        self.made[0].enter()
        self.made[0].left = Deferred()
        self.successResultOf(listening).stopListening()
        again = self.listen()
        again.addErrback(lambda reason: None)
        again.cancel()
        self.made[0].left.callback(None)
        self.assertEqual(len(self.made), 1)

    def test_one_that_does_not_leave(self) -> None:
        listening = self.listen()
        self.made[0].enter()
        self.made[0].left = Deferred()
        stopping = self.successResultOf(listening).stopListening()
        self.reactor.advance(STOP_SECONDS)
        self.successResultOf(stopping)

    def test_one_that_fails_to_leave(self) -> None:
        listening = self.listen()
        self.made[0].enter()
        self.made[0].left = Deferred()
        stopping = self.successResultOf(listening).stopListening()
        self.made[0].left.errback(ZeroDivisionError())
        self.successResultOf(stopping)

    def test_it_does_not_start(self) -> None:
        self.patch(FakePeer, "problem", PortTaken(port=7, why="in use"))
        connecting = P2PClientEndpoint(self.reactor, "bob", self.settings).connect(factory())
        self.failureResultOf(connecting, errors.CannotConnect)
        self.failureResultOf(self.listen(), errors.CannotListen)
        self.assertEqual([peer.told for peer in self.made], [["privileged"]] * 2)
        self.assertEqual((self.reactor.getDelayedCalls(), self.reactor.triggers), ([], []))
        self.patch(FakePeer, "problem", None)
        listening = self.listen()
        self.made[-1].enter()
        self.successResultOf(listening)

    def test_it_fails_later(self) -> None:
        listening = self.listen()
        connecting = P2PClientEndpoint(self.reactor, "bob", self.settings).connect(factory())
        for peer in self.made:
            peer.fail(LocalError(why="the broker is no broker"))
        self.failureResultOf(listening, errors.CannotListen)
        self.failureResultOf(connecting, errors.CannotConnect)
        self.assertEqual([peer.told[-1] for peer in self.made], ["stop", "stop"])
        self.assertEqual((self.reactor.getDelayedCalls(), self.reactor.triggers), ([], []))
        self.connect()
        self.assertEqual(len(self.made), 3)

    def test_the_reactor_stops(self) -> None:
        self.listen()
        self.made[0].left = Deferred()
        [(phase, event, leave)] = self.reactor.triggers
        self.assertEqual((phase, event), ("before", "shutdown"))
        waits = leave()
        self.assertNoResult(waits)
        self.made[0].left.callback(None)
        self.successResultOf(waits)

    def test_leave_unused(self) -> None:
        """What tests do that must not leave anything in the reactor."""
        self.connect().cancel()
        used = self.given(room="other")
        self.connect(used)
        self.made[0].left = Deferred()
        leaving = leave_unused(self.reactor)
        self.assertEqual([peer.told[-1] for peer in self.made], ["stop", "start"])
        self.assertNoResult(leaving)
        again = leave_unused(self.reactor)
        self.made[0].left.callback(None)
        self.successResultOf(leaving)
        self.successResultOf(again)

    def test_the_real_one(self) -> None:
        from p2phole.peer.service import PeerService

        board = Switchboard(self.reactor)
        service: Any = shared.make_peer(self.reactor, self.settings, lambda error: None, board)
        self.assertIsInstance(service, PeerService)
        self.assertIs(service.events, board)
