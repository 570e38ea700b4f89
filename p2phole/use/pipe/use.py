"""``p2phole pipe``: standard input here is standard output there, and the other way round."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence

from twisted.internet.interfaces import IReactorFDSet
from twisted.logger import Logger

from p2phole.errors import LocalError, P2pholeError
from p2phole.peer.use import Host, Idle, Partner
from p2phole.session.errors import SessionOver
from p2phole.session.session import Session
from p2phole.session.streams import Stream
from p2phole.use.pipe.joint import Joint

PURPOSE = "pipe"
HURRY = 5.0
"""Seconds in which the one who is to ask has to: after that the other one asks, to learn what is wrong."""
LINGER = 10.0
"""Seconds for which the other side is given the chance to hear that all has arrived."""

_log = Logger()


class PipeBroken(LocalError):
    """{why} Not everything has arrived: start both sides again."""


class NoPipe(LocalError):
    """No pipe: {why}."""


class StartedAgain(LocalError):
    """{name} was ended and started again, and what was under way is lost: start this side again, too."""


class Pipe(Idle):
    """The use.  Of two that may meet others, too, one asks and the other one answers, so nobody waits in a circle.

    ``alone``: whether nobody else can come, as with a code.  ``begun``: called when the two are joined.
    """

    def __init__(
        self,
        reactor: IReactorFDSet,
        alone: bool,
        source: int = 0,
        sink: int = 1,
        begun: Callable[[Pipe], None] = lambda pipe: None,
    ) -> None:
        self.joint = Joint(reactor, self._joined, self._stream_over, source, sink)
        self.partner: Partner | None = None
        """Who is at the other end, or is being asked."""
        self._alone = alone
        self._begun = begun
        self._host: Host
        self._hopes: deque[Partner] = deque()
        self._requests: deque[tuple[Partner, Stream]] = deque()
        self._complete = self._over = False
        self._session: Session | None = None

    # -- Use

    def start(self, host: Host) -> None:
        """See :class:`~p2phole.peer.use.Use`."""
        self._host = host

    def met(self, partner: Partner) -> None:
        """See :class:`~p2phole.peer.use.Use`."""
        if self._was_started_again([partner]):
            return
        partner.session.offer(PURPOSE, lambda stream: self._asked(partner, stream))
        if partner.session.leads:
            self._hope(partner)
        elif self._alone:
            self._host.clock.callLater(HURRY, self._hope, partner)

    def over(self, partner: Partner, error: P2pholeError) -> None:
        """See :class:`~p2phole.peer.use.Use`."""
        if partner in self._hopes:
            self._hopes.remove(partner)
        if partner is self.partner:
            if self._complete:
                self._finish()
            # Else its stream ends next.
        elif self._alone:
            self._fail(NoPipe(why=str(error).removesuffix(".")))

    def unlinked(self, partner: Partner) -> None:
        """See :class:`~p2phole.peer.use.Use`."""
        # By a code nobody but the same one can have come meanwhile.
        if self._alone and self._was_started_again(self._host.partners):
            return
        if self._goes_on(partner):
            _log.info("The connection to {name} is lost: waiting for it.", name=self._host.label(partner))

    def linked(self, partner: Partner) -> None:
        """See :class:`~p2phole.peer.use.Use`."""
        if self._goes_on(partner):
            _log.info("{name} is there again, and nothing is lost.", name=self._host.label(partner))

    def _was_started_again(self, others: Sequence[Partner]) -> bool:
        """Whether it fails, since who was at the other end is among these as another process, and away itself."""
        chosen = self.partner
        if chosen is None or chosen.path is not None or not self._goes_on(chosen):
            return False
        if not any(each.fingerprint == chosen.fingerprint and each is not chosen for each in others):
            return False
        self._fail(StartedAgain(name=self._host.label(chosen)))
        return True

    def _goes_on(self, partner: Partner) -> bool:
        return partner is self.partner and self.joint.joined and not (self._over or self._complete)

    def stop(self) -> None:
        """See :class:`~p2phole.peer.use.Use`."""
        self._over = True
        self.joint.close()

    def where(self) -> str | None:
        """How the other end is reached, in words; None: not now."""
        partner = self.partner
        if partner is None or partner.path is None:
            return None
        return f"direct to {self._host.label(partner)} at {partner.path.remote}"

    # -- who it is

    def _hope(self, partner: Partner) -> None:
        if partner not in self._hopes:
            self._hopes.append(partner)
        self._go_on()

    def _asked(self, partner: Partner, stream: Stream) -> None:
        self._requests.append((partner, stream))
        self._go_on()

    def _go_on(self) -> None:
        """Take or ask the next one, if there is nobody yet."""
        while self.partner is None and not self._over and (self._requests or self._hopes):
            if self._requests:
                self.partner, stream = self._requests.popleft()
                self.joint.take(stream)
            else:
                self.partner = self._hopes.popleft()
                try:
                    self.joint.open(self.partner.session, PURPOSE)
                except SessionOver:
                    self.partner = None
        while self._requests and (self.joint.joined or self._over):
            partner, stream = self._requests.popleft()
            stream.abort("it is connected to somebody else already")
            _log.warn("{name} was refused: a pipe has two ends.", name=self._host.label(partner))

    def _joined(self) -> None:
        assert self.partner is not None
        self._session = self.partner.session
        self._begun(self)
        if not self._alone:
            _log.info("The other end of the pipe is {name}.", name=self._host.label(self.partner))
        self._go_on()

    # -- the end

    def _stream_over(self, error: P2pholeError | None) -> None:
        partner = self.partner
        if partner is None or self._over:
            return
        if self.joint.joined:
            if error is None:
                self._complete = True
                # It is told while the last frame of this side is being made.
                self._host.clock.callLater(0, self._farewell)
            elif isinstance(error, LocalError):
                self._fail(error)
            else:
                self._fail(PipeBroken(why=error))
        elif isinstance(error, LocalError):
            self._fail(error)
        elif self._alone:
            self._fail(NoPipe(why=str(error).removesuffix(".")))
        else:
            _log.info("{name} is not the one: {error}", name=self._host.label(partner), error=error)
            self.partner = None
            self._go_on()

    def _farewell(self) -> None:
        """All is done, and the other side has to know it before this one leaves."""
        self._host.clock.callLater(LINGER, self._finish)
        assert self._session is not None
        self._session.when_acknowledged(self._finish)

    def _finish(self) -> None:
        if not self._over:
            self._over = True
            self._host.finish()

    def _fail(self, error: LocalError) -> None:
        if not self._over:
            self._over = True
            self._host.fail(error)
