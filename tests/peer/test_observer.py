"""How the broker sees this peer's port, and what that tells of its NAT."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred, ensureDeferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from p2phole.addresses import Candidate, Endpoint
from p2phole.behaviour import ADDRESS, INDEPENDENT, PORT, Behaviour
from p2phole.peer.observer import DIALLED_BACK_SECONDS, TAKEN_SECONDS, Observer
from p2phole.punch.discovery import PROBE_SECONDS
from p2phole.punch.ledger import SynLedger
from p2phole.punch.ports import SPARE
from p2phole.punch.prediction import PREDICTED
from p2phole.wire.codec import decode_to_broker, encode
from p2phole.wire.messages import DialledBack, Error, Hello, Welcome
from tests.doubles import HERE, THERE
from tests.punch.dialling import Call, FakeDialler

LOCAL, BROKER = Endpoint.parse("192.168.1.7:4000"), Endpoint.parse("198.51.100.1:9000")
NEAR, FAR = "198.51.100.1:9001", ["198.51.100.2:9000", "198.51.100.2:9001"]
BOTH = {"probe_port": 9001, "probe_address": "198.51.100.2"}


def at(port: int) -> str:
    return f"203.0.113.5:{port}"


class ObserverTestCase(SynchronousTestCase):
    """The probes from the shared port go by ``shared``, those from fresh ones by ``fresh``; ``log`` has both."""

    def setUp(self) -> None:
        self.ledger = SynLedger()

    def observer(self, broker: Endpoint = BROKER, seen: str = at(4000), **welcome: Any) -> Observer:
        self.clock = Clock()
        self.shared, self.fresh = FakeDialler(self.clock), FakeDialler(self.clock)
        self.log: list[str] = []
        self.seen = Endpoint.parse(seen)
        return Observer(
            self.clock,
            self.shared,
            self.fresh,
            self.ledger,
            [LOCAL.ip],
            LOCAL,
            broker,
            Welcome(2, "test", self.seen, "0" * 32, **welcome),
        )

    def discover(self, observer: Observer) -> Deferred[None]:
        return ensureDeferred(observer.discover(lambda: self.log.append("ask")))

    def answer(self, call: Call, seen: str) -> None:
        """The broker's answer to a probe; none: refused."""
        self.log.append(str(call.endpoint))
        if not seen:
            call.refuse()
            return
        call.answer(THERE)
        assert call.wire is not None
        self.assertIsInstance(decode_to_broker(call.wire.taken().rstrip()), Hello)
        call.wire.receive(encode(Welcome(2, "test", Endpoint.parse(seen), "0" * 32)) + b"\n")

    def near(self, seen: str) -> None:
        [call] = self.shared.open
        self.answer(call, seen)

    def afresh(self, seen: str) -> None:
        [call] = self.fresh.open
        self.answer(call, seen)

    def far(self, *seen: str) -> None:
        for call, as_what in zip(list(self.shared.open), seen, strict=True):
            self.answer(call, as_what)

    def targets(self) -> list[str]:
        return [str(call.endpoint) for call in self.shared.calls]

    def discovered(self, observer: Observer, near: str, afresh: str, *far: str, **dialled_back: str) -> None:
        """All of it, with these answers."""
        done = self.discover(observer)
        self.near(near)
        if self.fresh.open:
            self.afresh(afresh)
        for origin, outcome in dialled_back.items():
            observer.dialled_back(DialledBack(origin, outcome))
        self.clock.advance(DIALLED_BACK_SECONDS)
        self.far(*far)
        self.assertIsNone(self.successResultOf(done))


