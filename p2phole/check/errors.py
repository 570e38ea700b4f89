"""Why a check came to no result, as its user reads it."""

from __future__ import annotations

from p2phole.errors import LocalError


class BrokerUnreachable(LocalError):
    """Cannot reach the broker {broker} ({why}): check the address given with --broker, that the broker runs
    there, and that this network lets TCP out to that port."""


class BrokerSilent(LocalError):
    """The broker {broker} did not register this peer within {seconds:.0f} s: check the host and the port given
    with --broker, or try again."""


class BrokerWentAway(LocalError):
    """The broker {broker} went away during the check ({why}): try again."""


class NothingFound(LocalError):
    """Nothing was found out within {seconds:.0f} s: try again, and if it stays so, with another broker."""


class NobodyThere(LocalError):
    """Nobody called {peer} came to room {room} within {seconds:.0f} s: start a peer or a check of that name there,
    with the same broker and room."""


class NoOutcome(LocalError):
    """The attempt at {peer} came to no end within {seconds:.0f} s: try again."""
