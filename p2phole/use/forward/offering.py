"""What the others may ask of this side: to connect somewhere, and to listen."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

from twisted.internet.defer import Deferred
from twisted.logger import Logger, LogLevel

from p2phole.bucket import Bucket, Rate
from p2phole.peer.use import Host, Partner
from p2phole.session.streams import Stream
from p2phole.text import harmless
from p2phole.use.forward.dialling import Dialler
from p2phole.use.forward.remote import Granted
from p2phole.use.forward.specs import CONNECT, LISTEN, NOT_ALLOWED, Permit, asked_listen, asked_target, permitted

MOST_LISTENING = 64
"""Listeners for one partner."""
TOLD = Rate(burst=20, per_second=0.2)
"""Lines in the log about what is refused."""

_log = Logger()


class Offer:
    """What is allowed, to all partners the same."""

    def __init__(
        self, reactor: Any, host: Host, dialler: Dialler, allow: Sequence[Permit], allow_listen: Sequence[Permit]
    ) -> None:
        self._reactor = reactor
        self._host = host
        self._dialler = dialler
        self._allow = allow
        self._allow_listen = allow_listen
        self._told = Bucket(TOLD)
        self._granted: list[Granted] = []

    def met(self, partner: Partner) -> None:
        """There is a new session with this one."""
        # Also where nothing is allowed: who asks is told so, and this side's user hears of it.
        partner.session.offer(CONNECT, partial(self._connect, partner))
        partner.session.offer(LISTEN, partial(self._listen, partner))

    async def stop(self) -> None:
        """Listen no more for anybody."""
        for granted in tuple(self._granted):
            await granted.stop()

    def _connect(self, partner: Partner, stream: Stream) -> None:
        try:
            target = asked_target(stream.argument)
        except ValueError as error:
            stream.abort(str(error))
            return
        if permitted(self._allow, target):
            self._dialler.connect(stream, target)
        else:
            self._refuse(partner, stream, f"a connection to {target}", f"--allow {target}")

    def _listen(self, partner: Partner, stream: Stream) -> None:
        number, _, rest = stream.argument.partition(b" ")
        try:
            where = asked_listen(rest)
        except ValueError as error:
            stream.abort(str(error))
            return
        if not permitted(self._allow_listen, where):
            self._refuse(partner, stream, f"this side to listen on {where}", f"--allow-listen {where}")
        elif sum(granted.partner is partner for granted in self._granted) >= MOST_LISTENING:
            stream.abort(f"there are {MOST_LISTENING} listeners already")
        else:
            granted = Granted(self._host, partner, stream, number, where, self._gone)
            before = [other for other in self._granted if _replaces(granted, other)]
            self._granted.append(granted)
            Deferred.fromCoroutine(self._start(granted, before))

    async def _start(self, granted: Granted, before: Sequence[Granted]) -> None:
        for other in before:
            await other.stop()
        await granted.start(self._reactor)

    def _gone(self, granted: Granted) -> None:
        if granted in self._granted:
            self._granted.remove(granted)

    def _refuse(self, partner: Partner, stream: Stream, what: str, option: str) -> None:
        stream.abort(NOT_ALLOWED)
        if not self._told.take(self._host.clock.seconds()):
            # Who allows nothing at all, as ssh's ProxyCommand does, expects that.
            level = LogLevel.warn if self._allow or self._allow_listen else LogLevel.info
            _log.emit(
                level,
                "{peer} asked for {what}, which is not allowed here; it would take {option}.",
                peer=self._host.label(partner),
                what=harmless(what),
                option=harmless(option),
            )


def _replaces(new: Granted, old: Granted) -> bool:
    """Whether the old one waits for a process that has been started anew and now asks again."""
    same = new.partner.fingerprint == old.partner.fingerprint and new.where == old.where
    return same and new.partner is not old.partner and old.partner.path is None
