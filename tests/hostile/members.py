"""Attackers that are peers of our own code, and misuse what they have got."""

from __future__ import annotations

import json
from argparse import Namespace
from collections import Counter
from collections.abc import Callable
from typing import Any

from twisted.internet import reactor

from p2phole import events
from p2phole.peer import conversation
from p2phole.session.attachment import Attachment, Link
from p2phole.session.frames import CREDIT, HEADER, MOST_PAYLOAD, VERSION, Frame, Kind
from p2phole.session.messages import LENGTH
from p2phole.session.session import Session
from tests.hostile.modes import Told
from tests.hostile.puppet import Puppet, play, secret_of

Write = Callable[[bytes], None]
Rude = Callable[[Write, int], None]
"""Writes something; the number is that of the first stream that this side may open."""


def _greeting(content: bytes) -> bytes:
    return Frame(Kind.HELLO, 0, content).encode()


HELLO = _greeting(json.dumps({"version": VERSION, "session": "rude", "resumes": None}).encode())
OFFER = Frame(Kind.OFFER, 1).encode()


def _header(kind: int, flags: int = 0, stream: int = 0, number: int = 2, size: int = 16) -> bytes:
    return HEADER.pack(size - 1, kind, flags, stream, number)


def _said(content: dict[str, object]) -> Rude:
    return lambda write, stream: write(_greeting(json.dumps(content).encode()))


def _wrong(*frames: bytes) -> Rude:
    """After a greeting as it should be."""
    return lambda write, stream: write(HELLO + OFFER + b"".join(frames))


def _on_stream(*frames: tuple[Kind, bytes], purpose: bytes = b"messages") -> Rude:
    """On a stream as it should be."""

    def write_it(write: Write, stream: int) -> None:
        numbered = [(Kind.OPEN, purpose), *frames]
        found = [Frame(kind, 2 + at, payload, stream).encode() for at, (kind, payload) in enumerate(numbered)]
        write(HELLO + OFFER + b"".join(found))

    return write_it


def _message(text: bytes) -> bytes:
    return LENGTH.pack(len(text)) + text


def _pings(write: Write, stream: int) -> None:
    write(HELLO)
    for _ in range(200):
        write(Frame(Kind.PING, 7).encode() * 8192)


def _many_streams(write: Write, stream: int) -> None:
    opened = [Frame(Kind.OPEN, 2 + at, b"messages", stream + 2 * at).encode() for at in range(10_000)]
    write(HELLO + OFFER + b"".join(opened))


RUDE: dict[str, Rude] = {
    "no greeting": lambda write, stream: write(OFFER),
    "two greetings": lambda write, stream: write(HELLO * 2),
    "deep greeting": lambda write, stream: write(_greeting(b"[" * 4000)),
    "greeting of numbers": lambda write, stream: write(_greeting(b'{"version":1e999,"session":7}')),
    "greeting of digits": lambda write, stream: write(_greeting(b'{"version":' + b"9" * 4000 + b"}")),
    "greeting in no UTF-8": lambda write, stream: write(_greeting(b'{"version":2,"session":"\xff"}')),
    "greeting of surrogates": _said({"version": VERSION, "session": "\ud800", "resumes": None}),
    "huge greeting": _said({"version": VERSION, "session": "x" * 65, "resumes": None}),
    "another version": _said({"version": VERSION + 1, "session": "x", "resumes": None}),
    "a session that is another's": _said({"version": VERSION, "session": "x", "resumes": "not yours"}),
    "no offer": lambda write, stream: write(HELLO + Frame(Kind.OPEN, 1, b"messages", stream).encode()),
    "a number of never": _wrong(Frame(Kind.ACK, 2**63).encode()),
    "a greeting of never": lambda write, stream: write(
        Frame(Kind.HELLO, 2**64 - 1, b'{"version":2,"session":"x","resumes":null}').encode()
    ),
    "a gap": _wrong(Frame(Kind.OFFER, 5, b"x").encode()),
    "unknown kind": _wrong(_header(99)),
    "flags": _wrong(_header(Kind.OFFER, flags=1)),
    "stream": _wrong(Frame(Kind.DATA, 2, b"x", 7).encode()),
    "no room for a header": _wrong(_header(Kind.OFFER, size=5)),
    "half a frame": _wrong(_header(Kind.OFFER, size=10_000) + b"x" * 1000),
    "what was not offered": _on_stream(purpose=b"shell"),
    "no purpose": _on_stream(purpose=b"../../.ssh"),
    "a window of never": _on_stream((Kind.CREDIT, CREDIT.pack(0, 2**63))),
    "no UTF-8": _on_stream((Kind.DATA, _message(b"\xff\0\xed\xa0\x80\x1b[2J"))),
    "a message of 4 GiB": _on_stream((Kind.DATA, LENGTH.pack(2**32 - 1))),
    "taken twice": _on_stream((Kind.TAKEN, b""), (Kind.TAKEN, b"")),
    "finished twice": _on_stream((Kind.FINISH, b""), (Kind.FINISH, b"")),
    "goodbye at once": lambda write, stream: write(HELLO + Frame(Kind.BYE).encode() + OFFER),
    "too many": _on_stream(*((Kind.DATA, LENGTH.pack(0)) for _ in range(60_000))),
    "too much": _on_stream(*((Kind.DATA, b"\0" * MOST_PAYLOAD) for _ in range(300))),
    "ten thousand streams": _many_streams,
    "pings that nobody reads the answers to": _pings,
}
"""What is written in place of a session, once the connection is proven."""


