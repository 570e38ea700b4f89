"""Offers, lists, plans and results, and what is refused of them."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from p2phole.use.files import listing
from p2phole.use.files.errors import BadOffer
from p2phole.use.files.listing import (
    Entry,
    Have,
    Listing,
    Offer,
    Result,
    decode_offer,
    decode_plan,
    decode_result,
    encode_entries,
    encode_offer,
    encode_plan,
    encode_result,
)
from p2phole.use.files.names import MOST_PATH
from p2phole.use.files.records import MOST_RECORD, from_json

_DIGESTS = st.binary(min_size=32, max_size=32)
_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=8,
)


def offered(entries: list[Entry]) -> Listing:
    """What the other side makes of them."""
    sizes = [entry.size for entry in entries if entry.size is not None]
    listed = Listing(
        decode_offer(from_json(encode_offer(Offer(len(sizes), len(entries) - len(sizes), sum(sizes)))))
    )
    for payload in encode_entries(entries):
        assert len(payload) <= MOST_RECORD
        listed.add(len(payload), from_json(payload))
    listed.finish()
    return listed


class OfferTests(SynchronousTestCase):
    def test_entries(self) -> None:
        entries = [
            Entry("a"),
            Entry("a/b", 5, 1_700_000_000_123_456_789, True),
            Entry("a/ü", 0, -5),
            Entry("c", 2**40, 0),
        ]
        self.assertEqual(offered(entries).entries, entries)

    def test_many(self) -> None:
        # As long as a path may be, of what JSON makes twice as long.
        folders = ["/".join(['"' * 249] * depth) for depth in range(1, 16)]
        self.assertLessEqual(len(folders[-1]) + 35, MOST_PATH)
        entries = [Entry(path) for path in folders]
        for number in range(1000):
            entries.append(Entry(f"{folders[-1]}/{number:034}", 1, 2**63, True))
        self.assertEqual(offered(entries).entries, entries)

    def test_lies(self) -> None:
        def listed(offer: Offer, *items: Any) -> None:
            found = Listing(offer)
            found.add(100, list(items))
            found.finish()

        two = Offer(2, 0, 10)
        listed(two, ["a", 4, 0, 0], ["b", 6, 0, 1])
        for why, offer, items in (
            ("more entries", two, [["a", 1, 0, 0], ["b", 1, 0, 0], ["c", 1, 0, 0]]),
            ("more bytes", two, [["a", 9, 0, 0], ["b", 9, 0, 0]]),
            ("less than", two, [["a", 1, 0, 0], ["b", 1, 0, 0]]),
            ("less than", two, [["a", 10, 0, 0]]),
            ("less than", two, [["a"], ["b", 10, 0, 0]]),
            ("twice", two, [["a", 1, 0, 0], ["a", 1, 0, 0]]),
            ("whose folder", two, [["a", 1, 0, 0], ["a/b", 1, 0, 0]]),
            ("whose folder", two, [["x/b", 1, 0, 0]]),
            ("is no name", two, [["../x", 1, 0, 0]]),
            ("absolute", two, [["/x", 1, 0, 0]]),
            ("numbers", two, [["a", -1, 0, 0]]),
            ("numbers", two, [["a", 1.5, 0, 0]]),
            ("numbers", two, [["a", True, 0, 0]]),
            ("numbers", two, [["a", 1, 2**64, 0]]),
            ("numbers", two, [["a", 1, 0, 2]]),
            ("numbers", two, [["a", 2**63, 0, 0]]),
            ("none", two, [["a", 1]]),
            ("none", two, [[]]),
            ("none", two, [[5]]),
            ("none", two, ["a"]),
            ("none", two, []),
        ):
            self.assertIn(why, str(self.assertRaises(BadOffer, listed, offer, *items)), items)

    def test_a_huge_list(self) -> None:
        found = Listing(Offer(listing.MOST_ENTRIES, 0, 0))
        found.add(listing.MOST_LISTING, [["a", 0, 0, 0]])
        self.assertRaises(BadOffer, found.add, 1, [["b", 0, 0, 0]])

    def test_offers_that_are_none(self) -> None:
        good = {"version": 1, "files": 1, "folders": 0, "bytes": 1}
        decode_offer(good)
        for wrong in (
            {"version": 2},
            {"files": listing.MOST_ENTRIES + 1},
            {"files": 1_000_000},
            {"files": 0},
            {"folders": listing.MOST_ENTRIES},
            {"files": -1},
            {"bytes": 2**63},
            {"bytes": "1"},
            {"text": 5},
            {"text": "x" * (listing.MOST_TEXT + 1)},
        ):
            self.assertRaises(BadOffer, decode_offer, {**good, **wrong})

    @given(_JSON)
    def test_any_json(self, found: Any) -> None:
        entries = [Entry("a"), Entry("a/b", 5)]
        for read in (
            decode_offer,
            lambda found: Listing(Offer(1, 1, 1)).add(1, found),
            lambda found: list(decode_plan(found, entries, -1)),
            lambda found: decode_result(found, 2),
        ):
            try:
                read(found)
            except BadOffer:
                pass


class PlanTests(SynchronousTestCase):
    @given(st.data())
    def test_plans(self, data: st.DataObject) -> None:
        entries = [Entry("a"), *(Entry(str(number), 100) for number in range(20))]
        ats = sorted(data.draw(st.sets(st.integers(1, 20), min_size=1)))
        plan = [
            Have(
                at,
                data.draw(st.none() | st.tuples(st.integers(0, 100), _DIGESTS)),
                tuple(data.draw(st.lists(_DIGESTS, max_size=listing.MOST_COPIES))),
                data.draw(st.booleans()),
            )
            for at in ats
        ]
        found: list[Have] = []
        for payload in encode_plan(plan):
            found += decode_plan(from_json(payload), entries, found[-1].at if found else -1)
        self.assertEqual(found, plan)

    def test_plans_that_are_none(self) -> None:
        entries, digest = [Entry("a"), Entry("b", 5)], "00" * 32
        list(decode_plan([{"at": 1, "part": [5, digest], "copies": [digest]}], entries, 0))
        for item in (
            {"at": 2},
            {"at": 0, "part": [0, digest]},
            {"at": 0, "copies": [digest]},
            {"at": 1, "part": [6, digest]},
            {"at": 1, "part": [1, "00"]},
            {"at": 1, "part": [1]},
            {"at": 1, "copies": [digest] * 9},
            {"at": 1, "copies": [None]},
            {"at": 1, "skip": 1},
            {},
        ):
            self.assertRaises(BadOffer, list, decode_plan([item], entries, -1))
        self.assertRaises(BadOffer, list, decode_plan([{"at": 1}, {"at": 1}], entries, -1))
        self.assertRaises(BadOffer, list, decode_plan([{"at": 1}], entries, 1))

    def test_results(self) -> None:
        result = Result(3, 2, ((1, "no room"), (4, "changed")))
        self.assertEqual(decode_result(from_json(encode_result(result)), 5), result)
        long = Result(0, 100, tuple((at, "x" * 1000) for at in range(100)))
        found = decode_result(from_json(encode_result(long)), 100)
        self.assertEqual((found.failures, len(found.failed)), (100, listing.MOST_WHYS))

    def test_results_that_are_none(self) -> None:
        for wrong in ({"arrived": 6}, {"failures": 1}, {"failed": [[0, "x"]]}, {"arrived": None}, {"failed": 1}):
            self.assertRaises(BadOffer, decode_result, {"arrived": 5, "failures": 0, "failed": [], **wrong}, 5)
        for item in ([5, "x"], [0], [0, 1], [0, "x" * 1000], "x"):
            self.assertRaises(BadOffer, decode_result, {"arrived": 4, "failures": 1, "failed": [item]}, 5)

    def test_reasons_are_harmless(self) -> None:
        found = decode_result({"arrived": 0, "failures": 1, "failed": [[0, "\x1b[2J"]]}, 1)
        self.assertEqual(found.failed, ((0, "\\x1b[2J"),))
