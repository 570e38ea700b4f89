"""``p2phole pipe`` as a command: its options, and a code asked for where standard input is something else."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any, TextIO, cast

from twisted.internet.defer import Deferred, succeed
from twisted.logger import FileLogObserver, FilteringLogObserver, ILogObserver, LogLevel, LogLevelFilterPredicate
from twisted.python.usage import UsageError

from p2phole import launch
from p2phole.peer.use import Use
from p2phole.use import options, running

if TYPE_CHECKING:
    from p2phole.use.pipe.gauge import Gauge
    from p2phole.use.pipe.use import Pipe

TERMINAL = "/dev/tty"


class Options(options.Options):
    """The options of a pipe."""

    longdesc = (
        "Standard input here is standard output there, and the other way round: "
        "tar c . | p2phole pipe --invite on one side, p2phole pipe CODE | tar x on the other. "
        "Ends when both inputs have ended and everything is written on the other side, with 0 only then. "
        "At a terminal the end of what the other side sends is the end."
    )

    def settle(self) -> None:
        super().settle()
        if self.settings.events == "-":
            raise UsageError("--events: standard output is for what the other side sends: name a file")

    def can_ask(self) -> bool:
        """See :class:`options.Options`: as ssh and sudo, wherever standard input comes from."""
        try:
            with _terminal("r"):
                return True
        except OSError:
            return False


def run(given: Options) -> int:
    """What ``p2phole pipe`` runs, to its exit status."""
    if given.asks:
        from prompt_toolkit.input import create_input
        from prompt_toolkit.output import create_output

        from p2phole.use.ask import ask_for_code

        with _terminal("r") as keyboard, _terminal("w") as screen:
            given.answered(ask_for_code(input=create_input(keyboard), output=create_output(screen)))
        given.asks = False
    face = PipeFace(given, sys.stderr)
    return running.run("pipe", given, face.uses, face)


class PipeFace:
    """Standard error of a pipe: what is wrong, what the pipe says of itself, and on a terminal how much goes
    through.  Where standard output is on one, too, it is for what comes alone."""

    def __init__(self, given: Options, stream: TextIO) -> None:
        self._given = given
        self._stream = stream
        self._gauge: Gauge | None = None
        levels = LogLevelFilterPredicate(defaultLogLevel=LogLevel.warn)
        levels.setLogLevelForNamespace("p2phole.use", LogLevel.info)
        self.log: ILogObserver = FilteringLogObserver(
            FileLogObserver(cast(TextIO, self), launch.one_line), [levels]
        )

    def uses(self, reactor: Any) -> Sequence[Use]:
        """What runs."""
        from p2phole.use.pipe.use import Pipe

        settings = self._given.settings
        return [Pipe(reactor, settings.code is not None or settings.invite, begun=partial(self._begun, reactor))]

    def _begun(self, reactor: Any, pipe: Pipe) -> None:
        if self._stream.isatty() and not os.isatty(1):
            # Imported when the other side is there: nobody waits for it then.
            from p2phole.use.pipe.gauge import Gauge

            joint = pipe.joint
            self._gauge = Gauge(self._stream, reactor, lambda: (joint.consumed, joint.written), pipe.where)
            self._gauge.start()
            joint.closing = self.close
            reactor.addSystemEventTrigger("before", "shutdown", self.close)

    # -- what the log is written to

    def write(self, text: str) -> None:
        """See :class:`TextIO`."""
        if self._gauge is not None:
            self._gauge.erase()
        self._stream.write(text)

    def flush(self) -> None:
        """See :class:`TextIO`."""
        self._stream.flush()

    # -- see Face in running

    def install(self) -> None:
        """See :class:`~p2phole.use.running.Face`: any reactor will do."""

    def tell_lines(self, text: str) -> None:
        """See :class:`~p2phole.use.running.Face`."""
        launch.tell_lines(text)

    def close(self) -> Deferred[None]:
        """See :class:`~p2phole.use.running.Face`."""
        gauge, self._gauge = self._gauge, None
        if gauge is not None:
            gauge.stop()
        return succeed(None)


@contextmanager
def _terminal(mode: str) -> Iterator[Any]:
    with open(TERMINAL, mode) as terminal:
        yield terminal