class DiscoveryTests(ObserverTestCase):
    def test_the_order(self) -> None:
        """The second address is looked at when it has dialled back: to look opens the filter under test."""
        observer = self.observer(**BOTH)
        done = self.discover(observer)
        self.assertEqual((self.targets(), self.log), ([NEAR], []))
        self.near(at(4000))
        self.assertEqual(self.log, [NEAR, "ask"])
        self.afresh(at(4000))
        self.assertEqual(self.targets(), [NEAR])
        observer.dialled_back(DialledBack("port", "accepted"))
        self.assertEqual(self.targets(), [NEAR])
        observer.dialled_back(DialledBack("address", "silent"))
        self.assertEqual(self.targets(), [NEAR, *FAR])
        self.far(at(4000), at(4000))
        self.assertIsNone(self.successResultOf(done))
        self.assertEqual(observer.behaviour, Behaviour(INDEPENDENT, ADDRESS, "preserved", "silent"))
        self.clock.advance(10)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_one_address_waits_for_one_word(self) -> None:
        observer = self.observer(probe_port=9001)
        done = self.discover(observer)
        self.near(at(4000))
        self.afresh(at(4000))
        self.assertNoResult(done)
        observer.dialled_back(DialledBack("port", "reset"))
        self.assertIsNone(self.successResultOf(done))
        self.assertEqual(observer.behaviour, Behaviour("unknown", PORT, "preserved", "reset"))

    def test_a_broker_that_does_not_dial_back(self) -> None:
        observer = self.observer(**BOTH)
        done = self.discover(observer)
        self.near(at(4000))
        self.afresh(at(4000))
        self.clock.advance(DIALLED_BACK_SECONDS - 0.01)
        self.assertEqual(self.targets(), [NEAR])
        self.clock.advance(0.02)
        self.far(at(4000), at(4000))
        self.assertIsNone(self.successResultOf(done))
        self.assertEqual(observer.behaviour, Behaviour(INDEPENDENT, "unknown", "preserved", "unknown"))

    def test_nobody_answers(self) -> None:
        """Bounded all the same: three looks of a second each, and nothing is left."""
        observer = self.observer(**BOTH)
        done = self.discover(observer)
        for _ in range(3):
            self.clock.advance(PROBE_SECONDS)
        self.assertIsNone(self.successResultOf(done))
        self.assertEqual((self.shared.open, self.fresh.open, self.clock.getDelayedCalls()), ([], [], []))
        self.assertEqual(observer.behaviour, Behaviour("unknown", "unknown", "preserved", "unknown"))

    def test_what_is_seen_elsewhere(self) -> None:
        observer = self.observer(**BOTH)
        self.discovered(observer, "", at(4002), "", at(4003))
        self.assertEqual(observer.seen, (Endpoint.parse(at(4003)),))
        self.assertEqual(observer.observed, self.seen)

    def test_no_nat(self) -> None:
        """Then no fresh port has anything to tell."""
        observer = self.observer(seen=str(LOCAL), probe_port=9001)
        self.discovered(observer, str(LOCAL), "", port="accepted")
        self.assertEqual(observer.behaviour, Behaviour("none", "unknown", "preserved", "unknown"))
        self.assertEqual(self.fresh.calls, [])

    def test_what_comes_late_or_twice(self) -> None:
        """The first word on each origin counts, whenever it comes."""
        observer = self.observer(**BOTH)
        self.discovered(observer, at(4000), at(4000), at(4000), at(4000))
        observer.dialled_back(DialledBack("port", "reset"))
        observer.dialled_back(DialledBack("port", "accepted"))
        self.assertEqual(observer.behaviour.unsolicited, "reset")

    def test_never_asked_for(self) -> None:
        """Word of dialling back before anybody asked for it shortens nothing, and breaks nothing."""
        observer = self.observer(**BOTH)
        for _ in range(3):
            observer.dialled_back(DialledBack("address", "accepted"))
        done = self.discover(observer)
        observer.dialled_back(DialledBack("port", "accepted"))
        self.assertEqual((self.targets(), self.log), ([NEAR], []))
        self.near(at(4000))
        self.afresh(at(4000))
        self.clock.advance(DIALLED_BACK_SECONDS)
        self.far(at(4000), at(4000))
        self.assertIsNone(self.successResultOf(done))


