"""What all peers of one process share, so that its bounds hold however many there are."""

from __future__ import annotations

from dataclasses import dataclass
from weakref import WeakValueDictionary

from twisted.internet.interfaces import IReactorTime

from p2phole.punch.birthday import Gate
from p2phole.punch.ledger import SynLedger
from p2phole.session.pool import Pools


@dataclass(frozen=True, eq=False)
class Shared:
    """``reactor``: the one of all of them."""

    reactor: IReactorTime
    gate: Gate
    ledger: SynLedger
    pools: Pools


_by_reactor: WeakValueDictionary[int, Shared] = WeakValueDictionary()


def shared(reactor: IReactorTime) -> Shared:
    """That of the peers on this reactor; it lives as long as one of them does."""
    found = _by_reactor.get(id(reactor))  # no other object has this number while that one is held
    if found is None:
        found = _by_reactor[id(reactor)] = Shared(reactor, Gate(reactor), SynLedger(), Pools())
    return found
