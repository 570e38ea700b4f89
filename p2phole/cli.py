"""``p2phole``: the command, from its start to its exit status.

0: done or stopped by a signal; 1: failed, with one line on standard error; 2: usage.
"""

# Before main() has its handlers a ctrl-C is a traceback: what takes time to import is imported there.
import gc
import os
import signal
import sys
from collections.abc import Sequence


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return the exit status."""
    # What is imported stays, so to look for garbage in it would be a tenth of the time until something happens.
    gc.disable()
    # Until the reactor has a handler of its own, and for the demonstration: SIGTERM is what ctrl-C is.
    signal.signal(signal.SIGTERM, _interrupt)
    try:
        return _run(sys.argv[1:] if arguments is None else arguments)
    except (KeyboardInterrupt, BrokenPipeError):  # stopped, or nobody reads what --help says
        return 0
    finally:
        gc.enable()
        # It is over: a second ctrl-C must not change the exit status that the first one got.
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.SIG_IGN)
        _flush()


def _run(arguments: Sequence[str]) -> int:
    from twisted.python.usage import UsageError

    from p2phole import launch
    from p2phole.commands import COMMANDS, Options

    launch.open_standard_streams()
    options = Options()  # type: ignore[no-untyped-call]
    try:
        options.parseOptions(list(arguments))
        return COMMANDS[options.subCommand or ""].run(options.subOptions)
    except UsageError as problem:
        command = " ".join(("p2phole", options.subCommand or "")).strip()
        sys.stderr.write(f"{command}: {problem}\nTry '{command} --help'.\n")
        return 2
    except BrokenPipeError:
        raise
    except Exception as problem:
        launch.tell(launch.explained(problem))
        return 1


def _interrupt(number: int, frame: object) -> None:
    raise KeyboardInterrupt


def _flush() -> None:
    """Write out what is left, and let a reader who has gone, as in ``p2phole --help | head -1``, be no error."""
    try:
        if sys.stdout is not None:
            sys.stdout.flush()
    except OSError:
        # Python flushes once more at its end, and would complain.
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
