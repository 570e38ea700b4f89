"""``p2phole send`` as a command: its options."""

from __future__ import annotations

import os
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from twisted.internet.threads import deferToThreadPool
from twisted.python.usage import UsageError

from p2phole.peer.use import Use
from p2phole.secure import codes
from p2phole.text import harmless
from p2phole.use import options, running
from p2phole.use.files.listing import Offer, encode_offer
from p2phole.use.files.records import MOST_RECORD

if TYPE_CHECKING:
    from p2phole.use.files.screen import Screen


class Options(options.Options):
    """The options of sending.  ``paths``: what to send; ``text``: instead of that."""

    synopsis = "[options] FILE... [CODE]"
    longdesc = (
        "Sends files, whole folders, or a text, directly to who types the command that is shown. What has arrived "
        "is verified there, and not sent again when either side was stopped and both are started again. "
        "Exit status 0: all of it is there."
    )
    optParameters = [["text", None, None, "send this instead of files"]]
    paths: tuple[Path, ...] = ()
    text: str | None = None

    def parseArgs(self, *arguments: str) -> None:
        if arguments and not os.path.lexists(arguments[-1]) and (code := _code(arguments[-1])) is not None:
            self.code = code
            arguments = arguments[:-1]
        self.paths = tuple(Path(each).absolute() for each in arguments)

    def settle(self) -> None:
        if self.code is None and not any(self.given(key) for key in ("room", "secret-file", "to")):
            self["invite"] = 1
        super().settle()
        self.text = self["text"]
        if bool(self.paths) == (self.text is not None):
            raise UsageError("what to send? give files or folders, or --text TEXT")
        if self.text is not None:
            try:
                size = len(encode_offer(Offer(text=self.text)))
            except UnicodeEncodeError:
                raise UsageError("--text: it is not valid UTF-8") from None
            if size > MOST_RECORD // 2:
                raise UsageError("--text: it is too long, send it as a file")
        for path in self.paths:
            if not os.path.exists(path):
                raise UsageError(f"{harmless(str(path))}: there is no such file or folder")


def _code(text: str) -> codes.Code | None:
    try:
        return codes.parse(text)
    except ValueError:
        return None


def run(given: Options) -> int:
    """What ``p2phole send`` runs, to its exit status."""
    # Imported when it is wanted: --help is quick without.
    from p2phole.use.files.screen import take_standard_error

    screen = take_standard_error()  # before the log has it
    return running.run("receive", given, lambda reactor: _uses(given, screen, reactor))


def _uses(given: Options, screen: Screen, reactor: Any) -> Sequence[Use]:
    from p2phole.use.files.send import Send

    work = partial(deferToThreadPool, reactor, reactor.getThreadPool())
    settings = given.settings
    alone = settings.code is not None or settings.invite or settings.to is not None
    return [Send(given.paths, given.text, work, screen, alone)]
