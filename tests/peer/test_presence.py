"""What the broker is told of a peer, what only who has proved itself is, and when."""

from __future__ import annotations

from ipaddress import ip_interface
from typing import Any

from twisted.internet.defer import Deferred, succeed
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from p2phole.addresses import Candidate, Endpoint, InterfaceAddress
from p2phole.behaviour import UNKNOWN, Behaviour
from p2phole.peer import presence as module
from p2phole.peer.observer import DIALLED_BACK_SECONDS
from p2phole.peer.presence import Presence
from p2phole.peer.vouching import MOST_SEALED, seal, unseal
from p2phole.punch.ledger import SynLedger
from p2phole.secure.roles import Identity
from p2phole.wire.messages import MAX_CANDIDATES, DialBack, Request, ToBroker, Update, Welcome
from tests.punch.dialling import FakeDialler

BROKER, OBSERVED = Endpoint.parse("198.51.100.1:9000"), Endpoint.parse("203.0.113.5:40001")
MAPPED, ELSEWHERE = Endpoint.parse("203.0.113.5:4000"), Endpoint.parse("203.0.113.6:4000")
HOME = ("192.168.1.7/24", "2001:db8:1::7/64", "127.0.0.1/8", "::1/128")
HOSTS = ("host 192.168.1.7:4000", "host [2001:db8:1::7]:4000")
SEEN = f"srflx {OBSERVED}"
BOB = Identity("b0" * 32, "b1" * 16)


class Port(FakeDialler):
    """In place of the shared port."""

    port = 4000

    @property
    def fresh(self) -> FakeDialler:
        return FakeDialler(self.clock)


class Link:
    """The connection to the broker."""

    local, remote = Endpoint.parse("192.168.1.7:4000"), BROKER

    def __init__(self) -> None:
        self.sent: list[ToBroker] = []

    def send(self, message: ToBroker) -> None:
        self.sent.append(message)


class Mapper:
    """In place of the real one."""

    def __init__(self, reactor: Any, port: int, mapped: Any) -> None:
        self.port, self.mapped = port, mapped
        self.did: list[str] = []

    def start(self) -> None:
        self.did.append("start")

    def refresh(self) -> None:
        self.did.append("refresh")

    def stop(self) -> Deferred[None]:
        self.did.append("stop")
        return succeed(None)


def shown(candidates: tuple[Candidate, ...]) -> tuple[str, ...]:
    return tuple(f"{one.kind} {one.endpoint}" for one in candidates)


