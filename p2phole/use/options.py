"""What the commands for people have in common: whom to meet, by a code, a room, or a name."""

from __future__ import annotations

import getopt
import sys
from dataclasses import replace
from typing import Any, ClassVar

from twisted.python.usage import UsageError

from p2phole.coercion import seconds
from p2phole.peer import tap
from p2phole.secure import codes


class Options(tap.Common):
    """As those of a peer, and a code; checked, all is in :attr:`settings`.

    ``asks``: whether the user is to be asked for the code.
    ``by_code``: whether there is only one to meet, and only once.
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
    by_code = False
    wait: float | None = None

    def parseOptions(self, options: Any = None) -> None:
        # Options behind CODE as well: Twisted's own parser stops at the first word that is none.
        try:
            found, words = getopt.gnu_getopt(list(options or ()), self.shortOpt, self.longOpt)
        except getopt.error as problem:
            raise UsageError(str(problem)) from None
        given: list[str] = []
        for key, value in found:
            takes = f"{key[2:]}=" in self.longOpt if key.startswith("--") else f"{key[1:]}:" in self.shortOpt
            given += [key, value] if takes else [key]
        super().parseOptions([*given, "--", *words])

    def parseArgs(self, *arguments: str) -> None:
        if arguments:
            # A code may be typed with spaces instead of hyphens.
            try:
                self.code = codes.parse(" ".join(arguments))
            except ValueError as problem:
                raise UsageError(str(problem)) from None

    def settle(self) -> None:
        self.by_code = by_code = self.code is not None or bool(self["invite"])
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
        self.by_code = True
        self.settings = replace(self.settings, code=code)