class RudeSession(Session):
    """Writes what is in :data:`RUDE` by its name, when it should greet; and lets nobody wait for it."""

    rude: Rude = staticmethod(RUDE["no greeting"])

    def __init__(self, clock: Any, ident: str, leads: bool, *given: Any) -> None:
        super().__init__(clock, ident, leads, *given)
        self._clock = clock
        self._first = 1 if leads else 2

    def attach(self, link: Link) -> Attachment:
        """See :class:`Session`."""
        self.rude(link.write, self._first)
        attachment = Attachment(self._clock, link, self)
        attachment.over = True  # whatever comes
        return attachment


SPREAD = 0.05
"""Seconds until the next such member comes, once one is connected."""
LAST_SECONDS = 3.0
"""For what the last one has said."""


def flood(arguments: Namespace) -> Told:
    """A member of its own for each rule, since who breaks one is not listened to for a while."""
    did: Counter[str] = Counter()
    names = list(RUDE)
    met: set[str] = set()

    def begin(name: str) -> None:
        def happened(event: events.Event) -> None:
            if isinstance(event, events.Connected):
                did["connected"] += 1
                if name not in met:
                    met.add(name)
                    following()
                [partner] = [each for each in puppet.service._members if each.instance == event.instance]
                link = partner.conversation.link
                assert link is not None and link.transport is not None
                if "nobody reads" in name:
                    link.transport.pauseProducing()
                if name == "huge greeting":
                    # Once more, so that the other side greets one that it knows.
                    reactor.callLater(0.3, link.channel.drop)  # type: ignore[attr-defined]

        puppet = Puppet(
            arguments.broker, name, arguments.room, secret_of(arguments.secret_file), happened=happened
        )
        rules[puppet.service] = RUDE[name]
        own = puppet.service.membership.introduced

        def introduced(message: Any) -> None:
            if message.name not in names:  # not among themselves
                own(message)

        puppet.service.membership.introduced = introduced  # type: ignore[method-assign]

    def following() -> None:
        """One after the other: how much of it is there at a time is not for the machine to say."""
        if len(met) < len(names):
            reactor.callLater(SPREAD, begin, names[len(met)])  # type: ignore[attr-defined]
        else:
            reactor.callLater(LAST_SECONDS, reactor.stop)  # type: ignore[attr-defined]

    def make(clock: Any, ident: str, leads: bool, user: Any, *given: Any) -> RudeSession:
        session = RudeSession(clock, ident, leads, user, *given)
        session.rude = rules[user._peer]  # type: ignore[method-assign]
        return session

    rules: dict[Any, Rude] = {}
    conversation.Session = make  # type: ignore[misc,assignment]
    following()
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
