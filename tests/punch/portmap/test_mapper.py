"""The mapping through its life."""

from __future__ import annotations

import itertools
import json
from collections.abc import Sequence
from ipaddress import IPv4Address
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.logger import LogLevel, capturedLogs
from twisted.trial.unittest import SynchronousTestCase

from p2phole.addresses import Endpoint
from p2phole.punch.portmap import natpmp, pcp
from p2phole.punch.portmap.mapper import (
    CHECK_SECONDS,
    FIRST_PAUSE,
    LONGEST_PAUSE,
    ROUND_SECONDS,
    STOP_SECONDS,
    PortMapper,
)
from p2phole.punch.portmap.upnp import Upnp
from p2phole.punch.portmap.ways import NatPmp, Pcp, Way
from tests.punch.portmap.lan import GATEWAY, Lan
from tests.punch.portmap.routers import NatPmpRouter, PcpRouter

EXTERNAL = Endpoint.parse("192.0.1.1:4000")
UPNP_ANSWER = json.dumps({"ip": "192.0.1.1", "port": 4000, "seconds": 600, "location": "-"}).encode()


def ways(reactor: Any, gateway: IPv4Address | None, port: int, nonce: bytes, random: Any) -> Sequence[Way]:
    """All, and UPnP whether it is installed or not."""
    upnp = Upnp(reactor, gateway, port, installed=True)
    return (
        (upnp,)
        if gateway is None
        else (Pcp(reactor, gateway, port, nonce, random), NatPmp(reactor, gateway, port), upnp)
    )


class MapperCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.lan = Lan()
        self.told: list[Endpoint | None] = []
        self.gateways = [IPv4Address(GATEWAY)]
        self.mapper = PortMapper(
            self.lan,
            4000,
            self.told.append,
            gateways=lambda: self.gateways,
            random=lambda: 0.5,
            entropy=lambda count: b"n" * count,
            ways=ways,
        )

    def requests(self, kind: int | None = None) -> list[tuple[float, bytes]]:
        """The datagrams that were sent; those of one version."""
        return [(when, data) for when, data in self.lan.sent if kind is None or data[0] == kind]

    def stop(self) -> None:
        stopped = self.mapper.stop()
        self.lan.pass_time(STOP_SECONDS + 0.1)
        self.assertIsNone(self.successResultOf(stopped))
        self.assertEqual(self.lan.open_sockets(), 0)
        self.assertEqual(self.lan.getDelayedCalls(), [])


