"""The first 40 bytes."""

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from p2phole.secure.preface import MAGIC, SIZE, NotAPreface, PrefaceReader, build
from tests import strategies

TAG = bytes(range(32))


class PrefaceTests(SynchronousTestCase):
    def test_size(self) -> None:
        self.assertEqual((SIZE, len(build(TAG))), (40, 40))

    def test_whole_and_what_is_behind(self) -> None:
        self.assertEqual(PrefaceReader().feed(build(TAG) + b"more"), (TAG, b"more"))

    @given(st.binary(min_size=32, max_size=32), st.binary(max_size=50), strategies.cuts)
    @settings(deadline=None, max_examples=100)
    def test_in_any_chunks(self, tag: bytes, behind: bytes, at: list[int]) -> None:
        reader = PrefaceReader()
        chunks = strategies.cut(build(tag) + behind, at)
        while chunks:
            found = reader.feed(chunks.pop(0))
            if found is not None:
                self.assertEqual((found[0], found[1] + b"".join(chunks)), (tag, behind))
                return
        self.fail("it was not found")

    def test_wrong_at_the_first_byte_that_is_wrong(self) -> None:
        for at in range(len(MAGIC)):
            reader = PrefaceReader()
            self.assertIsNone(reader.feed(MAGIC[:at]))
            error = self.assertRaises(NotAPreface, reader.feed, bytes([MAGIC[at] ^ 1]))
            self.assertNotIn("{", str(error))

    def test_nothing_yet(self) -> None:
        self.assertIsNone(PrefaceReader().feed(b""))
        self.assertIsNone(PrefaceReader().feed(build(TAG)[:-1]))

    @given(st.lists(st.one_of(st.binary(max_size=60), st.sampled_from([MAGIC, MAGIC[:3], b"GET / HTTP/1.1\r\n"]))))
    @settings(deadline=None, max_examples=150)
    def test_any_bytes(self, chunks: list[bytes]) -> None:
        reader, sent = PrefaceReader(), b""
        for chunk in chunks:
            sent += chunk
            starts_well = sent[: len(MAGIC)] == MAGIC[: len(sent)]
            try:
                found = reader.feed(chunk)
            except NotAPreface:
                self.assertFalse(starts_well)
                return
            self.assertTrue(starts_well)
            self.assertEqual(found is not None, len(sent) >= SIZE)
            if found is not None:
                return
