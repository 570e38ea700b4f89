"""A look every second at the machine around: whether its addresses have changed, and whether it has slept."""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import LoopingCall
from twisted.logger import Logger

from p2phole.peer.members import Members
from p2phole.peer.membership import Membership
from p2phole.peer.presence import Presence
from p2phole.peer.sleep import Sleep

WATCH_SECONDS = 1.0
"""Seconds between two looks."""

_log = Logger()


class Watch:
    """See above.  ``asleep``: how long this machine has slept in all; ``drop``: see
    :class:`~p2phole.peer.membership.Membership`."""

    def __init__(
        self,
        clock: IReactorTime,
        members: Members,
        membership: Membership,
        asleep: Callable[[], float],
        drop: Callable[[], None],
    ) -> None:
        self._members = members
        self._membership = membership
        self._drop = drop
        self._sleep = Sleep(asleep)
        self._looking = LoopingCall(self._look)
        self._looking.clock = clock

    def start(self, presence: Presence) -> None:
        """Look from now on."""
        self._presence = presence
        self._looking.start(WATCH_SECONDS, now=False)

    def stop(self) -> None:
        """No more."""
        if self._looking.running:
            self._looking.stop()

    def _look(self) -> None:
        self._members.forget_old()
        slept = self._sleep.look()
        if slept:
            _log.info("This machine has slept for {seconds} s.", seconds=round(slept))
        changed = self._presence.look_around()
        if changed:
            _log.info("This machine's addresses have changed.")
            here = self._presence.addresses
            for encounter in self._members:
                path = encounter.conversation.path
                if path is not None and path.local.ip not in here:
                    encounter.conversation.suspect()
            # The broker is to see us anew, and to introduce us to those of whom we doubt.
            self._drop()
        elif slept:
            for encounter in self._members:
                encounter.conversation.probe()
            self._membership.press()
