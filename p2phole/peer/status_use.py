"""Keeps the status of a peer, for whoever of its user asks."""

from __future__ import annotations

import os
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.task import LoopingCall

from p2phole.errors import P2pholeError
from p2phole.peer import status_folder
from p2phole.peer.settings import PeerSettings
from p2phole.peer.status import Rates, Reached, Report
from p2phole.peer.status_socket import StatusSocket
from p2phole.peer.use import Host, Idle, Partner

SAMPLE_SECONDS = 1.0
"""Between two looks at the counters."""


@dataclass(slots=True)
class _Known:
    since: float
    rates: Rates = field(default_factory=Rates)


class Status(Idle):
    """See above.  ``command``: what the user has started.  ``now``: seconds since the epoch."""

    def __init__(
        self,
        reactor: Any,
        command: str,
        settings: PeerSettings,
        *,
        folder: Callable[[], Path] = status_folder.folder,
        now: Callable[[], float] = time.time,
        entropy: Callable[[int], str] = secrets.token_hex,
    ) -> None:
        self._reactor = reactor
        self._command = command
        self._settings = settings
        self._folder = folder
        self._now = now
        self._entropy = entropy
        self._known: dict[Partner, _Known] = {}
        self._samples = LoopingCall(self._sample)

    def start(self, host: Host) -> None:
        """See :class:`~p2phole.peer.use.Use`."""
        self._host = host
        self._since = self._now()
        # Processes in different containers may have one number.
        self._socket = StatusSocket(
            self._reactor, f"{os.getpid()}-{self._entropy(4)}", self.report, self._folder()
        )
        self._socket.open()
        self._samples.clock = host.clock
        self._samples.start(SAMPLE_SECONDS, now=False)

    def met(self, partner: Partner) -> None:
        """See :class:`~p2phole.peer.use.Use`."""
        self._known[partner] = _Known(self._now())

    def linked(self, partner: Partner) -> None:
        """See :class:`~p2phole.peer.use.Use`."""
        self._known[partner].since = self._now()

    def unlinked(self, partner: Partner) -> None:
        """See :class:`~p2phole.peer.use.Use`."""
        if partner in self._known:
            self._known[partner].since = self._now()

    def over(self, partner: Partner, error: P2pholeError) -> None:
        """See :class:`~p2phole.peer.use.Use`."""
        self._known.pop(partner, None)

    def stop(self) -> Deferred[None] | None:
        """See :class:`~p2phole.peer.use.Use`."""
        if self._samples.running:
            self._samples.stop()
        return self._socket.close()

    def report(self) -> Report:
        """How this peer is now."""
        settings, standing = self._settings, self._host.standing
        return Report(
            pid=os.getpid(),
            command=self._command,
            name=settings.name,
            id=standing.fingerprint,
            room=standing.room,
            broker=str(settings.broker),
            registered=standing.registered,
            since=self._since,
            partners=tuple(self._reached(partner, known) for partner, known in self._known.items()),
        )

    def _reached(self, partner: Partner, known: _Known) -> Reached:
        path, session = partner.path, partner.session
        rate_in, rate_out = known.rates.now
        return Reached(
            name=self._host.label(partner),
            id=partner.fingerprint,
            instance=partner.instance,
            authenticated=partner.authenticated,
            path=path.kind if path is not None else None,
            candidate=path.candidate if path is not None else None,
            local=str(path.local) if path is not None else None,
            remote=str(path.remote) if path is not None else None,
            round_trip=path.round_trip if path is not None else None,
            since=known.since,
            bytes_in=session.tally.came,
            bytes_out=session.tally.went,
            rate_in=rate_in,
            rate_out=rate_out,
            streams=session.streams,
        )

    def _sample(self) -> None:
        now = self._host.clock.seconds()
        for partner, known in self._known.items():
            tally = partner.session.tally
            known.rates.sample(now, tally.came, tally.went)
