"""Connections forwarded between peers on a memory network."""

from __future__ import annotations

from typing import Any

from twisted.internet.error import ConnectionDone, ConnectionLost
from twisted.internet.interfaces import IHalfCloseableProtocol, IPushProducer
from twisted.internet.protocol import ClientFactory, Factory, Protocol, connectionDone
from twisted.logger import LogLevel, formatEvent, globalLogPublisher
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer

from p2phole.errors import PortTaken
from p2phole.peer.use import Idle
from p2phole.use.forward.forwarding import Forwarding
from p2phole.use.forward.specs import ARRIVAL, CONNECT, LISTEN, Plan, allowed, allowed_to_listen, forward
from tests.session.sides import End
from tests.use.company import Company, Pairing, Peer

SERVER = 80


@implementer(IHalfCloseableProtocol)
class Talker(Protocol):
    """One end of a connection that is forwarded."""

    def __init__(self) -> None:
        self.got = bytearray()
        self.told: list[str] = []
        self.reason: Exception | None = None

    def dataReceived(self, data: bytes) -> None:
        self.got += data

    def readConnectionLost(self) -> None:
        self.told.append("read")

    def writeConnectionLost(self) -> None:
        self.told.append("write")

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self.reason = reason.value  # type: ignore[assignment]

    def write(self, data: bytes) -> None:
        self.transport.write(data)  # type: ignore[union-attr]


def plan(L: str = "", R: str = "", allow: str = "", listen: str = "") -> Plan:
    return Plan(
        tuple(map(forward, L.split())),
        tuple(map(forward, R.split())),
        tuple(map(allowed, allow.split())),
        tuple(map(allowed_to_listen, listen.split())),
    )


class ForwardingCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.company = Company()
        self.said: list[str] = []
        self.levels: list[tuple[str, LogLevel]] = []
        self.servers: list[Talker] = []
        self.peers: list[Peer] = []
        globalLogPublisher.addObserver(self._log)
        self.addCleanup(globalLogPublisher.removeObserver, self._log)
        self.addCleanup(self._stop)

    def _stop(self) -> None:
        for peer in self.peers:
            peer.stop()
        self.company.net.advance(60)

    def _log(self, event: Any) -> None:
        if event["log_namespace"].startswith("p2phole.use"):
            self.said.append(formatEvent(event))
            self.levels.append((self.said[-1], event["log_level"]))

    def peer(self, name: str, fingerprint: str = "", **options: str) -> Peer:
        peer = self.company.peer(name, lambda machine: Forwarding(machine, plan(**options)), fingerprint)
        self.peers.append(peer)
        self.company.net.advance(0.1)
        return peer

    def pair(self, allow: str = "127.0.0.1:80", **options: str) -> Pairing:
        """Alice, who listens on 8080, and Bob, who has a server; linked."""
        options = options or {"L": "8080:127.0.0.1:80"}
        self.alice, self.bob = self.peer("alice", **options), self.peer("bob", allow=allow)
        self.serve(self.bob)
        return self.company.meet(self.alice, self.bob)

    def serve(self, peer: Peer, port: int = SERVER, interface: str = "127.0.0.1") -> Any:
        def build() -> Talker:
            self.servers.append(Talker())
            return self.servers[-1]

        listening = peer.machine.listenTCP(port, Factory.forProtocol(build), interface=interface)
        self.addCleanup(listening.stopListening)
        return listening

    def connect(self, peer: Peer, port: int = 8080, host: str = "127.0.0.1") -> Talker:
        talker, factory = Talker(), ClientFactory()
        factory.protocol = lambda: talker  # type: ignore[assignment]
        peer.machine.connectTCP(host, port, factory)
        self.company.until(lambda: talker.connected)
        return talker

    def joined(self, peer: Peer, **where: Any) -> tuple[Talker, Talker]:
        """A client and the server that it has got to."""
        count = len(self.servers)
        client = self.connect(peer, **where)
        self.company.until(lambda: len(self.servers) > count)
        return client, self.servers[count]

    def ends_well(self, asks: Talker, answers: Talker) -> None:
        """One end asks and closes its side; the other one answers and closes.  All of it has to get there, also
        where the stream is over long before it is read."""
        answer = bytes(range(256)) * 512
        asks.write(b"question")
        asks.transport.loseWriteConnection()  # type: ignore[union-attr]
        asks.transport.pauseProducing()  # type: ignore[union-attr]
        self.company.until(lambda: answers.told == ["read"])
        answers.write(answer)
        answers.transport.loseConnection()  # type: ignore[union-attr]
        self.company.net.advance(30)
        asks.transport.resumeProducing()  # type: ignore[union-attr]
        self.company.until(lambda: asks.reason or "read" in asks.told)
        asks.transport.loseConnection()  # type: ignore[union-attr]
        self.company.until(lambda: asks.reason)
        self.assertTrue(asks.got == answer, f"{len(asks.got)} of {len(answer)} bytes")
        self.assertIsInstance(asks.reason, ConnectionDone)

    def until(self, *texts: str) -> None:
        """Until the log has said this."""
        self.company.until(lambda: any(all(text in line for text in texts) for line in self.said))


