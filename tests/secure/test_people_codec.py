"""The known people as JSON."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from p2phole.secure import people as p
from p2phole.secure.people import HOWS, LATEST, Kept, Met, Passing, People
from p2phole.secure.people_codec import MOST_BYTES, decode, encode

fingerprints = st.integers(0, 2**256 - 1).map(lambda number: f"{number:064x}")
few = st.sampled_from([f"{number:x}" * 64 for number in range(4)])
names = st.text(min_size=1, max_size=70) | st.sampled_from(["bob", "Bob", "ann", "\ufdfa", "\x1b[2J", "\u202e"])
times = st.floats(-1e13, 1e13)
steps = st.one_of(
    st.tuples(st.just("keep"), names, few | fingerprints, times),
    st.tuples(st.just("meet"), few | fingerprints, names, st.sampled_from(HOWS), times),
    st.tuples(st.just("meet"), few, names, st.just("code"), times, few),
    st.tuples(st.just("use_up"), few),
    st.tuples(st.just("forget"), names),
    st.tuples(st.just("rename"), names, names),
)


def reached(way: list[tuple[Any, ...]]) -> People:
    """What comes of some steps; those that are refused change nothing."""
    people = People()
    for name, *arguments in way:
        try:
            people = getattr(people, name)(*arguments)
        except (ValueError, p.LocalError):
            pass
    return people


FULL = reached([("keep", "bob", "b" * 64, 5.0), ("meet", "b" * 64, "robert", "code", 5.0, "d" * 64)])


def without(document: dict[str, Any], *way: Any) -> dict[str, Any]:
    """The document with the value at that place replaced by the last argument."""
    copy = json.loads(json.dumps(document))
    *path, key, value = way
    inner = copy
    for step in path:
        inner = inner[step]
    inner[key] = value
    return copy  # type: ignore[no-any-return]


class RoundTripTests(SynchronousTestCase):
    @given(st.lists(steps, max_size=20))
    def test_whatever_can_be_reached(self, way: list[tuple[Any, ...]]) -> None:
        people = reached(way)
        self.assertEqual(decode(encode(people)), people)

    def test_the_longest(self) -> None:
        wide = "\U0001f600" * 59
        people = People(
            tuple(Kept(f"{wide}{number:05}", f"{number:064x}", LATEST) for number in range(p.MOST_KEPT)),
            tuple(Met(f"{number:064x}", '"' * 64, "secret", LATEST) for number in range(p.MOST_MET)),
            tuple(Passing(f"{number:064x}", LATEST, "f" * 64) for number in range(p.MOST_PASSING)),
        )
        data = encode(people)
        self.assertLess(len(data), MOST_BYTES // 2)
        self.assertEqual(decode(data), people)

    def test_for_people_to_read(self) -> None:
        text = encode(People().keep("Zoë", "b" * 64, 5.0)).decode()
        self.assertIn('   "name": "Zoë",\n', text)
        self.assertTrue(text.endswith("}\n"))


class RefusedTests(SynchronousTestCase):
    def refused(self, data: bytes, word: str) -> None:
        error = str(self.assertRaises(ValueError, decode, data))
        self.assertIn(word, error)
        self.assertNotIn("\n", error)

    def test_something_else(self) -> None:
        for data, word in (
            (b"", "not JSON"),
            (b"\xff", "not text"),
            (encode(FULL)[:-3], "not JSON"),
            (b"[" * 100_000, "not JSON"),
            (b"1" * 10_000, "not JSON"),
            (b"[]", "no such file"),
            (b"{}", "no such file"),
            (b" " * (MOST_BYTES + 1), "more than"),
        ):
            self.refused(data, word)

    def test_what_we_would_not_write(self) -> None:
        good = json.loads(encode(FULL))
        kept, met = good["kept"][0], good["met"][0]
        other = dict(kept, name="ann", fingerprint="a" * 64)
        for way, word in (
            (("version", 2), "another version"),
            (("more", 1), "other parts"),
            (("kept", {}), "'kept' is no list"),
            (("met", [met] * 65), "'met' is no list of up to 64"),
            (("kept", [5]), "'kept', number 1: it has other keys"),
            (("kept", 0, "more", 1), "'kept', number 1: it has other keys"),
            (("kept", 0, "name", 5), "other keys or values"),
            (("kept", 0, "name", "b?"), "'?'"),
            (("kept", 0, "name", "\x1b"), "\\x1b"),
            (("kept", 0, "fingerprint", "B" * 64), "fingerprint"),
            (("kept", 0, "fingerprint", None), "other keys or values"),
            (("kept", 0, "since", -1), "time"),
            (("kept", 0, "since", 1.5), "time"),
            (("kept", 0, "since", True), "time"),
            (("passing", 0, "at", LATEST + 1), "time"),
            (("passing", 0, "mark", "D" * 64), "fingerprint"),
            (("passing", 0, "mark", None), "other keys or values"),
            (("passing", good["passing"] * 2), "'passing' has a fingerprint twice"),
            (("met", 0, "claimed", "\u202e"), "\\u202e"),
            (("met", 0, "claimed", ["bob"]), "other keys or values"),
            (("met", 0, "how", "magic"), "met so"),
            (("met", 0, "how", []), "met so"),
            (("met", [met, met]), "'met' has a fingerprint twice"),
            (("kept", [kept, dict(other, name="BOB")]), "'kept' has a name twice"),
        ):
            self.refused(json.dumps(without(good, *way)).encode(), word)
        self.assertEqual(len(decode(json.dumps(without(good, "kept", [kept, other])).encode()).kept), 2)
        two = [*good["passing"], dict(good["passing"][0], mark="")]
        self.assertEqual(len(decode(json.dumps(without(good, "passing", two)).encode()).passing), 2)

    @given(
        st.binary()
        | st.recursive(st.none() | st.integers() | st.text(), st.lists).map(
            lambda value: json.dumps(without(json.loads(encode(FULL)), "kept", 0, "name", value)).encode()
        )
    )
    def test_anything(self, data: bytes) -> None:
        try:
            people = decode(data)
        except ValueError:
            return
        self.assertEqual(decode(encode(people)), people)
