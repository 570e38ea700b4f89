"""``docs/protocol.md`` on sessions is executed: bytes of frames, tables, and a conversation frame by frame."""

from __future__ import annotations

import json
import re

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from p2phole.peer import settings
from p2phole.session import attachment, kept, messages, pool, sender, session, silence, table, turns
from p2phole.session.frames import CREDIT, HEADER, MOST_PAYLOAD, SHAPES, Frame, FrameReader, Kind
from p2phole.session.halves import INITIAL_WINDOW, MOST_WINDOW
from p2phole.session.incoming import CREDIT_BYTES, LARGEST_WINDOW
from p2phole.session.streams import Stream
from tests.docs import bare, blocks, read
from tests.docs import table as rows_of
from tests.session.sides import Cable, End, Side

PAGE = read("docs/protocol.md")
_ACTION = re.compile(r"([AB]) (links|opens|accepts|writes|finishes|breaks off|leaves|loses)(.*)")


class FrameTests(SynchronousTestCase):
    """Frames in hexadecimal, and the tables about them."""

    def frames(self) -> list[tuple[Frame, bytes]]:
        (block,) = blocks(PAGE, "frames")
        found = []
        for line in block.text.splitlines():
            match = re.fullmatch(r"([A-Z]+) (\d+) (\d+) +((?:[0-9a-f]{2} ?){16}) *(.*)", line)
            assert match is not None, line
            kind = Kind[match[1]]
            payload = bytes.fromhex(match[5]) if kind is Kind.CREDIT else match[5].encode()
            found.append((Frame(kind, int(match[2]), payload, int(match[3])), bytes.fromhex(match[4]) + payload))
        return found

    def test_frames(self) -> None:
        for frame, data in self.frames():
            self.assertEqual(frame.encode().hex(" "), data.hex(" "), frame.kind.name)
            self.assertEqual(FrameReader().feed(data), [frame])
        self.assertEqual([frame.kind for frame, _ in self.frames()], list(Kind))
        (credit,) = [CREDIT.unpack(frame.payload) for frame, _ in self.frames() if frame.kind is Kind.CREDIT]
        self.assertEqual(credit, (5, 5 + INITIAL_WINDOW))

    def test_kinds(self) -> None:
        for row, kind in zip(rows_of(PAGE, "kind"), Kind, strict=True):
            name, value, number, stream, payload = row
            shape = SHAPES[kind]
            self.assertEqual((bare(name), int(value)), (kind.name, kind.value))
            self.assertEqual((number == "its own", stream == "yes"), (shape.numbered, shape.on_stream), name)
            self.assertEqual(bool(payload), shape.most > 0, name)
            if payload and "most" in payload:
                self.assertIn(f"at most {shape.most:,} bytes", payload)

    def test_header(self) -> None:
        sizes = {"B": 8, "H": 16, "I": 32, "Q": 64}
        layout = HEADER.format.removeprefix("!")
        self.assertEqual([int(row[0]) for row in rows_of(PAGE, "bits")], [sizes[letter] for letter in layout])

    def test_hello(self) -> None:
        """A session greets with the keys that the page shows."""
        shown = json.loads(next(frame.payload for frame, _ in self.frames() if frame.kind is Kind.HELLO))
        side = Side(Clock(), shown["session"], True)
        frame, *_ = Cable(side, Side(Clock(), "b", False)).plugs[0].frames()
        greeting = json.loads(frame.payload)
        self.assertEqual(list(greeting), list(shown))
        self.assertEqual({**greeting, "software": shown["software"]}, shown)

    def test_numbers(self) -> None:
        """The bounds that the page names are those of the code."""
        said = " ".join(PAGE.partition("## Session")[2].split())
        mib = 2**20
        for text in (
            f"at once when {sender.ACK_BYTES // mib} MiB or {sender.ACK_FRAMES} frames have come",
            f"within {session.ACK_DELAY * 1000:.0f} ms",
            f"beyond {kept.MOST_KEPT // mib} MiB of it in a session",
            f"beyond {pool.MOST_IN_PROCESS // mib} MiB in a process, but for {pool.MODEST // mib} MiB",
            f"A frame counts {kept.OVERHEAD} bytes more",
            f"for {settings.RESUME_FOR:.0f} s a session is given up",
            "pinged "
            + ", ".join(f"{each:.0f}" for each in silence.HUSHES[:-1])
            + f" and {silence.HUSHES[-1]:.0f} s",
            f"nothing has come for {silence.QUIET:.0f} s is pinged, again after {silence.AGAIN:.0f} s",
            f"dead after {silence.DEAD:.0f} s",
            f"More than {attachment.PINGS.burst} pings at once and {attachment.PINGS.per_second} a second",
            f"nothing of what is due for {silence.STALLED:.0f} s",
            f"come together, {turns.MOST_AT_ONCE} are handled",
            f"may have {table.MOST_STREAMS:,} streams",
            f"{INITIAL_WINDOW:,} bytes may be sent before the first",
            f"at most {MOST_WINDOW // mib} MiB beyond what was consumed",
            f"or {CREDIT_BYTES:,} bytes; a window",
            f"to {LARGEST_WINDOW:,} bytes, for all streams of a session by at most {table.MOST_GROWN // mib} MiB",
            f"at most {MOST_PAYLOAD:,}. Nothing goes back",
            f"nothing while {messages.MOST_PENDING // mib} MiB wait",
        ):
            self.assertIn(text, said)


