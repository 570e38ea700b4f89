"""PCP and NAT-PMP with a gateway."""

from __future__ import annotations

import struct
from ipaddress import IPv4Address

from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from p2phole.addresses import Endpoint
from p2phole.punch.portmap.grant import Grant, Refused
from p2phole.punch.portmap.ways import NatPmp, Pcp, suggestion
from tests.punch.portmap.lan import GATEWAY, Lan
from tests.punch.portmap.routers import NatPmpRouter, PcpRouter

NONCE = b"123456789012"
EXTERNAL = Endpoint.parse("192.0.1.1:4000")


class WayCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.lan = Lan()

    def settle(self) -> None:
        """Let what is on its way arrive."""
        self.lan.pump([0.002] * 4)

    def granted(self, asked: Deferred[Grant]) -> Grant:
        self.settle()
        return self.successResultOf(asked)

    def tearDown(self) -> None:
        self.lan.advance(0)
        self.assertEqual(self.lan.open_sockets(), 0)
        self.assertEqual(self.lan.getDelayedCalls(), [])


class PcpTests(WayCase):
    def setUp(self) -> None:
        super().setUp()
        self.router = PcpRouter(self.lan)
        self.way = Pcp(self.lan, IPv4Address(GATEWAY), 4000, NONCE, lambda: 0.5)

    def test_granted(self) -> None:
        self.assertEqual(self.granted(self.way.ask(None)), Grant(EXTERNAL, 600))
        self.assertEqual(self.router.mappings, {4000: (4000, NONCE)})

    def test_renewed(self) -> None:
        self.router.first_port = 7777
        grant = self.granted(self.way.ask(None))
        self.router.first_port = 0
        self.assertEqual(self.granted(self.way.ask(grant.external)).external.port, 7777)
        # It is asked for the same address and port outside (RFC 6887 11.2.1).
        self.assertEqual(self.lan.sent[-1][1][-4:], IPv4Address("192.0.1.1").packed)

    def test_released(self) -> None:
        self.granted(self.way.ask(None))
        released = self.way.release()
        self.settle()
        self.successResultOf(released)
        self.assertEqual(self.router.mappings, {})

    def test_checked(self) -> None:
        self.granted(self.way.ask(None))
        self.lan.advance(30)
        for expected in (True, False, True):
            check = self.way.check()
            self.settle()
            self.assertIs(self.successResultOf(check), expected)
            if expected:
                self.router.reboot()

    def test_a_router_that_does_not_announce(self) -> None:
        self.granted(self.way.ask(None))
        self.lan.gateway = lambda data: [bytes([2, 0x80, 0, 4]) + bytes(20)]
        check = self.way.check()
        self.settle()
        self.assertIs(self.successResultOf(check), True)

    def test_refused(self) -> None:
        self.router.code = 2
        asked = self.way.ask(None)
        self.settle()
        self.assertIn("not allowed", str(self.failureResultOf(asked, Refused).value))

    def test_an_old_router(self) -> None:
        NatPmpRouter(self.lan)
        asked = self.way.ask(None)
        self.settle()
        self.assertIn("another version", str(self.failureResultOf(asked, Refused).value))

    def test_nonsense(self) -> None:
        for ip in ("0.0.0.0", "127.0.0.1", "255.255.255.255"):
            self.router.ip = IPv4Address(ip)
            asked = self.way.ask(None)
            self.settle()
            self.failureResultOf(asked, Refused)

    def test_what_belongs_to_somebody_else(self) -> None:
        """Another nonce, another port, a deletion, another opcode: not what was asked for."""
        answers: list[bytes] = []

        def altered(data: bytes) -> list[bytes]:
            [right] = PcpRouter.answer(self.router, data)
            for place, value in ((24, b"\0"), (40, b"\1\1"), (4, bytes(4)), (1, b"\x80"), (1, b"\x82")):
                answers.append(right[:place] + value + right[place + len(value) :])
            # Refusals of others' requests.
            answers.append(answers[0][:3] + b"\2" + answers[0][4:])
            answers.append(bytes([2, 0x80, 0, 4]) + bytes(20))
            return [*answers, right]

        self.lan.gateway = altered
        self.assertEqual(self.granted(self.way.ask(None)), Grant(EXTERNAL, 600))

    @given(st.lists(st.binary(max_size=70), max_size=20))
    def test_any_datagrams(self, datagrams: list[bytes]) -> None:
        lan = Lan()
        lan.gateway = lambda data: datagrams
        asked = Pcp(lan, IPv4Address(GATEWAY), 4000, NONCE, lambda: 0.5).ask(None)
        lan.pump([0.002] * 2)
        asked.addErrback(lambda failure: failure.trap(Refused))
        asked.cancel()
        asked.addErrback(lambda failure: None)


