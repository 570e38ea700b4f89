"""``p2phole pipe`` as a command: its options, and a code asked for where standard input is something else."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from twisted.python.usage import UsageError

from p2phole.peer.use import Use
from p2phole.use import options, running

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
        if self.settings.messages:
            raise UsageError("--message: what is sent is standard input")

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
    return running.run("pipe", given, lambda reactor: _uses(given, reactor))


def _uses(given: Options, reactor: Any) -> Sequence[Use]:
    from p2phole.use.pipe import Pipe

    settings = given.settings
    return [Pipe(reactor, settings.code is not None or settings.invite)]


@contextmanager
def _terminal(mode: str) -> Iterator[Any]:
    with open(TERMINAL, mode) as terminal:
        yield terminal
