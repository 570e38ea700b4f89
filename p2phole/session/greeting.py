"""What the two sides say of themselves first on every connection.  Pure."""

from __future__ import annotations

import json
from dataclasses import dataclass

from p2phole import __version__
from p2phole.session.frames import VERSION, BadFrame
from p2phole.text import harmless

SOFTWARE = f"p2phole {__version__}"
MOST_IDENT = 64
"""Characters in the name of a session."""
MOST_SOFTWARE = 64
"""Characters that are shown of what the other side says that it runs."""


class OtherVersion(BadFrame):
    """The other side runs {theirs}, this one {mine}, and the two cannot talk: update {side} side."""


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
            "software": SOFTWARE,
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
        software = found.get("software")
        theirs = harmless(software[:MOST_SOFTWARE]) if isinstance(software, str) else "another version"
        raise OtherVersion(theirs=theirs, mine=SOFTWARE, side="this" if newer else "the other")
    session, resumes = found.get("session"), found.get("resumes")
    if not _is_ident(session) or not (resumes is None or _is_ident(resumes)):
        raise BadFrame(why="its greeting makes no sense")
    return Greeting(session, resumes)


def _is_ident(value: object) -> bool:
    return isinstance(value, str) and 0 < len(value) <= MOST_IDENT
