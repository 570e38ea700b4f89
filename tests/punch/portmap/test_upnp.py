"""UPnP: what is made of the child's answer."""

from __future__ import annotations

import contextlib
import json
import sys
from ipaddress import IPv4Address

from hypothesis import example, given
from hypothesis import strategies as st
from twisted.internet.defer import CancelledError
from twisted.trial.unittest import SynchronousTestCase

from p2phole.addresses import Endpoint
from p2phole.punch.portmap.grant import Grant, NoMapping, Refused
from p2phole.punch.portmap.upnp import MOST_OUTPUT, Upnp, parse_grant
from tests.punch.portmap.lan import GATEWAY, Lan
from tests.strategies import json_values

ANSWER = {"ip": "192.0.1.1", "port": 4001, "seconds": 600, "location": "http://192.168.1.1:5000/d"}
GRANT = Grant(Endpoint.parse("192.0.1.1:4001"), 600)


class ParseTests(SynchronousTestCase):
    def test_granted(self) -> None:
        self.assertEqual(parse_grant(json.dumps(ANSWER).encode()), (GRANT, "http://192.168.1.1:5000/d"))

    def test_an_error_is_made_harmless(self) -> None:
        output = json.dumps({"error": "\x1b[2J" + "x" * 10_000}).encode()
        text = str(self.assertRaises(Refused, parse_grant, output))
        self.assertNotIn("\x1b", text)
        self.assertLess(len(text), 400)

    def test_a_location_that_can_be_no_argument(self) -> None:
        for location in ("http://a/\0", "http://a/\n", "http://ä/", "x" * 10_000):
            output = json.dumps({**ANSWER, "location": location}).encode()
            self.assertEqual(parse_grant(output), (GRANT, "-"))

    def test_nonsense(self) -> None:
        for change in (
            {"ip": ""},
            {"ip": None},
            {"ip": 3221225729},
            {"ip": "2001:db8::1"},
            {"ip": "0.0.0.0"},
            {"ip": "127.0.0.1"},
            {"ip": "\x1b[2J"},
            {"port": 0},
            {"port": 70000},
            {"port": "4001"},
            {"port": 4001.0},
            {"seconds": 0},
            {"seconds": None},
            {"location": None},
        ):
            self.assertRaises(Refused, parse_grant, json.dumps({**ANSWER, **change}).encode())

    @given(st.one_of(st.binary(), json_values.map(lambda value: json.dumps(value).encode())))
    @example(b"[" * MOST_OUTPUT)
    @example(b"9" * MOST_OUTPUT)
    def test_any_output(self, output: bytes) -> None:
        with contextlib.suppress(Refused):
            parse_grant(output)

    @given(json_values, json_values, json_values)
    def test_any_values(self, ip: object, port: object, seconds: object) -> None:
        output = json.dumps({"ip": ip, "port": port, "seconds": seconds}).encode()
        with contextlib.suppress(Refused):
            parse_grant(output)


class UpnpTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.lan = Lan()
        self.way = Upnp(self.lan, IPv4Address(GATEWAY), 4000, installed=True)

    def test_granted(self) -> None:
        asked = self.way.ask(None)
        [process] = self.lan.processes
        self.assertEqual(process.command[:2], [sys.executable, "-P"])
        self.assertEqual(process.command[3:], ["map", "4000", "4000", "600", "-", GATEWAY, "4"])
        process.prints(json.dumps(ANSWER).encode())
        self.assertEqual(self.successResultOf(asked), GRANT)

    def test_the_same_again(self) -> None:
        self.way.ask(GRANT.external)
        self.assertEqual(self.lan.processes[0].command[4:6], ["4000", "4001"])

    def test_no_search_for_a_renewal(self) -> None:
        """But another one where that has come to nothing."""
        self.way.ask(None)
        self.lan.processes[0].prints(json.dumps(ANSWER).encode())
        failed = self.way.ask(GRANT.external)
        self.assertEqual(self.lan.processes[1].command[7], "http://192.168.1.1:5000/d")
        self.lan.processes[1].prints(b'{"error": "it is gone"}')
        self.failureResultOf(failed, Refused)
        self.way.ask(GRANT.external)
        self.assertEqual(self.lan.processes[2].command[7], "-")

    def test_gateway_unknown(self) -> None:
        Upnp(self.lan, None, 4000, installed=True).ask(None)
        self.assertEqual(self.lan.processes[0].command[8], "-")

    def test_it_dies(self) -> None:
        asked = self.way.ask(None)
        self.lan.processes[0].prints(b"")
        self.failureResultOf(asked, Refused)

    def test_it_prints_for_ever(self) -> None:
        asked = self.way.ask(None)
        [process] = self.lan.processes
        process.protocol.outReceived(b"x" * (MOST_OUTPUT + 1))
        self.assertTrue(process.killed)
        process.prints(b"")
        self.failureResultOf(asked, Refused)

    def test_cancelled(self) -> None:
        asked = self.way.ask(None)
        asked.cancel()
        self.failureResultOf(asked, CancelledError)
        [process] = self.lan.processes
        self.assertTrue(process.killed)
        process.prints(b"{}")

    def test_cancelled_when_it_has_just_ended(self) -> None:
        asked = self.way.ask(None)
        self.lan.processes[0].ended = True
        asked.cancel()
        self.failureResultOf(asked, CancelledError)

    def test_no_process(self) -> None:
        self.lan.full = True
        self.failureResultOf(self.way.ask(None), NoMapping)

    def test_not_installed(self) -> None:
        asked = Upnp(self.lan, None, 4000, installed=False).ask(None)
        self.assertIn("not installed", str(self.failureResultOf(asked, NoMapping).value))
        self.assertEqual(self.lan.processes, [])

    def test_found_out_by_itself(self) -> None:
        asked = Upnp(self.lan, None, 4000).ask(None)
        if not self.lan.processes:
            self.failureResultOf(asked, NoMapping)

    def test_released(self) -> None:
        self.successResultOf(self.way.release())  # nothing to do
        self.way.ask(None)
        self.lan.processes[0].prints(json.dumps(ANSWER).encode())
        released = self.way.release()
        self.assertEqual(
            self.lan.processes[1].command[3:], ["unmap", "4001", "http://192.168.1.1:5000/d", GATEWAY, "4"]
        )
        self.lan.processes[1].prints(b"{}")
        self.successResultOf(released)

    def test_nobody_waits_for_the_release(self) -> None:
        """The child goes on."""
        self.way.ask(None)
        self.lan.processes[0].prints(json.dumps(ANSWER).encode())
        released = self.way.release()
        released.cancel()
        self.failureResultOf(released, CancelledError)
        self.assertFalse(self.lan.processes[1].killed)
        self.lan.processes[1].prints(b"{}")

    def test_nothing_to_check(self) -> None:
        self.assertIs(self.successResultOf(self.way.check()), True)
