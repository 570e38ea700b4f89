"""Why a stream or a session ended, in words."""

from __future__ import annotations

from p2phole.errors import P2pholeError


class SessionOver(P2pholeError):
    """The session with the other side is over: {why}."""


class GaveUp(SessionOver):
    """The other side could not be reached again within {seconds:.0f} s: start again when it is there."""


class Forgotten(SessionOver):
    """The other side was started anew and knows nothing of this session: what was under way may be lost."""


class NotOffered(P2pholeError):
    """The other side does not offer {purpose}: it has to be started with that, or runs another version."""


class Refused(P2pholeError):
    """The other side refused {purpose}: {why}."""


class Aborted(P2pholeError):
    """The other side broke off {purpose}: {why}."""


class GivenUp(P2pholeError):
    """This side broke off {purpose}: {why}."""
