"""Asking from several places how the port is seen."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.defer import CancelledError, Deferred, ensureDeferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from p2phole.addresses import Endpoint
from p2phole.punch.discovery import MOST_LINE, PROBE_SECONDS, probe
from p2phole.punch.mapping import Observation
from tests.doubles import THERE
from tests.punch.dialling import Call, FakeDialler

TARGETS = [Endpoint.parse("198.51.100.1:9001"), Endpoint.parse("198.51.100.2:9000")]
SEEN = [Endpoint.parse("203.0.113.5:7000"), Endpoint.parse("203.0.113.5:7001")]


class Phrases:
    """``seen ENDPOINT``."""

    def greeting(self) -> bytes:
        return b"how am I seen?"

    def observed_in(self, line: bytes) -> Endpoint | None:
        word, _, endpoint = line.decode("latin-1").partition(" ")
        try:
            return Endpoint.parse(endpoint) if word == "seen" else None
        except ValueError:
            return None


class ProbeTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.dialler = FakeDialler(self.clock)

    def probe(self, targets: list[Endpoint] = TARGETS) -> Deferred[list[Observation]]:
        return ensureDeferred(probe(self.clock, self.dialler, Phrases(), targets))  # type: ignore[arg-type]

    def say(self, call: Call, data: bytes) -> None:
        call.answer(THERE)
        assert call.wire is not None
        self.assertEqual(call.wire.value(), b"how am I seen?\n")
        call.wire.receive(data)

    def check_over(self) -> None:
        """Nothing is left, and what was connected is closed with RST."""
        for call in self.dialler.calls:
            self.assertNotEqual(call.state, "connecting")
            if call.wire is not None and call.wire.connected:
                self.assertTrue(call.wire.aborted)
        self.clock.advance(0)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_all_at_once(self) -> None:
        found = self.probe()
        self.assertEqual([call.endpoint for call in self.dialler.calls], TARGETS)
        # The answers come in another order.
        self.say(self.dialler.calls[1], f"seen {SEEN[1]}\n".encode())
        self.assertNoResult(found)
        self.say(self.dialler.calls[0], f"seen {SEEN[0]}\n".encode())
        self.assertEqual(
            self.successResultOf(found), [Observation(*pair, 4000) for pair in zip(TARGETS, SEEN, strict=True)]
        )
        self.check_over()

    def test_nothing_to_ask(self) -> None:
        self.assertEqual(self.successResultOf(self.probe([])), [])

    def test_silence_takes_a_second(self) -> None:
        found = self.probe()
        self.say(self.dialler.calls[0], f"seen {SEEN[0]}\n".encode())
        self.clock.advance(PROBE_SECONDS - 0.01)
        self.assertNoResult(found)
        self.clock.advance(0.02)
        self.assertEqual(self.successResultOf(found), [Observation(TARGETS[0], SEEN[0], 4000)])
        self.check_over()

    def test_no_longer_wanted(self) -> None:
        looking = self.probe()
        self.dialler.calls[0].answer(THERE)
        looking.cancel()
        self.failureResultOf(looking, CancelledError)
        self.check_over()
        self.assertEqual(self.flushLoggedErrors(), [])

    def test_connected_but_silent(self) -> None:
        found = self.probe(TARGETS[:1])
        self.say(self.dialler.calls[0], b"seen")
        self.clock.advance(PROBE_SECONDS)
        self.assertEqual(self.successResultOf(found), [])
        self.check_over()

    def test_refused(self) -> None:
        found = self.probe()
        self.dialler.calls[0].refuse()
        self.dialler.calls[1].in_use()
        self.assertEqual(self.successResultOf(found), [])
        self.check_over()

    def test_no_answer_that_makes_sense(self) -> None:
        for data in (b"HTTP/1.1 400 Bad Request\r\n\r\n", b"x" * (MOST_LINE + 2), b"seen nothing\n", b"\n"):
            self.setUp()
            found = self.probe(TARGETS[:1])
            self.say(self.dialler.calls[0], data)
            self.assertEqual(self.successResultOf(found), [])
            self.check_over()

    def test_closed_by_the_other_side(self) -> None:
        found = self.probe(TARGETS[:1])
        self.say(self.dialler.calls[0], b"seen 1")
        assert self.dialler.calls[0].wire is not None
        self.dialler.calls[0].wire.loseConnection()
        self.clock.advance(0)
        self.assertEqual(self.successResultOf(found), [])
        self.check_over()

    def test_a_connection_that_comes_too_late(self) -> None:
        found = self.probe(TARGETS[:1])
        [call] = self.dialler.calls
        call.stopConnecting = lambda: None  # type: ignore[method-assign]
        self.clock.advance(PROBE_SECONDS)
        self.assertEqual(self.successResultOf(found), [])
        self.assertIsNone(call.answer(THERE))

    @given(st.lists(st.binary(max_size=100), max_size=4))
    @settings(deadline=None, max_examples=60)
    def test_any_bytes(self, chunks: list[bytes]) -> None:
        self.setUp()
        found = self.probe(TARGETS[:1])
        self.say(self.dialler.calls[0], b"")
        for chunk in chunks:
            assert self.dialler.calls[0].wire is not None
            self.dialler.calls[0].wire.receive(chunk)
        self.clock.advance(PROBE_SECONDS)
        self.assertEqual(self.successResultOf(found), [])
        self.check_over()