class Conversation:
    """Two sides, and every frame that they write, as a line."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.sides = {name: Side(self.clock, name, name == "A", offers=False) for name in "AB"}
        self.ends: dict[str, End] = {}
        self.coming: dict[str, Stream] = {}
        for name, side in self.sides.items():
            side.session.offer("echo", lambda stream, name=name: self.coming.update({name: stream}))
        self.lines: list[str] = []

    def act(self, name: str, verb: str, rest: str) -> None:
        side, texts = self.sides[name], [match[1].encode() for match in re.finditer(r'"([^"]*)"', rest)]
        if verb == "links":
            self.cable = Cable(*self.sides.values())
        elif verb == "loses":
            self.cable.cut()
        elif verb == "opens":
            end = self.ends[name] = End()
            end.stream = side.session.open("echo", end, texts.pop(0))
        elif verb == "accepts":
            end = self.ends[name] = End()
            end.stream = self.coming[name]
            end.stream.accept(end)
        elif verb == "finishes":
            self.ends[name].stream.finish()
        elif verb == "breaks off":
            self.ends[name].stream.abort(texts.pop().decode())
        elif verb == "leaves":
            side.session.say_bye()
        for text in texts if verb in ("opens", "accepts", "writes") else ():
            self.ends[name].stream.write(text)

    def settle(self) -> None:
        for _ in range(4):
            while self.deliver(0) or self.deliver(1):
                pass
            self.clock.advance(0.02)

    def deliver(self, number: int) -> int:
        plug, there = self.cable.plugs[number], self.cable.plugs[1 - number].attachment
        assert there is not None
        data = plug.take(len(plug.pipe))
        for frame in FrameReader().feed(data):
            self.lines.append(f"{'AB'[number]} > {told(frame)}")
        there.receive(data)
        return len(data)


def told(frame: Frame) -> str:
    words = [frame.kind.name, str(frame.number)]
    if frame.stream:
        words.append(f"stream {frame.stream}")
    if frame.kind is Kind.CREDIT:
        words.append("{} {}".format(*CREDIT.unpack(frame.payload)))
    elif frame.payload and frame.kind is not Kind.HELLO:
        words.append(json.dumps(frame.payload.decode()))
    return " ".join(words)


class ConversationTests(SynchronousTestCase):
    """The conversation in the page."""

    def test_conversation(self) -> None:
        (block,) = blocks(PAGE, "session")
        said = Conversation()
        for line in block.text.splitlines():
            match = _ACTION.fullmatch(line)
            if match is not None:
                said.lines.append(line)
                said.act(match[1], match[2], match[3])
                if match[2] != "loses" and "while" not in match[3]:
                    said.settle()
        self.assertEqual("\n".join(said.lines), block.text.rstrip("\n"))
