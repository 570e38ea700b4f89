"""Endpoints of real peers with a real broker, in memory."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionDone, ConnectionLost
from twisted.trial.unittest import SynchronousTestCase

from p2phole import events
from p2phole.endpoints.client import CallingEndpoint
from p2phole.endpoints.errors import CannotConnect, NotReached
from p2phole.endpoints.options import PURPOSE
from p2phole.endpoints.server import AnsweringEndpoint
from p2phole.endpoints.shared import Key, Peers
from p2phole.peer.service import PeerService
from p2phole.peer.settings import BrokerAddress, PeerSettings
from p2phole.secure.identity import Credentials
from tests.doubles import FakePeople
from tests.endpoints import programs
from tests.endpoints.programs import digest, noise
from tests.endpoints.test_switchboard import Counting
from tests.support.network import Host, Nat
from tests.system.world import _KEYS, BROKER, World, interfaces_of


class _Both:
    """Keeps the events, and passes them on."""

    def __init__(self, board: Any, told: list[events.Event]) -> None:
        self.board, self.told = board, told

    def emit(self, event: events.Event) -> None:
        self.told.append(event)
        self.board.emit(event)


class Process:
    """What a process with endpoints has of its own: a machine, a key, and peers that it shares."""

    instances = 0

    def __init__(self, world: World, host: Host, key: Credentials) -> None:
        self.world, self.host, self.key = world, host, key
        self.peers = Peers(self.make)
        self.services: list[Any] = []
        self.told: list[events.Event] = []

    def make(self, reactor: Any, settings: PeerSettings, fail: Any, board: Any) -> PeerService:
        Process.instances += 1
        service = PeerService(
            reactor,
            settings,
            fail,
            [board],
            sink=_Both(board, self.told),
            interfaces=lambda: interfaces_of(self.host),
            asleep=lambda: 0.0,
            credentials=self.key,
            instance=f"{Process.instances:x}".rjust(4, "0").ljust(32, "0"),
            random=lambda: 0.5,
            people=FakePeople(),
        )
        self.services.append(service)
        return service

    def settings(self, name: str) -> PeerSettings:
        return PeerSettings(BrokerAddress(BROKER, 9000), name, key_file=None)  # type: ignore[arg-type]

    def client(self, whom: str = "bob", name: str = "user", timeout: float = 30) -> CallingEndpoint:
        key = Key(self.host, False, self.settings(name))
        return CallingEndpoint(lambda: self.peers.board(key), whom, PURPOSE, timeout)

    def server(self, name: str = "bob") -> AnsweringEndpoint:
        key = Key(self.host, True, self.settings(name))
        return AnsweringEndpoint(lambda: self.peers.board(key), name, PURPOSE)


class EndpointTestCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.world = World()
        self.routers = Nat("203.0.113.1"), Nat("203.0.113.2")
        self.near = Process(self.world, self.world.site("near", self.routers[0]), _KEYS[0])
        self.far = Process(self.world, self.world.site("far", self.routers[1]), _KEYS[1])

    def done(self, deferred: Deferred[Any], limit: float = 60) -> Any:
        """Let time pass until it has fired."""
        self.world.until(lambda: deferred.called, limit)
        return self.successResultOf(deferred)

    def resumed(self) -> list[events.Event]:
        return [event for event in self.near.told if isinstance(event, events.Resumed)]

    def test_web_while_the_routers_reboot(self) -> None:
        site = programs.site(self.far.host)
        port = self.done(self.far.server().listen(site))
        body = noise(2_000_000)
        posting = Deferred.fromCoroutine(programs.post(self.near.host, self.near.client(), body))
        for number, router in enumerate(self.routers, 1):
            self.world.until(lambda so_far=number * 250_000: len(self.world.net.payload_seen_at("far")) > so_far)
            self.assertFalse(posting.called)
            router.reboot()
            self.world.until(lambda times=number: len(self.resumed()) == times, 30)
        found, headers = self.done(posting, 120)
        self.assertEqual((digest(found), headers["x-digest"]), (digest(body), digest(body)))
        self.done(port.stopListening())

    def test_both_ends_in_one_process(self) -> None:
        """With one key, and in one room: the process has two peers, and they meet."""
        port = self.done(self.far.server().listen(answers := Counting()))
        for name in ("user", "bob"):  # whatever it is called itself
            client = self.done(self.far.client(name=name).connect(Counting()))
            peer, host = client.transport.getPeer(), client.transport.getHost()
            self.assertEqual((peer.name, host.name), ("bob", name))
            self.assertEqual((peer.fingerprint, host.fingerprint), (_KEYS[1].fingerprint,) * 2)
            client.transport.write(b"hello")
            self.world.until(lambda: answers.built[-1].got == b"hello")
            client.transport.loseConnection()
            self.world.until(lambda client=client: client.reason is not None)
            self.assertIsInstance(client.reason.value, ConnectionDone)
        self.assertEqual(len(self.far.services), 3)
        ledgers = {id(service.ledger) for service in self.far.services}
        self.assertEqual(len(ledgers), 1)
        self.done(port.stopListening())

    def test_several_to_one_and_among_each_other(self) -> None:
        """Three machines that all listen and connect, over one peer each for either."""
        third = Process(self.world, self.world.site("third"), _KEYS[2])
        names = {"a": self.near, "b": self.far, "c": third}
        answers = {name: Counting() for name in names}
        for name, process in names.items():
            self.done(process.server(name).listen(answers[name]))
        for mine, process in names.items():
            for other in names:
                client = self.done(process.client(other, mine).connect(Counting()))
                client.transport.write(mine.encode())
        self.world.net.advance(1)
        for factory in answers.values():
            self.assertEqual(sorted(built.got for built in factory.built), [b"a", b"b", b"c"])
        self.assertEqual([len(process.services) for process in names.values()], [2, 2, 2])

    def test_a_server_that_is_killed_and_started_again(self) -> None:
        self.done(self.far.server().listen(Counting()))
        client = self.done(self.near.client().connect(Counting()))
        self.far.host.crash()
        again = Process(self.world, self.far.host, _KEYS[1])
        self.done(again.server().listen(answers := Counting()))
        # The session with the first one still waits to be resumed; whoever connects gets the second one.
        other = self.done(self.near.client().connect(Counting()))
        other.transport.write(b"hello")
        self.world.until(lambda: answers.built and answers.built[0].got == b"hello")
        self.assertIsNone(client.reason)

    def test_a_server_that_leaves(self) -> None:
        port = self.done(self.far.server().listen(answers := Counting()))
        client = self.done(self.near.client().connect(Counting()))
        self.successResultOf(port.stopListening())  # what is connected stays
        client.transport.write(b"hello")
        self.world.until(lambda: answers.built[0].got == b"hello")
        answers.built[0].transport.loseConnection()
        self.world.until(lambda: client.reason is not None)
        self.assertIsInstance(client.reason.value, ConnectionDone)
        self.world.net.advance(2)
        self.assertFalse(self.far.services[0].running)
        self.assertEqual(self.far.host.getReaders(), [])

    def test_a_process_that_is_stopped(self) -> None:
        """By a signal: the other side hears of it at once."""
        self.done(self.far.server().listen(Counting()))
        client = self.done(self.near.client().connect(Counting()))
        self.far.host.stop()
        self.world.until(lambda: client.reason is not None, 2)
        self.assertIsInstance(client.reason.value, ConnectionLost)
        self.assertIn("has left", str(client.reason.value))

    def test_nobody_there(self) -> None:
        connecting = self.near.client(timeout=3).connect(Counting())
        self.world.until(lambda: connecting.called)
        error = self.failureResultOf(connecting, NotReached).value
        self.assertEqual(str(error), "bob was not reached within 3 s: nobody of that name is in the room.")
        self.done(Deferred.fromCoroutine(self.near.peers.leave_unused(self.near.host)))

    def test_no_way_there(self) -> None:
        """Between two NATs of the worst kind the reason is told as soon as it is known."""
        hard = {"mapping": "address-and-port-dependent", "allocation": "random"}
        sites = [self.world.site(f"hard {end}", Nat(f"203.0.113.{30 + end}", **hard)) for end in range(2)]
        near, far = (Process(self.world, site, key) for site, key in zip(sites, _KEYS[4:6], strict=True))
        self.done(far.server("carol").listen(Counting()))
        connecting = near.client("carol", timeout=120).connect(Counting())
        began = self.world.clock.seconds()
        self.world.until(lambda: connecting.called, 60)
        self.assertLess(self.world.clock.seconds() - began, 30)
        error = self.failureResultOf(connecting, CannotConnect).value
        self.assertIn("Cannot connect to carol: ", str(error))
        self.assertIn("no direct connection", str(error))
