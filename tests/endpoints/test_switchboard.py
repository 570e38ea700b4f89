"""What comes of a connection that is asked for, whatever the other side and the network do."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.error import (
    CannotListenError,
    ConnectBindError,
    ConnectError,
    ConnectingCancelledError,
    ConnectionAborted,
    ConnectionLost,
    ConnectionRefusedError,
    NoProtocol,
    TimeoutError,
)
from twisted.internet.interfaces import IListeningPort
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.task import Clock
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from p2phole import events
from p2phole.endpoints.call import PATIENCE
from p2phole.endpoints.client import CallingEndpoint
from p2phole.endpoints.errors import CannotConnect, CannotListen, NotReached, NotServed
from p2phole.endpoints.server import AnsweringEndpoint
from p2phole.endpoints.switchboard import MOST_REMEMBERED, Switchboard
from p2phole.errors import LocalError, P2pholeError, PortTaken
from p2phole.session.peer_address import PeerAddress
from p2phole.testing import MemoryPair


class Keeper(Protocol):
    def __init__(self) -> None:
        self.got = b""
        self.reason: Failure | None = None

    def dataReceived(self, data: bytes) -> None:
        self.got += data

    def connectionLost(self, reason: Failure) -> None:  # type: ignore[override]
        self.reason = reason


class Counting(Factory[Any]):
    """Whether it was started and stopped in order, and what it has built."""

    noisy = False
    protocol = Keeper

    def __init__(self) -> None:
        self.told: list[str] = []
        self.built: list[Any] = []

    def startFactory(self) -> None:
        self.told.append("start")

    def stopFactory(self) -> None:
        self.told.append("stop")

    def buildProtocol(self, addr: Any) -> Any:
        self.built.append(super().buildProtocol(addr))
        return self.built[-1]


class Nobody(Counting):
    def buildProtocol(self, addr: Any) -> Any:
        return None


class Broken(Counting):
    def buildProtocol(self, addr: Any) -> Any:
        raise ZeroDivisionError


class CallTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.pair = MemoryPair()
        self.clock = self.pair.clock
        self.calls, self.answers = Counting(), Counting()

    def pass_(self, seconds: float) -> None:
        """Let time pass as it does, in small steps."""
        for _ in range(int(seconds * 10)):
            self.clock.advance(0.1)
            self.pair.pump()

    def connect(self, **options: Any) -> Deferred[Any]:
        return self.pair.alice.client(**options).connect(self.calls)

    def listen(self, factory: Counting | None = None) -> Any:
        return self.successResultOf(self.pair.bob.server().listen(factory or self.answers))

    def failed(self, connecting: Deferred[Any], kind: type[Exception]) -> str:
        """What it says; and nothing may be left of it."""
        error = self.failureResultOf(connecting, kind).value
        self.assertIsInstance(error, ConnectError)
        self.assertIsInstance(error, P2pholeError)
        self.pair.flush()
        self.nothing_is_left()
        return str(error)

    def nothing_is_left(self) -> None:
        self.assertEqual(self.calls.told, ["start", "stop"])
        board = self.pair.alice.board
        self.assertEqual((board.users, board._calls), (0, {}))
        others = [call for call in self.clock.getDelayedCalls() if "Call." in str(call)]
        self.assertEqual(others, [])

    def test_connected(self) -> None:
        port = self.listen()
        connecting = self.connect()
        self.assertNoResult(connecting)
        self.assertEqual(repr(self.pair.alice.client("web")), "<endpoint.web of bob>")
        self.pair.flush()
        client: Any = self.successResultOf(connecting)
        self.assertEqual((self.calls.told, self.answers.told), (["start"], ["start"]))
        client.transport.loseConnection()
        self.pair.flush()
        self.nothing_is_left()
        self.successResultOf(port.stopListening())
        self.assertEqual(self.answers.told, ["start", "stop"])

    def test_the_protocol_is_connected_when_it_is_given(self) -> None:
        self.listen()
        connecting = self.connect()
        seen: list[Any] = []
        connecting.addCallback(lambda protocol: seen.append(protocol.transport.getPeer().name))
        self.pair.flush()
        self.assertEqual(seen, ["bob"])

    def test_nobody_offers_it(self) -> None:
        connecting = self.connect()
        self.pass_(PATIENCE - 1)
        self.assertNoResult(connecting)
        self.pass_(3)
        self.assertIn("bob takes no such connection: ", self.failed(connecting, NotServed))
        self.assertTrue(issubclass(NotServed, ConnectionRefusedError))

    def test_another_one_of_that_name_may_offer_it(self) -> None:
        self.pair.alice.board.emit(events.Introduced("bob", "b" * 64, "b2"))
        connecting = self.connect()
        self.pass_(PATIENCE + 5)
        self.assertNoResult(connecting)
        self.pair.alice.board.emit(events.Failed("bob", "silent", "Nothing came back.", "b2"))
        self.pass_(2)
        self.failed(connecting, NotServed)

    def test_offered_a_little_later(self) -> None:
        connecting = self.connect()
        self.pass_(2)
        self.listen()
        self.pass_(2)
        self.successResultOf(connecting)

    def test_the_server_takes_nobody(self) -> None:
        self.listen(Nobody())
        connecting = self.connect()
        self.pair.flush()
        self.assertIn("refused endpoint: it is taken by nobody", self.failed(connecting, NotServed))

    def test_the_server_fails(self) -> None:
        self.listen(Broken())
        connecting = self.connect()
        self.pair.flush()
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        self.assertIn("what serves it failed", self.failed(connecting, NotServed))

    def test_the_client_wants_no_protocol(self) -> None:
        for factory, kind in ((Nobody(), NoProtocol), (Broken(), ZeroDivisionError)):
            port = self.listen()
            self.calls = factory
            connecting = self.connect()
            self.pair.flush()
            self.failureResultOf(connecting, kind)
            self.nothing_is_left()
            self.assertIsInstance(self.answers.built[-1].reason.value, ConnectionLost)
            port.stopListening()

    def test_the_protocol_fails_when_it_is_connected(self) -> None:
        class Failing(Keeper):
            def connectionMade(self) -> None:
                raise ZeroDivisionError

        self.listen()
        self.patch(Counting, "protocol", Failing)
        self.patch(self.answers, "protocol", Keeper)
        connecting = self.connect()
        self.pair.flush()
        self.failureResultOf(connecting, ZeroDivisionError)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        self.nothing_is_left()
        for end in (self.calls.built[-1], self.answers.built[-1]):
            self.assertIsInstance(end.reason.value, (ZeroDivisionError, ConnectionLost))

    def test_nobody_answers(self) -> None:
        self.listen()
        self.pair.flush()
        connecting = self.connect(timeout=5)
        for _ in range(2):
            self.pair.pump(12)  # all of the OPEN, and of the ACCEPT a part
        self.clock.advance(4.9)
        self.assertNoResult(connecting)
        self.clock.advance(0.1)
        self.assertEqual(
            self.failed(connecting, NotReached), "bob was not reached within 5 s: it does not answer."
        )
        self.assertTrue(issubclass(NotReached, TimeoutError))
        # The other side may have taken it meanwhile, and hears that it is no longer wanted.
        self.assertIsNotNone(self.answers.built[0].reason)

    def test_cancelled(self) -> None:
        self.listen()
        for pumps in range(4):
            self.calls.told.clear()
            connecting = self.connect()
            for _ in range(pumps):
                self.pair.pump(10)
            connecting.cancel()
            error: Any = self.failureResultOf(connecting, ConnectingCancelledError).value
            self.assertEqual(error.address, PeerAddress("bob", ""))
            self.pair.flush()
            self.nothing_is_left()
        self.assertTrue(all(built.reason is not None for built in self.answers.built))

    def test_the_link_is_lost_meanwhile(self) -> None:
        self.listen()
        connecting = self.connect()
        self.pair.pump(10)
        self.pair.cut()
        self.pass_(3)
        self.assertNoResult(connecting)
        self.pair.join()
        self.pair.flush()
        client: Any = self.successResultOf(connecting)
        # What had begun on the link that is gone has ended; this is one connection, and one answer.
        alive = [built for built in self.answers.built if built.reason is None]
        client.transport.write(b"hello")
        self.pair.flush()
        self.assertEqual([built.got for built in alive], [b"hello"])

    def test_the_link_is_lost_for_longer(self) -> None:
        connecting = self.connect()
        self.pair.cut()
        self.pass_(31)
        self.assertIn("30 s: the connection is lost for now.", self.failed(connecting, NotReached))

    def test_the_session_ends_meanwhile(self) -> None:
        self.listen()
        connecting = self.connect()
        self.pair.leave(self.pair.bob)
        self.pair.flush()
        self.assertNoResult(connecting)
        self.pair.join()
        self.pair.flush()
        self.successResultOf(connecting)

    def test_aborted(self) -> None:
        self.listen()
        connecting = self.connect()
        self.pair.flush()
        client: Any = self.successResultOf(connecting)
        client.transport.abortConnection()
        self.pair.flush()
        self.assertIsInstance(client.reason.value, ConnectionAborted)
        self.assertIsInstance(self.answers.built[0].reason.value, ConnectionLost)
        self.nothing_is_left()

    def test_names_that_look_the_same(self) -> None:
        self.listen()
        connecting = CallingEndpoint(self.pair.alice._held, " BOB", "endpoint", 3).connect(self.calls)
        self.pair.flush()
        self.successResultOf(connecting)


class PortTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.pair = MemoryPair()

    def test_port(self) -> None:
        factory = Counting()
        port: Any = self.successResultOf(self.pair.bob.server("web").listen(factory))
        self.assertTrue(verifyObject(IListeningPort, port))
        self.assertEqual(port.getHost(), self.pair.bob.address)
        self.assertEqual(repr(port), "<endpoint.web as bob>")
        port.startListening()
        for _ in range(2):
            self.successResultOf(port.stopListening())
        self.assertEqual(factory.told, ["start", "stop"])
        self.assertEqual(self.pair.bob.board.users, 0)

    def test_one_for_each_service(self) -> None:
        server = self.pair.bob.server()
        port: Any = self.successResultOf(server.listen(Counting()))
        factory = Counting()
        error = self.failureResultOf(server.listen(factory), CannotListen).value
        self.assertIsInstance(error, CannotListenError)
        self.assertEqual(
            str(error),
            "Cannot listen as bob: another endpoint of this process listens with these options: give each its own "
            "service.",
        )
        self.assertEqual(factory.told, [])
        port.stopListening()
        self.successResultOf(server.listen(Counting()))

    def test_what_is_connected_stays(self) -> None:
        factory = Counting()
        port: Any = self.successResultOf(self.pair.bob.server().listen(factory))
        connecting = self.pair.alice.client().connect(Counting())
        self.pair.flush()
        port.stopListening()
        client: Any = self.successResultOf(connecting)
        client.transport.write(b"still here")
        self.pair.flush()
        self.assertEqual(factory.built[0].got, b"still here")
        self.assertEqual(self.pair.bob.board.users, 1)
        late = self.pair.alice.client().connect(Counting())
        for _ in range(80):
            self.pair.clock.advance(0.1)
            self.pair.pump()
        self.failureResultOf(late, NotServed)


class RoomTests(SynchronousTestCase):
    """A peer that is not in its room yet, or never will be."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.board = Switchboard(self.clock)
        self.factory = Counting()

    def held(self) -> Switchboard:
        self.board.hold()
        return self.board

    def connect(self) -> Deferred[Any]:
        return CallingEndpoint(self.held, "bob", "endpoint", 10).connect(self.factory)

    def listen(self) -> Deferred[Any]:
        return AnsweringEndpoint(self.held, "alice", "endpoint").listen(self.factory)

    def enter(self) -> None:
        self.board.emit(events.Registered("lobby", "alice", "a" * 64, "", ""))

    def why(self, connecting: Deferred[Any], kind: type[Exception] = NotReached) -> str:
        self.clock.advance(10)
        return str(self.failureResultOf(connecting, kind).value)

    def test_listening_begins_in_the_room(self) -> None:
        listening = self.listen()
        self.assertNoResult(listening)
        self.enter()
        port: Any = self.successResultOf(listening)
        self.assertEqual(port.getHost(), PeerAddress("alice", "a" * 64))

    def test_listening_is_cancelled(self) -> None:
        listening = self.listen()
        listening.cancel()
        self.failureResultOf(listening, CancelledError)
        self.assertEqual((self.board.users, self.factory.told), (0, ["start", "stop"]))
        self.enter()
        self.successResultOf(self.listen())

    def test_it_cannot_go_on(self) -> None:
        listening, connecting = self.listen(), self.connect()
        self.board.give_up(PortTaken(port=7, why="in use"))
        error = self.failureResultOf(listening, CannotListen).value
        self.assertEqual(
            str(error),
            "Cannot listen as alice: Port 7 cannot be listened on (in use): choose another one, or end the "
            "program that has it.",
        )
        self.assertIn("Cannot connect to bob: Port 7", str(self.failureResultOf(connecting, CannotConnect).value))
        self.failureResultOf(self.connect(), CannotConnect)
        self.failureResultOf(self.listen(), CannotListen)
        self.assertEqual(self.board.users, 0)

    def test_a_port_hears_of_it_in_the_log(self) -> None:
        self.enter()
        self.successResultOf(self.listen())
        self.board.give_up(LocalError(why="no"))
        self.assertEqual(self.board.users, 1)

    def test_why_nobody_was_reached(self) -> None:
        self.assertIn("the broker cannot be reached.", self.why(self.connect()))
        self.enter()
        self.assertIn(
            "bob was not reached within 10 s: nobody of that name is in the room.", self.why(self.connect())
        )
        self.board.emit(events.BrokerLost("it was stopped", 3.0))
        self.assertIn("the broker cannot be reached (it was stopped).", self.why(self.connect()))
        self.board.emit(events.BrokerBack("it was stopped", 3.0))
        self.board.emit(events.Introduced("bob", "b" * 64, "b1"))
        self.assertIn("a connection is still being tried.", self.why(self.connect()))

    def test_an_attempt_fails(self) -> None:
        """That is told at once, unless there is somebody else of that name."""
        self.enter()
        connecting, other = self.connect(), CallingEndpoint(self.held, "carol", "endpoint", 10).connect(Counting())
        for instance in ("b1", "b2"):
            self.board.emit(events.Introduced("bob", "b" * 64, instance))
        self.board.emit(events.Failed("bob", "symmetric", "Both NATs are hard.", "b1"))
        self.assertNoResult(connecting)
        self.board.emit(events.Failed("bob", "symmetric", "Both NATs are hard.", "b2"))
        error = self.failureResultOf(connecting, CannotConnect).value
        self.assertEqual(str(error), "Cannot connect to bob: Both NATs are hard.")
        self.assertNoResult(other)
        self.assertIn("Both NATs are hard.", self.why(self.connect()))
        self.failureResultOf(other, NotReached)

    def test_a_broker_that_names_without_end(self) -> None:
        self.enter()
        for number in range(MOST_REMEMBERED + 10):
            self.board.emit(events.Introduced(f"n{number}", "b" * 64, f"{number}"))
        self.assertEqual(len(self.board._introduced), MOST_REMEMBERED)


class ErrorTests(SynchronousTestCase):
    def test_twisted_may_ask_for_its_own(self) -> None:
        """What is written for Twisted's errors looks at these."""
        self.assertIsNone(NotReached(name="x", seconds=1.0, why="y").osError)
        self.assertEqual(CannotListen(name="x", why="y").socketError, None)
        self.assertFalse(issubclass(CannotConnect, ConnectBindError))
