"""What a peer does at the word of a broker that lies: within bounds, and nothing that it is not entitled to."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

from twisted.internet.protocol import Factory
from twisted.protocols.basic import LineReceiver
from twisted.trial.unittest import SynchronousTestCase

from p2phole import events
from p2phole.addresses import Candidate, Endpoint
from p2phole.behaviour import PORT, UNKNOWN, Behaviour
from p2phole.peer.members import INTRODUCTIONS
from p2phole.peer.observer import TAKEN_SECONDS
from p2phole.punch.birthday import EVERY, MANY_PORTS, MOST_TRIES, PER_SECOND, SECONDS
from p2phole.punch.candidates import MOST_DIALLED
from p2phole.punch.ledger import ALL_PER_SECOND, PER_MINUTE
from p2phole.punch.ledger import PER_SECOND as SYNS_PER_SECOND
from p2phole.punch.prediction import PREDICTED
from p2phole.punch.schedule import IN_ALL
from p2phole.wire.codec import encode
from p2phole.wire.messages import (
    MAX_CANDIDATES,
    DialledBack,
    Introduction,
    Message,
    Registered,
    Requested,
    Welcome,
)
from tests.punch.test_ledger import busiest
from tests.support.network import Nat, Record
from tests.system.world import BROKER, Peer, World

THIRD = "192.0.2.66"
FORBIDDEN = (
    "127.0.0.1",
    "10.0.0.9",
    "172.16.3.4",
    "192.168.1.1",
    "100.64.0.5",
    "169.254.169.254",
    "0.0.0.0",
    "224.0.0.1",
    "255.255.255.255",
)
RANDOM = Behaviour(PORT, PORT, "random", "silent")


class Liar(LineReceiver):
    """A broker that registers whoever comes, and says for the rest what the test wants."""

    delimiter = b"\n"
    transport: Any

    def __init__(self, script: Script) -> None:
        self.script = script
        self.heard: list[dict[str, Any]] = []

    def lineReceived(self, line: bytes) -> None:
        content = json.loads(line)
        self.heard.append(content)
        peer, here = self.transport.getPeer(), self.transport.getHost()
        if content["type"] == "hello":
            seen = Endpoint.make(peer.host, self.script.seen.get(here.port, peer.port))
            self.say(Welcome(2, "liar", self.script.observed or seen, "0" * 32, **self.script.welcome))
        elif content["type"] == "register":
            self.script.link = self
            self.say(Registered())
        elif content["type"] == "dialback":
            for message in self.script.dialled_back:
                self.say(message)

    def say(self, message: Message) -> None:
        self.sendLine(encode(message))

    def asked(self, kind: str) -> list[dict[str, Any]]:
        """What it was told, of that type."""
        return [content for content in self.heard if content["type"] == kind]


class Script:
    """What the liar says.

    ``seen``: as which outside port a peer is seen at a port of the broker; ``observed``: as what, everywhere.
    """

    def __init__(self) -> None:
        self.link: Any = None
        self.welcome: dict[str, Any] = {"probe_port": 9001}
        self.seen: dict[int, int] = {}
        self.observed: Endpoint | None = None
        self.dialled_back: list[DialledBack] = [DialledBack("port", "silent")]


def introduction(
    number: int, observed: str, *candidates: str, kind: str = "srflx", nat: Behaviour = UNKNOWN
) -> Introduction:
    return Introduction(
        name=f"member {number}",
        fingerprint=f"{number:064x}",
        instance=f"{number:08x}" * 4,
        observed=Endpoint.parse(observed),
        candidates=tuple(Candidate(kind, Endpoint.parse(text)) for text in candidates),
        token=f"{number:032x}",
        attempt=1,
        delay=0.0,
        nat=nat,
    )


class LiarTestCase(SynchronousTestCase):
    def start(self, script: Script | None = None, **nat: Any) -> Peer:
        """A peer behind a NAT, registered with the liar, and its NAT looked at."""
        self.script = script or Script()
        self.world = World(broker=False)
        factory = Factory()
        factory.noisy = False
        factory.buildProtocol = lambda addr: Liar(self.script)  # type: ignore[method-assign]
        for port in (9000, 9001):
            self.world.broker_host.listenTCP(port, factory, interface="::")
        self.world.net.host("third", address=THIRD)
        peer = self.world.peer(self.world.site("alice", Nat("203.0.113.1", **nat)))
        self.world.until(lambda: peer.all(events.Nat))
        return peer

    def syns(self, peer: Peer) -> list[Record]:
        """Those that left the peer's host, to anybody but the broker."""
        found = [one for one in self.world.net.packets if (one.sender, one.flags) == (peer.name, "SYN")]
        inside = {one.network for one in found} - {"core"}
        found = [one for one in found if one.network in inside] or found
        return [one for one in found if one.sent_destination.host != BROKER]

    def check_alive(self, peer: Peer) -> None:
        """It is registered, has nothing open but what it should, and meets an honest member."""
        self.assertEqual(self.flushLoggedErrors(), [])
        self.assertEqual(peer.errors, [])
        self.world.net.advance(60)
        # Its listener and its connection to the broker.
        self.assertLessEqual(len(peer.host.stack.sockets), 2)
        peer.stop()
        self.assertEqual(len(peer.host.stack.sockets), 0)


