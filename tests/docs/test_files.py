"""``docs/protocol.md`` on files is executed: the records, and a transfer record by record."""

from __future__ import annotations

import json
import os
from pathlib import Path

from twisted.internet.defer import succeed
from twisted.trial.unittest import SynchronousTestCase

from p2phole.use.files.incoming import Clash
from p2phole.use.files.names import part_name
from p2phole.use.files.records import AT, BEGIN, SAME, Kind, RecordReader
from tests.docs import bare, blocks, read, table
from tests.session.sides import flush
from tests.use.files.pairs import SENDER, Pair

PAGE = read("docs/protocol.md")
TIME = 1_700_000_000_000_000_000


def told(side: str, kind: Kind, payload: bytes) -> str:
    """A record as the page shows it."""
    text = ""
    if kind is Kind.FILE:
        text = "{} from {}".format(*BEGIN.unpack(payload))
    elif kind is Kind.DATA:
        text = json.dumps(payload.decode())
    elif kind is Kind.END:
        text = payload.hex()
    else:
        text = payload.decode()
    return f"{side} > {kind.name} {text}".rstrip()


class FileTests(SynchronousTestCase):
    def test_records(self) -> None:
        rows = table(PAGE, "record")
        self.assertEqual([(bare(row[0]), int(row[1])) for row in rows], [(kind.name, kind.value) for kind in Kind])
        receiver = {bare(row[0]) for row in rows if row[2] == "receiver"}
        self.assertEqual(receiver, {"PLAN", "ACCEPT", "RESULT"})
        self.assertEqual((BEGIN.format, SAME.format, AT.format), ("!IQ", "!I32s", "!I"))

    def test_transfer(self) -> None:
        (block,) = blocks(PAGE, "files")
        here, there = (Path(self.mktemp()) for _ in range(2))
        (here / "notes").mkdir(parents=True)
        (there / "notes").mkdir(parents=True)
        for name, data in (("a", b"abcdef"), ("run", b"true")):
            path = here / "notes" / name
            path.write_bytes(data)
            path.chmod(0o755 if name == "run" else 0o644)
            os.utime(path, ns=(TIME, TIME))
        (there / "notes" / part_name(SENDER, "notes/a")).write_bytes(b"ab")
        pair = Pair([here / "notes"], there)
        pair.receiver.answer = succeed(Clash.KEEP_BOTH)
        lines: list[str] = []
        for side, session in (("S", pair.two.session), ("R", pair.one.session)):
            self.listen(side, session, lines)
        pair.begin()
        assert pair.sending.stream is not None
        flush(pair.clock, pair.cable)
        self.assertEqual(pair.receiver.result, pair.sender.result)
        self.assertEqual("\n".join(lines), block.text.rstrip("\n"))

    def listen(self, side: str, session: object, lines: list[str]) -> None:
        """Note what that one's user receives."""
        reader = RecordReader()
        table_of = session._table  # type: ignore[attr-defined]
        receive = table_of.receive

        def note(frame: object) -> None:
            if frame.kind.name == "DATA":  # type: ignore[attr-defined]
                for kind, payload in reader.feed(bytes(frame.payload)):  # type: ignore[attr-defined]
                    lines.append(told(side, kind, bytes(payload)))
            receive(frame)

        self.patch(table_of, "receive", note)