class RoundTests(MapperCase):
    def test_nothing_before_the_start(self) -> None:
        self.lan.pass_time(5)
        self.assertEqual((self.lan.sent, self.lan.processes), ([], []))
        self.successResultOf(self.mapper.stop())

    def test_pcp(self) -> None:
        router = PcpRouter(self.lan)
        self.mapper.start()
        self.mapper.start()
        self.lan.pass_time(1)
        self.assertEqual(self.told, [EXTERNAL])
        self.assertEqual(len(self.lan.sent), 1)
        self.stop()
        self.assertEqual((router.mappings, self.told), ({}, [EXTERNAL]))

    def test_natpmp_where_pcp_is_too_new(self) -> None:
        """The gateway says so at once: nothing is waited for."""
        router = NatPmpRouter(self.lan)
        self.mapper.start()
        self.lan.pass_time(0.2)
        self.assertEqual(self.told, [EXTERNAL])
        self.stop()
        self.assertEqual(router.mappings, {})

    def test_natpmp_where_pcp_gets_no_answer(self) -> None:
        router = NatPmpRouter(self.lan)
        self.lan.gateway = lambda data: router.answer(data) if data[0] == 0 else []
        self.mapper.start()
        self.lan.pass_time(0.75)
        self.assertEqual(self.told, [EXTERNAL])
        self.stop()

    def test_upnp_where_nobody_answers(self) -> None:
        self.mapper.start()
        self.lan.pass_time(1.1)
        [process] = self.lan.processes
        process.prints(UPNP_ANSWER)
        self.lan.pass_time(0.1)
        self.assertEqual(self.told, [EXTERNAL])
        self.assertEqual(self.lan.open_sockets(), 0)
        stopped = self.mapper.stop()
        self.assertEqual(self.lan.processes[1].command[3], "unmap")
        self.lan.processes[1].prints(b"{}")
        self.successResultOf(stopped)

    def test_upnp_where_the_gateway_is_unknown(self) -> None:
        self.gateways = []
        self.mapper.start()
        self.assertEqual(len(self.lan.processes), 1)
        self.assertEqual(self.lan.sent, [])
        self.stop()

    def test_nobody_ever(self) -> None:
        """A line in the log, and ever longer pauses; nothing is left open in between."""
        with capturedLogs() as events:
            self.mapper.start()
            self.lan.pass_time(ROUND_SECONDS + 0.1)
            self.assertEqual(self.lan.open_sockets(), 0)
            self.assertTrue(self.lan.processes[0].killed)
            self.lan.pass_time(5000, 0.5)
        levels = [event["log_level"] for event in events if event["log_namespace"].endswith("mapper")]
        self.assertEqual(levels.count(LogLevel.info), 1)
        self.assertFalse([level for level in levels if level > LogLevel.info])
        begun = [when for when, data in self.requests(2)]
        pauses = [later - earlier for earlier, later in itertools.pairwise(begun)]
        self.assertEqual([round((pause - ROUND_SECONDS) / FIRST_PAUSE) for pause in pauses[:5]], [1, 2, 4, 8, 16])
        self.assertLess(max(pauses), LONGEST_PAUSE * 1.5 + ROUND_SECONDS)
        self.assertEqual(self.told, [])
        self.stop()

    def test_a_network_that_comes_later(self) -> None:
        self.lan.unreachable = True
        self.mapper.start()
        self.lan.pass_time(10)
        self.lan.unreachable = False
        PcpRouter(self.lan)
        self.mapper.refresh()
        self.lan.pass_time(0.1)
        self.assertEqual(self.told, [EXTERNAL])
        self.stop()

    def test_stopped_in_the_middle(self) -> None:
        """Whoever was asked may have mapped the port."""
        self.mapper.start()
        self.lan.pass_time(0.6)
        self.stop()
        last = [data for when, data in self.lan.sent if when > 0.55]
        own = IPv4Address("192.168.1.10")
        self.assertIn(pcp.map_request(own, b"n" * 12, 4000, 0, 0), last)
        self.assertIn(natpmp.map_request(4000, 0, 0), last)
        self.assertEqual(self.told, [])

    def test_stopped_while_it_waits(self) -> None:
        self.mapper.start()
        self.lan.pass_time(10)
        sent = len(self.lan.sent)
        self.stop()
        self.assertEqual(len(self.lan.sent), sent)

    def test_a_defect_of_ours(self) -> None:
        """It is told as one, and tried again."""

        class Broken(Upnp):
            def ask(self, wanted: Any) -> Any:
                return self._run(*wanted)

        self.mapper = PortMapper(
            self.lan, 4000, self.told.append, gateways=tuple, ways=lambda *_: [Broken(self.lan, None, 1)]
        )
        self.mapper.start()
        self.assertTrue(self.flushLoggedErrors(TypeError))
        self.assertEqual(self.told, [])


