"""How a command for people runs: it meets whom its options name, for its use, until that is done."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from twisted.internet.interfaces import IDelayedCall

from p2phole import launch
from p2phole.errors import LocalError, P2pholeError
from p2phole.peer.settings import PeerSettings
from p2phole.peer.use import Host, Idle, Partner, Use
from p2phole.secure.codes import Code
from p2phole.session.errors import Forgotten, GaveUp, SessionOver
from p2phole.use.options import Options


class NobodyCame(LocalError):
    """Nobody came within {seconds:.0f} s: start the other side, or wait longer with --wait."""


def run(command: str, given: Options, build: Callable[[Any], Sequence[Use]], quiet: bool = False) -> int:
    """Run ``p2phole COMMAND`` to its exit status; ``build`` makes its uses, for a reactor.  ``quiet``: say only
    what is wrong."""
    if given.asks:
        from p2phole.use.ask import ask_for_code

        given.answered(ask_for_code())
    from twisted.internet import reactor

    return launch.run(reactor, partial(_service, reactor, command, given, build), quiet)


def _service(
    reactor: Any, command: str, given: Options, build: Callable[[Any], Sequence[Use]], fail: launch.Fail
) -> Any:
    # Imported when it is wanted: --help is quick without.
    from p2phole.peer.service import PeerService

    uses = list(build(reactor))
    if given.wait is not None:
        uses.append(Patience(given.wait))
    return PeerService(
        reactor,
        given.settings,
        fail,
        uses,
        finish=partial(launch.stop, reactor),
        invited=lambda code: launch.tell_lines(invitation(command, given.settings, code)),
    )


def invitation(command: str, settings: PeerSettings, code: Code) -> str:
    """What to tell the user of who invites; the command as the other side has to type it."""
    broker = ("tls:" if settings.broker.tls else "") + str(settings.broker)
    typed = shlex.join(("p2phole", *command.split(), "--broker", broker, str(code)))
    return f"On the other machine, once, within an hour:\n\n    {typed}\n"


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
