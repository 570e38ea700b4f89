"""What a peer tells programs."""

import io
import json
import os
import subprocess
import sys
import threading
import time
from dataclasses import fields
from unittest.mock import Mock

from hypothesis import given
from hypothesis import strategies as st
from twisted.logger import LogEvent, globalLogPublisher
from twisted.trial.unittest import SynchronousTestCase

from p2phole import events
from p2phole.events import (
    BrokerBack,
    BrokerLost,
    Connected,
    DescriptorStream,
    Disconnected,
    EventsUnwritable,
    Failed,
    Introduced,
    JsonLinesSink,
    Message,
    Nat,
    NullSink,
    Registered,
    json_line,
    open_sink,
)

CONTRACT = {
    "registered": {"room", "name", "id", "local", "observed"},
    "nat": {"mapping", "filtering", "allocation", "unsolicited"},
    "introduced": {"peer", "id"},
    "connected": {
        *("peer", "id", "path", "candidate", "local", "remote", "seconds", "attempts", "authenticated"),
    },
    "message": {"peer", "direction", "text"},
    "failed": {"peer", "reason", "detail"},
    "disconnected": {"peer", "reason"},
    "broker-lost": {"reason", "seconds"},
    "broker-back": {"reason", "seconds"},
}
KINDS = (Registered, Nat, Introduced, Connected, Message, Failed, Disconnected, BrokerLost, BrokerBack)


def said(text: str) -> Message:
    return Message(peer="bob", direction="in", text=text, instance="00")


class ContractTests(SynchronousTestCase):
    def test_names_and_keys(self) -> None:
        self.assertEqual({kind.event for kind in KINDS}, set(CONTRACT))
        for kind in KINDS:
            keys = {field.name for field in fields(kind)}
            extra = {"instance"} if "peer" in keys else set()
            self.assertEqual(keys, CONTRACT[kind.event] | extra, kind.event)

    def test_event_and_time_come_first(self) -> None:
        line = json_line(BrokerLost(reason="gone", seconds=1.5), 1000.25)
        self.assertEqual(line, b'{"event": "broker-lost", "time": 1000.25, "reason": "gone", "seconds": 1.5}\n')

    @given(st.text(st.characters(exclude_categories=[])))
    def test_any_text_is_one_line_of_utf8(self, text: str) -> None:
        line = json_line(said(text), 0.0).decode()
        self.assertEqual(len(line.splitlines()), 1)
        self.assertEqual(json.loads(line)["text"], json.loads(json.dumps(text)))

    def test_readable_and_without_harm(self) -> None:
        line = json_line(said("Grüße \u202e \x9b \udcff"), 0.0).decode()
        self.assertIn(r'"Grüße \u202e \u009b \udcff"', line)


class Broken(io.BytesIO):
    """A file on a disk that is full."""

    def write(self, data: object, /) -> int:
        raise OSError(28, "No space left on device")


class SinkTests(SynchronousTestCase):
    def test_writes_and_flushes_each(self) -> None:
        stream = io.BytesIO()
        sink = JsonLinesSink(stream, lambda: 7.0)
        for event in (said("a"), BrokerLost(reason="x", seconds=0.0)):
            sink.emit(event)
        lines = [json.loads(line) for line in stream.getvalue().splitlines()]
        self.assertEqual(
            [(line["event"], line["time"]) for line in lines], [("message", 7.0), ("broker-lost", 7.0)]
        )

    def test_failing_write_is_logged_once(self) -> None:
        closed = io.BytesIO()
        closed.close()
        for stream in (Broken(), closed):
            logged: list[LogEvent] = []
            globalLogPublisher.addObserver(logged.append)
            self.addCleanup(globalLogPublisher.removeObserver, logged.append)
            sink = JsonLinesSink(stream, lambda: 0.0)
            for _ in range(3):
                sink.emit(said("a"))
            mine = [event for event in logged if event["log_namespace"] == "p2phole.events"]
            self.assertEqual(len(mine), 1)

    def test_null_sink(self) -> None:
        self.assertIsNone(NullSink().emit(said("a")))


class OpenSinkTests(SynchronousTestCase):
    def test_appends(self) -> None:
        path = self.mktemp()
        for text in ("one", "two"):
            open_sink(path, lambda: 0.0).emit(said(text))
        with open(path, encoding="utf-8") as file:
            self.assertEqual([json.loads(line)["text"] for line in file], ["one", "two"])

    def test_cannot_be_opened(self) -> None:
        folder = self.mktemp()
        os.mkdir(folder)
        for path in (folder, folder + "/none/events", "a\0b"):
            error = self.assertRaises(EventsUnwritable, open_sink, path, lambda: 0.0)
            self.assertIn("give --events", str(error))

    def test_dash_is_descriptor_1(self) -> None:
        code = (
            "import sys\n"
            "from p2phole.events import BrokerLost, open_sink\n"
            "sys.stdout = sys.stderr  # as twistd replaces it\n"
            "open_sink('-', lambda: 1.0).emit(BrokerLost(reason='x', seconds=0.0))"
        )
        run = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True)
        self.assertEqual(json.loads(run.stdout)["event"], "broker-lost")
        self.assertEqual(run.stderr, b"")


class DescriptorStreamTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.reading, self.writing = os.pipe()
        self.addCleanup(os.close, self.writing)
        self.patch(events, "PATIENCE", 0.05)

    def test_reader_who_stands_still(self) -> None:
        """What he has missed is missing in whole lines, and he holds us up once."""
        self.addCleanup(os.close, self.reading)
        stream = DescriptorStream(self.writing)
        waits: list[float] = []
        poll, stream._poll = stream._poll, Mock()

        def wait(milliseconds: float) -> object:
            if not (found := poll.poll(milliseconds)):
                waits.append(milliseconds)
            return found

        stream._poll.poll = wait
        lines = [b"%04d" % number + b"x" * 9_000 + b"\n" for number in range(20)]
        lost = []
        for line in lines:
            try:
                stream.write(line)
            except TimeoutError:
                lost.append(line)
        self.assertEqual(waits, [1000 * events.PATIENCE, *[0.0] * (len(lost) - 1)])
        got = bytearray()
        reader = threading.Thread(target=self._read_until, args=(got, b"end\n"))
        reader.start()
        while not got:
            time.sleep(0.001)
        stream.write(b"end\n")
        reader.join()
        whole = bytes(got).splitlines(keepends=True)
        self.assertGreater(len(lost), 10)
        # The first of the lost lines had begun, and was finished as soon as there was room.
        self.assertEqual(whole, [line for line in lines if line not in lost[1:]] + [b"end\n"])

    def _read_until(self, got: bytearray, end: bytes) -> None:
        while not got.endswith(end):
            got += os.read(self.reading, 100_000)

    def test_reader_who_has_gone(self) -> None:
        os.close(self.reading)
        stream = DescriptorStream(self.writing)
        self.assertRaises(BrokenPipeError, stream.write, b"x\n")
        self.assertIsNone(JsonLinesSink(stream, lambda: 0.0).emit(said("a")))
