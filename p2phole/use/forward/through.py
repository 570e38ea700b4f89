"""``p2phole forward -W``: standard input and output are one connection that the other side makes."""

from __future__ import annotations

from twisted.internet.interfaces import IDelayedCall, IReactorFDSet

from p2phole.errors import LocalError, P2pholeError
from p2phole.peer.use import Host, Idle, Partner
from p2phole.session.errors import NotOffered, Refused, SessionOver
from p2phole.use.forward.route import Broken, NotForwarded
from p2phole.use.forward.specs import CONNECT, NOT_ALLOWED, Target
from p2phole.use.pipe.joint import Joint

GRACE = 5.0
"""Seconds for somebody else to come, where there may be others, once everybody who is there has refused."""
LINGER = 10.0
"""Seconds in which the other side is to hear that all has arrived."""


class Through(Idle):
    """The use; ends the peer with the connection.  ``alone``: whether only one can come."""

    def __init__(
        self, reactor: IReactorFDSet, target: Target, alone: bool, source: int = 0, sink: int = 1
    ) -> None:
        self._target = target
        self._alone = alone
        self._joint = Joint(reactor, self._joined, self._ended, source, sink)
        self._host: Host
        self._partner: Partner | None = None
        self._refusing: dict[Partner, str] = {}
        """Who does not allow it, and what to say of that."""
        self._timer: IDelayedCall | None = None
        """Until it gives up, or finishes."""
        self._over = False

    def start(self, host: Host) -> None:
        """See :class:`~p2phole.peer.use.Use`."""
        self._host = host

    def met(self, partner: Partner) -> None:
        """See :class:`~p2phole.peer.use.Use`."""
        self._refusing.pop(partner, None)
        self._ask()

    def over(self, partner: Partner, error: P2pholeError) -> None:
        """See :class:`~p2phole.peer.use.Use`."""
        if self._alone and self._partner is None:
            self._fail(NotForwarded(target=self._target, why=error.fields.get("why", error)))

    def stop(self) -> None:
        """See :class:`~p2phole.peer.use.Use`."""
        self._over = True
        self._wait_no_longer()
        self._joint.close()

    def _ask(self) -> None:
        """Ask whoever is connected longest and has not refused."""
        if self._partner is not None or self._over:
            return
        partner = next((each for each in self._host.partners if each not in self._refusing), None)
        if partner is None:
            return
        self._wait_no_longer()
        self._partner = partner
        try:
            self._joint.open(partner.session, CONNECT, str(self._target).encode())
        except SessionOver:
            self._partner = None

    def _wait_no_longer(self) -> None:
        timer, self._timer = self._timer, None
        if timer is not None:
            timer.cancel()

    def _joined(self) -> None:
        """Nothing to do: what was read goes out by itself."""

    def _ended(self, error: P2pholeError | None) -> None:
        partner, self._partner = self._partner, None
        if self._over or partner is None:
            return
        clock = self._host.clock
        if error is None:
            self._partner = partner
            # It is told while the last frame of this side is being made.
            clock.callLater(0, self._farewell, partner)
        elif isinstance(error, LocalError):
            self._fail(error)
        elif self._joint.joined:
            self._fail(Broken(target=self._target, why=error.fields.get("why", error)))
        else:
            label, why = self._host.label(partner), str(error.fields.get("why", error))
            if isinstance(error, NotOffered) or (isinstance(error, Refused) and why == NOT_ALLOWED):
                self._refusing[partner] = f"{label} does not allow it; there it takes --allow {self._target}"
                clock.callLater(0, self._ask)
                self._timer = clock.callLater(0 if self._alone else GRACE, self._give_up)
            elif isinstance(error, Refused):
                self._fail(NotForwarded(target=self._target, why=f"{label} says: {why.rstrip('.')}"))
            elif self._alone:
                self._fail(NotForwarded(target=self._target, why=why))
            else:
                clock.callLater(0, self._ask)

    def _give_up(self) -> None:
        self._timer = None
        self._fail(NotForwarded(target=self._target, why="; ".join(self._refusing.values())))

    def _farewell(self, partner: Partner) -> None:
        """All is done, and the other side has to know it before this one leaves."""
        self._timer = self._host.clock.callLater(LINGER, self._late)
        partner.session.when_acknowledged(self._finish)

    def _late(self) -> None:
        self._timer = None
        self._finish()

    def _finish(self) -> None:
        if not self._over:
            self._over = True
            self._wait_no_longer()
            self._host.finish()

    def _fail(self, error: LocalError) -> None:
        if not self._over:
            self._over = True
            self._host.fail(error)