class CandidateTests(LiarTestCase):
    def test_more_than_a_line_holds(self) -> None:
        """Thousands: that is no broker; the connection is closed, and tried again later."""
        peer = self.start()
        content = json.loads(encode(introduction(1, f"{THIRD}:4000")))
        content["candidates"] = [
            {"kind": "predicted", "endpoint": f"{THIRD}:{port}"} for port in range(1024, 5024)
        ]
        self.script.link.transport.write(json.dumps(content).encode() + b"\n")
        self.world.until(lambda: peer.all(events.BrokerLost))
        self.assertIn("line", peer.all(events.BrokerLost)[0].reason)
        self.assertEqual(self.syns(peer), [])
        self.world.until(lambda: peer.all(events.BrokerBack))
        self.check_alive(peer)

    def test_more_than_a_message_may_have(self) -> None:
        peer = self.start()
        content = json.loads(encode(introduction(1, f"{THIRD}:4000")))
        content["candidates"] = [{"kind": "host", "endpoint": f"{THIRD}:{port}"} for port in range(2000, 2025)]
        self.assertEqual(len(content["candidates"]), MAX_CANDIDATES + 1)
        self.script.link.sendLine(json.dumps(content).encode())
        self.world.until(lambda: peer.all(events.BrokerLost))
        self.assertEqual((peer.all(events.Introduced), self.syns(peer)), ([], []))
        self.check_alive(peer)

    def test_a_third_party(self) -> None:
        """No more endpoints of it than are dialled of any member, and no more SYNs; once told, none."""
        for kind in ("host", "srflx", "predicted"):
            peer = self.start()
            third = [f"{THIRD}:{port}" for port in range(2000, 2000 + MAX_CANDIDATES)]
            self.script.link.say(introduction(1, "203.0.113.2:4000", *third, kind=kind))
            self.world.net.advance(29)
            sent = [one for one in self.syns(peer) if one.sent_destination.host == THIRD]
            self.assertLessEqual(len(sent), IN_ALL, kind)
            self.assertLessEqual(len({one.sent_destination.port for one in sent}), MOST_DIALLED)
            self.assertEqual(len(peer.all(events.Failed)), 1)
            self.check_alive(peer)

    def test_what_is_forbidden(self) -> None:
        """As any kind of candidate, and as the observed endpoint."""
        for kind in ("host", "srflx", "mapped", "predicted"):
            peer = self.start()
            bad = [f"{host}:{port}" for host in FORBIDDEN for port in (22, 5000)]
            bad += [f"{THIRD}:22", "203.0.113.2:80", f"{peer.host.addresses[0]}:{peer.service.port.port}"]
            for number, observed in enumerate(("203.0.113.2:4000", "192.168.1.1:5000", "127.0.0.1:5000"), 1):
                self.script.link.say(introduction(number, observed, *bad[:MAX_CANDIDATES], kind=kind))
            self.world.net.advance(29)
            self.assertEqual({str(one.sent_destination) for one in self.syns(peer)}, {"203.0.113.2:4000"})
            self.assertEqual(len(peer.all(events.Failed)), 3)
            self.check_alive(peer)