class PresenceCase(SynchronousTestCase):
    """A peer behind a router that maps endpoint-independently; its broker has no second port."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.told: list[Behaviour] = []
        self.interfaces = HOME
        self.mappers: list[Mapper] = []

        def make(*arguments: Any) -> Mapper:
            self.mappers.append(Mapper(*arguments))
            return self.mappers[-1]

        self.patch(module, "PortMapper", make)

    def own(self) -> tuple[InterfaceAddress, ...]:
        found = map(ip_interface, self.interfaces)
        return tuple(InterfaceAddress(each.ip, each.network) for each in found)

    def presence(self, **options: bool) -> Presence:
        port: Any = Port(self.clock)
        return Presence(self.clock, port, SynLedger(), self.own, self.told.append, **options)

    def register(self, presence: Presence, observed: Endpoint = OBSERVED) -> Link:
        link: Any = Link()
        presence.seen(link, Welcome(2, "test", observed, "0" * 32))
        self.assertEqual(presence.registered(link), observed)
        return link  # type: ignore[no-any-return]

    def registered(self, observed: Endpoint = OBSERVED, **options: bool) -> Presence:
        presence = self.presence(**options)
        self.register(presence, observed)
        return presence

    def discover(self) -> None:
        self.clock.advance(0)
        self.clock.advance(DIALLED_BACK_SECONDS)


class ToldTests(PresenceCase):
    """To everybody, or sealed."""

    def check(self, presence: Presence, everybody: tuple[str, ...], proven: tuple[str, ...]) -> None:
        self.assertEqual((shown(presence.candidates()), shown(presence.sealed())), (everybody, proven))

    def test_open(self) -> None:
        self.check(self.registered(), (*HOSTS, SEEN), HOSTS)

    def test_closed(self) -> None:
        self.check(self.registered(closed=True), (SEEN,), HOSTS)

    def test_no_host_candidates(self) -> None:
        for closed in (False, True):
            self.check(self.registered(closed=closed, hosts=False), (SEEN,), ())

    def test_without_a_router(self) -> None:
        """What the broker sees it tells anyway: nothing has to be added."""
        self.interfaces = ("203.0.113.5/24", *HOME[1:])
        here = f"host {MAPPED}"
        self.check(self.registered(MAPPED), (here, HOSTS[1]), (here, HOSTS[1]))
        self.check(self.registered(MAPPED, closed=True), (), (here, HOSTS[1]))
        self.check(self.registered(MAPPED, hosts=False), (), ())

    def test_a_mapped_port(self) -> None:
        mapped = f"mapped {MAPPED}"
        for options, everybody, proven in (
            ({}, (*HOSTS, mapped, SEEN), (mapped, *HOSTS)),
            ({"closed": True}, (SEEN,), (mapped, *HOSTS)),
            ({"hosts": False}, (mapped, SEEN), (mapped,)),
            ({"closed": True, "hosts": False}, (SEEN,), (mapped,)),
        ):
            presence = self.registered(map_port=True, **options)
            self.mappers[-1].mapped(MAPPED)
            self.check(presence, everybody, proven)
            self.mappers[-1].mapped(None)
            less = (tuple(one for one in told if one != mapped) for told in (everybody, proven))
            self.check(presence, *less)

    def test_a_mapped_port_that_is_doubted(self) -> None:
        """Nobody is told what may be somebody else's address."""
        for closed in (False, True):
            presence = self.registered(map_port=True, closed=closed)
            before = presence.candidates(), presence.sealed()
            self.mappers[-1].mapped(ELSEWHERE)
            self.assertEqual((presence.candidates(), presence.sealed()), before)

    def test_a_mapped_port_that_is_seen_as_well(self) -> None:
        """It has one kind: in a closed room it is sealed, and the broker tells of what it sees anyway."""
        presence = self.registered(MAPPED, map_port=True, closed=True)
        self.mappers[-1].mapped(MAPPED)
        self.check(presence, (), (f"mapped {MAPPED}", *HOSTS))

    def test_many_interfaces(self) -> None:
        """They crowd out neither how this peer is seen nor its mapped port."""
        self.interfaces = tuple(f"192.168.{number}.7/24" for number in range(40))
        presence = self.registered(map_port=True)
        self.mappers[-1].mapped(MAPPED)
        everybody, proven = shown(presence.candidates()), shown(unseal(seal(presence.sealed())))
        self.assertEqual((len(everybody), len(proven)), (MAX_CANDIDATES, MOST_SEALED))
        self.assertEqual(everybody[-2:], (f"mapped {MAPPED}", SEEN))
        self.assertIn(f"mapped {MAPPED}", proven)


