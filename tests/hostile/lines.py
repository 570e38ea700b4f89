"""Hostile lines: messages with something wrong in them, and what never was a message.  Pure."""

from __future__ import annotations

import json
from copy import deepcopy
from random import Random
from typing import Any

from p2phole.addresses import Candidate, Endpoint
from p2phole.behaviour import Behaviour
from p2phole.wire.codec import BadLine, decode_to_broker, decode_to_peer, encode
from p2phole.wire.messages import (
    Absent,
    DialBack,
    DialledBack,
    Error,
    Hello,
    Introduction,
    Letter,
    Ping,
    Pong,
    Possession,
    Register,
    Registered,
    Request,
    Requested,
    Update,
    Welcome,
)

_HERE = (Candidate("srflx", Endpoint.parse("127.0.0.9:4000")),)
_NAT = Behaviour("none", "none", "random", "reset")
_POSSESSION = Possession("1" * 64, "2" * 32, "127.0.0.1:9000", "3" * 128)
TO_BROKER = (
    Hello(2, "hostile"),
    Register("mallory", "lobby", "0" * 64, "1" * 32, _HERE, _POSSESSION),
    Update(_HERE, _NAT),
    Request("1" * 32, _HERE, _NAT),
    Letter("1" * 32, "2" * 32, "aGVsbG8="),
    DialBack(),
    Pong(1),
)
TO_PEER = (
    Welcome(2, "hostile", _HERE[0].endpoint, "4" * 32),
    Registered("lobby"),
    Introduction("mallory", "0" * 64, "1" * 32, _HERE[0].endpoint, _HERE, "2" * 32, 1, 0.0, _NAT),
    Requested("1" * 32),
    Absent("1" * 32),
    Letter("1" * 32, "2" * 32, "aGVsbG8="),
    DialledBack("port", "reset"),
    Ping(1),
    Error("limit", "go away", 5.0),
)
_VALUES: tuple[Any, ...] = (
    None,
    True,
    False,
    0,
    -1,
    1.5,
    10**30,
    -(10**300),
    2**31,
    2**63,
    1e308,
    "",
    "\0",
    "a\0b",
    "\ud800",
    "\udfff\ud800",
    "\u202e\u2066",
    "x" * 257,
    "0" * 64,
    "g" * 64,
    "\u0661" * 32,
    "\uff46" * 64,
    "127.0.0.1:0",
    "127.0.0.1:65536",
    "[::1%lo]:5",
    "[::ffff:10.0.0.1]:5000",
    "999.1.1.1:1",
    "1:2:3:4",
    ":",
    "[]:1",
    "127.0.0.1:+5",
    "127.1:80",
    "0x7f.1:80",
    [],
    {},
    [[]],
    [None],
    [{}],
    [{"kind": "host"}],
    [{"kind": [], "endpoint": {}}],
    {"key": []},
    ["a"] * 65,
    [[[[[[]]]]]],
    {"mapping": ["none"], "filtering": {}, "allocation": 7},
    {"kind": {}},
    "aGVsbG8",
    "====",
    "A" * 2049,
    "A" * 2048,
)
_NEVER = (
    b"",
    b"\r",
    b"\0",
    b"\0" * 500,
    b"null",
    b"true",
    b"[]",
    b"{}",
    b'""',
    b"0",
    b"-",
    b"[" * 4000,
    b'{"a":' * 800,
    b"[" * 2000 + b"]" * 2000,
    b"1" * 4096,
    b"-" + b"9" * 4000,
    b"1e999",
    b'{"type":1e999}',
    b"NaN",
    b"Infinity",
    b'{"type":"hello","version":1e999,"software":""}',
    b'{"type":"ping","number":' + b"9" * 4000 + b"}",
    b'{"type":"pong","number":NaN}',
    b'{"type":["hello"]}',
    b'{"type":{"a":1}}',
    b'{"type":"hello"',
    b'{"type":"hello","type":"register"}',
    b'{"type":"\\u0000"}',
    b'{"type":"\\ud800"}',
    b"\xff\xfe{\0}\0",
    b"\xef\xbb\xbf{}",
    b"\xc0\x80",
    b"\xed\xa0\x80",
    b'{"\xff":1}',
    b"GET / HTTP/1.1\r",
    b"x" * 5000,
    b"{" * 4097,
    b'{"type":"hello","version":2,"software":"' + b"x" * 4040 + b'"}',
)


