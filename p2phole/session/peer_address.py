"""Who is at one end of a stream, as Twisted's protocols ask for it."""

from __future__ import annotations

from dataclasses import dataclass

from twisted.internet.interfaces import IAddress
from zope.interface import implementer


@implementer(IAddress)
@dataclass(frozen=True, slots=True)
class PeerAddress:
    """One end of a session: what it is called here, and whose key it is proven to have.

    ``authenticated``: how that is known, as in the ``connected`` event (``secret``, ``pinned`` or ``tofu``);
    empty for this process's own end.
    """

    name: str
    fingerprint: str
    authenticated: str = ""
