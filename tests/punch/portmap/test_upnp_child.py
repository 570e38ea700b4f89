"""The process that talks UPnP: with a router in memory, and as a process."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from p2phole.punch.portmap import upnp_child
from p2phole.punch.portmap.upnp_child import TRIES, carry_out, location_in

LOCATION = "http://192.168.1.1:5000/description.xml"
MAP = ["map", "4000", "4000", "600", LOCATION, "192.168.1.1", "4"]
ANY = ["map", "4000", "4000", "600", "-", "-", "4"]
UNMAP = ["unmap", "4000", LOCATION, "192.168.1.1", "4"]


class FakeUpnp:
    """As ``miniupnpc.UPnP`` is used."""

    lanaddr = "192.168.1.10"
    discoverdelay = 0

    def __init__(self) -> None:
        self.control: Any = "http://192.168.1.1:5000/control"
        self.outside: Any = "192.0.1.1"
        self.error = ""
        self.taken: set[int] = set()
        self.mappings: dict[int, tuple[Any, ...]] = {}

    def discover(self) -> int:
        return 1

    def selectigd(self, location: str = "") -> Any:
        self.selected = location
        return self.control

    def externalipaddress(self) -> Any:
        return self.outside

    def addportmapping(self, external: int, *rest: Any) -> bool:
        if self.error:
            raise Exception(self.error)
        if external in self.taken:
            raise Exception("ConflictInMappingEntry")
        self.mappings[external] = rest
        return True

    def deleteportmapping(self, external: int, protocol: str) -> bool:
        if (external, protocol) != (4000, "TCP") or not self.mappings.pop(external, None):
            raise Exception("NoSuchEntryInArray")
        return True


class OrderTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.upnp = FakeUpnp()

    def refusal(self, order: list[str] = MAP) -> str:
        answer = carry_out(self.upnp, order)
        self.assertEqual(list(answer), ["error"])
        json.dumps(answer)
        return str(answer["error"])

    def test_mapped_and_unmapped(self) -> None:
        expected = {"ip": "192.0.1.1", "port": 4000, "seconds": 600, "location": LOCATION}
        self.assertEqual(carry_out(self.upnp, MAP), expected)
        self.assertEqual(self.upnp.selected, LOCATION)
        self.assertEqual(self.upnp.mappings, {4000: ("TCP", "192.168.1.10", 4000, "p2phole", "", 600)})
        self.assertEqual(carry_out(self.upnp, UNMAP), {})
        self.assertEqual(self.upnp.mappings, {})
        self.assertIn("NoSuchEntry", self.refusal(UNMAP))

    def test_any_gateway(self) -> None:
        self.assertIn("port", carry_out(self.upnp, ANY))

    def test_somebody_else_offers_it(self) -> None:
        """Anybody in the LAN can answer, and name any address."""
        for control in ("http://192.168.1.66:80/", "http://198.51.100.1/", "", "nonsense", None, b"\xff", 7):
            self.upnp.control = control
            self.refusal()
        self.assertEqual(self.upnp.mappings, {})

    def test_a_location_elsewhere(self) -> None:
        self.refusal([*MAP[:4], "http://198.51.100.1/", *MAP[5:]])

    def test_the_port_is_taken(self) -> None:
        self.upnp.taken = {4000}
        answer = carry_out(self.upnp, MAP)
        self.assertNotEqual(answer["port"], 4000)
        self.assertIn(answer["port"], self.upnp.mappings)

    def test_all_ports_are_taken(self) -> None:
        self.upnp.taken = set(range(65536))
        self.assertIn("taken", self.refusal())

    def test_any_port(self) -> None:
        answer = carry_out(self.upnp, ["map", "443", "0", "600", LOCATION, "192.168.1.1", "4"])
        self.assertGreaterEqual(answer["port"], 1024)  # type: ignore[arg-type,misc]

    def test_for_ever_is_too_long(self) -> None:
        self.upnp.error = "OnlyPermanentLeasesSupported"
        self.assertEqual(self.refusal(), self.upnp.error)

    def test_no_address(self) -> None:
        for outside in ("", None):
            self.upnp.outside = outside
            self.refusal()

    @given(st.text(), st.one_of(st.none(), st.text(), st.integers()), st.text())
    def test_whatever_the_router_says(self, control: str, outside: object, error: str) -> None:
        self.upnp.control, self.upnp.outside, self.upnp.error = control, outside, error
        json.dumps(carry_out(self.upnp, ANY))
        json.dumps(carry_out(self.upnp, MAP))

    def test_a_few_tries(self) -> None:
        self.assertLess(TRIES, 10)


class LocationTests(SynchronousTestCase):
    def located(self, url: str) -> str | None:
        answer = f"HTTP/1.1 200 OK\r\nST: x\r\nLocation: {url}\r\nEXT:\r\n\r\n"
        return location_in(answer.encode(), "192.168.1.1")

    def test_at_the_gateway(self) -> None:
        self.assertEqual(self.located(LOCATION), LOCATION)
        self.assertEqual(self.located("http://192.168.1.1/d "), "http://192.168.1.1/d")

    def test_elsewhere(self) -> None:
        for url in (
            "http://192.168.1.66/d",
            "http://192.168.1.1@198.51.100.1/d",
            "http://192.168.1.1.example/d",
            "https://192.168.1.1/d",
            "file:///etc/passwd",
            "http://[192.168.1.1/d",
            "http://192.168.1.1/d e",
            "http://192.168.1.1/" + "x" * 400,
            "",
        ):
            self.assertIsNone(self.located(url), url)

    @given(st.binary(max_size=300))
    def test_any_answer(self, answer: bytes) -> None:
        location_in(answer, "192.168.1.1")
        location_in(b"LOCATION: http://" + answer, "192.168.1.1")


class ProcessTests(SynchronousTestCase):
    def test_dies_in_time(self) -> None:
        """Also where C code hangs, and Python with it."""
        code = (
            "import ctypes, sys; from p2phole.punch.portmap import upnp_child; upnp_child.limit(0.2); "
            "ctypes.PyDLL(None).sleep(600)"
        )
        done = subprocess.run([sys.executable, "-c", code], timeout=60, cwd=_root())
        self.assertNotEqual(done.returncode, 0)

    def test_no_more_memory_than_that(self) -> None:
        code = (
            "from p2phole.punch.portmap import upnp_child; upnp_child.limit(60); "
            f"bytearray({2 * upnp_child.MEMORY})"
        )
        done = subprocess.run([sys.executable, "-c", code], timeout=60, cwd=_root(), capture_output=True)
        self.assertIn(b"MemoryError", done.stderr)

    def test_by_itself(self) -> None:
        """It needs nothing of ours on its path.  Told nothing to do, it says so."""
        command = [sys.executable, "-P", upnp_child.__file__, "map", "4"]
        done = subprocess.run(command, timeout=60, cwd="/", capture_output=True)
        self.assertIn("error", json.loads(done.stdout))
        self.assertEqual((done.stderr, done.returncode), (b"", 0))


def _root() -> str:
    return upnp_child.__file__.rpartition("p2phole/punch")[0]
