"""Which outside ports a NAT was seen to take for this peer, and which ones it takes next.  Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from p2phole.addresses import Candidate, Endpoint, is_private
from p2phole.behaviour import Behaviour
from p2phole.punch.mapping import Observation, step_of
from p2phole.punch.prediction import predicted

SPARE = 4
"""Ports of each earlier start that are named again."""
NEXT_FREE = 256
"""Distance from a peer's own port up to which another one is taken for the next free one."""


class Ports:
    """See above.  ``local``: the shared port; ``observed``: how the broker sees it."""

    def __init__(self, local: Endpoint, observed: Endpoint) -> None:
        self.seen = [observed.port]
        """In the order in which the NAT took them, as long as our own connections take none in between."""
        self.step = 0
        """From one to the next; 0: that can't be told."""
        self.keeps = False
        """Whether the NAT keeps a port that is free.  Ours is taken, by the broker connection."""
        self._local = local
        self._observed = observed
        self._dialling = False
        self._takes_again = True
        """Whether then a port that was let go is taken again at once, so that the next one is the lowest; so until
        a look at the broker's second address has shown otherwise."""
        self._latest = self._lowest = observed
        self._taken = 0
        """Ports that our own starts have taken since the last look."""

    def took(self, found: Sequence[Observation]) -> None:
        """Probes from the shared port have shown these."""
        self._add(found)
        in_conflict = [item.observed for item in found if item.observed.port != self._local.port]
        self._lowest = min(in_conflict, key=lambda observed: observed.port, default=self._lowest)

    def took_elsewhere(self, found: Sequence[Observation]) -> None:
        """The same, of the broker's second address."""
        before = self._lowest
        self.took(found)
        self._takes_again = self._lowest.port <= before.port or before.port == self._local.port

    def took_afresh(self, found: Sequence[Observation]) -> None:
        """Probes from other ports have."""
        # Where the port is kept while that is free, this says nothing of what comes after a conflict.
        self.keeps = self.keeps or any(item.observed.port == item.port for item in found)
        self._add([item for item in found if item.observed.port != item.port])

    def _add(self, found: Sequence[Observation]) -> None:
        for item in found:
            self._latest, self._taken = item.observed, 0
            if not self._dialling:
                self.seen.append(item.observed.port)

    def judge(self, behaviour: Behaviour) -> Behaviour:
        """Find the step, of a NAT that behaves so; how it allocates may be known better by that."""
        self.step = step_of(self.seen) if behaviour.is_hard else 0
        if self.keeps and self._observed.port == self._local.port:
            behaviour = replace(behaviour, allocation="preserved")
            # Our own connections may lie in between.
            above = [port - self._local.port for port in self.seen if port != self._local.port]
            near = bool(above) and all(0 < each <= NEXT_FREE for each in above)
            self.step = 1 if behaviour.is_hard and near else 0
        return behaviour

    @property
    def counts_from_ours(self) -> bool:
        """Whether the NAT maps by endpoint, keeps a port that is free, and else takes the next one that is."""
        return self.keeps and self.step > 0 and self._observed.port == self._local.port

    @property
    def _before_next(self) -> Endpoint:
        if self.counts_from_ours and self._takes_again and self._lowest.port != self._local.port:
            return replace(self._lowest, port=self._lowest.port - self.step)
        return self._latest

    def about_to_dial(self, candidates: Sequence[Candidate]) -> Endpoint:
        """The last outside endpoint that the NAT is known to have taken; from now on our own connections take
        ports as well, so that what is seen later tells nothing of their order.

        Of two starts that begin after the same look the second one's ports come after the first one's.
        """
        self._dialling = len(set(self.seen)) > 1
        before, taken = self._before_next, self._taken
        targets = [candidate.endpoint.ip for candidate in candidates]
        self._taken += sum(ip.version == self._observed.ip.version and not is_private(ip) for ip in targets)
        return replace(before, port=min(before.port + max(self.step, 1) * taken, 65535))

    def predictions(self, before: Sequence[Endpoint] = ()) -> tuple[Candidate, ...]:
        """The endpoints that the NAT will use next, where that can be told.

        ``before``: what was the latest when earlier starts towards the same member began.  What a NAT took
        then for that member it may well use again.  It comes last: where both NATs are like that, the first
        dials must be for the next ports, one for each, in order.
        """
        found = [one for latest in before[-2:] for one in predicted(latest, self.step)[:SPARE]]
        return tuple(dict.fromkeys([*predicted(self._before_next, self.step), *found]))