class PredictionTests(ObserverTestCase):
    """A NAT that takes its ports in sequence."""

    def ports(self, observer: Observer, *before: int) -> list[int]:
        told = observer.ports.predictions([Endpoint.parse(at(port)) for port in before])
        self.assertEqual({one.kind for one in told} | {"predicted"}, {"predicted"})
        return [one.endpoint.port for one in told]

    def sequential(self, step: int = 1) -> Observer:
        observer = self.observer(seen=at(7000), probe_port=9001)
        self.discovered(observer, at(7000 + step), "", port="silent")
        self.assertEqual(observer.behaviour, Behaviour(PORT, PORT, "sequential", "silent"))
        self.refreshed(observer, at(7000 + 2 * step))
        return observer

    def refreshed(self, observer: Observer, seen: str) -> None:
        done = observer.refresh()
        self.afresh(seen)
        self.assertIsNone(self.successResultOf(done))

    def test_the_ones_behind_the_last_one_that_was_seen(self) -> None:
        observer = self.sequential()
        self.assertEqual(str(observer.ports.about_to_dial(())), at(7002))
        self.assertEqual(self.ports(observer), list(range(7003, 7011)))

    def test_by_the_step(self) -> None:
        self.assertEqual(self.ports(self.sequential(2)), list(range(7006, 7021, 2)))

    def test_after_a_look_from_a_fresh_port(self) -> None:
        observer = self.sequential()
        self.refreshed(observer, at(7040))
        self.assertEqual(self.ports(observer), list(range(7041, 7049)))
        # What the broker says late about dialling back changes nothing of that.
        observer.dialled_back(DialledBack("address", "silent"))
        self.assertEqual(self.ports(observer), list(range(7041, 7049)))

    def test_another_client_in_between(self) -> None:
        """A distance of two, once: each port is named, since the one between may have been somebody else's."""
        observer = self.observer(seen=at(7000), probe_port=9001)
        self.discovered(observer, at(7002), "")
        self.assertEqual(self.ports(observer), list(range(7003, 7011)))
        self.refreshed(observer, at(7003))
        self.assertEqual(self.ports(observer), list(range(7004, 7012)))

    def test_those_of_earlier_starts_come_last(self) -> None:
        """The NAT may well use again what it took for that member; but two such NATs meet at the next ones."""
        observer = self.sequential()
        self.assertEqual(self.ports(observer, 7100), [*range(7003, 7011), *range(7101, 7101 + SPARE)])
        # The last two only, and nothing twice.
        self.assertEqual(self.ports(observer, 9, 7100, 7002), [*range(7003, 7011), *range(7101, 7101 + SPARE)])

    def test_none_for_a_nat_that_can_not_be_told(self) -> None:
        for seen, near, afresh in ((7000, 31_999, 12_000), (4000, 4000, 4000), (7000, 7000, 7001)):
            observer = self.observer(seen=at(seen), probe_port=9001)
            self.discovered(observer, at(near), at(afresh))
            self.assertEqual(self.ports(observer, 7100), [])


