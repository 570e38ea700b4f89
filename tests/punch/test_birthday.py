"""Meeting by chance: how fast, how many, how long."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable
from ipaddress import ip_address

from twisted.internet.protocol import Protocol
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from p2phole.addresses import Endpoint
from p2phole.punch.birthday import (
    EVERY,
    LOWEST_PORT,
    MANY_PORTS,
    MOST_TRIES,
    NEAR,
    PER_SECOND,
    SECONDS,
    TICK,
    TRY_SECONDS,
    Gate,
    Many,
    many_ports,
    many_tries,
)
from p2phole.punch.shared_port import SharedPort
from tests.doubles import THERE
from tests.punch.dialling import Call, FakeDialler
from tests.support.network import Firewall, Host, Network
from tests.support.recorder import Factory

TARGET = Endpoint.parse("203.0.113.5:7000")


class GateTests(SynchronousTestCase):
    def test_one_a_minute(self) -> None:
        clock = Clock()
        gate = Gate(clock)
        self.assertTrue(gate.enter())
        self.assertFalse(gate.enter())
        clock.advance(EVERY - 0.1)
        self.assertFalse(gate.enter())
        clock.advance(0.1)
        self.assertTrue(gate.enter())
        # What was refused does not count.
        self.assertFalse(gate.enter())

    def test_at_the_beginning_of_time(self) -> None:
        """A clock that begins at zero, as a test's does, is no reason to wait."""
        self.assertTrue(Gate(Clock()).enter())

    def test_one_at_a_time(self) -> None:
        """The next one begins when the last one has long been over."""
        self.assertGreater(EVERY, SECONDS)


class ManyTestCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.dialler = FakeDialler(self.clock)
        self.built: list[Protocol] = []

    def build(self) -> Protocol:
        self.built.append(Protocol())
        return self.built[-1]

    def tries(self, chance: Callable[[], float] | None = None) -> Many:
        chance = chance or random.Random(1).random
        return many_tries(self.clock, self.dialler, TARGET.ip, chance, self.build)

    def ports(self) -> Many:
        return many_ports(self.clock, self.dialler, TARGET, self.build)

    def run_for(self, seconds: float, answer: Callable[[Call], None] | None = None) -> None:
        """In steps of 10 ms; each dial times out as it asked for, or is answered at once."""
        for _ in range(round(seconds * 100)):
            for call in self.dialler.open:
                if answer is not None:
                    answer(call)
                elif self.clock.seconds() >= call.at + call.timeout - 1e-9:
                    call.time_out()
            self.clock.advance(0.01)

    def check_over(self) -> None:
        self.assertEqual((self.dialler.open, self.clock.getDelayedCalls()), ([], []))


class NearTests(ManyTestCase):
    def test_every_second_try_is_near_what_was_seen(self) -> None:
        chance = random.Random(3).random
        many = many_tries(self.clock, self.dialler, TARGET.ip, chance, self.build, (20_000, 65_530, 1_030))
        many.start()
        self.run_for(5)
        ports = [call.endpoint.port for call in self.dialler.calls]
        self.assertEqual(len(ports), len(set(ports)))
        self.assertTrue(all(1024 < port <= 65_535 for port in ports))
        self.assertLessEqual({20_000 + step for step in range(-NEAR, NEAR + 1) if step}, set(ports))
        self.assertLessEqual(set(range(65_531, 65_536)), set(ports))
        self.assertGreater(sum(abs(port - 20_000) > 1000 for port in ports), len(ports) / 3)
        many.stop()


