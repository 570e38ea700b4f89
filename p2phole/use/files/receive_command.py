"""``p2phole receive`` as a command: its options."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from twisted.internet.threads import deferToThreadPool
from twisted.python.usage import UsageError

from p2phole.options import file_path
from p2phole.peer.use import Use
from p2phole.text import harmless
from p2phole.use import options, running

if TYPE_CHECKING:
    from p2phole.use.files.screen import Screen


class Options(options.Options):
    """The options of receiving.  ``folder``: where to."""

    longdesc = (
        "Receives what 'p2phole send' sends, into this folder or the one of --output, and asks before it writes. "
        "What has arrived in part is kept in a hidden file, and goes on when this side was killed and is started "
        "again with the same CODE, or both sides are with another one. "
        "With --yes a file whose name is taken gets a number: 'name (2).txt'. Exit status 0: all of it is here."
    )
    optParameters = [["output", "o", None, "write into this folder (default: the one you are in)"]]
    optFlags = [["yes", "y", "do not ask"]]
    folder: Path

    def settle(self) -> None:
        super().settle()
        try:
            self.folder = Path(file_path(self["output"] or "."))
        except ValueError as problem:
            raise UsageError(f"--output: {problem}") from None
        if self.folder.exists() and not self.folder.is_dir():
            raise UsageError(f"--output {harmless(str(self.folder))}: it is no folder")
        if not self["yes"] and not (sys.stdin is not None and sys.stdin.isatty()):
            raise UsageError("there is no terminal to ask at whether to take it: give --yes")


def run(given: Options) -> int:
    """What ``p2phole receive`` runs, to its exit status."""
    # Imported when it is wanted: --help is quick without.
    from p2phole.use.files.screen import take_standard_error

    screen = take_standard_error()  # before the log has it
    return running.run("send FILE", given, lambda reactor: _uses(given, screen, reactor))


def _uses(given: Options, screen: Screen, reactor: Any) -> Sequence[Use]:
    from p2phole.use.files.asking import Terminal
    from p2phole.use.files.receive import Receive

    umask = os.umask(0o077)
    os.umask(umask)
    work = partial(deferToThreadPool, reactor, reactor.getThreadPool())
    ask = None if given["yes"] else Terminal(reactor, screen.prompt).ask
    settings = given.settings
    alone = settings.code is not None or settings.invite or settings.to is not None
    shows = sys.stdout if settings.events != "-" else sys.stderr

    def show(text: str) -> None:
        encoding = shows.encoding or "ascii"
        lines = "".join(f"{harmless(line)}\n" for line in text.splitlines())
        shows.write(lines.encode(encoding, "backslashreplace").decode(encoding))
        shows.flush()

    by_code = settings.code is not None or settings.invite
    return [Receive(given.folder, umask, work, screen, ask, show, alone, by_code)]
