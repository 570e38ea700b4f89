"""One link to a member, proven: how it was found, what the session has on it, and whether its path still lives."""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.interfaces import IReactorTime

from p2phole.peer.use import Path
from p2phole.punch.attempt import Success
from p2phole.secure.channel import SecureLink
from p2phole.session.attachment import Attachment
from p2phole.vitals import Pulse, vitals


class ProvenLink:
    """See above.  ``seconds`` since the introduction and ``attempts``: what it took.  ``doubted`` is called when
    nothing gets through any more, ``lives`` when something does again."""

    def __init__(
        self,
        clock: IReactorTime,
        success: Success,
        seconds: float,
        attempts: int,
        doubted: Callable[[ProvenLink], None],
        lives: Callable[[], None],
    ) -> None:
        self.success = success
        self.seconds = seconds
        self.attempts = attempts
        self.attachment: Attachment | None = None
        self.suspect_since: float | None = None
        """Since when it may be dead."""
        self._clock = clock
        self._doubted = doubted
        self._tell_lives = lives
        self._pulse = Pulse(clock, lambda: vitals(self.link.channel.transport), self.suspect, self._lives)

    @property
    def link(self) -> SecureLink:
        """The link itself."""
        return self.success.link

    @property
    def is_over(self) -> bool:
        """Whether the session is done with it."""
        return self.attachment is not None and self.attachment.over

    @property
    def path(self) -> Path:
        """Where it goes, and its round trip as it was measured last."""
        found, last = self.success, self._pulse.last
        return Path(found.local, found.remote, found.candidate, last.round_trip if last is not None else None)

    def watch(self) -> None:
        """Look from now on whether it lives."""
        self._pulse.start()

    def suspect(self) -> None:
        """Its path may be dead."""
        if self.suspect_since is None:
            self.suspect_since = self._clock.seconds()
            self._doubted(self)

    def _lives(self) -> None:
        self.suspect_since = None
        self._tell_lives()

    def let_go(self) -> None:
        """Have nothing to do with it any more; close it, if it is open."""
        self._pulse.stop()
        self.link.receiver = lambda data: None
        self.link.ended = lambda reason: None
        if self.attachment is not None:
            self.attachment.lost()
        self.link.channel.drop()
