"""Records to bytes and back."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from p2phole.use.files.errors import BadOffer
from p2phole.use.files.records import HEADER, MOST_RECORD, PIECE, Kind, RecordReader, from_json, record

_RECORDS = st.lists(
    st.one_of(
        st.tuples(st.sampled_from([Kind.OFFER, Kind.ENTRIES, Kind.RESULT]), st.binary(max_size=300)),
        st.tuples(st.just(Kind.DATA), st.binary(min_size=1, max_size=300)),
        st.sampled_from([(Kind.LISTED, b""), (Kind.DONE, b""), (Kind.END, b"d" * 32), (Kind.FILE, b"f" * 12)]),
    ),
    max_size=8,
)


class RecordTests(SynchronousTestCase):
    @given(_RECORDS, st.integers(1, 400))
    def test_any_chunks(self, records: list[tuple[Kind, bytes]], size: int) -> None:
        data = b"".join(record(*each) for each in records)
        reader = RecordReader()
        found: list[tuple[Kind, bytes]] = []
        for at in range(0, len(data), size):
            found.extend((kind, bytes(payload)) for kind, payload in reader.feed(data[at : at + size]))
        whole = [each for each in records if each[0] is not Kind.DATA]
        self.assertEqual([each for each in found if each[0] is not Kind.DATA], whole)
        for kinds in (records, found):
            kinds[:] = [each for each in kinds if each[0] is Kind.DATA]
        self.assertEqual(b"".join(payload for _, payload in found), b"".join(payload for _, payload in records))

    @given(st.binary(max_size=200))
    def test_any_bytes(self, data: bytes) -> None:
        try:
            for _ in RecordReader().feed(data):
                pass
        except BadOffer:
            pass

    def test_bounds(self) -> None:
        for kind, size in (
            (Kind.OFFER, MOST_RECORD + 1),
            (Kind.DATA, PIECE + 1),
            (Kind.DATA, 0),
            (Kind.END, 31),
            (Kind.DONE, 1),
            (0, 5),
            (13, 5),
        ):
            self.assertRaises(BadOffer, list, RecordReader().feed(HEADER.pack(kind, size)))
        self.assertRaises(ValueError, record, Kind.OFFER, bytes(MOST_RECORD + 1))
        self.assertRaises(ValueError, record, Kind.DATA, bytes(PIECE + 1))

    def test_what_is_no_json(self) -> None:
        for payload in (b"\xff", b"{", b"[" * 60_000, b"1" * 5000):
            self.assertRaises(BadOffer, from_json, payload)