class HoldTests(MapperCase):
    def setUp(self) -> None:
        super().setUp()
        self.router = PcpRouter(self.lan)
        self.mapper.start()
        self.lan.pass_time(0.1)
        self.assertEqual(self.told, [EXTERNAL])

    def maps(self) -> list[float]:
        """When mappings were asked for."""
        return [when for when, data in self.requests(2) if data[1] == pcp.MAP]

    def test_renewed_in_time(self) -> None:
        """Between a half and five eighths of the lease (RFC 6887 11.2.1)."""
        self.lan.pass_time(2000, 0.5)
        times = self.maps()
        self.assertGreater(len(times), 4)
        for earlier, later in itertools.pairwise(times):
            self.assertTrue(300 <= later - earlier <= 376, (earlier, later))
        self.assertEqual(self.told, [EXTERNAL])
        self.stop()

    def test_looked_after(self) -> None:
        self.lan.pass_time(3 * CHECK_SECONDS + 1, 0.5)
        self.assertEqual(len([data for _, data in self.lan.sent if data[1] == pcp.ANNOUNCE]), 3)
        self.assertEqual(len(self.maps()), 1)
        self.stop()

    def test_the_gateway_was_started_anew(self) -> None:
        self.lan.pass_time(30)
        self.router.reboot()
        self.lan.pass_time(CHECK_SECONDS - 29)
        self.assertEqual(self.router.mappings, {4000: (4000, b"n" * 12)})
        self.assertEqual(self.told, [EXTERNAL])
        self.stop()

    def test_with_another_address(self) -> None:
        self.router.reboot()
        self.router.ip = IPv4Address("192.0.1.99")
        self.lan.pass_time(CHECK_SECONDS + 1)
        self.assertEqual(self.told, [EXTERNAL, Endpoint.parse("192.0.1.99:4000")])
        self.stop()

    def test_refreshed(self) -> None:
        self.router.reboot()
        self.router.first_port = 5000
        self.mapper.refresh()
        self.lan.pass_time(0.1)
        self.assertEqual(self.told, [EXTERNAL, Endpoint.parse("192.0.1.1:5000")])
        self.stop()

    def test_another_network(self) -> None:
        self.gateways = []
        self.mapper.refresh()
        self.assertEqual(self.told, [EXTERNAL, None])
        self.assertEqual(self.lan.processes[0].command[8], "-")
        self.stop()

    def test_the_gateway_is_silent_for_a_while(self) -> None:
        gateway, self.lan.gateway = self.lan.gateway, lambda data: []
        self.lan.pass_time(500, 0.5)
        self.assertEqual(self.told, [EXTERNAL])
        self.lan.gateway = gateway
        self.lan.pass_time(2000, 0.5)
        self.assertEqual(self.told, [EXTERNAL])
        self.stop()

    def test_the_gateway_is_silent_for_good(self) -> None:
        self.lan.gateway = lambda data: []
        self.lan.pass_time(599, 0.5)
        self.assertEqual(self.told, [EXTERNAL])
        # The intervals of renewals get shorter, but not too short.
        times = self.maps()
        self.assertTrue(all(later - earlier > 2.5 for earlier, later in itertools.pairwise(times)))
        self.assertLess(len(times), 12)
        self.lan.pass_time(10, 0.5)
        self.assertEqual(self.told, [EXTERNAL, None])
        self.stop()

    def test_refused_from_now_on(self) -> None:
        self.router.code = 2
        self.lan.pass_time(400, 0.5)
        self.assertEqual(self.told, [EXTERNAL, None])
        self.stop()

    def test_it_does_not_confirm_the_deletion(self) -> None:
        self.lan.gateway = lambda data: []
        stopped = self.mapper.stop()
        self.assertNoResult(stopped)
        self.lan.pass_time(STOP_SECONDS + 0.1)
        self.successResultOf(stopped)
        self.successResultOf(self.mapper.stop())

    def test_a_router_of_few_seconds(self) -> None:
        """It would be asked all the time."""
        self.router.lease = 5
        self.lan.pass_time(400, 0.5)
        self.assertEqual(self.told, [EXTERNAL, None])
        self.assertLess(len(self.lan.sent), 40)
        self.stop()


class HostileTests(SynchronousTestCase):
    @settings(max_examples=50)
    @given(st.lists(st.lists(st.binary(max_size=64), max_size=3), max_size=8), st.binary(max_size=64))
    def test_whatever_comes_back(self, answers: list[list[bytes]], printed: bytes) -> None:
        """Nothing is told, nothing breaks, nothing is left."""
        case = MapperCase()
        case.setUp()
        lan = case.lan
        lan.gateway = lambda data: answers.pop() if answers else []
        case.mapper.start()
        for _ in range(40):
            lan.pass_time(0.1)
            for process in lan.processes:
                if not process.ended:
                    process.prints(printed)
        for socket in [socket for socket in lan.sockets if socket.open]:
            self.fail(f"{socket} is open")
        case.stop()
