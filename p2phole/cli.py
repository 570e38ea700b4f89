"""``p2phole``: the two services and the demonstration, without twistd.

Exit status: 0 done or stopped by a signal, 1 failed with one line on standard error, 2 usage.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator, Sequence
from typing import Any, NoReturn

from twisted.python import usage

from p2phole.options import PlainOptions


class DemoOptions(PlainOptions):
    """The demonstration has nothing to choose."""

    longdesc = "A broker and two peers on this machine, talking directly; says what it saw, and 0 if all is well."


class Options(PlainOptions):
    """The commands."""

    longdesc = "A direct TCP connection between two machines behind NATs, introduced by a small broker."

    @property
    def synopsis(self) -> str:
        """The first line of ``--help``; a command's own line starts with it."""
        return "Usage: p2phole" if self.subCommand else "Usage: p2phole COMMAND [options]"

    @property
    def subCommands(self) -> Iterator[tuple[str, None, Any, str]]:
        """As :class:`usage.Options` reads it; imported only when it is asked for."""
        yield "broker", None, _broker_options, "introduce peers to each other"
        yield "peer", None, _peer_options, "meet the peers of a room and talk to them directly"
        yield "demo", None, DemoOptions, "show all of it on this machine"

    def postOptions(self) -> None:
        if self.subCommand is None:
            raise usage.UsageError("which command?")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return the exit status."""
    # Until the reactor has its own handler, and for the demonstration: SIGTERM is what ctrl-C is.
    signal.signal(signal.SIGTERM, _interrupt)
    options = Options()  # type: ignore[no-untyped-call]
    try:
        options.parseOptions(sys.argv[1:] if arguments is None else list(arguments))
        return _COMMANDS[options.subCommand or ""](options.subOptions)
    except usage.UsageError as problem:
        command = " ".join(("p2phole", options.subCommand or "")).strip()
        sys.stderr.write(f"{command}: {problem}\nTry '{command} --help'.\n")
        return 2
    except KeyboardInterrupt:
        return 0
    finally:
        _flush()


def broker(options: Any) -> int:
    """``p2phole broker``."""
    from twisted.internet import reactor

    from p2phole import launch
    from p2phole.broker.tap import build

    return launch.run(reactor, lambda fail: build(options.settings, fail))


def peer(options: Any) -> int:
    """``p2phole peer``."""
    from twisted.internet import reactor

    from p2phole import launch
    from p2phole.peer.tap import build

    return launch.run(reactor, lambda fail: build(options.settings, fail))


def demo(options: Any) -> int:
    """``p2phole demo``."""
    from p2phole.demo import demonstrate

    return demonstrate()


_COMMANDS = {"broker": broker, "peer": peer, "demo": demo}


def _broker_options() -> usage.Options:
    from p2phole.broker.tap import Options

    return Options()


def _peer_options() -> usage.Options:
    from p2phole.peer.tap import Options

    return Options()


def _interrupt(number: int, frame: object) -> NoReturn:
    raise KeyboardInterrupt


def _flush() -> None:
    """Write out what is left, so that a reader who has gone, as in ``p2phole --help | head -1``, is no error."""
    try:
        sys.stdout.flush()
    except (OSError, ValueError):
        # Python flushes once more at its end, and would complain.
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
