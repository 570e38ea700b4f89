"""What the two sides say of themselves first on every connection.  Pure."""

from __future__ import annotations

import json
from dataclasses import dataclass

from p2phole import __version__
from p2phole.session.frames import VERSION, BadFrame

MOST_IDENT = 64
"""Characters in the name of a session."""


@dataclass(frozen=True, slots=True)
class Greeting:
    """``session``: random text of the side that greets.  ``resumes``: that of the side that it greets, with which
    it has a session; None before there was one."""

    session: str
    resumes: str | None

    def encode(self) -> bytes:
        """The payload of a HELLO."""
        greeting = {
            "version": VERSION,
            "software": f"p2phole {__version__}",
            "session": self.session,
            "resumes": self.resumes,
        }
        return json.dumps(greeting).encode()


def read_greeting(payload: bytes) -> Greeting:
    """What a HELLO says.  Raises :class:`BadFrame`; another version is told before anything else is looked at."""
    try:
        found = json.loads(payload)
        version = found["version"]
    except (ValueError, KeyError, TypeError, RecursionError):
        raise BadFrame(why="its greeting makes no sense") from None
    if version != VERSION or isinstance(version, bool):
        newer = isinstance(version, int) and version > VERSION
        raise BadFrame(why=f"it speaks another version: update {'this' if newer else 'the other'} side")
    session, resumes = found.get("session"), found.get("resumes")
    if not _is_ident(session) or not (resumes is None or _is_ident(resumes)):
        raise BadFrame(why="its greeting makes no sense")
    return Greeting(session, resumes)


def _is_ident(value: object) -> bool:
    return isinstance(value, str) and 0 < len(value) <= MOST_IDENT
