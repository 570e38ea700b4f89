"""Several sockets of one attempt may be proven; the leader picks one and both end on it.

The leader names its choice with one byte as soon as its side of TLS is through; the follower, to
which that byte is proof as well, answers with one byte, which is the leader's proof in turn.  So
the choice costs no round trip.
"""

from __future__ import annotations

from collections.abc import Callable

from p2phole.secure.channel import Channel, SecureLink
from p2phole.secure.roles import Pairing

MOST_CONTENDERS = 64
"""Connections of one attempt at one time: no honest member comes near it."""
NOMINATE = b"N"
CONFIRM = b"C"


class Race:
    """The contenders of one attempt (a :class:`~p2phole.secure.channel.Contest`).

    ``on_won`` is called once, with the link that both sides have agreed on and with what came
    behind the agreement.  ``drops`` counts why other contenders fell out.  While ``held``, this side
    neither nominates nor confirms.
    """

    def __init__(self, pairing: Pairing, on_won: Callable[[SecureLink, bytes], None], held: bool = False) -> None:
        self.drops: dict[str, int] = {}
        self._held = held
        self._early: list[SecureLink] = []
        """Nominated while held."""
        self._leads = pairing.leads
        self._on_won = on_won
        self._contenders: set[Channel] = set()
        self._secured: list[SecureLink] = []
        self._ever_secured = False
        self._nominee: SecureLink | None = None
        self._over = False

    def joined(self, channel: Channel) -> None:
        """See :class:`~p2phole.secure.channel.Contest`."""
        self._contenders.add(channel)
        if self._over or len(self._contenders) > MOST_CONTENDERS:
            channel.drop()

    def secured(self, link: SecureLink) -> None:
        """See :class:`~p2phole.secure.channel.Contest`."""
        self._secured.append(link)
        self._ever_secured = True
        self._nominate()

    def _nominate(self) -> None:
        if self._leads and self._nominee is None and self._secured and not (self._over or self._held):
            self._nominee = self._secured[0]
            self._nominee.write(NOMINATE)

    def spoke(self, link: SecureLink, data: bytes) -> None:
        """See :class:`~p2phole.secure.channel.Contest`."""
        if self._over or link not in self._secured:
            link.channel.drop()
        elif self._leads and link is self._nominee and data.startswith(CONFIRM):
            self._win(link, data[1:])
        elif self._held and not self._leads and data == NOMINATE and link not in self._early:
            self._early.append(link)
        elif not self._leads and data.startswith(NOMINATE) and not self._held:
            link.write(CONFIRM)
            self._win(link, data[1:])
        else:
            link.channel.drop("stranger")

    @property
    def is_waiting(self) -> bool:
        """Whether there is a link that could win, and is held; or was, for as long as a channel may wait."""
        return self._held and self._ever_secured

    def release(self) -> None:
        """The other side has proved what was to be proved first."""
        self._held = False
        self._nominate()
        early, self._early = self._early, []
        for link in early:
            if not self._over and link in self._secured:
                self.spoke(link, NOMINATE)

    def dropped(self, channel: Channel, reason: str) -> None:
        """See :class:`~p2phole.secure.channel.Contest`."""
        self.drops[reason] = self.drops.get(reason, 0) + 1
        self._contenders.discard(channel)
        if channel.link in self._secured:
            self._secured.remove(channel.link)
        if channel.link is self._nominee:
            self._nominee = None
            self._nominate()

    def close(self) -> None:
        """The attempt is over: every contender that has not won is closed with RST."""
        self._over = True
        for channel in tuple(self._contenders):
            channel.drop()

    def _win(self, link: SecureLink, rest: bytes) -> None:
        self._contenders.discard(link.channel)
        self.close()
        self._on_won(link, rest)
