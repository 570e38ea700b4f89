"""What can go wrong, told to people.

A class's docstring is the line that the user reads: one line, what happened and what to do, with
``{fields}`` filled from the keyword arguments.  Two trees, after h11: what is wrong on this side
(:class:`LocalError`), and what the other side did wrong (:class:`RemoteProtocolError`).
"""

from __future__ import annotations

import inspect


class P2pholeError(Exception):
    """Something went wrong in p2phole."""

    def __init__(self, **fields: object) -> None:
        self.fields = fields
        Exception.__init__(self, fields)  # one that is an error of Twisted's as well would want its arguments

    def __str__(self) -> str:
        text = " ".join(inspect.cleandoc(type(self).__doc__ or "").split())
        return text.format(**self.fields)


class LocalError(P2pholeError):
    """This machine, its configuration or its network is in the way: {why}."""


class RemoteProtocolError(P2pholeError):
    """The other side broke the protocol: {why}."""


class PortTaken(LocalError):
    """Port {port} cannot be listened on ({why}): choose another one, or end the program that has it."""


class EndpointUnusable(LocalError):
    """Cannot listen on {endpoint}: {why}."""
