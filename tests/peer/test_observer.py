"""How the broker sees this peer's port."""

from __future__ import annotations

from ipaddress import ip_address
from typing import Any

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from p2phole.addresses import Endpoint
from p2phole.peer.observer import Observer
from p2phole.punch.discovery import PROBE_SECONDS
from p2phole.punch.mapping import Finding
from p2phole.wire.codec import decode_to_broker, encode
from p2phole.wire.messages import Error, Hello, Welcome
from tests.doubles import THERE
from tests.punch.dialling import FakeDialler

LOCAL, BROKER = Endpoint.parse("192.168.1.7:4000"), Endpoint.parse("198.51.100.1:9000")
SEEN = Endpoint.parse("203.0.113.5:4000")


class ObserverTests(SynchronousTestCase):
    def observer(self, broker: Endpoint = BROKER, **welcome: Any) -> Observer:
        self.clock = Clock()
        self.dialler = FakeDialler(self.clock)
        return Observer(self.clock, self.dialler, LOCAL, broker, Welcome(1, "test", SEEN, **welcome))

    def look(self, observer: Observer, *answers: str, everywhere: bool = True) -> None:
        """Look, and let the probes be answered in turn, with an empty answer for a refusal."""
        before = len(self.dialler.calls)
        looked = observer.look(everywhere)
        for call, answer in zip(self.dialler.calls[before:], answers, strict=True):
            if answer:
                call.answer(THERE)
                assert call.wire is not None
                call.wire.receive(encode(Welcome(1, "test", Endpoint.parse(answer))) + b"\n")
            else:
                call.refuse()
        self.assertIsNone(self.successResultOf(looked))

    def targets(self) -> list[str]:
        return [str(call.endpoint) for call in self.dialler.calls]

    def test_nowhere_to_ask(self) -> None:
        observer = self.observer()
        self.look(observer)
        self.assertEqual((observer.observed, observer.seen, self.targets()), (SEEN, (), []))
        self.assertEqual(observer.finding([]), Finding("unknown", "preserved"))

    def test_the_probe_port_alone_or_everywhere(self) -> None:
        observer = self.observer(probe_port=9001, probe_address="198.51.100.2")
        self.look(observer, str(SEEN), everywhere=False)
        self.assertEqual(self.targets(), ["198.51.100.1:9001"])
        self.look(observer, *[str(SEEN)] * 3)
        self.assertEqual(self.targets()[1:], ["198.51.100.1:9001", "198.51.100.2:9000", "198.51.100.2:9001"])
        self.assertEqual((observer.seen, observer.finding([])), ((), Finding("endpoint-independent", "preserved")))

    def test_what_is_seen_elsewhere(self) -> None:
        observer = self.observer(probe_port=9001, probe_address="198.51.100.2")
        self.look(observer, "203.0.113.5:4001", "", "203.0.113.5:4001")
        self.assertEqual(observer.seen, (Endpoint.parse("203.0.113.5:4001"),))
        self.assertEqual(observer.finding([]).mapping, "address-and-port-dependent")
        # The next look replaces it; what the broker itself sees stays.
        self.look(observer, str(SEEN), everywhere=False)
        self.assertEqual((observer.seen, observer.observed), ((), SEEN))

    def test_no_nat(self) -> None:
        observer = self.observer(probe_port=9001)
        observer.observed = LOCAL
        self.look(observer, str(LOCAL))
        self.assertEqual(observer.finding([ip_address("192.168.1.7")]), Finding("none", "preserved"))

    def test_places_that_are_none(self) -> None:
        for broker, welcome, targets in (
            (BROKER, {"probe_address": "broker.example", "probe_port": 9001}, ["198.51.100.1:9001"]),
            (BROKER, {"probe_address": "2001:db8::1", "probe_port": 9001}, ["198.51.100.1:9001"]),
            (BROKER, {"probe_address": "198.51.100.1", "probe_port": 0}, []),
            (BROKER, {"probe_address": "198.51.100.2", "probe_port": 0}, ["198.51.100.2:9000"]),
            (BROKER, {"probe_port": 9000}, []),
            (BROKER, {"probe_port": 700}, ["198.51.100.1:700"]),
            (Endpoint.parse("[2001:db8::1]:9000"), {"probe_port": 9001}, ["[2001:db8::1]:9001"]),
        ):
            observer = self.observer(broker, **welcome)
            observer.look(everywhere=True)
            self.assertEqual(self.targets(), targets)

    def test_a_broker_sends_nobody_into_networks_of_our_own(self) -> None:
        near = Endpoint.parse("192.168.1.1:9000")
        loopback = Endpoint.parse("127.0.0.1:9000")
        for broker, address, port, asked in (
            (BROKER, "192.168.1.1", 9001, []),
            (BROKER, "127.0.0.1", 9001, []),
            (BROKER, "0.0.0.0", 9001, []),
            (BROKER, "224.0.0.1", 9001, []),
            (BROKER, "198.51.100.2", 22, ["198.51.100.2:9000"]),
            (near, "192.168.1.2", 9001, ["192.168.1.2:9000", "192.168.1.2:9001"]),
            (near, "127.0.0.1", 9001, []),
            (loopback, "127.0.0.2", 9001, ["127.0.0.2:9000", "127.0.0.2:9001"]),
        ):
            observer = self.observer(broker, probe_address=address, probe_port=port)
            observer.look(everywhere=True)
            self.assertEqual(self.targets()[1:], asked, (address, port))

    def test_answers_that_are_none(self) -> None:
        observer = self.observer(probe_port=9001)
        for answer in (b"x", encode(Error("version", "update")), b'{"type":"registered"}', b"x" * 5000):
            looked = observer.look()
            self.dialler.calls[-1].answer(THERE)
            wire = self.dialler.calls[-1].wire
            assert wire is not None
            self.assertIsInstance(decode_to_broker(wire.value().rstrip()), Hello)
            wire.receive(answer + b"\n")
            self.clock.advance(PROBE_SECONDS)
            self.assertIsNone(self.successResultOf(looked))
            self.assertEqual(observer.seen, ())