class LocalTests(ForwardingCase):
    def test_bytes_both_ways(self) -> None:
        self.pair()
        client, server = self.joined(self.alice)
        client.write(b"question")
        self.company.until(lambda: server.got == b"question")
        server.write(b"answer")
        self.company.until(lambda: client.got == b"answer")

    def test_on_ipv6_too(self) -> None:
        self.pair()
        client, server = self.joined(self.alice, host="::1")
        client.write(b"x")
        self.company.until(lambda: server.got == b"x")

    def test_half_close_both_ways(self) -> None:
        self.pair()
        client, server = self.joined(self.alice)
        client.write(b"all")
        client.transport.loseWriteConnection()  # type: ignore[union-attr]
        self.company.until(lambda: server.told == ["read"])
        self.assertEqual((server.got, client.reason), (b"all", None))
        server.write(b"said")
        self.company.until(lambda: client.got == b"said")
        server.transport.loseWriteConnection()  # type: ignore[union-attr]
        self.company.until(lambda: "read" in client.told)
        for end in (client, server):
            end.transport.loseConnection()  # type: ignore[union-attr]
        self.company.until(lambda: client.reason and server.reason)
        self.company.net.advance(1)
        self.assertEqual([partner.session._table._streams for partner in self.alice.partners], [{}])

    def test_the_server_closes_first(self) -> None:
        self.pair()
        client, server = self.joined(self.alice)
        server.write(b"bye")
        server.transport.loseConnection()  # type: ignore[union-attr]
        self.company.until(lambda: client.told == ["read"])
        self.assertEqual(client.got, b"bye")
        client.transport.loseConnection()  # type: ignore[union-attr]
        self.company.until(lambda: client.reason and server.reason)
        self.assertIsInstance(client.reason, ConnectionDone)
        self.assertIsInstance(server.reason, ConnectionDone)

    def test_who_reads_late_gets_all_of_it(self) -> None:
        self.pair()
        self.ends_well(*self.joined(self.alice))
        client, server = self.joined(self.alice)
        self.ends_well(server, client)

    def test_a_reset_is_a_reset(self) -> None:
        self.pair()
        client, server = self.joined(self.alice)
        server.transport.abortConnection()  # type: ignore[union-attr]
        self.company.until(lambda: client.reason)
        self.assertIsInstance(client.reason, ConnectionLost)
        client, server = self.joined(self.alice)
        client.transport.abortConnection()  # type: ignore[union-attr]
        self.company.until(lambda: server.reason)
        self.assertIsInstance(server.reason, ConnectionLost)

    def test_nothing_listens_there(self) -> None:
        self.pair(L="8080:127.0.0.1:81", allow="127.0.0.1:*")
        client = self.connect(self.alice)
        self.company.until(lambda: client.reason)
        self.assertIsInstance(client.reason, ConnectionLost)
        self.until("no connection to 127.0.0.1:81", "bob says", "nothing listens there")
        self.assertFalse([line for line in self.said if line.endswith("..")])

    def test_port_0_is_told(self) -> None:
        self.pair(L="0:127.0.0.1:80")
        (line,) = [line for line in self.said if line.startswith("Listening on localhost:")]
        client, server = self.joined(self.alice, port=int(line.split(":")[1].strip(": ")))
        client.write(b"x")
        self.company.until(lambda: server.got == b"x")

    def test_a_port_that_is_taken(self) -> None:
        machine = self.company.peer("x", lambda machine: Forwarding(machine, Plan())).machine
        for interface in ("127.0.0.1", "::1"):
            listening = machine.listenTCP(8080, Factory.forProtocol(Talker), interface=interface)
            peer = Peer(self.company, machine, "y", lambda m: Forwarding(m, plan(L="8080:a:1 8081:a:1")), "y")
            self.company.net.advance(0.1)
            self.assertEqual([type(error) for error in peer.errors], [PortTaken])
            self.assertIn("8080", str(peer.errors))
            listening.stopListening()
            peer.stop()
            self.company.net.advance(1)

    def test_only_loopback_unless_told_otherwise(self) -> None:
        self.pair(L="8080:127.0.0.1:80 *:8081:127.0.0.1:80 203.0.113.100:8082:127.0.0.1:80")
        (where,) = self.alice.machine.addresses
        for port in (8081, 8082):
            self.connect(self.bob, host=where, port=port)
        self.connect(self.alice, port=8081)
        for peer, host, port in ((self.bob, where, 8080), (self.alice, "127.0.0.1", 8082)):
            failed: list[object] = []
            factory = ClientFactory()
            factory.clientConnectionFailed = lambda _, reason, failed=failed: failed.append(reason)  # type: ignore
            peer.machine.connectTCP(host, port, factory)
            self.company.until(lambda failed=failed: failed)