class RefreshTests(ObserverTestCase):
    def test_nothing_to_learn_where_the_port_is_kept(self) -> None:
        observer = self.observer(probe_port=9001)
        self.assertFalse(observer.may_be_hard)
        self.assertIsNone(self.successResultOf(observer.refresh()))
        self.assertEqual((self.shared.calls, self.fresh.calls), ([], []))

    def test_who_has_only_just_come_waits_for_the_first_look(self) -> None:
        observer = self.observer(seen=at(7000), probe_port=9001)
        self.assertTrue(observer.may_be_hard)
        self.discover(observer)
        waiting = [observer.refresh() for _ in range(3)]
        for each in waiting:
            self.assertNoResult(each)
        # It serves them all: another one would take one more port.  So does the one that confirms the step.
        self.near(at(7001))
        self.afresh(at(7002))
        for each in waiting:
            self.assertIsNone(self.successResultOf(each))
        self.assertEqual(observer.ports.predictions()[0].endpoint.port, 7003)

    def test_no_look_in_the_middle_of_a_start(self) -> None:
        """It would take one of the ports that were predicted: those who wait, wait for the one from a fresh port,
        and after it there is none."""
        observer = self.observer(seen=at(7000), **BOTH)
        done = self.discover(observer)
        waiting = observer.refresh()
        self.near(at(7001))
        self.assertNoResult(waiting)
        self.afresh(at(7002))
        self.successResultOf(waiting)
        self.clock.advance(DIALLED_BACK_SECONDS)
        self.successResultOf(done)
        self.assertEqual((len(self.shared.calls), len(self.fresh.calls)), (1, 1))

    def test_before_the_first_look_has_begun(self) -> None:
        """The broker may introduce at once, in the turn of the registration."""
        observer = self.observer(seen=at(7000), probe_port=9001)
        waiting = observer.refresh()
        self.assertNoResult(waiting)
        self.discover(observer)
        self.near(at(7001))
        self.afresh(at(7002))
        self.assertIsNone(self.successResultOf(waiting))

    def test_an_easy_nat_is_not_waited_for_any_longer(self) -> None:
        observer = self.observer(seen=at(7000), probe_port=9001)
        self.discover(observer)
        waiting = observer.refresh()
        self.near(at(7000))
        self.assertIsNone(self.successResultOf(waiting))

    def test_one_look_for_all_who_ask_meanwhile(self) -> None:
        """Each would take a port of its own, and a broker that asks a thousand times opens no thousand sockets."""
        observer = self.observer(seen=at(7000), probe_port=9001)
        self.discovered(observer, at(7001), at(7002), port="silent")
        before = len(self.fresh.calls)
        waiting = [observer.refresh() for _ in range(1000)]
        self.assertEqual(len(self.fresh.calls), before + 1)
        self.afresh(at(7003))
        # What it tells will do for eight; the others wait until these have taken their ports.
        self.assertEqual([each.called for each in waiting], [True] * PREDICTED + [False] * (1000 - PREDICTED))
        self.clock.advance(TAKEN_SECONDS - 0.01)
        self.assertEqual(len(self.fresh.calls), before + 1)
        self.clock.advance(0.02)
        self.assertEqual(len(self.fresh.calls), before + 2)
        self.afresh(at(7020))
        self.assertEqual(sum(each.called for each in waiting), 2 * PREDICTED)
        self.assertEqual(observer.ports.predictions()[0].endpoint.port, 7021)

    def test_one_by_one_where_another_is_alike(self) -> None:
        """A start with it takes a port for each that it has named."""
        observer = self.observer(seen=at(7000), probe_port=9001)
        self.discovered(observer, at(7001), at(7002), port="silent")
        observer.one_by_one()
        waiting = [observer.refresh() for _ in range(3)]
        for number in range(1, 4):
            self.afresh(at(7003 + 10 * number))
            self.assertEqual(sum(each.called for each in waiting), number)
            self.clock.advance(TAKEN_SECONDS + 0.01)

    def test_nobody_waits_where_no_port_can_be_told(self) -> None:
        observer = self.observer(seen=at(7000), probe_port=9001)
        self.discovered(observer, at(31_999), at(12_000), port="silent")
        for each in [observer.refresh() for _ in range(1000)]:
            self.successResultOf(each)

    def test_ports_that_our_own_starts_take(self) -> None:
        """Of two that begin after one look, the second one's come after the first one's."""
        observer = self.observer(seen=at(7000), probe_port=9001)
        self.discovered(observer, at(7001), at(7002), port="silent")
        seen, private, ipv6 = (
            Candidate("srflx", Endpoint.parse(text)) for text in ("192.0.2.1:1", "10.0.0.1:1", "[2001:db8::1]:1")
        )
        before = [str(observer.ports.about_to_dial(each)) for each in ((seen, private, ipv6), (seen, seen), ())]
        self.assertEqual(before, [at(7002), at(7003), at(7005)])
        observer.refresh()
        self.afresh(at(7009))
        self.assertEqual(str(observer.ports.about_to_dial((seen,))), at(7009))

    def test_a_look_that_fails(self) -> None:
        """A defect is told, and nobody waits for ever."""
        for when in ("discover", "refresh"):
            observer = self.observer(seen=at(7000), probe_port=9001)
            done = None
            if when == "refresh":
                self.discovered(observer, at(7001), at(7002), port="silent")
            self.patch(observer, "_dialler", None)
            self.patch(observer, "_fresh", None)
            if when == "discover":
                done = self.discover(observer)
            self.successResultOf(done if done is not None else observer.refresh())
            self.assertEqual(len(self.flushLoggedErrors(AttributeError)), 1, when)

    def test_no_answer(self) -> None:
        """What was known before is used."""
        observer = self.observer(seen=at(7000), probe_port=9001)
        self.discovered(observer, at(7001), "", port="silent")
        waiting = observer.refresh()
        self.clock.advance(PROBE_SECONDS)
        self.assertIsNone(self.successResultOf(waiting))
        self.assertEqual(observer.ports.predictions()[0].endpoint.port, 7002)

    def test_random(self) -> None:
        """There is nothing to learn: no look, and no waiting."""
        observer = self.observer(seen=at(7000), probe_port=9001)
        self.discovered(observer, at(31_999), at(12_000), port="silent")
        self.assertTrue(observer.behaviour.is_hard)
        before = len(self.fresh.calls)
        self.assertIsNone(self.successResultOf(observer.refresh()))
        self.assertEqual(len(self.fresh.calls), before)


