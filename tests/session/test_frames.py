"""The frames of a session."""

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from p2phole.session.frames import (
    CREDIT,
    HEADER,
    MOST,
    MOST_PAYLOAD,
    MOST_PURPOSES,
    SHAPES,
    WAITING,
    BadFrame,
    Frame,
    FrameReader,
    Kind,
    check_purpose,
    offer,
    read_offer,
    read_opening,
)
from tests import strategies


@st.composite
def frames(draw: st.DrawFn) -> Frame:
    """Any frame that is well formed."""
    kind = draw(st.sampled_from(Kind))
    shape = SHAPES[kind]
    size = draw(st.one_of(st.integers(shape.least, min(shape.most, shape.least + 40)), st.just(shape.most)))
    return Frame(
        kind,
        draw(st.integers(1 if shape.numbered else 0, 2**64 - 1)),
        draw(st.binary(min_size=min(size, 50), max_size=min(size, 50))).ljust(size, b"."),
        draw(st.integers(1, 2**32 - 1)) if shape.on_stream else 0,
        draw(st.sampled_from([0, shape.flags])),
    )


def header(kind: int, payload: int = 0, flags: int = 0, stream: int = 0, number: int = 1) -> bytes:
    return HEADER.pack(HEADER.size + payload - 1, kind, flags, stream, number)


class FrameTests(SynchronousTestCase):
    def test_on_the_wire(self) -> None:
        self.assertEqual(
            Frame(Kind.DATA, 258, b"hi", 3, WAITING).encode(),
            b"\x00\x11\x02\x01\x00\x00\x00\x03\x00\x00\x00\x00\x00\x00\x01\x02hi",
        )
        self.assertEqual((HEADER.size, [int(kind) for kind in Kind]), (16, [*range(1, 14)]))
        self.assertEqual(set(SHAPES), set(Kind))

    def test_the_largest(self) -> None:
        frame = Frame(Kind.DATA, 1, bytes(MOST_PAYLOAD), 1)
        self.assertEqual(len(frame.encode()), MOST)
        self.assertEqual(FrameReader().feed(frame.encode()), [frame])
        self.assertRaises(ValueError, Frame(Kind.DATA, 1, bytes(MOST_PAYLOAD + 1), 1).encode)

    @given(st.lists(frames(), max_size=5), strategies.cuts)
    @settings(deadline=None, max_examples=150)
    def test_in_any_chunks(self, sent: list[Frame], at: list[int]) -> None:
        reader = FrameReader()
        data = b"".join(frame.encode() for frame in sent)
        self.assertEqual([frame for chunk in strategies.cut(data, at) for frame in reader.feed(chunk)], sent)

    def test_byte_by_byte(self) -> None:
        sent = [Frame(Kind.PING, 7), Frame(Kind.DATA, 1, b"abc", 1), Frame(Kind.FINISH, 2, b"", 1)]
        reader, found = FrameReader(), []
        for byte in b"".join(frame.encode() for frame in sent):
            found += reader.feed(bytes([byte]))
        self.assertEqual(found, sent)

    def test_every_shape_is_told_by_its_header(self) -> None:
        # Not after 64 KiB have been waited for: none of these is whole.
        for kind, shape in SHAPES.items():
            stream, good = int(shape.on_stream), header(kind, shape.least, 0, int(shape.on_stream))
            FrameReader().feed(good)
            bad = [
                header(kind, shape.most + 1, 0, stream) if shape.most < MOST_PAYLOAD else b"",
                header(kind, shape.least - 1, 0, stream),
                header(kind, shape.least, 2, stream),
                header(kind, shape.least, 255, stream),
                header(kind, shape.least, 1 - shape.flags, stream) if not shape.flags else b"",
                header(kind, shape.least, 0, 1 - stream),
                header(kind, shape.least, 0, stream, 0) if shape.numbered else b"",
                HEADER.pack(0, kind, 0, stream, 1),
            ]
            for data in filter(None, bad):
                error = self.assertRaises(BadFrame, FrameReader().feed, data)
                self.assertIn(f"the header of a {kind.name} that makes no sense", str(error))

    def test_kinds_still_to_come(self) -> None:
        for kind in (0, 14, 255):
            error = self.assertRaises(BadFrame, FrameReader().feed, header(kind))
            self.assertIn(f"unknown kind {kind}; it may run a newer version", str(error))
        self.assertRaises(BadFrame, FrameReader().feed, b"GET / HTTP/1.1\r\n")

    @given(st.lists(st.one_of(st.binary(max_size=60), frames().map(Frame.encode)), max_size=6), strategies.cuts)
    @settings(deadline=None, max_examples=200)
    def test_any_bytes(self, pieces: list[bytes], at: list[int]) -> None:
        reader, data, found = FrameReader(), b"".join(pieces), b""
        try:
            for chunk in strategies.cut(data, at):
                found += b"".join(frame.encode() for frame in reader.feed(chunk))
        except BadFrame:
            pass
        self.assertTrue(data.startswith(found))


class PayloadTests(SynchronousTestCase):
    def test_offers(self) -> None:
        for purposes in ([], ["messages"], ["a", "forward", "x-1.y"]):
            self.assertEqual(read_offer(offer(purposes)), frozenset(purposes))
        many = offer([f"p{number}" for number in range(MOST_PURPOSES)])
        self.assertEqual(len(read_offer(many)), MOST_PURPOSES)
        for payload in (b"\n", b"a\n", b"a\na", b"A", b"\xff", b"a b", b"x" * 65, many + b"\nmore"):
            self.assertRaises(BadFrame, read_offer, payload)

    def test_openings(self) -> None:
        self.assertEqual(read_opening(b"thing"), ("thing", b""))
        self.assertEqual(read_opening(b"thing\nto\nthere\xff"), ("thing", b"to\nthere\xff"))
        for payload in (b"", b"\nx", b"1", b"thing ", b"../x", b"thing\n" + bytes(4097)):
            self.assertRaises(BadFrame, read_opening, payload)

    def test_purposes(self) -> None:
        self.assertEqual(check_purpose("forward"), "forward")
        for text in ("", "Forward", "-x", "a/b", "a\n", "ä", "x" * 65):
            self.assertRaises(ValueError, check_purpose, text)

    def test_credit(self) -> None:
        self.assertEqual((SHAPES[Kind.CREDIT].least, CREDIT.pack(1, 2)), (16, bytes(7) + b"\1" + bytes(7) + b"\2"))