class AllowTests(ForwardingCase):
    def refused(self) -> None:
        client = self.connect(self.alice)
        client.write(b"hello?")
        self.company.until(lambda: client.reason)
        self.assertIsInstance(client.reason, ConnectionLost)
        self.assertEqual(self.servers, [])

    def test_told_on_both_sides(self) -> None:
        self.pair(allow="127.0.0.1:81 localhost:80")
        self.refused()
        self.until("bob does not allow it; there it takes --allow 127.0.0.1:80")
        self.until("alice asked for a connection to 127.0.0.1:80", "not allowed here", "--allow 127.0.0.1:80")

    def test_nothing_by_default(self) -> None:
        self.pair(allow="")
        self.refused()
        self.until("bob does not allow it")
        self.until("alice asked for")

    def test_a_partner_that_forwards_nothing(self) -> None:
        self.alice = self.peer("alice", L="8080:127.0.0.1:80")
        other = self.company.peer("bob", lambda machine: Idle())
        self.peers.append(other)
        self.company.meet(self.alice, other)
        self.refused()
        self.until("bob does not allow it")

    def told_at(self, allow: str) -> LogLevel:
        """The level at which the one who is asked for what it does not allow says so."""
        self.pair(allow=allow)
        self.refused()
        (level,) = [level for line, level in self.levels if line.startswith("alice asked for")]
        return level

    def test_who_allows_nothing_is_not_warned(self) -> None:
        """As ssh's ProxyCommand: it writes on ssh's terminal."""
        self.assertEqual(self.told_at(""), LogLevel.info)

    def test_who_allows_something_is_warned(self) -> None:
        self.assertEqual(self.told_at("127.0.0.1:81"), LogLevel.warn)

    def test_what_makes_no_sense(self) -> None:
        """The other side may ask for anything; nothing is told by what it is dialled with."""
        pairing = self.pair(allow="*:*")
        for argument in (b"", b"\xff", b"127.0.0.1:080", b"127.0.0.1:80\n", b"/run/x", b"*:80"):
            for purpose in (CONNECT, LISTEN, ARRIVAL):
                end = End()
                end.stream = pairing.one.session.open(purpose, end, argument)
                self.company.until(lambda end=end: end.error)
        self.assertEqual(self.servers, [])

    def test_the_log_does_not_overflow(self) -> None:
        pairing = self.pair(allow="")
        for _ in range(100):
            end = End()
            end.stream = pairing.one.session.open(CONNECT, end, b"10.0.0.1:80")
            self.company.until(lambda end=end: end.error)
        self.assertLess(sum("asked for" in line for line in self.said), 30)


