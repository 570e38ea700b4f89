"""How a command for people runs: it meets whom its options name, for its use, until that is done."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any
from typing import Protocol as Interface

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall
from twisted.logger import ILogObserver, LogEvent
from zope.interface import implementer

from p2phole import launch
from p2phole.errors import LocalError, P2pholeError
from p2phole.peer.settings import PeerSettings
from p2phole.peer.use import Host, Idle, Partner, Use
from p2phole.secure.codes import Code
from p2phole.session.errors import Forgotten, GaveUp, SessionOver
from p2phole.use.options import Options


class NobodyCame(LocalError):
    """Nobody came within {seconds:.0f} s: start the other side, or wait longer with --wait."""


class Face(Interface):
    """What a command that has the terminal for itself shows in place of the lines that others write."""

    log: ILogObserver

    def install(self) -> None:
        """Install a reactor; none is imported yet."""

    def tell_lines(self, text: str) -> None:
        """Show some lines of our own."""

    def close(self) -> Deferred[None]:
        """Give the terminal back, for good."""


def run(
    command: str,
    given: Options,
    build: Callable[[Any], Sequence[Use]],
    face: Face | None = None,
    quiet: bool = False,
) -> int:
    """Run ``p2phole COMMAND`` to its exit status; ``build`` makes its uses, for a reactor.  ``quiet``: say only
    what is wrong."""
    if given.asks:
        from p2phole.use.ask import ask_for_code

        given.answered(ask_for_code())
    if face is not None:
        face.install()
    from twisted.internet import reactor

    log = UntilFailed(face.log if face is not None else launch.console_log(sys.stderr, quiet))
    return launch.run(reactor, partial(_service, reactor, command, given, build, face, log), log)


def _service(
    reactor: Any,
    command: str,
    given: Options,
    build: Callable[[Any], Sequence[Use]],
    face: Face | None,
    log: UntilFailed,
    fail: launch.Fail,
) -> Any:
    # Imported when it is wanted: --help is quick without.
    from p2phole.peer.service import PeerService
    from p2phole.peer.status_use import Status

    uses = [*build(reactor), Status(reactor, command, given.settings)]
    if given.wait is not None:
        uses.append(Patience(given.wait))
    return PeerService(
        reactor,
        given.settings,
        log.failing(fail if face is None else partial(_fail_behind, face, fail)),
        uses,
        finish=partial(launch.stop, reactor),
        invited=lambda code: (face or launch).tell_lines(invitation(command, given.settings, code)),
    )


def _fail_behind(face: Face, fail: launch.Fail, error: LocalError) -> None:
    # What is written while it has the terminal goes with it.
    face.close().addCallback(lambda _: fail(error))


def invitation(command: str, settings: PeerSettings, code: Code) -> str:
    """What to tell the user of who invites; the command as the other side has to type it."""
    broker = ("tls:" if settings.broker.tls else "") + str(settings.broker)
    typed = shlex.join(("p2phole", *command.split(), "--broker", broker, str(code)))
    return f"On the other machine, once, within an hour:\n\n    {typed}\n"


@implementer(ILogObserver)
class UntilFailed:
    """A log until the command has failed: why it did is the last line that its user reads."""

    def __init__(self, log: ILogObserver) -> None:
        self._log = log
        self._failed = False

    def __call__(self, event: LogEvent) -> None:
        """See :class:`ILogObserver`."""
        if not self._failed:
            self._log(event)

    def failing(self, fail: launch.Fail) -> launch.Fail:
        """What is called in place of this one."""

        def told(error: LocalError) -> None:
            self._failed = True
            fail(error)

        return told


class Patience(Idle):
    """Gives up if nobody was met within so many seconds."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._timer: IDelayedCall | None = None

    def start(self, host: Host) -> None:
        """See :class:`~p2phole.peer.use.Use`."""
        self._timer = host.clock.callLater(self._seconds, self._expired, host)

    def met(self, partner: Partner) -> None:
        """See :class:`~p2phole.peer.use.Use`."""
        self.stop()

    def stop(self) -> None:
        """See :class:`~p2phole.peer.use.Use`."""
        timer, self._timer = self._timer, None
        if timer is not None:
            timer.cancel()

    def _expired(self, host: Host) -> None:
        self._timer = None
        host.fail(NobodyCame(seconds=self._seconds))


class UntilTheyLeave(Idle):
    """Ends with the other side, where there is only one to meet."""

    def start(self, host: Host) -> None:
        """See :class:`~p2phole.peer.use.Use`."""
        self._host = host

    def over(self, partner: Partner, error: P2pholeError) -> None:
        """See :class:`~p2phole.peer.use.Use`."""
        if isinstance(error, SessionOver) and not isinstance(error, GaveUp | Forgotten):
            self._host.finish()
