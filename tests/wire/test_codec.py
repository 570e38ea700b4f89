"""The broker's lines."""

import json
import math
from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from p2phole.addresses import KINDS, Candidate, Endpoint
from p2phole.behaviour import ADDRESS, PORT, UNKNOWN, Behaviour
from p2phole.text import harmless
from p2phole.wire import messages as m
from p2phole.wire.codec import BadLine, decode_to_broker, decode_to_peer, encode
from tests import strategies

HERE = Endpoint.parse("192.0.2.1:4000")
POSSESSION = m.Possession("f" * 64, "f" * 32, "d" * 256, "f" * 128)
HARD = Behaviour(PORT, ADDRESS, "sequential", "icmp")
REGISTER = {
    "type": "register",
    "name": "alice",
    "room": "lobby",
    "fingerprint": "a" * 64,
    "instance": "b" * 32,
    "candidates": [],
    "possession": {"key": "c" * 64, "nonce": "d" * 32, "dialled": "broker.example:9000", "signature": "e" * 128},
}


def line(content: object) -> bytes:
    return json.dumps(content).encode()


class RoundTripTests(SynchronousTestCase):
    @given(strategies.to_broker)
    @settings(deadline=None, max_examples=150)
    def test_to_broker(self, message: m.ToBroker) -> None:
        self.check(message, decode_to_broker)

    @given(strategies.to_peer)
    @settings(deadline=None, max_examples=150)
    def test_to_peer(self, message: m.ToPeer) -> None:
        self.check(message, decode_to_peer)

    def check(self, message: m.Message, decode: object) -> None:
        try:
            encoded = encode(message)
        except BadLine as problem:
            self.assertEqual(problem.code, "too-long")
            return
        self.assertLessEqual(len(encoded), 4096)
        self.assertNotIn(b"\n", encoded)
        self.assertEqual(decode(encoded), message)  # type: ignore[operator]

    def test_the_longest_that_a_peer_may_say_fits(self) -> None:
        far = Candidate("predicted", Endpoint.parse("[ffff:ffff:ffff:ffff:ffff:ffff:ffff:fffe]:65535"))
        name = "\U0001f98a" * 64
        many = (far,) * m.MAX_CANDIDATES
        nat = Behaviour(PORT, PORT, "sequential", "unknown")
        linked = ("f" * 8,) * m.MAX_LINKED
        for space, room in (("open", name), ("secret", "f" * 64), ("code", "9" * 9)):
            encode(m.Register(name, room, "f" * 64, "f" * 32, many, POSSESSION, space, linked, nat, False, False))
        encode(m.Letter("f" * 32, "f" * 32, "/" * m.MAX_BODY, "f" * 64))
        encode(m.Request("f" * 32, many, nat, False, "f" * 64))
        encode(m.Update(many, nat, False))
        encode(m.Introduction(name, "f" * 64, "f" * 32, far.endpoint, many, "f" * 32, 2**31 - 1, 1 / 3, nat))

    def test_an_error_that_is_too_long(self) -> None:
        problem = self.assertRaises(BadLine, encode, m.Error("x" * 2000, "y" * 2100))
        self.assertEqual((problem.code, str(problem)), ("too-long", problem.detail + "."))

    def test_on_the_wire(self) -> None:
        self.assertEqual(encode(m.Pong(7)), b'{"type":"pong","number":7}')
        self.assertEqual(encode(m.DialBack()), b'{"type":"dialback"}')
        self.assertEqual(
            encode(m.DialledBack("port", "silent")), b'{"type":"dialledback","origin":"port","outcome":"silent"}'
        )
        self.assertEqual(
            encode(m.Request("0" * 32, (Candidate("host", HERE),), HARD, True)),
            b'{"type":"request","instance":"' + b"0" * 32 + b'",'
            b'"candidates":[{"kind":"host","endpoint":"192.0.2.1:4000"}],'
            b'"nat":{"mapping":"address-and-port-dependent","filtering":"address-dependent",'
            b'"allocation":"sequential","unsolicited":"icmp"},"prepare":true,"fingerprint":""}',
        )

    def test_what_may_be_left_out(self) -> None:
        self.assertEqual(decode_to_broker(b'{"type":"update","candidates":[]}'), m.Update((), UNKNOWN, False))
        self.assertEqual(
            decode_to_broker(line({"type": "request", "instance": "0" * 32, "candidates": []})),
            m.Request("0" * 32, ()),
        )
        for missing in (b'{"type":"update"}', b'{"type":"dialledback"}'):
            self.assertRaises(BadLine, decode_to_broker if b"update" in missing else decode_to_peer, missing)

    def test_whose_may_be_empty(self) -> None:
        """As who names no key, or knows of none, says it; where one has to be named it may not."""
        request = {"type": "request", "instance": "0" * 32, "candidates": []}
        for text in ("", "a" * 64):
            found = decode_to_broker(line({**request, "fingerprint": text}))
            self.assertEqual(found, m.Request("0" * 32, (), fingerprint=text))
        for wrong in ("a", "A" * 64, "a" * 65, None, 0, False, []):
            self.assertRaises(BadLine, decode_to_broker, line({**request, "fingerprint": wrong}))
        self.assertRaises(BadLine, decode_to_broker, line({**REGISTER, "fingerprint": ""}))

    def test_every_kind_of_candidate(self) -> None:
        for kind in KINDS:
            message = m.Update((Candidate(kind, HERE),))
            self.assertEqual(decode_to_broker(encode(message)), message)

    def test_a_word_of_a_newer_version_tells_nothing(self) -> None:
        """Another value of a finding is not known here, whatever its type; the others count."""
        for other in ("connection-dependent", "", None, 1, ["none"], {"none": 1}, True):
            for key in ("mapping", "filtering", "allocation", "unsolicited"):
                words = json.loads(encode(m.Update((), HARD)))["nat"]
                found = decode_to_broker(line({"type": "update", "candidates": [], "nat": {**words, key: other}}))
                assert isinstance(found, m.Update)
                self.assertEqual(getattr(found.nat, key), "unknown")
                self.assertEqual(found.nat, replace(HARD, **{key: "unknown"}))
        found = decode_to_broker(line({"type": "update", "candidates": [], "nat": {"colour": "blue"}}))
        self.assertEqual(found, m.Update((), UNKNOWN))