class RemoteTests(ForwardingCase):
    def remote(self, R: str = "9000:127.0.0.1:80", listen: str = "9000", **options: str) -> Pairing:
        """Alice asks Bob to listen, for a server of hers."""
        self.alice, self.bob = self.peer("alice", R=R, **options), self.peer("bob", listen=listen)
        self.serve(self.alice)
        return self.company.meet(self.alice, self.bob)

    def test_what_arrives_there_comes_here(self) -> None:
        self.remote()
        self.until("bob listens on localhost:9000: connections to that come to 127.0.0.1:80 here")
        self.until("Listening on localhost:9000 for alice")
        client, server = self.joined(self.bob, port=9000)
        client.write(b"x")
        self.company.until(lambda: server.got == b"x")
        server.write(b"y")
        self.company.until(lambda: client.got == b"y")

    def test_the_server_closes_first(self) -> None:
        self.remote()
        self.until("bob listens on localhost:9000")
        self.ends_well(*self.joined(self.bob, port=9000))

    def test_a_port_of_their_choice(self) -> None:
        self.remote(R="0:127.0.0.1:80", listen="*")
        self.until("bob listens on localhost:")
        (line,) = [line for line in self.said if line.startswith("bob listens")]
        self.joined(self.bob, port=int(line.split(":")[1]))

    def test_not_without_consent(self) -> None:
        self.remote(listen="9001 127.0.0.1:9000")
        self.until("bob does not listen on localhost:9000", "--allow-listen localhost:9000")
        self.until("alice asked for this side to listen on localhost:9000, which is not allowed here")

    def test_a_partner_that_forwards_nothing(self) -> None:
        self.alice = self.peer("alice", R="9000:127.0.0.1:80")
        other = self.company.peer("bob", lambda machine: Idle())
        self.peers.append(other)
        self.company.meet(self.alice, other)
        self.until("bob does not listen on localhost:9000", "--allow-listen localhost:9000")

    def test_a_port_that_is_taken_there(self) -> None:
        self.alice, self.bob = self.peer("alice", R="80:127.0.0.1:80"), self.peer("bob", listen="80")
        self.serve(self.bob)
        self.company.meet(self.alice, self.bob)
        self.until("bob does not listen on localhost:80: Port 80 cannot be listened on")

    def test_only_that_one_is_implied(self) -> None:
        """Neither other targets, nor what was not granted."""
        pairing = self.remote(R="9000:127.0.0.1:80 9001:127.0.0.1:80")
        self.until("bob listens on localhost:9000")
        self.until("bob does not listen on localhost:9001")
        for purpose, argument in ((CONNECT, b"127.0.0.1:80"), (ARRIVAL, b"1"), (ARRIVAL, b"00")):
            end = End()
            end.stream = pairing.two.session.open(purpose, end, argument)
            self.company.until(lambda end=end: end.error)
        self.assertEqual(self.servers, [])

    def test_it_ends_with_the_session(self) -> None:
        pairing = self.remote()
        self.until("Listening on")
        client, server = self.joined(self.bob, port=9000)
        pairing.one.leave()
        self.company.until(lambda: client.reason and server.reason)
        self.company.net.advance(1)
        self.serve(self.bob, port=9000)

    def test_who_is_started_anew_gets_the_port_again(self) -> None:
        pairing = self.remote()
        self.until("Listening on")
        pairing.cut()
        again = self.peer("anew", fingerprint=self.alice.fingerprint, R="9000:127.0.0.1:80")
        self.serve(again)
        self.said.clear()
        self.company.meet(again, self.bob)
        self.until("bob listens on localhost:9000")
        self.joined(self.bob, port=9000)

    def test_somebody_else_does_not(self) -> None:
        pairing = self.remote()
        self.until("Listening on")
        pairing.cut()
        self.company.meet(self.peer("eve", R="9000:127.0.0.1:80"), self.bob)
        self.until("bob does not listen on localhost:9000")


class SessionTests(ForwardingCase):
    def test_connections_outlive_the_link(self) -> None:
        pairing = self.pair()
        client, server = self.joined(self.alice)
        pairing.cut()
        client.write(b"while apart")
        other = self.connect(self.alice)
        other.write(b"new")
        self.company.net.advance(100)
        self.assertEqual((len(self.servers), server.got, other.reason), (1, b"", None))
        pairing.link()
        self.company.until(lambda: len(self.servers) == 2)
        self.company.until(lambda: server.got == b"while apart" and self.servers[1].got == b"new")

    def test_who_comes_first_waits(self) -> None:
        self.alice, self.bob = self.peer("alice", L="8080:127.0.0.1:80"), self.peer("bob", allow="127.0.0.1:80")
        self.serve(self.bob)
        client = self.connect(self.alice)
        client.write(b"early")
        self.company.net.advance(20)
        self.company.meet(self.alice, self.bob)
        self.company.until(lambda: self.servers and self.servers[0].got == b"early")

    def test_and_not_for_ever(self) -> None:
        self.alice = self.peer("alice", L="8080:127.0.0.1:80")
        client = self.connect(self.alice)
        self.company.until(lambda: client.reason, 60)
        self.assertIsInstance(client.reason, ConnectionLost)
        self.until("nobody was connected for 30 s")

    def test_the_end_of_the_session(self) -> None:
        pairing = self.pair()
        client, server = self.joined(self.alice)
        pairing.two.leave()
        self.company.until(lambda: client.reason and server.reason)
        self.assertIsInstance(client.reason, ConnectionLost)
        self.assertIsInstance(server.reason, ConnectionLost)

    def test_stop(self) -> None:
        self.pair()
        self.peers.remove(self.alice)
        waiting = self.connect(self.alice)
        self.alice.stop()
        self.company.until(lambda: waiting.reason)
        self.serve(self.alice, port=8080)


