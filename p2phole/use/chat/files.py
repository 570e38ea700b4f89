"""Files that are sent and taken within a chat."""

from __future__ import annotations

import os
import shlex
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from p2phole.errors import P2pholeError
from p2phole.peer.use import Partner
from p2phole.session.streams import Stream
from p2phole.use.chat.transfers import Around, Giving, Taking, Transfer
from p2phole.use.files.send import PURPOSE
from p2phole.use.files.source import Sources, find

MOST_OFFERED = 8
"""Offers of one member that are open, or being taken."""


class Files:
    """All that is offered, sent and taken."""

    def __init__(self, around: Around) -> None:
        self._around = around
        self._going: list[Transfer] = []
        self._asking: deque[Taking] = deque()
        self._stopped = False

    def met(self, partner: Partner) -> None:
        """Somebody may offer something from now on."""
        partner.session.offer(PURPOSE, lambda stream: self._offered(partner, stream))

    def send(self, partner: Partner, typed: str) -> None:
        """Offer a file or a folder, as it was typed."""
        around, path = self._around, path_of(typed)
        finding: Deferred[Sources] = around.work(find, [path], lambda: self._stopped)
        finding.addCallbacks(
            lambda sources: self._found(partner, sources),
            lambda failure: self._not_found(failure),
        )

    def _found(self, partner: Partner, sources: Sources) -> None:
        if self._stopped:
            return
        for line in (*sources.skipped, *sources.unfit):
            self._around.transcript.warn(f"Not sent, {line}.")
        giving = Giving(self, self._around, partner, sources)
        self._going.append(giving)
        giving.begin()

    def _not_found(self, failure: Failure) -> None:
        problem = failure.value
        self._around.transcript.warn(str(problem) if isinstance(problem, P2pholeError) else f"Not sent: {problem}")

    def _offered(self, partner: Partner, stream: Stream) -> None:
        if sum(isinstance(each, Taking) and each.partner is partner for each in self._going) >= MOST_OFFERED:
            stream.abort("too much is offered at a time")
            return
        taking = Taking(self, self._around, partner, stream)
        self._going.append(taking)
        taking.begin()

    def answer(self, taken: bool) -> bool:
        """The user takes what was offered first, or does not; whether anything was."""
        if not self._asking:
            return False
        self._asking.popleft().answer(taken)
        return True

    def ask(self, taking: Taking) -> None:
        """The user is to say whether he wants it."""
        self._asking.append(taking)

    def forget(self, transfer: Transfer) -> None:
        """It is over."""
        if transfer in self._going:
            self._going.remove(transfer)
        if transfer in self._asking:
            self._asking.remove(transfer)  # type: ignore[arg-type]

    def stop(self) -> list[str]:
        """Go on with nothing; what that was."""
        self._stopped = True
        going, self._going = self._going, []
        return [transfer.stop() for transfer in going]


def path_of(typed: str, exists: Callable[[str], Any] = os.path.exists) -> Path:
    """The path that was typed, or dropped by a desktop, which quotes it as for a shell."""
    # Not by Path, which raises where there is no such home, or no such thing can be.
    path = os.path.expanduser(typed)
    if not exists(path):
        try:
            words = shlex.split(typed)
        except ValueError:
            words = []
        if len(words) == 1:
            path = os.path.expanduser(words[0])
    return Path(path)
