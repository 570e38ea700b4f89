"""Attackers that are peers of our own code, and misuse what they have got."""

from __future__ import annotations

import json
from argparse import Namespace
from collections import Counter
from collections.abc import Callable
from typing import Any

from twisted.internet import reactor

from p2phole import events
from p2phole.peer import encounter
from p2phole.session.frames import HEADER, MOST, Frame, Kind
from p2phole.session.session import Session
from tests.hostile.modes import Told
from tests.hostile.puppet import Puppet, play, secret_of

Write = Callable[[bytes], None]
HELLO = Frame(Kind.HELLO, 0, json.dumps({"version": 1, "session": "rude", "counted": None}).encode()).encode()
DATA = Frame(Kind.DATA, 1, b"x").encode()


def _greeting(content: bytes) -> bytes:
    return Frame(Kind.HELLO, 0, content).encode()


def _header(kind: int, flags: int = 0, stream: int = 0, number: int = 1, size: int = 16) -> bytes:
    return HEADER.pack(size - 1, kind, flags, stream, number)


def _huge(write: Write) -> None:
    """Said again as JSON in ASCII, as our greeting would say it, it is three times as long."""
    write(_greeting(json.dumps({"version": 1, "session": "\u00e9" * 30_000}, ensure_ascii=False).encode()))


def _many(write: Write) -> None:
    write(HELLO)
    frames = b"".join(Frame(Kind.DATA, number, b"").encode() for number in range(1, 60_001))
    write(frames)


def _large(write: Write) -> None:
    write(HELLO)
    for number in range(1, 300):
        write(Frame(Kind.DATA, number, b"\0" * (MOST - 16)).encode())


def _pings(write: Write) -> None:
    write(HELLO)
    for _ in range(200):
        write(Frame(Kind.PING, 7).encode() * 8192)


RUDE: dict[str, Callable[[Write], None]] = {
    "no greeting": lambda write: write(DATA),
    "two greetings": lambda write: write(HELLO * 2),
    "deep greeting": lambda write: write(_greeting(b"[" * 60_000)),
    "greeting of numbers": lambda write: write(_greeting(b'{"version":1e999,"session":7}')),
    "greeting of digits": lambda write: write(_greeting(b'{"version":' + b"9" * 60_000 + b"}")),
    "greeting in no UTF-8": lambda write: write(_greeting(b'{"version":1,"session":"\xff"}')),
    "greeting of surrogates": lambda write: write(_greeting(b'{"version":1,"session":"\\ud800"}')),
    "huge greeting": _huge,
    "another version": lambda write: write(_greeting(b'{"version":2,"session":"x"}')),
    "a number of never": lambda write: write(HELLO + Frame(Kind.ACK, 2**63).encode()),
    "a greeting of never": lambda write: write(
        Frame(Kind.HELLO, 2**64 - 1, b'{"version":1,"session":"x"}').encode()
    ),
    "a gap": lambda write: write(HELLO + Frame(Kind.DATA, 5, b"x").encode()),
    "unknown kind": lambda write: write(HELLO + _header(99)),
    "flags": lambda write: write(HELLO + _header(Kind.DATA, flags=1)),
    "stream": lambda write: write(HELLO + _header(Kind.DATA, stream=1)),
    "no room for a header": lambda write: write(HELLO + _header(Kind.DATA, size=5)),
    "half a frame": lambda write: write(HELLO + _header(Kind.DATA, size=65_536) + b"x" * 1000),
    "no UTF-8": lambda write: write(HELLO + Frame(Kind.DATA, 1, b"\xff\0\xed\xa0\x80\x1b[2J").encode()),
    "goodbye at once": lambda write: write(HELLO + Frame(Kind.BYE).encode() + DATA),
    "too many": _many,
    "too much": _large,
    "pings that nobody reads the answers to": _pings,
}
"""What is written in place of a session, once the connection is proven."""


class RudeSession(Session):
    """Writes what is in :data:`RUDE` by its name, when it should greet; and lets nobody wait for it."""

    rude: Callable[[Write], None] = staticmethod(RUDE["no greeting"])

    def attach(self, write: Write) -> None:
        """See :class:`Session`."""
        self.rude(write)

    def receive(self, data: bytes) -> int:
        """Whatever it is."""
        return 0


def flood(arguments: Namespace) -> Told:
    """A member of its own for each rule, since who breaks one is not listened to for a while."""
    did: Counter[str] = Counter()
    names = list(RUDE)
    spread = arguments.seconds * 0.5 / len(names)

    def begin(name: str) -> None:
        def make(clock: Any, ident: str, user: Any) -> RudeSession:
            session = RudeSession(clock, ident, user)
            session.rude = RUDE[name]  # type: ignore[method-assign]
            return session

        def happened(event: events.Event) -> None:
            if isinstance(event, events.Connected):
                did["connected"] += 1
                known = puppet.service._encounters.values()
                [link] = [each.link for each in known if each.instance == event.instance]
                if "nobody reads" in name:
                    link.transport.pauseProducing()
                if name == "huge greeting":
                    # Once more, so that the other side greets one that it knows.
                    reactor.callLater(0.3, link.channel.drop)  # type: ignore[attr-defined]

        make_session[0] = make
        puppet = Puppet(
            arguments.broker, name, arguments.room, secret_of(arguments.secret_file), happened=happened
        )
        puppets.append(puppet)
        own = puppet.service.introduced

        def introduced(message: Any) -> None:
            make_session[0] = make
            if message.name not in names:  # not among themselves
                own(message)

        puppet.service.introduced = introduced  # type: ignore[method-assign]

    make_session: list[Any] = [None]
    puppets: list[Puppet] = []
    encounter.Session = lambda *given: make_session[0](*given)  # type: ignore[misc,assignment]
    for number, name in enumerate(names):
        reactor.callLater(number * spread, begin, name)  # type: ignore[attr-defined]
    play(arguments.seconds)
    return {"rules": len(names), "connected": 0, **did}


def claim_name(arguments: Namespace) -> Told:
    """With a key of its own, in whatever room."""
    puppet = Puppet(arguments.broker, arguments.name, arguments.room, secret_of(arguments.secret_file))
    play(arguments.seconds)
    return {
        "introduced": puppet.count(events.Introduced),
        "connected": puppet.count(events.Connected),
        "content": puppet.content,
    }