class RefusedTests(SynchronousTestCase):
    def code(self, data: bytes) -> str:
        problem = self.assertRaises(BadLine, decode_to_broker, data)
        self.assertEqual(harmless(problem.detail), problem.detail)
        return str(problem.code)

    def test_not_json(self) -> None:
        for data in (
            b"",
            b"\xff",
            b"GET / HTTP/1.1",
            b"\x16\x03\x01",
            b"{",
            b'{"type":"pong","number":NaN}',
            b'{"type":"pong","number":Infinity}',
            b'{"type":"\xed\xa0\x80"}',
            b"\xef\xbb\xbf{}",
            b"[" * 4096,
            b'{"a":' * 800,
        ):
            self.assertEqual(self.code(data), "bad-json", data[:40])

    def test_not_an_object(self) -> None:
        for data in (b"null", b"[]", b"1", b'"x"', b"[" * 600 + b"]" * 600):
            self.assertEqual(self.code(data), "bad-message")

    def test_unknown_type(self) -> None:
        for kind in (None, 1, "welcome", "Hello", "hello ", "\x1b[2J", ["hello"], {"hello": 1}, "x" * 900, 9**999):
            self.assertEqual(self.code(line({"type": kind})), "unknown-type")
        self.assertEqual(self.code(b"{}"), "unknown-type")
        # As deep as JSON is still read.
        for depth in range(900, 1000):
            self.assertIn(
                self.code(b'{"type":' + b"[" * depth + b"]" * depth + b"}"), ("unknown-type", "bad-json")
            )

    def test_too_long(self) -> None:
        pong = encode(m.Pong(1))
        decode_to_broker(pong.ljust(4096))
        self.assertEqual(self.code(pong.ljust(4097)), "too-long")

    def test_missing(self) -> None:
        for key in REGISTER:
            if key != "type":
                problem = self.assertRaises(
                    BadLine, decode_to_broker, line({k: v for k, v in REGISTER.items() if k != key})
                )
                self.assertEqual((problem.code, problem.detail), ("bad-message", f"register: {key} is missing"))

    def test_what_is_not_known_is_left_out(self) -> None:
        shown = m.Possession("c" * 64, "d" * 32, "broker.example:9000", "e" * 128)
        message = decode_to_broker(line({**REGISTER, "colour": "blue"}))
        self.assertEqual(message, m.Register("alice", "lobby", "a" * 64, "b" * 32, (), shown))

    def test_wrong_values(self) -> None:
        good = {"kind": "host", "endpoint": "192.0.2.1:1"}
        shown = {"key": "c" * 64, "nonce": "d" * 32, "dialled": "\u00e4" * 256, "signature": "e" * 128}
        decode_to_broker(line({**REGISTER, "possession": shown}))
        shown["dialled"] = "d" * 256
        for key, values in {
            "name": (None, 1, [], "x" * 257, "\ud800", True),
            "fingerprint": ("a" * 63, "a" * 65, "A" * 64, "g" * 64, "\u0661" * 64, 1, None),
            "instance": ("b" * 31, " " * 32, 0),
            "candidates": (
                None,
                {},
                "x",
                [1],
                [None],
                [[]],
                [{}],
                [good] * (m.MAX_CANDIDATES + 1),
                [{**good, "kind": "relay"}],
                [{**good, "kind": ["host"]}],
                [{**good, "endpoint": "192.0.2.1"}],
                [{**good, "endpoint": 1}],
                [{"kind": "host"}],
            ),
            "linked": (None, "x", [1], ["b" * 7], ["b" * 8] * (m.MAX_LINKED + 1), [["b" * 8]]),
            "nat": (None, "none", ["none"], [], 1, True),
            "prepare": (None, 0, 1, "true", [], {}),
            "inviter": (None, 0, 1, "true", [], {}),
            "space": (None, "", "Open", "other", 1, ["open"], {"open": 1}),
            "possession": (
                None,
                "x",
                [],
                {},
                *({**shown, part: wrong} for part in shown for wrong in (None, 1, "\ud800", shown[part] + "e")),
                *({other: shown[other] for other in shown if other != part} for part in shown),
            ),
        }.items():
            for value in values:
                self.assertEqual(self.code(line({**REGISTER, key: value})), "bad-message", (key, value))

    def test_wrong_numbers(self) -> None:
        for value in (None, "1", 1.0, 1.5, -1, 2**31, 10**400, True, [], 1e300):
            self.assertEqual(self.code(line({"type": "pong", "number": value})), "bad-message", value)
        self.assertEqual(self.code(b'{"type":"pong","number":1e999}'), "bad-message")
        self.assertEqual(self.code(b'{"type":"pong","number":' + b"9" * 4000 + b"}"), "bad-message")

    def test_wrong_seconds(self) -> None:
        good = m.Introduction("a", "0" * 64, "0" * 32, HERE, (), "0" * 32, 1, 0.5)
        content = json.loads(encode(good))
        for value in (-1, -0.001, "1", None, True, 10**400, [], {}):
            self.assertRaises(BadLine, decode_to_peer, line({**content, "delay": value}))
        self.assertRaises(BadLine, decode_to_peer, encode(good).replace(b"0.5", b"1e999"))
        found = decode_to_peer(line({**content, "delay": 1}))
        assert isinstance(found, m.Introduction)
        self.assertEqual((found.delay, type(found.delay)), (1.0, float))
        self.assertTrue(math.isfinite(found.delay))

    def test_wrong_words(self) -> None:
        good = {"type": "dialledback", "origin": "port", "outcome": "silent"}
        self.assertEqual(decode_to_peer(line(good)), m.DialledBack("port", "silent"))
        for key in ("origin", "outcome"):
            for value in (None, "", "Port", "connected", 1, True, ["port"], {"port": 1}):
                problem = self.assertRaises(BadLine, decode_to_peer, line({**good, key: value}))
                self.assertEqual(problem.code, "bad-message")

    def test_wrong_letters(self) -> None:
        good = {"type": "letter", "instance": "a" * 32, "token": "b" * 32, "body": "aGVsbG8="}
        for body in ("", "+/09azAZ=", "x" * m.MAX_BODY):
            for decode in (decode_to_broker, decode_to_peer):
                self.assertEqual(decode(line({**good, "body": body})), m.Letter("a" * 32, "b" * 32, body))
        for key, values in {
            "instance": (None, "a" * 31, "A" * 32),
            "token": (None, "b" * 33, 1),
            "body": (None, 1, [], "x" * (m.MAX_BODY + 1), "a b", "a\n", "\u0661", "-_"),
        }.items():
            for value in values:
                self.assertEqual(self.code(line({**good, key: value})), "bad-message", (key, value))

    def test_each_side_has_its_own_messages(self) -> None:
        for message in (m.DialBack(), m.Update(())):
            self.assertEqual(self.assertRaises(BadLine, decode_to_peer, encode(message)).code, "unknown-type")
        self.assertEqual(self.code(encode(m.DialledBack("port", "reset"))), "unknown-type")

    def test_a_complaint_fits_into_an_error_that_is_read(self) -> None:
        # What the broker complains of goes back to the peer, which must be able to read it.
        endpoint = "\u202e" * 256
        for content in (
            {**REGISTER, "candidates": [{"kind": "host", "endpoint": endpoint}]},
            {**REGISTER, "candidates": [{"kind": "host", "endpoint": "\U000e0041" * 254 + ":1"}]},
            {"type": "\U000e0041" * 300},
        ):
            data = json.dumps(content, ensure_ascii=False).encode()
            problem = self.assertRaises(BadLine, decode_to_broker, data)
            self.assertEqual(
                decode_to_peer(encode(m.Error(problem.code, problem.detail))),
                m.Error(problem.code, problem.detail),
            )


