"""What can go wrong with files, told to people."""

from __future__ import annotations

from p2phole.errors import LocalError, RemoteProtocolError


class BadOffer(RemoteProtocolError):
    """What the other side sends as files breaks the protocol, and nothing more is taken from it: {why}."""


class Unfit(LocalError):
    """Not to be sent: {why}."""


class Incomplete(LocalError):
    """{missing} of {all} did not arrive, as told above: start again on both sides for the rest."""


class Refused(LocalError):
    """The other side does not take it: {why}."""


class NotTaken(LocalError):
    """You did not take it: nothing was written."""


class BrokenOff(LocalError):
    """It ended before all had arrived ({why}): start again on both sides, and it goes on from there."""


class NoRoom(LocalError):
    """{missing} more are needed in {folder}, and {free} are free: make room, or choose another folder by -o."""


class CannotWrite(LocalError):
    """{path} cannot be written ({why}): what has arrived is kept, put that right and start again."""


class Misbehaved(LocalError):
    """Nothing more is taken from {name}, who breaks the protocol of files: {why}."""


def why(problem: OSError) -> str:
    """Of an error of the system, for people."""
    return problem.strerror or type(problem).__name__