class NatPmpTests(WayCase):
    def setUp(self) -> None:
        super().setUp()
        self.router = NatPmpRouter(self.lan)
        self.way = NatPmp(self.lan, IPv4Address(GATEWAY), 4000)

    def test_granted(self) -> None:
        self.assertEqual(self.granted(self.way.ask(None)), Grant(EXTERNAL, 600))
        self.assertEqual(self.router.mappings, {4000: 4000})

    def test_released(self) -> None:
        self.granted(self.way.ask(None))
        released = self.way.release()
        self.settle()
        self.successResultOf(released)
        self.assertEqual(self.router.mappings, {})
        self.assertEqual(self.lan.sent[-1][1].hex(), "000200000fa0000000000000")

    def test_checked(self) -> None:
        self.granted(self.way.ask(None))
        self.lan.advance(30)
        for expected in (True, False, True):
            check = self.way.check()
            self.settle()
            self.assertIs(self.successResultOf(check), expected)
            if expected:
                self.router.reboot()

    def test_another_address(self) -> None:
        self.granted(self.way.ask(None))
        self.router.ip = IPv4Address("192.0.1.77")
        check = self.way.check()
        self.settle()
        self.assertIs(self.successResultOf(check), False)

    def test_refused(self) -> None:
        for opcode in (0, 2):
            self.router.codes = {opcode: 3}
            asked = self.way.ask(None)
            self.settle()
            self.assertIn("no address outside", str(self.failureResultOf(asked, Refused).value))

    def test_nonsense(self) -> None:
        for ip, port in (("0.0.0.0", 4000), ("239.0.0.1", 4000), ("192.0.1.1", 0)):
            self.router.ip, self.router.first_port = IPv4Address(ip), port or -1
            asked = self.way.ask(None)
            self.settle()
            self.failureResultOf(asked, Refused)

    def test_what_belongs_to_somebody_else(self) -> None:
        def altered(data: bytes) -> list[bytes]:
            wrong = [struct.pack("!BBHIHHI", 0, 0x82, 0, 1, 4001, 4001, 600), bytes([0, 0x81, 0, 2]) + bytes(12)]
            return [*wrong, *self.router.answer(data)]

        self.lan.gateway = altered
        self.assertEqual(self.granted(self.way.ask(None)), Grant(EXTERNAL, 600))

    @given(st.lists(st.binary(max_size=20), max_size=20))
    def test_any_datagrams(self, datagrams: list[bytes]) -> None:
        lan = Lan()
        lan.gateway = lambda data: datagrams
        asked = NatPmp(lan, IPv4Address(GATEWAY), 4000).ask(None)
        lan.pump([0.002] * 4)
        asked.addErrback(lambda failure: failure.trap(Refused))
        asked.cancel()
        asked.addErrback(lambda failure: None)


class SuggestionTests(SynchronousTestCase):
    def test_suggestion(self) -> None:
        self.assertEqual(suggestion(4000, None), 4000)
        self.assertEqual(suggestion(4000, Endpoint.parse("192.0.1.1:5000")), 5000)
        self.assertEqual(suggestion(443, None), 0)
