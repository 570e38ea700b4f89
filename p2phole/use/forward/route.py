"""To whom connections go that want one target of the other side's."""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.interfaces import IDelayedCall

from p2phole.errors import LocalError, P2pholeError
from p2phole.peer.use import Host, Partner
from p2phole.session.errors import GivenUp, NotOffered, Refused, SessionOver
from p2phole.use.forward.specs import CONNECT, NOT_ALLOWED, Target
from p2phole.use.forward.splice import Splice

WAIT = 30.0
"""Seconds that a connection waits while nobody is connected."""


class NotForwarded(LocalError):
    """There is no connection to {target}: {why}."""


class Broken(LocalError):
    """The connection to {target} broke off: {why}."""


class Route:
    """A :class:`~p2phole.use.forward.splice.SpliceUser`: each connection goes to the partner that allows the
    target and has been connected longest.

    ``told``: called at the end of each, None where it was in good order or this side's own doing.
    ``wait``: seconds that one waits while nobody is connected; None: for ever.
    """

    def __init__(
        self,
        host: Host,
        target: Target,
        told: Callable[[LocalError | None], None],
        wait: float | None = WAIT,
    ) -> None:
        self._host = host
        self._target = target
        self._told = told
        self._wait = wait
        self._refusing: dict[Partner, str] = {}
        """Who does not allow the target, and why; each has been told once."""
        self._allowing: set[Partner] = set()
        self._waiting: dict[Splice, IDelayedCall | None] = {}
        self._through: dict[Splice, Partner] = {}
        self._stopped = False

    # -- the partners

    def met(self, partner: Partner) -> None:
        """There is a new session with this one."""
        self.over(partner)
        waiting, self._waiting = self._waiting, {}
        for splice, call in waiting.items():
            if call is not None:
                call.cancel()
            self.made(splice)

    def over(self, partner: Partner) -> None:
        """Its session is over."""
        self._refusing.pop(partner, None)
        self._allowing.discard(partner)

    def stop(self) -> None:
        """No more connections."""
        self._stopped = True
        for splice, call in self._waiting.items():
            if call is not None:
                call.cancel()
            splice.drop()
        self._waiting.clear()

    # -- the connections: see SpliceUser

    def made(self, splice: Splice) -> None:
        """See :class:`~p2phole.use.forward.splice.SpliceUser`."""
        if self._stopped:
            splice.drop()
            return
        partners = self._host.partners
        usable = [partner for partner in partners if partner not in self._refusing]
        if usable:
            self._open(splice, usable)
        elif partners:
            self._fail(splice, "; ".join(self._refusing.values()))
        elif self._wait is None:
            self._waiting[splice] = None
        else:
            self._waiting[splice] = self._host.clock.callLater(self._wait, self._nobody, splice)

    def _open(self, splice: Splice, usable: list[Partner]) -> None:
        partner = next((each for each in usable if each.path is not None), usable[0])
        self._through[splice] = partner
        try:
            stream = partner.session.open(CONNECT, splice, str(self._target).encode())
        except SessionOver as error:
            self.ended(splice, error)
            return
        # With several it is read once the one has said yes, so that it can still go to another one.
        splice.join(stream, hold=len(usable) > 1 and partner not in self._allowing)

    def _nobody(self, splice: Splice) -> None:
        del self._waiting[splice]
        self._fail(splice, f"nobody was connected for {self._wait:.0f} s")

    def accepted(self, splice: Splice) -> None:
        """See :class:`~p2phole.use.forward.splice.SpliceUser`."""
        self._allowing.add(self._through[splice])

    def ended(self, splice: Splice, error: P2pholeError | None) -> None:
        """See :class:`~p2phole.use.forward.splice.SpliceUser`."""
        partner = self._through.pop(splice)
        if error is None or isinstance(error, GivenUp):
            self._told(None)
            return
        label, why = self._host.label(partner), str(error.fields.get("why", error))
        if isinstance(error, NotOffered) or (isinstance(error, Refused) and why == NOT_ALLOWED):
            self._refusing[partner] = f"{label} does not allow it; there it takes --allow {self._target}"
            if splice.untouched:
                self._host.clock.callLater(0, self.made, splice)
            else:
                self._fail(splice, self._refusing[partner])
        elif isinstance(error, Refused):
            self._fail(splice, f"{label} says: {why.rstrip('.')}")
        else:
            splice.drop()
            self._told(Broken(target=self._target, why=why))

    def _fail(self, splice: Splice, why: str) -> None:
        splice.drop()
        self._told(NotForwarded(target=self._target, why=why))
