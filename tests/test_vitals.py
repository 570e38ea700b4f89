"""What the kernel tells of a connection, and when a path is taken for dead."""

from __future__ import annotations

import socket
import sys
from typing import Any
from unittest import skipUnless

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from p2phole.vitals import LEAST_SILENCE, LOOK, PRESSED_SILENCE, Pulse, Vitals, vitals


class Transport:
    """As Twisted's, as far as it is asked for."""

    def __init__(self, handle: Any) -> None:
        self.getHandle = lambda: handle


class Inside:
    """As TLS stands on another transport."""

    def __init__(self, transport: Any) -> None:
        self.transport = transport


class VitalsTests(SynchronousTestCase):
    @skipUnless(sys.platform == "linux", "TCP_INFO is Linux's")
    def test_of_a_connection(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as server:
            near = socket.create_connection(server.getsockname())
            far, _address = server.accept()
            with near, far:
                far.sendall(b"x" * 1000)
                self.assertEqual(len(near.recv(1000, socket.MSG_WAITALL)), 1000)
                near.sendall(b"y" * 500)
                self.assertEqual(len(far.recv(500, socket.MSG_WAITALL)), 500)
                for transport in (Transport(near), Inside(Inside(Transport(near)))):
                    found = vitals(transport)
                    assert found is not None
                    self.assertEqual(found.received, 1000)
                    self.assertLessEqual(found.acknowledged, 501)  # Linux counts the SYN
                    self.assertLess(found.round_trip, 1.0)

    def test_where_there_is_none(self) -> None:
        closed = socket.socket()
        closed.close()
        for transport in (None, object(), Transport(None), Transport(object()), Transport(closed)):
            self.assertIsNone(vitals(transport))


class PulseTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.now: Vitals | None = Vitals(0, 0, 0, 0.1)
        self.told: list[str] = []
        self.pulse = Pulse(
            self.clock,
            lambda: self.now,
            lambda: self.told.append(f"suspected {self.clock.seconds():g}"),
            lambda: self.told.append(f"lives {self.clock.seconds():g}"),
        )
        self.pulse.start()

    def tearDown(self) -> None:
        self.pulse.stop()
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def wait(self, seconds: float) -> None:
        for _ in range(round(seconds / LOOK)):
            self.clock.advance(LOOK)

    def test_nothing_is_due(self) -> None:
        self.wait(100)
        self.assertEqual(self.told, [])

    def test_nothing_gets_through(self) -> None:
        self.now = Vitals(1, 0, 0, 0.1)
        self.wait(10)
        self.assertEqual(self.told, [f"suspected {LEAST_SILENCE:g}"])
        self.now = Vitals(1, 100, 0, 0.1)
        self.wait(LOOK)
        self.assertEqual(self.told[1:], ["lives 10.25"])
        self.wait(10)
        self.assertEqual(len(self.told), 3)

    def test_progress_either_way(self) -> None:
        for number in range(50):
            self.now = Vitals(3, 10 * number, 0, 0.1)
            self.wait(LEAST_SILENCE - LOOK)
            self.now = Vitals(3, 10 * number, number + 1, 0.1)
            self.wait(LEAST_SILENCE - LOOK)
        self.assertEqual(self.told, [])

    def test_a_long_way(self) -> None:
        self.now = Vitals(1, 0, 0, 1.5)
        self.wait(4.25)
        self.assertEqual(self.told, [])
        self.wait(LOOK)
        self.assertEqual(self.told, ["suspected 4.5"])

    def test_with_a_reason_to_doubt(self) -> None:
        self.now = Vitals(1, 0, 0, 0.01)
        self.wait(1)
        self.pulse.press()
        self.wait(PRESSED_SILENCE)
        self.assertEqual(self.told, ["suspected 1.5"])

    def test_nobody_tells(self) -> None:
        self.now = None
        self.wait(10)
        self.assertEqual(self.told, [])