class PaceTests(ManyTestCase):
    def test_at_most_200_a_second(self) -> None:
        for make in (self.tries, self.ports):
            self.setUp()
            make().start()
            for _ in range(1000):
                self.clock.advance(1 / 128)
            times = [call.at for call in self.dialler.calls]
            for begin in times:
                within = [at for at in times if begin <= at < begin + 1]
                self.assertLessEqual(len(within), PER_SECOND)
            # And not slower either.
            self.assertLess(times[PER_SECOND // 2] - times[0], 0.6)

    def test_time_that_was_lost_is_not_made_up_for(self) -> None:
        """A process that was held up, or asleep, does not send all at once what it has missed."""
        self.tries().start()
        self.run_for(0.1)
        before = len(self.dialler.calls)
        self.clock.advance(5)
        self.assertLessEqual(len(self.dialler.calls) - before, PER_SECOND * TICK)

    def test_all_of_it_is_over_in_time(self) -> None:
        for make, most in ((self.tries, MOST_TRIES), (self.ports, MANY_PORTS)):
            self.setUp()
            many = make()
            many.start()
            self.run_for(SECONDS)
            self.assertEqual((many.sent, len(self.dialler.calls)), (most, most))
            self.run_for(1)
            self.assertEqual(len(self.dialler.calls), most)
            many.stop()
            self.check_over()

    def test_ports_that_are_closed_are_made_up_for(self) -> None:
        """By a router that answers: as fast as before, so many at one time, so many in all."""
        many = self.ports()
        many.start()
        most = 0
        while self.clock.seconds() < SECONDS:
            for call in self.dialler.open:
                if self.clock.seconds() - call.at > 0.04:
                    call.refuse()
            self.clock.advance(1 / 128)
            most = max(most, len(self.dialler.open))
        self.assertTrue(0.9 * MOST_TRIES < many.sent <= MOST_TRIES)
        self.assertLessEqual(most, MANY_PORTS)
        many.stop()
        self.check_over()

    def test_nothing_before_the_start(self) -> None:
        many = self.tries()
        self.run_for(0.5)
        self.assertEqual(self.dialler.calls, [])
        many.stop()
        self.check_over()

    def test_each_refusal_counts(self) -> None:
        """A router that answers everything with RST gets no more SYNs for it."""
        many = self.tries()
        many.start()
        self.run_for(SECONDS, Call.refuse)
        self.assertEqual(len(self.dialler.calls), MOST_TRIES)
        many.stop()
        self.check_over()


class TargetTests(ManyTestCase):
    def test_tries_go_to_the_one_address_and_to_no_port_twice(self) -> None:
        self.tries().start()
        self.run_for(SECONDS)
        self.assertEqual({call.endpoint.ip for call in self.dialler.calls}, {TARGET.ip})
        numbers = Counter(call.endpoint.port for call in self.dialler.calls)
        self.assertEqual((len(numbers), set(numbers.values())), (MOST_TRIES, {1}))
        self.assertGreaterEqual(min(numbers), LOWEST_PORT)
        # All over the range: no part of it is left out.
        self.assertEqual({number // 8192 for number in numbers}, set(range(8)))

    def test_the_ends_of_the_range(self) -> None:
        chances = iter([0.0, 1 - 2**-53, *(number / 8192 for number in range(1, 5000))])
        self.tries(lambda: next(chances)).start()
        self.run_for(0.05)
        self.assertEqual([call.endpoint.port for call in self.dialler.calls[:2]], [LOWEST_PORT + 1, 65535])

    def test_ports_go_to_the_one_endpoint(self) -> None:
        self.ports().start()
        self.run_for(SECONDS)
        self.assertEqual({call.endpoint for call in self.dialler.calls}, {TARGET})

    def test_how_long_each_one_waits(self) -> None:
        """A try is closed before the kernel repeats its SYN; a port stays open for the other side's tries."""
        self.tries().start()
        self.run_for(0.1)
        self.assertEqual({call.timeout for call in self.dialler.calls}, {TRY_SECONDS})
        self.assertLess(TRY_SECONDS, 1)
        self.setUp()
        self.ports().start()
        self.run_for(0.1)
        self.assertEqual({call.timeout for call in self.dialler.calls}, {SECONDS})


class EndTests(ManyTestCase):
    def test_stopped_in_the_middle(self) -> None:
        for make in (self.tries, self.ports):
            self.setUp()
            many = make()
            many.start()
            self.run_for(0.5)
            sent = len(self.dialler.calls)
            self.assertTrue(self.dialler.open)
            many.stop()
            self.check_over()
            self.run_for(2)
            self.assertEqual(len(self.dialler.calls), sent)
            many.stop()

    def test_what_has_connected_is_not_touched(self) -> None:
        many = self.tries()
        many.start()
        self.run_for(0.05)
        call, *_ = self.dialler.calls
        self.assertIs(call.answer(THERE), self.built[0])
        many.stop()
        assert call.wire is not None
        self.assertEqual((call.state, call.wire.disconnecting), ("connected", False))
        self.check_over()

    def test_what_connects_too_late_is_nobodys(self) -> None:
        many = self.tries()
        many.start()
        self.run_for(0.05)
        call, *_ = self.dialler.calls
        call.stopConnecting = lambda: None  # type: ignore[method-assign]
        many.stop()
        self.assertIsNone(call.answer(THERE))
        self.assertEqual(self.built, [])

    def test_stopped_by_the_connection_itself(self) -> None:
        """As when the race is won in the same turn."""
        many = self.tries()
        many._build = lambda: many.stop() or self.build()  # type: ignore[func-returns-value]
        many.start()
        self.run_for(0.05)
        self.dialler.calls[0].answer(THERE)
        self.assertEqual(len(self.built), 1)
        self.check_over()

    def test_a_descriptor_limit_that_is_reached(self) -> None:
        """Dials that fail for it, before their connector is known or after, hold up nothing and leave nothing."""
        dial = self.dialler.dial

        def fail_at_once(endpoint: Endpoint, factory: object, timeout: float) -> object:
            call = dial(endpoint, factory, timeout)  # type: ignore[arg-type]
            if len(self.dialler.calls) % 2:
                call.in_use()
            return call

        self.dialler.dial = fail_at_once  # type: ignore[method-assign, assignment]
        many = self.ports()
        many.start()
        self.run_for(2)
        # Each that has failed makes room for another one.
        self.assertGreater(many.sent, 1.8 * PER_SECOND)
        self.assertLessEqual(len(self.dialler.open), MANY_PORTS)
        many.stop()
        self.check_over()


class OnTheWireTests(SynchronousTestCase):
    """On the network in memory: what leaves, and what stays open."""

    def setUp(self) -> None:
        self.network = Network(Clock())
        self.host = self.network.host("host", ["198.51.100.7"])
        self.network.host("target", [TARGET.host], behind=Firewall())
        self.shared = SharedPort(self.host, 4000, Factory(), check_free=lambda port: None)  # type: ignore[arg-type]

    def syns(self) -> list[tuple[int, int]]:
        """The ports of the SYNs: from which to which."""
        packets = [one for one in self.network.packets if (one.sender, one.flags) == ("host", "SYN")]
        self.assertLessEqual({str(one.destination.host) for one in packets}, {TARGET.host})
        packets = [one for one in packets if one.network == "core"]
        return [(one.source.port, one.destination.port) for one in packets]

    def open(self, host: Host) -> int:
        return len(host.stack.sockets)

    def test_tries(self) -> None:
        many = many_tries(self.host, self.shared, ip_address(TARGET.host), random.Random(2).random, Protocol)
        before = self.open(self.host)
        many.start()
        self.network.advance(5)
        # One SYN each, and no more sockets than are opened within their patience.
        self.assertLessEqual(self.open(self.host) - before, PER_SECOND * TRY_SECONDS)
        self.network.advance(SECONDS)
        syns = self.syns()
        self.assertEqual((len(syns), len(set(syns))), (MOST_TRIES, MOST_TRIES))
        self.assertEqual({source for source, _ in syns}, {4000})
        many.stop()
        self.network.advance(0.1)
        self.assertEqual(self.open(self.host), before)

    def test_ports(self) -> None:
        before = self.open(self.host)
        many = many_ports(self.host, self.shared.fresh, TARGET, Protocol)
        many.start()
        self.network.advance(3)
        self.assertEqual(self.open(self.host) - before, MANY_PORTS)
        sources = {source for source, _ in self.syns()}
        self.assertEqual(len(sources), MANY_PORTS)
        self.assertNotIn(4000, sources)
        many.stop()
        self.network.advance(0.1)
        self.assertEqual(self.open(self.host), before)
        sent = len(self.syns())
        self.network.advance(10)
        self.assertEqual(len(self.syns()), sent)