class SeveralTests(ForwardingCase):
    """More than one partner."""

    def three(self, *allow: str) -> list[Pairing]:
        self.alice = self.peer("alice", L="8080:127.0.0.1:80")
        pairings = []
        for number, each in enumerate(allow):
            other = self.peer(f"other{number}", allow=each)
            self.serve(other)
            pairings.append(self.company.meet(self.alice, other))
        return pairings

    def got_to(self) -> str:
        _client, server = self.joined(self.alice)
        host: str = server.transport.getHost().host  # type: ignore[union-attr]
        self.assertEqual(host, "127.0.0.1")
        machine = server.transport.reactor.name  # type: ignore[union-attr]
        return str(machine)

    def test_who_is_connected_longest(self) -> None:
        self.three("127.0.0.1:80", "127.0.0.1:80")
        self.assertEqual(self.got_to(), "other0")
        self.assertEqual(self.got_to(), "other0")

    def test_and_allows_it(self) -> None:
        self.three("", "127.0.0.1:80", "127.0.0.1:80")
        client, server = self.joined(self.alice)
        client.write(b"nothing lost")
        self.company.until(lambda: server.got == b"nothing lost")
        self.assertEqual(self.got_to(), "other1")
        self.assertEqual(sum("asked for" in line for line in self.said), 1)

    def test_nobody_does(self) -> None:
        self.three("", "127.0.0.1:81")
        client = self.connect(self.alice)
        self.company.until(lambda: client.reason)
        self.until("other0 does not allow it", "other1 does not allow it")

    def test_who_is_linked_goes_before_who_is_not(self) -> None:
        first, _second = self.three("127.0.0.1:80", "127.0.0.1:80")
        first.cut()
        self.assertEqual(self.got_to(), "other1")
        first.link()
        self.assertEqual(self.got_to(), "other0")

    def test_who_comes_later_may_allow_it(self) -> None:
        (pairing,) = self.three("")
        client = self.connect(self.alice)
        self.company.until(lambda: client.reason)
        other = self.peer("late", allow="127.0.0.1:80")
        self.serve(other)
        self.company.meet(self.alice, other)
        self.assertEqual(self.got_to(), "late")
        pairing.two.leave()


class BulkTests(ForwardingCase):
    DATA = bytes(range(256)) * 4096 * 3

    def test_bulk_both_ways_at_once(self) -> None:
        self.pair()
        client, server = self.joined(self.alice)
        client.write(self.DATA)
        server.write(self.DATA)
        self.company.until(lambda: len(server.got) == len(client.got) == len(self.DATA), 120)
        self.assertTrue(server.got == client.got == self.DATA)

    def test_who_does_not_read_holds_up_only_its_own(self) -> None:
        pairing = self.pair()
        client, server = self.joined(self.alice)
        server.transport.pauseProducing()  # type: ignore[union-attr]
        produced = Producer(client)
        self.company.net.advance(60)
        held = produced.written
        self.assertLess(held, 4 * 1024 * 1024)
        self.assertLess(pairing.two.session._table.unread, 512 * 1024)
        other, another = self.joined(self.alice)
        other.write(b"x")
        self.company.until(lambda: another.got == b"x")
        server.transport.resumeProducing()  # type: ignore[union-attr]
        self.company.until(lambda: len(server.got) > held)
        produced.stopProducing()

    def test_a_thousand_at_once(self) -> None:
        self.pair()
        clients = [self.connect(self.alice) for _ in range(1000)]
        for number, client in enumerate(clients):
            client.write(b"%d" % number)
        self.company.until(lambda: sum(bool(server.got) for server in self.servers) == 1000, 120)
        self.assertEqual({int(server.got) for server in self.servers}, set(range(1000)))
        for server in self.servers:
            server.write(b"<" + server.got + b">")
            server.transport.loseConnection()  # type: ignore[union-attr]
        self.company.until(lambda: all(client.told for client in clients), 120)
        self.assertEqual([client.got for client in clients], [b"<%d>" % number for number in range(1000)])


@implementer(IPushProducer)
class Producer:
    """Writes as long as it may."""

    def __init__(self, talker: Talker) -> None:
        self.written = 0
        self.transport: Any = talker.transport
        self.transport.registerProducer(self, True)
        self.resumeProducing()

    def resumeProducing(self) -> None:
        self.going = True
        while self.going:
            self.transport.write(bytes(65536))
            self.written += 65536

    def pauseProducing(self) -> None:
        self.going = False

    def stopProducing(self) -> None:
        self.going = False
        self.transport.unregisterProducer()