class BrokerTests(PresenceCase):
    """What the broker hears, and when."""

    def test_what_was_found_out(self) -> None:
        presence = self.presence()
        self.assertEqual((presence.behaviour, presence.prepares), (UNKNOWN, False))
        link = self.register(presence)
        self.assertEqual(link.sent, [])
        self.clock.advance(0)
        discovered = presence.discovered()
        self.assertEqual(link.sent, [DialBack()])
        self.assertNoResult(discovered)
        self.clock.advance(DIALLED_BACK_SECONDS)
        self.assertIsNone(self.successResultOf(discovered))
        self.assertEqual(self.told, [presence.behaviour])
        self.assertEqual(link.sent[1:], [Update(presence.candidates(), presence.behaviour, presence.prepares)])
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_closed_to_the_end(self) -> None:
        """No message of any kind has a host candidate or a mapped port."""
        presence = self.presence(closed=True, map_port=True)
        link = self.register(presence)
        self.discover()
        self.mappers[0].mapped(MAPPED)
        presence.ask_for(BOB)
        updates = [message for message in link.sent if isinstance(message, Update | Request)]
        self.assertEqual([type(message) for message in updates], [Update, Update, Request])
        self.assertEqual({shown(message.candidates) for message in updates}, {(SEEN,)})

    def test_the_broker_is_lost_meanwhile(self) -> None:
        """What was found may be another network's."""
        presence = self.presence(map_port=True)
        link = self.register(presence)
        self.clock.advance(0)
        presence.unregistered()
        self.clock.advance(DIALLED_BACK_SECONDS)
        self.assertEqual((self.told, link.sent), ([], [DialBack()]))
        self.assertEqual(self.mappers[0].did, ["start", "refresh"])
        self.mappers[0].mapped(MAPPED)
        presence.ask_for(BOB)
        self.assertEqual(link.sent, [DialBack()])
        again = self.register(presence, ELSEWHERE)
        self.discover()
        self.assertEqual((len(self.told), len(again.sent), len(link.sent)), (1, 2, 1))
        self.assertIn(f"srflx {ELSEWHERE}", shown(presence.candidates()))

    def test_lost_before_anything_was_looked_at(self) -> None:
        presence = self.presence()
        link = self.register(presence)
        waiting = presence.first_look(), presence.refresh()
        presence.unregistered()
        self.discover()
        self.assertEqual((self.told, link.sent), ([], []))
        for each in waiting:  # they ask for another start, and must not wait for it for ever
            self.assertIsNone(self.successResultOf(each))

    def test_never_registered(self) -> None:
        """Nobody looks then, and nobody waits for it."""
        presence = self.presence()
        link: Any = Link()
        presence.seen(link, Welcome(2, "test", OBSERVED, "0" * 32))
        self.assertTrue(presence.prepares)
        self.assertIsNone(self.successResultOf(presence.refresh()))

    def test_stopped_while_it_looks(self) -> None:
        for registrations in (1, 2):
            for learning in (False, True):
                presence = self.presence()
                for _ in range(registrations):
                    self.clock.advance(0)
                    self.register(presence)
                if learning:
                    self.clock.advance(0)
                self.assertIsNone(self.successResultOf(presence.stop()))
                self.assertEqual(self.clock.getDelayedCalls(), [])
        self.assertEqual(self.told, [])

    def test_a_mapping_comes_and_goes(self) -> None:
        presence = self.presence(map_port=True)
        [mapper] = self.mappers
        mapper.mapped(MAPPED)  # before there is a broker
        link = self.register(presence)
        self.assertEqual(mapper.port, 4000)
        self.assertIn(f"mapped {MAPPED}", shown(presence.candidates()))
        mapper.mapped(None)
        [update] = link.sent
        self.assertIsInstance(update, Update)
        self.assertNotIn("mapped", str(update))
        self.assertIsNone(self.successResultOf(presence.stop()))
        self.assertEqual(mapper.did, ["start", "stop"])

    def test_another_introduction(self) -> None:
        presence = self.presence()
        link = self.register(presence)
        presence.ask_for(BOB)
        self.assertEqual(
            link.sent,
            [Request(BOB.instance, presence.candidates(), UNKNOWN, presence.prepares, BOB.fingerprint)],
        )

    def test_addresses_change(self) -> None:
        presence = self.registered(map_port=True, closed=True)
        self.assertFalse(presence.look_around())
        self.interfaces = ("10.1.2.3/8",)
        self.assertTrue(presence.look_around())
        self.assertFalse(presence.look_around())
        self.assertEqual(shown(presence.sealed()), ("host 10.1.2.3:4000",))
        self.assertEqual(self.mappers[0].did, ["start", "refresh"])