class AnythingTests(SynchronousTestCase):
    def feed(self, data: bytes) -> None:
        for decode in (decode_to_broker, decode_to_peer):
            try:
                decode(data)
            except BadLine as problem:
                problem.detail.encode()
                self.assertEqual(harmless(str(problem)), str(problem))
                self.assertEqual(
                    decode_to_peer(encode(m.Error(problem.code, problem.detail))).detail, problem.detail
                )

    @given(st.binary(max_size=200))
    @settings(deadline=None, max_examples=150)
    def test_bytes(self, data: bytes) -> None:
        self.feed(data)

    @given(strategies.json_values)
    @settings(deadline=None, max_examples=150)
    def test_json(self, value: object) -> None:
        self.feed(json.dumps(value).encode())

    @given(st.one_of(strategies.to_broker, strategies.to_peer), st.data())
    @settings(deadline=None, max_examples=300)
    def test_one_field_is_something_else(self, message: m.Message, data: st.DataObject) -> None:
        try:
            content = json.loads(encode(message))
        except BadLine:
            return
        content[data.draw(st.sampled_from(sorted(content)))] = data.draw(strategies.json_values)
        self.feed(json.dumps(content, ensure_ascii=data.draw(st.booleans())).encode("utf-8", "surrogatepass"))

    @given(st.one_of(strategies.to_broker, strategies.to_peer), st.integers(0), st.binary(min_size=1, max_size=3))
    @settings(deadline=None, max_examples=150)
    def test_some_bytes_are_others(self, message: m.Message, at: int, other: bytes) -> None:
        try:
            data = encode(message)
        except BadLine:
            return
        at %= len(data)
        self.feed(data[:at] + other + data[at + len(other) :])
