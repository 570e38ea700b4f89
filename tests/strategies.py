"""What hypothesis makes for several modules."""

from __future__ import annotations

from base64 import b64encode
from ipaddress import IPv4Address, IPv6Address, ip_address
from itertools import pairwise

from hypothesis import strategies as st

from p2phole.addresses import KINDS, Candidate, Endpoint, unmap
from p2phole.behaviour import ALLOCATIONS, ANSWERS, FILTERINGS, MAPPINGS, Behaviour
from p2phole.wire import messages as m

EDGES = [
    "0.0.0.0",
    "10.0.0.1",
    "10.1.255.255",
    "100.64.0.1",
    "127.0.0.1",
    "169.254.1.1",
    "172.16.0.1",
    "172.32.0.1",
    "192.0.2.1",
    "192.168.1.7",
    "192.168.1.255",
    "198.18.0.1",
    "203.0.113.5",
    "224.0.0.1",
    "255.255.255.255",
    "::",
    "::1",
    "::2",
    "2001:db8::1",
    "2606:4700::1111",
    "fc00::1",
    "fdff::1",
    "fe80::1",
    "ff02::1",
]
v4 = st.one_of(st.sampled_from([text for text in EDGES if ":" not in text]), st.ip_addresses(v=4).map(str)).map(
    IPv4Address
)
PREFIXES = [
    ("mapped", 0xFFFF << 32),
    ("compatible", 0),
    ("nat64", 0x64FF9B << 96),
    ("nat64 of its own", 0x64FF9B0001 << 80),
]
carriers = st.one_of(
    st.tuples(st.sampled_from(PREFIXES), v4).map(lambda pair: IPv6Address(pair[0][1] | int(pair[1]))),
    st.tuples(v4, st.integers(0, 2**80 - 1)).map(
        lambda pair: IPv6Address(0x2002 << 112 | int(pair[0]) << 80 | pair[1])
    ),
)
"""IPv6 addresses with an IPv4 one inside."""
v6 = st.one_of(
    st.sampled_from([text for text in EDGES if ":" in text]).map(IPv6Address), st.ip_addresses(v=6), carriers
)
addresses = st.one_of(v4, v6).map(lambda ip: ip_address(str(ip)))
ports = st.one_of(st.sampled_from([1, 22, 1023, 1024, 4000, 65535]), st.integers(1, 65535))
endpoints = st.builds(lambda ip, port: Endpoint(unmap(ip), port), addresses, ports)
candidates = st.builds(Candidate, st.sampled_from(KINDS), endpoints)
behaviours = st.builds(
    Behaviour,
    st.sampled_from(MAPPINGS),
    st.sampled_from(FILTERINGS),
    st.sampled_from(ALLOCATIONS),
    st.sampled_from(ANSWERS),
)


def hexadecimal(digits: int) -> st.SearchStrategy[str]:
    return st.text("0123456789abcdef", min_size=digits, max_size=digits)


def base64(data: bytes) -> str:
    return b64encode(data).decode()


texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=256)
many_candidates = st.lists(candidates, max_size=m.MAX_CANDIDATES).map(tuple)
numbers = st.integers(0, 2**31 - 1)
seconds = st.floats(0, allow_nan=False, allow_infinity=False)

possessions = st.builds(m.Possession, hexadecimal(64), hexadecimal(32), texts, hexadecimal(128))
whose = st.one_of(st.just(""), hexadecimal(64))
letters = st.builds(m.Letter, hexadecimal(32), hexadecimal(32), st.binary(max_size=1536).map(base64), whose)

to_broker = st.one_of(
    st.builds(m.Hello, numbers, texts),
    st.builds(
        m.Register,
        texts,
        texts,
        hexadecimal(64),
        hexadecimal(32),
        many_candidates,
        possessions,
        st.sampled_from(m.SPACES),
        st.lists(hexadecimal(m.LINKED_PREFIX), max_size=m.MAX_LINKED).map(tuple),
        behaviours,
        st.booleans(),
        st.booleans(),
    ),
    st.builds(m.Update, many_candidates, behaviours, st.booleans()),
    st.builds(m.Request, hexadecimal(32), many_candidates, behaviours, st.booleans(), whose),
    letters,
    st.just(m.DialBack()),
    st.builds(m.Pong, numbers),
)
to_peer = st.one_of(
    st.builds(m.Welcome, numbers, texts, endpoints, hexadecimal(32), st.integers(0, 65535), texts),
    st.builds(m.Registered, texts),
    letters,
    st.builds(
        m.Introduction,
        texts,
        hexadecimal(64),
        hexadecimal(32),
        endpoints,
        many_candidates,
        hexadecimal(32),
        numbers,
        seconds,
        behaviours,
    ),
    st.builds(m.Requested, hexadecimal(32), whose),
    st.builds(m.Absent, hexadecimal(32), whose),
    st.builds(
        m.DialledBack,
        st.sampled_from(["port", "address"]),
        st.sampled_from(["accepted", "reset", "icmp", "silent"]),
    ),
    st.builds(m.Ping, numbers),
    st.builds(m.Error, texts, texts, seconds),
)

json_values = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(),
        st.integers(10**300, 10**310),
        st.floats(),
        st.text(st.characters(exclude_categories=[]), max_size=20),
    ),
    lambda inner: st.one_of(st.lists(inner, max_size=5), st.dictionaries(st.text(max_size=10), inner, max_size=5)),
    max_leaves=10,
)


def cut(data: bytes, at: list[int]) -> list[bytes]:
    """The bytes in pieces, cut at these places (modulo the length)."""
    places = sorted({place % (len(data) + 1) for place in at} | {0, len(data)})
    return [data[start:end] for start, end in pairwise(places)]


cuts = st.lists(st.integers(0, 2**16), max_size=8)
