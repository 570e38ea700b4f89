"""The frames of a session."""

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from p2phole.session.frames import HEADER, MOST, MOST_PAYLOAD, BadFrame, Frame, FrameReader, Kind
from tests import strategies

frames = st.builds(
    Frame,
    st.sampled_from(Kind),
    st.integers(0, 2**64 - 1),
    st.one_of(st.binary(max_size=40), st.integers(0, MOST_PAYLOAD).map(bytes)),
)


def header(length: int, kind: int = 2, flags: int = 0, stream: int = 0, number: int = 0) -> bytes:
    return HEADER.pack(length - 1, kind, flags, stream, number)


class FrameTests(SynchronousTestCase):
    def test_on_the_wire(self) -> None:
        self.assertEqual(
            Frame(Kind.DATA, 258, b"hi").encode(),
            b"\x00\x11\x02\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x01\x02hi",
        )
        self.assertEqual((HEADER.size, [int(kind) for kind in Kind]), (16, [1, 2, 3, 4, 5, 6]))

    def test_the_largest(self) -> None:
        frame = Frame(Kind.DATA, 1, bytes(MOST_PAYLOAD))
        self.assertEqual(len(frame.encode()), MOST)
        self.assertEqual(FrameReader().feed(frame.encode()), [frame])
        self.assertRaises(ValueError, Frame(Kind.DATA, 1, bytes(MOST_PAYLOAD + 1)).encode)

    @given(st.lists(frames, max_size=5), strategies.cuts)
    @settings(deadline=None, max_examples=100)
    def test_in_any_chunks(self, sent: list[Frame], at: list[int]) -> None:
        reader = FrameReader()
        data = b"".join(frame.encode() for frame in sent)
        self.assertEqual([frame for chunk in strategies.cut(data, at) for frame in reader.feed(chunk)], sent)

    def test_a_header_that_makes_no_sense(self) -> None:
        for data in (
            header(1),
            header(15),
            header(16, flags=1),
            header(16, stream=1),
            header(16, stream=2**32 - 1),
            b"GET / HTTP/1.1\r\n",
        ):
            error = self.assertRaises(BadFrame, FrameReader().feed, data)
            self.assertIn("a frame header that makes no sense", str(error))

    def test_kinds_still_to_come(self) -> None:
        for kind in (0, 7, 255):
            error = self.assertRaises(BadFrame, FrameReader().feed, header(16, kind))
            self.assertIn(f"unknown kind {kind}; it may run a newer version", str(error))

    def test_told_at_the_header(self) -> None:
        # Not after 64 KiB have been waited for.
        self.assertRaises(BadFrame, FrameReader().feed, header(MOST, 99))

    @given(st.lists(st.one_of(st.binary(max_size=60), frames.map(Frame.encode)), max_size=6), strategies.cuts)
    @settings(deadline=None, max_examples=150)
    def test_any_bytes(self, pieces: list[bytes], at: list[int]) -> None:
        reader, data, found = FrameReader(), b"".join(pieces), b""
        try:
            for chunk in strategies.cut(data, at):
                found += b"".join(frame.encode() for frame in reader.feed(chunk))
        except BadFrame:
            pass
        self.assertTrue(data.startswith(found))
