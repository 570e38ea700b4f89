"""What the commands for people have in common: whom to meet, by a code, a room, or a name."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import replace
from getopt import GetoptError, gnu_getopt
from typing import Any, ClassVar

from twisted.python.usage import UsageError

from p2phole.coercion import seconds
from p2phole.peer import tap
from p2phole.secure import codes


class Options(tap.Common):
    """As those of a peer, and a code; checked, all is in :attr:`settings`.

    ``asks``: whether the user is to be asked for the code.
    ``wait``: seconds to wait for somebody; None: for ever.
    """

    humane = True
    synopsis = "[options] [CODE]"
    optFlags: ClassVar[list[list[Any]]] = [
        ["invite", None, "make a code by which one other side joins, within an hour"],
    ]
    optParameters: ClassVar[list[list[Any]]] = [
        ["wait", None, None, "seconds to wait for somebody to come (default: no limit)"],
    ]
    code: codes.Code | None = None
    asks = False
    wait: float | None = None

    def parseOptions(self, options: Sequence[str] | None = None) -> None:
        super().parseOptions(None if options is None else self._options_first(options))

    def _options_first(self, words: Sequence[str]) -> list[str]:
        """The same with the CODE at the end: Twisted takes everything behind it for more of it."""
        try:
            found, rest = gnu_getopt(list(words), self.shortOpt, self.longOpt)
        except GetoptError:
            return list(words)  # told by Twisted
        ordered = []
        for name, value in found:
            takes = f"{name[2:]}=" in self.longOpt if name.startswith("--") else f"{name[1:]}:" in self.shortOpt
            ordered += [name, value] if takes else [name]
        return [*ordered, "--", *rest]

    def parseArgs(self, *arguments: str) -> None:
        if arguments:
            # A code may be typed with spaces instead of hyphens.
            try:
                self.code = codes.parse(" ".join(arguments))
            except ValueError as problem:
                raise UsageError(str(problem)) from None

    def settle(self) -> None:
        by_code = self.code is not None or bool(self["invite"])
        if self.code is not None and self["invite"]:
            raise UsageError("CODE and --invite exclude each other: one side invites, the other one joins")
        whom = [self.given(key) for key in ("room", "secret-file", "to")]
        for given in whom:
            if by_code and given is not None and given.rank == 0:
                raise UsageError(f"a code and {given.where} exclude each other: give one of them")
        super().settle()
        self.wait = self.value("wait", seconds, None)
        if by_code:
            self.settings = replace(
                self.settings, code=self.code, invite=bool(self["invite"]), secret_file=None, to=None
            )
        elif not any(whom):
            self.asks = self.can_ask()
            if not self.asks:
                raise UsageError("whom to meet? give the CODE that you were told, or --invite, --room or --to")

    def can_ask(self) -> bool:
        """Whether there is somebody at a terminal."""
        return sys.stdin is not None and sys.stdin.isatty()

    def answered(self, code: codes.Code) -> None:
        """The user has typed a code."""
        self.settings = replace(self.settings, code=code)