class StopTests(ObserverTestCase):
    """Whatever is under way: nothing is left, and nobody who waits is told."""

    def check_stopped(self, observer: Observer, *waiting: Deferred[None]) -> None:
        before = len(self.shared.calls), len(self.fresh.calls)
        self.assertTrue(observer.is_looking)
        observer.stop()
        self.clock.advance(0)
        self.assertEqual((self.shared.open, self.fresh.open, self.clock.getDelayedCalls()), ([], [], []))
        self.clock.advance(10)
        self.assertEqual((len(self.shared.calls), len(self.fresh.calls)), before)
        for each in waiting:
            self.assertNoResult(each)
        self.assertFalse(observer.is_looking)
        self.assertEqual(self.flushLoggedErrors(), [])

    def test_discovering(self) -> None:
        for step in range(4):
            observer = self.observer(seen=at(7000), **BOTH)
            waiting = [self.discover(observer)]
            if not step:
                waiting.append(observer.refresh())
            if step > 0:
                self.near(at(7000))
            if step > 1:
                self.afresh(at(4000))
            if step > 2:
                self.clock.advance(DIALLED_BACK_SECONDS)
            self.check_stopped(observer, *waiting)

    def test_looking_anew(self) -> None:
        for step in range(2):
            observer = self.observer(seen=at(7000), probe_port=9001)
            self.discovered(observer, at(7001), at(7002), port="silent")
            waiting = [observer.refresh() for _ in range(PREDICTED + 1)]
            if step:
                self.afresh(at(7003))
            self.check_stopped(observer, waiting[-1])


class PlaceTests(ObserverTestCase):
    """Where a broker may send a peer to look."""

    def asked(self, broker: Endpoint, **welcome: Any) -> list[str]:
        observer = self.observer(broker, **welcome)
        done = self.discover(observer)
        for _ in range(4):
            self.clock.advance(PROBE_SECONDS)
        self.successResultOf(done)
        fresh = {str(call.endpoint) for call in self.fresh.calls}
        self.assertLessEqual(fresh, set(self.targets()))
        return self.targets()

    def test_places_that_are_none(self) -> None:
        for broker, welcome, targets in (
            (BROKER, {}, []),
            (BROKER, {"probe_address": "broker.example", "probe_port": 9001}, [NEAR]),
            (BROKER, {"probe_address": "2001:db8::1", "probe_port": 9001}, [NEAR]),
            (BROKER, {"probe_address": "198.51.100.1", "probe_port": 0}, []),
            (BROKER, {"probe_address": "198.51.100.2", "probe_port": 0}, FAR[:1]),
            (BROKER, {"probe_port": 9000}, []),
            (BROKER, {"probe_port": 700}, ["198.51.100.1:700"]),
            (Endpoint.parse("[2001:db8::1]:9000"), {"probe_port": 9001}, ["[2001:db8::1]:9001"]),
        ):
            self.assertEqual(self.asked(broker, **welcome), targets)

    def test_a_broker_sends_nobody_into_networks_of_our_own(self) -> None:
        near = Endpoint.parse("192.168.1.1:9000")
        loopback = Endpoint.parse("127.0.0.1:9000")
        for broker, address, port, asked in (
            (BROKER, "192.168.1.1", 9001, []),
            (BROKER, "100.64.0.1", 9001, []),
            (BROKER, "169.254.169.254", 9001, []),
            (BROKER, "127.0.0.1", 9001, []),
            (BROKER, "0.0.0.0", 9001, []),
            (BROKER, "224.0.0.1", 9001, []),
            (BROKER, "255.255.255.255", 9001, []),
            (BROKER, "198.51.100.2", 22, FAR[:1]),
            (near, "192.168.1.2", 9001, ["192.168.1.2:9000", "192.168.1.2:9001"]),
            (near, "127.0.0.1", 9001, []),
            (loopback, "127.0.0.2", 9001, ["127.0.0.2:9000", "127.0.0.2:9001"]),
        ):
            self.assertEqual(
                self.asked(broker, probe_address=address, probe_port=port)[1:], asked, (address, port)
            )

    def test_answers_that_are_none(self) -> None:
        for answer in (b"x", encode(Error("version", "update")), b'{"type":"registered"}', b"x" * 5000):
            observer = self.observer(probe_port=9001)
            done = self.discover(observer)
            [call] = self.shared.open
            call.answer(THERE)
            assert call.wire is not None
            call.wire.receive(answer + b"\n")
            for _ in range(3):
                self.clock.advance(PROBE_SECONDS)
            self.successResultOf(done)
            self.assertEqual((observer.seen, observer.behaviour.mapping), ((), "unknown"))

    def test_seen_everywhere_as_something_else(self) -> None:
        """However many a broker makes up, three at the most are told to others."""
        observer = self.observer(**BOTH)
        self.discovered(observer, at(4000), "192.0.2.9:9", "192.0.2.2:2", "192.0.2.3:3")
        self.assertLessEqual(len(observer.seen), 3)
        self.assertEqual(observer.behaviour.allocation, "random")
        self.assertEqual(observer.ports.predictions(), ())