class BirthdayTests(LiarTestCase):
    """Many SYNs to one address: only where it may be dialled, and only so many."""

    def tries(self, peer: Peer, host: str) -> list[Record]:
        return [one for one in self.syns(peer) if one.sent_destination.host == host]

    def test_tries_never_go_where_nothing_may(self) -> None:
        """Whatever the broker says of both endpoints, also that they are one."""
        for host in FORBIDDEN:
            for observed in (None, Endpoint.parse(f"{host}:4000")):
                script = Script()
                script.observed = observed
                peer = self.start(script)
                self.script.link.say(introduction(1, f"{host}:7000", nat=RANDOM))
                self.world.net.advance(20)
                ports = {one.sent_destination.port for one in self.syns(peer)}
                # A private address at which both were seen may be dialled, at that very port.
                self.assertLessEqual(ports, {7000} if observed else set(), host)
                self.check_alive(peer)

    def test_ports_never_go_where_nothing_may(self) -> None:
        for host in FORBIDDEN:
            peer = self.start(mapping=PORT, allocation="random")
            self.assertEqual(peer.all(events.Nat)[0].allocation, "random")
            self.script.link.say(introduction(1, f"{host}:7000", nat=Behaviour("none", PORT, "preserved")))
            self.world.net.advance(20)
            self.assertEqual(self.syns(peer), [])
            self.check_alive(peer)

    def test_not_at_the_other_sides_word_alone(self) -> None:
        """A peer that knows nothing of its own filter tries no ports, whatever the other side is said to be."""
        script = Script()
        script.dialled_back = []
        peer = self.start(script)
        self.script.link.say(introduction(1, f"{THIRD}:7000", nat=RANDOM))
        self.world.net.advance(20)
        self.assertEqual({one.sent_destination.port for one in self.syns(peer)}, {7000})
        self.check_alive(peer)

    def test_a_third_party_as_the_target(self) -> None:
        """The broker can have a peer do this: once a minute, so many, so fast, to no low port, each once."""
        peer = self.start()
        begin = self.world.clock.seconds()
        for number in range(1, 6):
            self.script.link.say(introduction(number, f"{THIRD}:{7000 + number}", nat=RANDOM))
            self.world.net.advance(SECONDS / 5)
        self.world.net.advance(EVERY - (self.world.clock.seconds() - begin) - 1)
        named = {7000 + number for number in range(1, 6)}
        tries = [one for one in self.tries(peer, THIRD) if one.sent_destination.port not in named]
        self.assertTrue(1000 < len(tries) <= MOST_TRIES)
        self.assertEqual(set(Counter(one.sent_destination.port for one in tries).values()), {1})
        self.assertGreater(min(one.sent_destination.port for one in tries), 1023)
        times = [one.time for one in tries]
        for at in range(0, len(times), 50):
            self.assertLessEqual(len([time for time in times if times[at] <= time < times[at] + 1]), PER_SECOND)
        self.check_alive(peer)

    def test_many_ports_to_a_third_party(self) -> None:
        peer = self.start(mapping=PORT, allocation="random")
        for number in range(1, 4):
            self.script.link.say(
                introduction(number, f"{THIRD}:{7000 + number}", nat=Behaviour("none", PORT, "preserved"))
            )
        self.world.net.advance(20)
        sources = {one.sent_source.port for one in self.tries(peer, THIRD)} - {peer.service.port.port}
        # It answers with RST, and each that is closed makes room for another one.
        self.assertTrue(MANY_PORTS < len(sources) <= MOST_TRIES)
        times = sorted(one.time for one in self.tries(peer, THIRD) if one.sent_source.port in sources)
        self.assertLessEqual(busiest(times, 1.0), PER_SECOND + MOST_DIALLED)
        self.assertEqual({one.sent_destination.port for one in self.tries(peer, THIRD)}, {7001, 7002, 7003})
        self.check_alive(peer)


