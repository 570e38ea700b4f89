"""This peer's place in its room, as the broker gives it: how it registers, and what it is told there."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol as Interface

from twisted.logger import Logger

from p2phole import events
from p2phole.addresses import is_loopback, is_private
from p2phole.errors import LocalError
from p2phole.peer import members
from p2phole.peer.broker_session import Link
from p2phole.peer.errors import BrokerRefused
from p2phole.peer.members import Members
from p2phole.peer.settings import PeerSettings
from p2phole.secure.codes import Code
from p2phole.secure.identity import Credentials
from p2phole.secure.possession import raw, sign
from p2phole.wire.messages import (
    LINKED_PREFIX,
    MAX_LINKED,
    Absent,
    DialledBack,
    Introduction,
    Letter,
    Possession,
    Register,
    Registered,
    Requested,
    ToBroker,
    Welcome,
)

DOUBT_SECONDS = 0.5
"""How long a doubt about the broker connection need not be raised again."""

_log = Logger()


class Peer(members.Peer, Interface):
    """Whose place it is."""

    credentials: Credentials
    running: bool | int
    fail: Callable[[LocalError], None]


class Membership:
    """See above; a :class:`~p2phole.peer.broker_session.Room`.

    ``invited``: hears of the code that others may come by; ``drop``: closes the connection to the broker, so that
    another one is made.
    """

    def __init__(
        self,
        peer: Peer,
        members: Members,
        settings: PeerSettings,
        entropy: Callable[[int], bytes],
        invited: Callable[[Code], None],
        drop: Callable[[], None],
    ) -> None:
        self.link: Link | None = None
        """The connection to the broker, while this peer is registered."""
        self._peer = peer
        self._members = members
        self._settings = settings
        self._entropy = entropy
        self._invited = invited
        self._drop = drop
        self._since = 0.0
        self._lost: tuple[str, float] | None = None
        self._doubted = -DOUBT_SECONDS
        """When the broker connection was doubted last."""
        self._warned = False

    @property
    def room(self) -> str:
        """As the user knows it."""
        return self._peer.trust.number or self._settings.room

    def send(self, message: ToBroker) -> None:
        """Tell the broker, if it is there."""
        if self.link is not None:
            self.link.send(message)

    def doubt(self) -> None:
        """What has cut off somebody may have cut off the broker as well."""
        now = self._peer.clock.seconds()
        if now >= self._doubted + DOUBT_SECONDS:  # once for all that are lost together
            self._doubted = now
            self.press()

    def press(self) -> None:
        """See to it that something is due on the connection, so that it is soon known whether it lives."""
        if self.link is not None:
            self._peer.presence.tell_broker()
            self.link.press()

    # -- Room

    def registration(self, link: Link, welcome: Welcome) -> Register:
        """See :class:`~p2phole.peer.broker_session.Room`."""
        presence, mine = self._peer.presence, self._peer.mine
        presence.seen(link, welcome)
        self._peer.trust.meet_again()
        linked = [each.instance[:LINKED_PREFIX] for each in self._members if each.conversation.is_healthy]
        nonce, dialled, room = self._entropy(16).hex(), str(self._settings.broker), self._peer.trust.room
        key = self._peer.credentials.key
        signature = sign(key, dialled, (welcome.nonce, nonce), room, mine.instance)
        return Register(
            name=self._settings.name,
            room=room[1],
            fingerprint=mine.fingerprint,
            instance=mine.instance,
            candidates=presence.candidates(),
            possession=Possession(raw(key.public_key()).hex(), nonce, dialled, signature),
            space=room[0],
            linked=tuple(linked[:MAX_LINKED]),
            nat=presence.behaviour,
            prepare=presence.prepares,
            inviter=self._peer.trust.by_code and self._settings.invite,
        )

    def registered(self, link: Link, message: Registered) -> None:
        """See :class:`~p2phole.peer.broker_session.Room`."""
        if self._peer.trust.room == ("code", "") and not self._invite(message.room):
            return
        now, name, room = self._peer.clock.seconds(), self._settings.name, self.room
        self.link, self._since = link, now
        if self._lost is not None:
            reason, at = self._lost
            self._lost = None
            _log.info("The broker is back.")
            self._peer.events.emit(events.BrokerBack(reason, round(now - at, 3)))
        where, seen = str(link.local), str(self._peer.presence.registered(link))
        _log.info(
            "In room {room} as {name}: {local} is seen as {observed}.",
            room=room,
            name=name,
            local=where,
            observed=seen,
        )
        self._peer.events.emit(events.Registered(room, name, self._peer.mine.fingerprint, where, seen))
        is_near = is_loopback(link.remote.ip) or is_private(link.remote.ip)
        if not (self._warned or is_near or self._peer.trust.closed):
            self._warned = True
            _log.warn("The room {room} is open: anyone there can read along.", room=room)
        # Whoever has no connection to us is introduced anew by the broker itself.

    def _invite(self, number: str) -> bool:
        try:
            code = self._peer.trust.invite(int(number))
        except ValueError:
            self._peer.fail(BrokerRefused(broker=self._settings.broker, detail="it gave no number for a code"))
            return False
        self._invited(code)
        return True

    def dialled_back(self, message: DialledBack) -> None:
        """See :class:`~p2phole.peer.broker_session.Room`."""
        self._peer.presence.dialled_back(message)

    def introduced(self, message: Introduction) -> None:
        """See :class:`~p2phole.peer.broker_session.Room`."""
        if self._peer.running:
            self._members.introduced(message)

    def requested(self, message: Requested) -> None:
        """See :class:`~p2phole.peer.broker_session.Room`."""
        if self._peer.running:
            self._members.requested(message)

    def absent(self, message: Absent) -> None:
        """See :class:`~p2phole.peer.broker_session.Room`."""
        self._members.absent(message)
        # It may have had a connection of which this side does not know, and have gone where they meet again.
        if self._peer.trust.meet_again():
            self._drop()

    def letter(self, message: Letter) -> None:
        """See :class:`~p2phole.peer.broker_session.Room`."""
        self._members.letter(message)

    def unregistered(self, link: Link, reason: str) -> None:
        """See :class:`~p2phole.peer.broker_session.Room`."""
        now = self._peer.clock.seconds()
        self.link = None
        if not self._peer.running:
            return
        self._lost = (reason, now)
        _log.warn("The broker is lost: {reason}.  Direct connections live on.", reason=reason)
        self._peer.events.emit(events.BrokerLost(reason, round(now - self._since, 3)))
        for encounter in self._members:
            encounter.meeting.broker_lost()
        self._peer.presence.unregistered()