class FreshPortTests(ObserverTestCase):
    """What a look from a port that the NAT has not mapped yet tells of its allocation."""

    def test_a_port_that_is_kept_while_it_is_free(self) -> None:
        """Seen as itself from the fresh port and from the shared one: preserved, though it maps by endpoint."""
        observer = self.observer(probe_port=9001)
        self.discovered(observer, at(50_000), at(HERE.port), port="silent")
        self.assertEqual((observer.behaviour.mapping, observer.behaviour.allocation), (PORT, "preserved"))

    def test_ports_that_one_local_port_does_not_show(self) -> None:
        """Independent of the endpoint, in sequence: the shared port is always seen as the same."""
        for afresh, allocation in ((7001, "sequential"), (31_999, "random")):
            observer = self.observer(seen=at(7000), **BOTH)
            self.discovered(observer, at(7000), at(afresh), at(7000), at(7000))
            self.assertEqual(
                (observer.behaviour.mapping, observer.behaviour.allocation), (INDEPENDENT, allocation)
            )
            # Nothing need be predicted for all that.
            self.assertEqual(observer.ports.predictions(), ())


class KeptPortTests(ObserverTestCase):
    """A NAT that maps by endpoint, keeps a port that is free, and else takes the next one that is."""

    def kept(self, *far: str) -> Observer:
        observer = self.observer(**BOTH)
        done = self.discover(observer)
        self.near(at(4001))
        self.afresh(at(HERE.port))
        self.clock.advance(DIALLED_BACK_SECONDS)
        self.far(*far)
        self.successResultOf(done)
        self.assertEqual((observer.behaviour.mapping, observer.behaviour.allocation), (PORT, "preserved"))
        return observer

    def named(self, observer: Observer) -> str:
        return str(observer.ports.predictions()[0].endpoint)

    def test_let_go_and_taken_again(self) -> None:
        """What a look shows is the very next one."""
        observer = self.kept(at(4001), at(4002))
        self.assertEqual(self.named(observer), at(4001))
        waiting = observer.refresh()
        self.near(at(4005))
        self.successResultOf(waiting)
        self.assertEqual((self.named(observer), str(observer.ports.about_to_dial(()))), (at(4005), at(4004)))
        self.assertEqual(observer.seen, ())

    def test_let_go_and_not_taken_again(self) -> None:
        observer = self.kept(at(4002), at(4003))
        self.assertEqual(self.named(observer), at(4004))

    def test_a_newcomer_who_has_to_tell(self) -> None:
        """The second address has to wait: to look there takes ports in the middle of the start."""
        observer = self.observer(**BOTH)
        done = self.discover(observer)
        self.near(at(4001))
        waiting = observer.refresh()
        self.afresh(at(HERE.port))
        self.successResultOf(waiting)
        self.assertEqual(self.named(observer), at(4001))
        self.clock.advance(DIALLED_BACK_SECONDS)
        self.successResultOf(done)
        self.assertEqual(len(self.shared.calls), 1)
        waiting = observer.refresh()
        self.far(at(4003), at(4004))
        self.successResultOf(waiting)
        self.assertEqual(self.named(observer), at(4005))