class WordTests(LiarTestCase):
    """Messages that are none, or come unasked."""

    def test_a_nat_of_another_type(self) -> None:
        for nat in (None, [], "random", 7, True, [["mapping", "none"]]):
            peer = self.start()
            content = json.loads(encode(introduction(1, f"{THIRD}:4000")))
            self.script.link.sendLine(json.dumps({**content, "nat": nat}).encode())
            self.world.until(lambda peer=peer: peer.all(events.BrokerLost))  # type: ignore[misc]
            self.assertIn("nat", peer.all(events.BrokerLost)[0].reason)
            self.assertEqual(self.syns(peer), [])
            self.check_alive(peer)

    def test_a_nat_with_words_of_another_type(self) -> None:
        """They tell nothing, and the introduction is as good as one without."""
        peer = self.start()
        content = json.loads(encode(introduction(1, f"{THIRD}:4000", nat=RANDOM)))
        for key, value in (("mapping", 7), ("filtering", ["none"]), ("allocation", {}), ("unsolicited", None)):
            content["nat"][key] = value
        self.script.link.sendLine(json.dumps(content).encode())
        self.world.net.advance(20)
        self.assertEqual({str(one.sent_destination) for one in self.syns(peer)}, {f"{THIRD}:4000"})
        self.assertEqual(len(peer.all(events.Failed)), 1)
        self.check_alive(peer)

    def test_dialled_back_though_nobody_asked(self) -> None:
        """Before the registration it is no broker; after it, the first word counts and nothing else happens."""
        script = Script()
        script.dialled_back = [DialledBack(*words) for words in (("port", "silent"), ("port", "accepted"))] * 500
        peer = self.start(script)
        for _ in range(3):
            self.script.link.say(DialledBack("address", "reset"))
        self.world.net.advance(1)
        self.assertEqual([event.filtering for event in peer.all(events.Nat)], [PORT])
        self.assertEqual((peer.all(events.BrokerLost), self.syns(peer)), ([], []))
        self.check_alive(peer)

    def test_dialled_back_in_place_of_the_registration(self) -> None:
        script = Script()
        self.script = script
        world = self.world = World(broker=False)

        class Early(Liar):
            def lineReceived(self, line: bytes) -> None:
                self.say(DialledBack("port", "accepted"))

        factory = Factory()
        factory.noisy = False
        factory.buildProtocol = lambda addr: Early(script)  # type: ignore[method-assign]
        world.broker_host.listenTCP(9000, factory, interface="::")
        peer = world.peer(world.site("alice", Nat("203.0.113.1")))
        world.until(lambda: peer.errors, 5)
        self.assertIn("out of turn", str(peer.errors[0]))
        self.assertEqual(self.flushLoggedErrors(), [])

    def test_thousands_of_wishes(self) -> None:
        """Of members that nobody knows: so many are answered, each in its turn, one look at the NAT at a time."""
        script = Script()
        script.seen = {9000: 7000, 9001: 7001}
        peer = self.start(script)
        self.assertEqual(peer.all(events.Nat)[0].allocation, "sequential")
        before = len(peer.host.stack.sockets)
        most = 0
        for number in range(2000):
            self.script.link.say(Requested(f"{number:032x}"))
        for _ in range(100):
            self.world.net.advance(0.01)
            most = max(most, len(peer.host.stack.sockets))
        self.assertLessEqual(most - before, 1)
        self.assertLessEqual(len(self.script.link.asked("request")), 3 * PREDICTED)
        self.world.net.advance(INTRODUCTIONS.burst / PREDICTED * (TAKEN_SECONDS + 0.1))
        self.assertEqual(len(self.script.link.asked("request")), INTRODUCTIONS.burst)
        self.assertEqual(self.syns(peer), [])
        self.check_alive(peer)


class LedgerTests(LiarTestCase):
    """The bounds of what goes to one address hold for the process, whatever the broker makes up."""

    def check_bounds(self, sent: list[Record]) -> None:
        self.assertLessEqual(busiest([one.time for one in sent], 1.0), ALL_PER_SECOND)
        for host in {one.sent_destination.host for one in sent}:
            times = [one.time for one in sent if one.sent_destination.host == host]
            self.assertLessEqual(busiest(times, 1.0), SYNS_PER_SECOND, host)
            self.assertLessEqual(busiest(times, 60.0), PER_MINUTE, host)

    def test_many_members_at_one_address(self) -> None:
        """As what it has seen itself, and as what they say; on ports that answer with RST, and do not."""
        for host in (THIRD, "192.0.2.99"):
            peer = self.start()
            for number in range(1, 60):
                ports = [f"{host}:{1024 + number * 16 + each}" for each in range(16)]
                self.script.link.say(introduction(number, ports[0], *ports))
                self.world.net.advance(2)
            sent = self.syns(peer)
            self.assertEqual({one.sent_destination.host for one in sent}, {host})
            self.assertGreater(len(sent), PER_MINUTE)
            self.check_bounds(sent)
            self.check_alive(peer)

    def test_many_addresses(self) -> None:
        peer = self.start()
        for number in range(1, 40):
            hosts = [f"192.0.{number}.{each}:4000" for each in range(100, 116)]
            self.script.link.say(introduction(number, hosts[0], *hosts))
        self.world.net.advance(20)
        sent = self.syns(peer)
        self.assertGreater(len(sent), ALL_PER_SECOND)
        self.check_bounds(sent)
        self.check_alive(peer)

    def test_a_second_address_named_again_and_again(self) -> None:
        script = Script()
        script.welcome = {"probe_port": 9001, "probe_address": THIRD}
        peer = self.start(script)
        for _ in range(120):
            self.world.net.advance(0.5)
            self.script.link.transport.abortConnection()
        sent = self.syns(peer)
        self.assertGreater(len(sent), SYNS_PER_SECOND)
        self.check_bounds(sent)
