"""Another side that is proven and means no good: what it sends ends in a named error, and nowhere else."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from p2phole.session.streams import Stream
from p2phole.use.files.errors import BadOffer
from p2phole.use.files.listing import MOST_ENTRIES
from p2phole.use.files.records import AT, BEGIN, HEADER, SAME, Kind, as_json, record
from p2phole.use.files.source import find
from tests.session.sides import End, flush
from tests.use.files.pairs import Pair

DIGEST = bytes(32)


class Case(SynchronousTestCase):
    def setUp(self) -> None:
        self.outside = Path(self.mktemp()).absolute()
        self.folder = self.outside / "in"
        self.outside.mkdir(parents=True)

    def pair(self) -> tuple[Pair, End]:
        """Whoever sends is us."""
        pair = Pair([], self.folder)
        end = pair.one.open(purpose="files")
        flush(pair.clock, pair.cable)
        return pair, end

    def written(self) -> list[str]:
        return sorted(str(path.relative_to(self.outside)) for path in self.outside.rglob("*"))


class SenderTests(Case):
    def send(self, *records: tuple[Kind, Any], raw: bytes = b"") -> Pair:
        pair, end = self.pair()
        for kind, payload in records:
            end.stream.write(record(kind, payload if isinstance(payload, bytes) else as_json(payload)))
            flush(pair.clock, pair.cable)
        if raw:
            end.stream.write(raw)
            flush(pair.clock, pair.cable)
        self.assertIsInstance(pair.receiver.error, BadOffer, records)
        self.assertIsNone(pair.receiver.result)
        self.assertIn("broke off files", str(end.error))
        # Others go on: the session is as it was.
        other = pair.one.open()
        flush(pair.clock, pair.cable)
        self.assertEqual(other.told, ["accepted"])
        return pair

    def listed(self, *entries: list[Any], size: int = 5, folders: int = 0) -> list[tuple[Kind, Any]]:
        count = {"version": 1, "files": len(entries) - folders, "folders": folders, "bytes": size}
        return [(Kind.OFFER, count), (Kind.ENTRIES, list(entries)), (Kind.LISTED, b"")]

    def test_names(self) -> None:
        for path in (
            "../../.ssh/authorized_keys",
            "/authorized_keys",
            "..",
            ".",
            "",
            "a\0b",
            "a\u202etxt.exe",
            "\x1b]0;you\x07",
            "a/../../b",
        ):
            pair = self.send(*self.listed([path, 5, 0, 0]))
            self.assertEqual((pair.receiver.proposals, self.written()), ([], []))

    def test_a_million_entries(self) -> None:
        pair = self.send((Kind.OFFER, {"version": 1, "files": 1_000_000, "folders": 0, "bytes": 1}))
        self.assertEqual((pair.receiver.proposals, self.written()), ([], []))
        many = [[f"{number}", 0, 0, 0] for number in range(2_000)]
        self.send(
            (Kind.OFFER, {"version": 1, "files": 5_000, "folders": 0, "bytes": 0}),
            (Kind.ENTRIES, many),
            (Kind.ENTRIES, many),
        )
        self.send((Kind.OFFER, {"version": 1, "files": 1, "folders": 0, "bytes": 0}), (Kind.ENTRIES, many))
        self.assertLess(MOST_ENTRIES, 1_000_000)

    def test_a_huge_record(self) -> None:
        self.send(raw=HEADER.pack(Kind.OFFER, 2**32 - 1) + bytes(1000))
        self.send(raw=HEADER.pack(Kind.DATA, 2**32 - 1) + bytes(1000))

    def test_more_bytes_than_it_said(self) -> None:
        pair = self.send(
            *self.listed(["a", 5, 0, 0]), (Kind.FILE, BEGIN.pack(0, 0)), (Kind.DATA, b"1234"), (Kind.DATA, b"56")
        )
        self.assertEqual(pair.receiver.names, {})
        [part] = [name for name in self.written() if name != "in"]
        self.assertTrue(part.endswith(".p2phole-part"))
        self.assertEqual((self.outside / part).stat().st_size, 4)

    def test_lies(self) -> None:
        files = self.listed(["a", 5, 0, 0], ["b", 0, 0, 0])
        begin, rest = (Kind.FILE, BEGIN.pack(0, 0)), (Kind.DATA, b"12345")
        for records in (
            [begin, (Kind.END, DIGEST)],
            [begin, rest, (Kind.END, DIGEST)],
            [(Kind.FILE, BEGIN.pack(0, 3))],
            [(Kind.FILE, BEGIN.pack(2, 0))],
            [(Kind.FILE, BEGIN.pack(2**32 - 1, 2**64 - 1))],
            [(Kind.FILE, BEGIN.pack(1, 0)), begin],
            [begin, begin],
            [rest],
            [(Kind.END, DIGEST)],
            [(Kind.SAME, SAME.pack(0, DIGEST))],
            [(Kind.DONE, b"")],
            [begin, (Kind.DONE, b"")],
            [begin, (Kind.FAILED, AT.pack(1) + b"why")],
            [(Kind.FAILED, AT.pack(7))],
            [(Kind.FAILED, b"7")],
            [(Kind.OFFER, {})],
            [(Kind.ENTRIES, [["c", 0, 0, 0]])],
            [(Kind.PLAN, [{"at": 0}])],
            [(Kind.ACCEPT, b"")],
            [(Kind.RESULT, {})],
        ):
            pair = self.send(*files, *records)
            self.assertEqual(pair.receiver.names, {})
            self.assertEqual([name for name in self.written() if name in ("in/a", "in/b")], [])

    def test_before_it_may(self) -> None:
        self.send((Kind.DATA, b"x"))
        self.send((Kind.LISTED, b""))
        self.send((Kind.OFFER, {"version": 9}))
        self.send((Kind.OFFER, {"version": 1, "text": 5}))
        self.send(*self.listed(["a", 5, 0, 0])[:2], (Kind.FILE, BEGIN.pack(0, 0)))

    def test_it_does_not_wait_for_the_answer(self) -> None:
        from twisted.internet.defer import Deferred

        pair, end = self.pair()
        pair.receiver.answer = Deferred()
        for kind, payload in [*self.listed(["a", 5, 0, 0]), (Kind.FILE, BEGIN.pack(0, 0))]:
            end.stream.write(record(kind, payload if isinstance(payload, bytes) else as_json(payload)))
        flush(pair.clock, pair.cable)
        self.assertIsInstance(pair.receiver.error, BadOffer)
        self.assertEqual(self.written(), [])

    def test_it_finishes_early(self) -> None:
        pair, end = self.pair()
        for kind, payload in self.listed(["a", 5, 0, 0]):
            end.stream.write(record(kind, payload if isinstance(payload, bytes) else as_json(payload)))
        end.stream.finish()
        flush(pair.clock, pair.cable)
        self.assertIsInstance(pair.receiver.error, BadOffer)

    @settings(max_examples=60, deadline=None)
    @given(
        st.lists(st.tuples(st.sampled_from(list(Kind)), st.binary(max_size=40)), max_size=12),
        st.binary(max_size=9),
    )
    def test_whatever(self, records: list[tuple[Kind, bytes]], rest: bytes) -> None:
        pair, end = self.pair()
        for kind, payload in self.listed(["a", 5, 0, 0], ["b"], folders=1):
            end.stream.write(record(kind, payload if isinstance(payload, bytes) else as_json(payload)))
        flush(pair.clock, pair.cable)
        for kind, payload in records:
            end.stream.write(HEADER.pack(kind, len(payload)) + payload)
        end.stream.write(rest)
        flush(pair.clock, pair.cable)
        self.assertIn(type(pair.receiver.error), (BadOffer, type(None)))
        self.assertEqual({name.split("/")[0] for name in os.listdir(self.outside)}, {"in"})


class ReceiverTests(Case):
    """The other side receives."""

    def answer(self, *records: tuple[Kind, Any]) -> Pair:
        path = self.outside / "a"
        path.write_bytes(bytes(200_000))
        pair = Pair([], self.folder, sources=find([path], lambda: False), receive=False)
        ends: list[End] = []

        def opened(stream: Stream) -> None:
            end = End()
            end.stream = stream
            ends.append(end)
            stream.accept(end)

        pair.two.session.offer("files", opened)
        flush(pair.clock, pair.cable)
        pair.run()
        for kind, payload in records:
            data = payload if isinstance(payload, bytes) else as_json(payload)
            ends[0].stream.write(record(kind, data))
            flush(pair.clock, pair.cable)
        self.assertIsInstance(pair.sender.error, BadOffer, records)
        self.assertIsNone(pair.sender.result)
        return pair

    def test_lies(self) -> None:
        accept, good = (Kind.ACCEPT, b""), {"arrived": 1, "failures": 0, "failed": []}
        for records in (
            [(Kind.RESULT, good)],
            [(Kind.OFFER, {})],
            [(Kind.PLAN, [{"at": 5}])],
            [(Kind.PLAN, [{"at": 0, "part": [200_001, "00" * 32]}])],
            [(Kind.PLAN, [{"at": 0}]), (Kind.PLAN, [{"at": 0}])],
            [accept, accept],
            [accept, (Kind.PLAN, [{"at": 0}])],
            [accept, (Kind.RESULT, {**good, "arrived": 2})],
            [accept, (Kind.RESULT, {**good, "arrived": 0, "failures": 1, "failed": [[9, ""]]})],
        ):
            self.answer(*records)

    def test_a_result_before_all_was_sent(self) -> None:
        path = self.outside / "large"
        path.write_bytes(bytes(5_000_000))
        pair = Pair([], self.folder, sources=find([path], lambda: False), receive=False)
        ends: list[End] = []

        def opened(stream: Stream) -> None:
            end = End()
            end.stream = stream
            stream.accept(end)
            stream.pause()
            end.stream.write(
                record(Kind.ACCEPT) + record(Kind.RESULT, as_json({"arrived": 1, "failures": 0, "failed": []}))
            )
            ends.append(end)

        pair.two.session.offer("files", opened)
        flush(pair.clock, pair.cable)
        pair.run()
        self.assertIsInstance(pair.sender.error, BadOffer)