class Mutator:
    """Makes lines, without their newline; the same ones for the same seed."""

    def __init__(self, random: Random) -> None:
        self._random = random

    def line(self) -> bytes:
        """Any line; most can't be read."""
        random = self._random
        kind = random.randrange(4)
        if kind == 0:
            return random.choice(_NEVER)
        if kind == 1:
            return random.randbytes(random.randrange(1, 200)).replace(b"\n", b" ")
        line = self._changed(random.choice(TO_BROKER + TO_PEER))
        return self._broken(line) if kind == 2 else line

    def readable(self, to_peer: bool) -> bytes:
        """One that the codec takes, whatever it may mean."""
        decode, seeds = (decode_to_peer, TO_PEER[2:-1]) if to_peer else (decode_to_broker, TO_BROKER[2:])
        while True:
            line = self._changed(self._random.choice(seeds))
            try:
                decode(line)
            except BadLine:
                continue
            return line

    def _changed(self, message: Any) -> bytes:
        """With another value somewhere, or a key more or less; some that are random and right."""
        random = self._random
        content = json.loads(encode(message))
        for name, digits in (("instance", 32), ("token", 32), ("fingerprint", 64)):
            if name in content and random.random() < 0.5:
                content[name] = random.randbytes(digits // 2).hex()
        for _ in range(random.randrange(3)):
            inner = [value for value in content.values() if isinstance(value, dict) and value]
            into = random.choice([content, *inner])
            name = random.choice([*into, "unknown", "\ud800"])
            if random.random() < 0.2:
                into.pop(name, None)
            else:
                into[name] = deepcopy(random.choice(_VALUES))
        return json.dumps(content).encode()

    def _broken(self, line: bytes) -> bytes:
        """With a few bytes changed, left out or put in."""
        random, content = self._random, bytearray(line)
        for _ in range(random.randrange(1, 5)):
            at = random.randrange(len(content) + 1)
            content[at : at + random.randrange(3)] = random.randbytes(random.randrange(3))
        return bytes(content).replace(b"\n", b" ")


RAW: dict[str, bytes] = {
    "nothing": b"",
    "newlines": b"\n" * 5000,
    "nul": b"\0" * 100_000,
    "ones": b"\xff" * 100_000,
    "endless line": b"A" * 1_000_000,
    "http": b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
    "http 2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "tls": bytes.fromhex("16030100c8010000c40303") + b"\x11" * 190,
    "tls alert": bytes.fromhex("15030300020228"),
    "ssh": b"SSH-2.0-OpenSSH_9.6\r\n",
    "socks": b"\x05\x02\x00\x02\x04\x01\x00\x50\x7f\x00\x00\x01\x00",
    "proxy": b"PROXY TCP4 10.0.0.1 10.0.0.2 1 2\r\n",
    "proxy 2": b"\r\n\r\n\0\r\nQUIT\n\x21\x11\x00\x0c" + b"\x7f\0\0\x01" * 2 + b"\0\x50\0\x51",
    "smb": b"\0\0\0\x2f\xffSMBr" + b"\0" * 40,
    "rdp": bytes.fromhex("0300002f2ae00000000000436f6f6b69653a20"),
    "utf-16": '{"type":"hello"}\n'.encode("utf-16"),
    "gzip": b"\x1f\x8b\x08" + b"\0" * 300,
    "format": b"%s%n%x {0} ${jndi:ldap://x} \x1b]0;x\x07\n",
    "crlf only": b"\r\n" * 3000,
    "magic": b"p2phole",
    "magic and version": b"p2phole\x01",
    "other version": b"p2phole\x02" + b"\0" * 32,
    "preface of nobody": b"p2phole\x01" + b"\x5a" * 32,
    "preface and tls": b"p2phole\x01" + b"\x5b" * 32 + bytes.fromhex("16030100c8010000c40303") + b"\x11" * 190,
    "preface and much": b"p2phole\x01" + b"\x5c" * 32 + b"x" * 200_000,
    "two prefaces": (b"p2phole\x01" + b"\x5d" * 32) * 2,
    "wrong late": b"p2phole\x01"[:-1] + b"\x00" + b"\x5e" * 32,
}
"""Bytes that are said to a port at once."""
