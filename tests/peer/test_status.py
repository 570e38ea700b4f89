"""What a running peer tells of itself, and how fast its bytes flow."""

from __future__ import annotations

import json
from dataclasses import asdict, replace

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from p2phole.peer import status
from p2phole.peer.status import MOST_BYTES, RATE_SECONDS, Rates, Reached, Report, decode, encode

BOB = Reached(
    name="bob",
    id="b" * 64,
    instance="2" * 32,
    authenticated="tofu",
    path="direct",
    candidate="srflx",
    local="192.168.1.2:3000",
    remote="203.0.113.2:4000",
    round_trip=0.0123,
    since=1_000_060.0,
    bytes_in=10_000,
    bytes_out=2,
    rate_in=1500.0,
    rate_out=0.0,
    streams=2,
)
REPORT = Report(
    pid=7,
    command="chat",
    name="alice",
    id="a" * 64,
    room="team",
    broker="b.example:9000",
    registered=True,
    since=1_000_000.0,
    partners=(BOB,),
)

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)
times = st.floats(0, 1e12)
optional = st.none() | texts
reached = st.builds(
    Reached,
    name=texts,
    id=texts,
    instance=texts,
    authenticated=texts,
    path=optional,
    candidate=optional,
    local=optional,
    remote=optional,
    round_trip=st.none() | times,
    since=times,
    bytes_in=st.integers(0, 2**63 - 1),
    bytes_out=st.integers(0, 2**63 - 1),
    rate_in=times,
    rate_out=times,
    streams=st.integers(0, 1024),
)
reports = st.builds(
    Report,
    pid=st.integers(0, 2**22),
    command=texts,
    name=texts,
    id=texts,
    room=texts,
    broker=texts,
    registered=st.booleans(),
    since=times,
    partners=st.lists(reached, max_size=3).map(tuple),
)


class CodecTests(SynchronousTestCase):
    @given(reports)
    def test_there_and_back(self, report: Report) -> None:
        line = encode(report)
        self.assertEqual((line.count(b"\n"), line[-1:]), (1, b"\n"))
        self.assertEqual(decode(line), report)

    def test_the_keys(self) -> None:
        document = json.loads(encode(REPORT))
        self.assertEqual(document, {**asdict(REPORT), "partners": [asdict(BOB)]})

    def test_a_terminal_obeys_nothing_in_it(self) -> None:
        self.assertNotIn(b"\x1b", encode(replace(REPORT, name="\x1b[2J")))

    def test_keys_of_a_later_version(self) -> None:
        document = json.loads(encode(REPORT))
        document["new"] = document["partners"][0]["new"] = {}
        self.assertEqual(decode(json.dumps(document).encode()), REPORT)

    def test_keys_that_may_be_none(self) -> None:
        away = replace(BOB, path=None, candidate=None, local=None, remote=None, round_trip=None)
        report = replace(REPORT, partners=(away,))
        self.assertEqual(decode(encode(report)), report)

    @given(st.binary(max_size=60))
    def test_anything_else_is_refused(self, data: bytes) -> None:
        self.assertRaises(ValueError, decode, data)

    def test_what_breaks_it(self) -> None:
        def refused(words: str, **changed: object) -> None:
            with self.assertRaises(ValueError) as caught:
                decode(json.dumps({**asdict(REPORT), **changed}).encode())
            self.assertIn(words, str(caught.exception))

        bob = asdict(BOB)
        refused("pid", pid=True)
        refused("pid", pid=-1)
        refused("pid", pid=2**63)
        refused("name", name=None)
        refused("name", name="x" * 1025)
        refused("registered", registered=1)
        refused("since", since="now")
        refused("since", since=1e16)
        refused("partners", partners={})
        refused("partners", partners=[{}] * 4097)
        refused("reached", partners=[1])
        refused("path", partners=[{**bob, "path": 1}])
        refused("round_trip", partners=[{**bob, "round_trip": True}])
        for line in (b"[]", b'{"since": NaN}', b"[" * 100_000, b'"\\ud800"'):
            self.assertRaises(ValueError, decode, line)
        with self.assertRaises(ValueError):
            decode(encode(REPORT).replace(b'"alice"', b'"\\ud800"'))
        self.assertRaises(ValueError, decode, b" " * (MOST_BYTES + 1))


class RatesTests(SynchronousTestCase):
    def test_nothing_is_known_at_first(self) -> None:
        rates = Rates()
        self.assertEqual(rates.now, (0.0, 0.0))
        rates.sample(1.0, 10, 10)
        self.assertEqual(rates.now, (0.0, 0.0))
        rates.sample(1.0, 20, 10)
        self.assertEqual(rates.now, (0.0, 0.0))

    def test_over_the_last_seconds(self) -> None:
        rates = Rates()
        for second in range(20):
            rates.sample(float(second), 1000 * second, 10 * second)
        self.assertEqual(rates.now, (1000.0, 10.0))
        for second in range(20, 20 + int(RATE_SECONDS) + 1):
            rates.sample(float(second), 19_000, 190)
        self.assertEqual(rates.now, (0.0, 0.0))

    def test_it_keeps_no_more_than_it_needs(self) -> None:
        rates = Rates()
        for second in range(1000):
            rates.sample(float(second), 0, 0)
        self.assertLessEqual(len(rates._samples), RATE_SECONDS + 2)
        self.assertEqual(status.RATE_SECONDS, 5.0)
