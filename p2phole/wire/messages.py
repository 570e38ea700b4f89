"""The broker's line protocol, version 2: what is said, in either direction.

Every message is one JSON object on a line; ``type`` is the class's name in lower case.  See
``docs/protocol.md`` for the order and for transcripts.  Nothing here does I/O.
"""

from __future__ import annotations

from dataclasses import dataclass

from p2phole.addresses import Candidate, Endpoint
from p2phole.behaviour import UNKNOWN, Behaviour

PROTOCOL_VERSION = 2
MAX_LINE = 4096
"""Bytes in a line, without its newline."""
MAX_CANDIDATES = 24
MAX_LINKED = 60
LINKED_PREFIX = 8
"""Hexadecimal digits of an instance by which ``linked`` names a member."""
MAX_BODY = 2048
"""Characters in the body of a letter."""
SPACES = ("open", "secret", "code")
"""Name spaces of rooms: rooms of one name in two of them have nothing to do with each other."""


@dataclass(frozen=True, slots=True)
class Possession:
    """That a peer has the key whose fingerprint it names: see :mod:`p2phole.secure.possession`.

    ``key``: the raw Ed25519 public key, 64 hexadecimal digits.  ``nonce``: the peer's own, 32.
    ``dialled``: the broker's name as the peer dialled it.  ``signature``: 128 hexadecimal digits.
    """

    key: str
    nonce: str
    dialled: str
    signature: str


@dataclass(frozen=True, slots=True)
class Hello:
    """Peer: the first line on a connection, also on one that only wants to know how it is seen."""

    version: int
    software: str


@dataclass(frozen=True, slots=True)
class Register:
    """Peer: join a room.

    ``room``: in the name space ``open`` its name; in ``secret`` a hash of that, 64 hexadecimal digits; in
    ``code`` a number, or empty for one that the broker picks.
    ``fingerprint``: SHA-256 of the key's SubjectPublicKeyInfo, 64 hexadecimal digits.
    ``instance``: 32 random hexadecimal digits for each running peer.
    ``candidates``: the addresses that it knows of itself.
    ``linked``: the members, by the start of their instance, to which it still has a connection.
    ``nat``: what it knows of its NAT.
    ``prepare``: ask it (:class:`Requested`) before each introduction, since its NAT maps by endpoint or is
    not known yet: it then learns its mapping anew and answers with :class:`Request`.
    ``inviter``: in the space ``code``, the number is that of its own invitation.
    """

    name: str
    room: str
    fingerprint: str
    instance: str
    candidates: tuple[Candidate, ...]
    possession: Possession
    space: str = "open"
    linked: tuple[str, ...] = ()
    nat: Behaviour = UNKNOWN
    prepare: bool = False
    inviter: bool = False


@dataclass(frozen=True, slots=True)
class Update:
    """Peer: this replaces what :class:`Register` said."""

    candidates: tuple[Candidate, ...]
    nat: Behaviour = UNKNOWN
    prepare: bool = False


@dataclass(frozen=True, slots=True)
class Request:
    """Peer: introduce me again to that member; sent also in answer to :class:`Requested`.

    ``fingerprint``: whose of those with that instance, should somebody have taken another one's for its own;
    empty: whoever has it.  The rest is as in :class:`Update`.
    """

    instance: str
    candidates: tuple[Candidate, ...]
    nat: Behaviour = UNKNOWN
    prepare: bool = False
    fingerprint: str = ""


@dataclass(frozen=True, slots=True)
class DialBack:
    """Peer: connect to me from endpoints that I have never contacted, and tell me what came of it."""


@dataclass(frozen=True, slots=True)
class Letter:
    """Peer: bring this to that member, to which I was introduced with this token.  Broker: that member
    sent this.

    ``body``: base64, up to 2,048 characters, nothing that the broker understands.
    ``fingerprint``: as in :class:`Request`; from the broker, the sender's.
    """

    instance: str
    token: str
    body: str
    fingerprint: str = ""


@dataclass(frozen=True, slots=True)
class Pong:
    """Peer: the answer to :class:`Ping`."""

    number: int


@dataclass(frozen=True, slots=True)
class Welcome:
    """Broker: the answer to :class:`Hello`.

    ``observed``: the peer's endpoint as the broker sees it.
    ``nonce``: 32 random hexadecimal digits, which :class:`Possession` signs.
    ``probe_port``: further port that answers likewise; 0: none.
    ``probe_address``: further address that answers on both ports; empty: none.
    """

    version: int
    software: str
    observed: Endpoint
    nonce: str
    probe_port: int = 0
    probe_address: str = ""


@dataclass(frozen=True, slots=True)
class Registered:
    """Broker: the peer is in the room; ``room`` is what it asked for, or the number that it was given."""

    room: str = ""


@dataclass(frozen=True, slots=True)
class Introduction:
    """Broker: here is another member; start towards it ``delay`` seconds after you read this.

    ``attempt`` counts the introductions of this pair, from 1.
    ``token``: 32 random hexadecimal digits, the same for both, new for each attempt.
    """

    name: str
    fingerprint: str
    instance: str
    observed: Endpoint
    candidates: tuple[Candidate, ...]
    token: str
    attempt: int
    delay: float
    nat: Behaviour = UNKNOWN


@dataclass(frozen=True, slots=True)
class Requested:
    """Broker: that member asks to be introduced again; answer with :class:`Request` when ready."""

    instance: str
    fingerprint: str = ""


@dataclass(frozen=True, slots=True)
class Absent:
    """Broker: the member that was requested is not in the room; both as in the :class:`Request`."""

    instance: str
    fingerprint: str = ""


@dataclass(frozen=True, slots=True)
class DialledBack:
    """Broker: what came of :class:`DialBack`, one message for each origin.

    ``origin``: ``port`` (the broker's address that the peer reached, another port) or ``address`` (another
    address).  ``outcome``: ``accepted``, ``reset``, ``icmp`` or ``silent``.
    """

    origin: str
    outcome: str


@dataclass(frozen=True, slots=True)
class Ping:
    """Broker: measures the round trip; answer at once."""

    number: int


@dataclass(frozen=True, slots=True)
class Error:
    """Broker: what was wrong; the connection is closed after it.  ``code`` is one word.

    ``retry``: seconds after which it may be tried again; 0: that was not the matter.
    """

    code: str
    detail: str
    retry: float = 0.0


ToBroker = Hello | Register | Update | Request | Letter | DialBack | Pong
ToPeer = Welcome | Registered | Introduction | Requested | Absent | Letter | DialledBack | Ping | Error
Message = ToBroker | ToPeer
