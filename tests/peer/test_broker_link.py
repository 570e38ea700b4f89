"""Registered with the broker, and coming back to it."""

from __future__ import annotations

from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.serialization import Encoding
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.task import Clock
from twisted.internet.tcp import makeBinding
from twisted.trial.unittest import SynchronousTestCase

from p2phole.errors import LocalError
from p2phole.peer.broker_link import (
    CONNECT_SECONDS,
    LONGEST_PAUSE,
    LONGEST_TRY,
    URGENT_PAUSE,
    BrokerLink,
    authorities,
)
from p2phole.peer.broker_protocol import ANSWER_SECONDS, LONGEST_RETRY
from p2phole.peer.errors import BadAuthorities, BrokerRefused, NoSuchHost, NotABroker, VersionMismatch
from p2phole.peer.settings import BrokerAddress
from p2phole.vitals import LEAST_SILENCE, LOOK, PRESSED_SILENCE
from p2phole.wire.codec import encode
from p2phole.wire.messages import Error, Message, Pong, Registered, Welcome
from tests.peer.test_broker_protocol import WELCOME, Room, lines
from tests.secure.parties import LEADER
from tests.support.network import Network


class FakeBroker(Protocol):
    """Answers as its factory has been told."""

    def connectionMade(self) -> None:
        self.lost = ""
        self.heard = b""
        factory: Any = self.factory
        factory.connections.append(self)
        factory.at.append(factory.seconds())
        self.transport.write(factory.banner)  # type: ignore[union-attr]

    def dataReceived(self, data: bytes) -> None:
        self.heard += data
        answers: dict[bytes, bytes] = self.factory.answers  # type: ignore[union-attr]
        for word, answer in answers.items():
            if word in data:
                self.transport.write(answer)  # type: ignore[union-attr]

    def connectionLost(self, reason: Any = None) -> None:
        self.lost = type(reason.value).__name__


class Brokers(Factory):
    protocol = FakeBroker
    noisy = False

    def __init__(self, seconds: Any) -> None:
        self.seconds = seconds
        self.connections: list[FakeBroker] = []
        self.at: list[float] = []
        self.banner = b""
        self.answers = {b'"hello"': lines(WELCOME), b'"register"': lines(Registered())}


class BrokerLinkTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.network = Network(Clock())
        self.peer = self.network.host("peer", ["192.0.2.2", "2001:db8::2"])
        self.machine = self.network.host("broker", ["192.0.2.1", "2001:db8::1"])
        self.brokers = Brokers(self.machine.seconds)
        self.room = Room()
        self.failures: list[LocalError] = []
        self.links: list[BrokerLink] = []
        self.urgent = False

    def tearDown(self) -> None:
        for link in self.links:
            link.stop()
        self.network.advance(1)
        self.assertEqual(list(self.peer.getDelayedCalls()), [])

    def listen(self) -> Any:
        return self.machine.listenTCP(9000, self.brokers, interface="::")

    def link(self, host: str = "192.0.2.1", random: float = 0.5) -> BrokerLink:
        binding = makeBinding("", 4000, reuseAddress=True, reusePort=True)
        link = BrokerLink(
            self.peer,
            BrokerAddress(host, 9000),
            lambda: binding,
            self.room,
            lambda: random,
            self.failures.append,
            lambda: self.urgent,
        )
        self.links.append(link)
        link.start()
        self.network.advance(1)
        return link

    def registrations(self) -> int:
        return self.room.told.count("registered")

    def test_registered_from_the_shared_port(self) -> None:
        self.network.name("broker.example", "192.0.2.1")
        for host in ("192.0.2.1", "2001:db8::1", "broker.example"):
            self.setUp()
            self.network.name("broker.example", "192.0.2.1")
            self.listen()
            self.link(host)
            [connection] = self.brokers.connections
            self.assertEqual((self.registrations(), self.failures), (1, []))
            self.assertEqual(connection.transport.getPeer().port, 4000)  # type: ignore[union-attr]

    def test_in_a_hurry(self) -> None:
        """While a session waits for its connection no pause is long, and the one that passes ends."""
        self.listen()
        link = self.link()
        self.network.isolate(self.machine)
        link.drop()
        self.network.advance(60)
        self.urgent = True
        link.hurry()
        self.network.advance(7)
        self.network.restore(self.machine)
        before = self.network.clock.seconds()
        self.network.run_until(lambda: self.registrations() == 2, 5)
        self.assertLess(self.network.clock.seconds() - before, LONGEST_TRY + URGENT_PAUSE)

    def test_nothing_gets_through(self) -> None:
        self.listen()
        link = self.link()
        self.network.isolate(self.machine)
        link._registering.current.send(Pong(1))  # type: ignore[union-attr]
        before = self.network.clock.seconds()
        self.network.run_until(lambda: "unregistered: nothing gets through to it" in self.room.told, 5)
        self.assertLessEqual(self.network.clock.seconds() - before, LEAST_SILENCE + 2 * LOOK)
        self.network.restore(self.machine)
        self.network.run_until(lambda: self.registrations() == 2, 5)

    def test_nothing_is_left_of_what_the_broker_has_closed(self) -> None:
        """Also where our FIN gets nowhere: the next connection is from the same port."""
        self.listen()
        self.link()
        [connection] = self.brokers.connections
        connection.transport.loseConnection()  # type: ignore[union-attr]
        self.network.run_until(lambda: self.room.told[-1].startswith("unregistered"), 5)
        self.network.isolate(self.machine)
        self.network.advance(0.1)
        self.assertEqual(self.peer.stack.connections, {})

    def test_in_a_hurry_on_a_slow_path(self) -> None:
        self.network.move(self.peer, ["192.0.2.2"], delay=2.0)  # one way
        self.urgent = True
        self.link()
        self.network.advance(5)  # refused
        self.listen()
        self.network.run_until(lambda: self.registrations() == 1, 60)

    def test_nothing_gets_through_before_it_was_ever_registered(self) -> None:
        for answers in ({}, {b'"hello"': lines(WELCOME)}):
            self.setUp()
            self.listen()
            self.brokers.answers, whole = answers, self.brokers.answers
            link = self.link()
            self.network.isolate(self.machine)
            link._registering.current.send(Pong(1))  # type: ignore[union-attr]
            self.network.advance(5)
            self.brokers.answers = whole
            self.network.restore(self.machine)
            self.network.run_until(lambda: self.registrations() == 1, 15)
            self.assertEqual(self.failures, [])

    def test_dropped_before_it_was_ever_registered(self) -> None:
        for answers in ({}, {b'"hello"': lines(WELCOME)}):
            self.setUp()
            self.listen()
            self.brokers.answers, whole = answers, self.brokers.answers
            link = self.link()
            link.drop()
            self.brokers.answers = whole
            self.network.run_until(lambda: self.registrations() == 1, 5)
            self.assertEqual(self.failures, [])

    def test_nothing_gets_through_while_a_session_waits(self) -> None:
        """A new connection through which nothing gets is soon found out."""
        self.listen()
        link = self.link()
        self.urgent = True
        link.drop()
        first = link._registering.current
        self.network.run_until(lambda: link._registering.current is not first, 5)
        self.network.isolate(self.machine)
        before = self.network.clock.seconds()
        current: Any = link._registering.current
        self.network.run_until(lambda: current.was_cut_off, 5)
        self.assertLess(self.network.clock.seconds() - before, PRESSED_SILENCE + 3 * LOOK)

    def test_lost_again_in_a_hurry(self) -> None:
        """How often it was tried before the last registration does not count: the first try is made at once."""
        self.listen()
        link = self.link()
        self.urgent = True
        self.network.isolate(self.machine)
        link.drop()
        self.network.advance(8)
        self.network.restore(self.machine)
        self.network.run_until(lambda: self.registrations() == 2, 5)
        link.drop()
        before = self.network.clock.seconds()
        self.network.run_until(lambda: self.registrations() == 3, 5)
        self.assertLess(self.network.clock.seconds() - before, 0.2)

    def test_stopped_with_a_reset(self) -> None:
        self.listen()
        link = self.link()
        stopped = link.stop()
        self.network.advance(1)
        self.assertIsNone(self.successResultOf(stopped))
        self.assertEqual([one.lost for one in self.brokers.connections], ["ConnectionLost"])
        self.network.advance(60)
        self.assertEqual(len(self.brokers.connections), 1)

    def test_stopped_while_it_connects_or_registers(self) -> None:
        for answers in ({}, {b'"hello"': lines(WELCOME)}):
            self.setUp()
            self.listen()
            self.brokers.answers = answers
            stopped = self.link().stop()
            self.network.advance(1)
            self.assertIsNone(self.successResultOf(stopped))
            self.assertEqual(self.failures, [])
        self.setUp()
        stopped = self.link("192.0.2.99").stop()
        self.network.advance(1)
        self.assertIsNone(self.successResultOf(stopped))
        self.assertEqual(self.failures, [])

    def test_comes_back_at_once_when_it_is_dropped(self) -> None:
        self.listen()
        link = self.link()
        link.drop()
        self.network.advance(3)
        self.assertEqual((self.registrations(), len(self.brokers.connections)), (2, 2))

    def test_comes_back_after_a_restart(self) -> None:
        for away in (1, 20, 300):
            self.setUp()
            port = self.listen()
            self.link()
            self.machine.stack.close_all() if away == 1 else port.stopListening()
            for connection in self.brokers.connections:
                connection.transport.abortConnection()  # type: ignore[union-attr]
            self.network.advance(away)
            self.listen()
            self.network.advance(LONGEST_PAUSE + 2)
            self.assertEqual((self.registrations(), self.failures), (2, []), away)

    def test_pauses_grow_to_eight_seconds_at_the_most(self) -> None:
        self.link("192.0.2.1", random=0.999)
        self.network.advance(200)
        tries = [one.time for one in self.network.packets if one.sender == "peer" and one.flags == "SYN"]
        pauses = [after - before for before, after in pairwise(tries)]
        self.assertLess(pauses[0], 2.5)
        self.assertLess(pauses[0], pauses[2])
        self.assertLessEqual(max(pauses), 8.5)
        self.assertEqual(self.failures, [])

    def test_pauses_grow_too_while_it_is_not_registered(self) -> None:
        self.listen()
        self.link()
        self.brokers.answers = {b'"hello"': lines(Error("replaced", "no"))}
        self.brokers.connections[0].transport.abortConnection()  # type: ignore[union-attr]
        self.network.advance(200)
        self.assertTrue(20 < len(self.brokers.connections) < 60)
        # It had been registered once: what goes wrong now is only logged.
        self.assertEqual(self.failures, [])

    def test_no_such_host(self) -> None:
        self.link("nowhere.example")
        [error] = self.failures[:1]
        self.assertIsInstance(error, NoSuchHost)
        self.assertIn("no host nowhere.example", str(error))

    def refused(self, kind: type[LocalError], **words: str) -> str:
        self.listen()
        self.link()
        self.network.advance(ANSWER_SECONDS + 1)
        self.assertIsInstance(self.failures[0], kind)
        self.assertIn("192.0.2.1:9000", str(self.failures[0]))
        return str(self.failures[0])

    def answer(self, *messages: Message) -> None:
        self.brokers.answers = {b'"hello"': lines(*messages)}

    def test_the_broker_says_no(self) -> None:
        self.answer(Error("version", "update the peer"))
        self.assertIn("update the peer", self.refused(VersionMismatch))
        self.setUp()
        self.answer(WELCOME, Error("bad-name", "the name is empty"))
        self.assertIn("the name is empty", self.refused(BrokerRefused))

    def test_a_busy_broker_is_asked_again_when_it_says(self) -> None:
        """Also at the very first connection, and however often: that is no reason to end."""
        self.listen()
        self.answer(Error("limit", "too many registrations from this address", 40.0))
        self.link()
        self.network.advance(300)
        waits = [after - before for before, after in pairwise(self.brokers.at)]
        self.assertGreater(len(waits), 4)
        self.assertTrue(all(40 <= wait < 40 + LONGEST_PAUSE + 2 for wait in waits), waits)
        self.assertEqual(self.failures, [])
        self.brokers.answers = {b'"hello"': lines(WELCOME), b'"register"': lines(Registered())}
        self.network.advance(40 + LONGEST_PAUSE + 2)
        self.assertEqual(self.registrations(), 1)

    def test_a_member_that_went_over_a_limit(self) -> None:
        self.listen()
        self.link()
        self.brokers.connections[0].transport.write(lines(Error("limit", "too many lines", 30.0)))  # type: ignore
        self.network.advance(30)
        self.assertEqual((len(self.brokers.connections), self.failures), (1, []))
        self.network.advance(LONGEST_PAUSE)
        self.assertEqual(self.registrations(), 2)
        # What it was asked for then is over.
        self.links[0].drop()
        self.network.advance(3)
        self.assertEqual(self.registrations(), 3)

    def test_no_broker_can_put_a_peer_off_for_ever(self) -> None:
        self.listen()
        self.answer(Error("limit", "never", 1e300))
        self.link()
        self.network.advance(LONGEST_RETRY + LONGEST_PAUSE + 2)
        self.assertEqual(len(self.brokers.connections), 2)

    def test_not_a_broker(self) -> None:
        for answer, banner in (
            (b"HTTP/1.1 400 Bad Request\r\n\r\n", b""),
            (b"\x15\x03\x01\x00\x02\x02\x28\n", b""),
            (b"", b"220 mail ESMTP\r\n"),
            (b"", b"x" * 100_000),
            (b"", b""),
            (encode(Welcome(2, "x", WELCOME.observed, "0" * 32)), b""),
        ):
            self.setUp()
            self.brokers.answers, self.brokers.banner = {b'"hello"': answer}, banner
            self.assertIn("is not a p2phole broker (", self.refused(NotABroker))

    def test_it_cannot_be_reached(self) -> None:
        # It may be started yet: tried again, and said in the log only.
        for host in ("192.0.2.1", "192.0.2.99"):
            self.setUp()
            self.link(host)
            self.network.advance(3 * CONNECT_SECONDS)
            self.assertEqual(self.failures, [])


class AuthoritiesTests(SynchronousTestCase):
    """What ``--broker-ca`` names; how it is used is in tests/loopback."""

    def test_read_at_the_start(self) -> None:
        path = Path(self.mktemp())
        path.write_bytes(LEADER.certificate.public_bytes(Encoding.PEM))
        authorities(path)
        peer = Network(Clock()).host("peer", ["192.0.2.2"])
        where = BrokerAddress("broker.example", 9000, tls=True, ca=path)
        for content, why in ((b"", "it holds no certificate in PEM"), (None, "No such file or directory")):
            path.unlink()
            if content is not None:
                path.write_bytes(content)
            link = partial(BrokerLink, peer, where, None, Room(), lambda: 0.5, self.fail)
            error = self.assertRaises(BadAuthorities, link)
            self.assertIn(f"The certificates in {path} cannot be used ({why}): check --broker-ca", str(error))
