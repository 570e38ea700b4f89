"""``p2phole id``: this peer's key, and the people that its user knows.

0: done; 1: it failed, with one line on standard error; 2: usage.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from twisted.python.usage import UsageError

from p2phole import launch
from p2phole.options import ConfigurableOptions, coerced, file_path
from p2phole.peer.tap import default_key_file
from p2phole.secure.identity import load_or_make
from p2phole.secure.known import FILE_NAME, Known
from p2phole.secure.names import check_own_name
from p2phole.secure.words import phrase
from p2phole.text import harmless


@dataclass(frozen=True, slots=True)
class Settings:
    """Checked settings; ``words``: what follows the command."""

    key_file: Path
    words: tuple[str, ...] = ()

    def known(self) -> Known:
        """The people in the file beside the key file."""
        return Known.load(self.key_file.parent / FILE_NAME, time.time)


class _IdOptions(ConfigurableOptions):
    section = "p2ppeer"
    humane = True
    optParameters: ClassVar[list[list[Any]]] = [
        ["key-file", None, None, "the key; the people are beside it (default: in your data folder)"],
    ]


class _PeopleOptions(_IdOptions):
    """What the commands below ``id`` have in common."""

    words: tuple[str, ...] = ()
    command: ClassVar[str] = "list"
    synopsis: ClassVar[str] = "[options]"
    counts: ClassVar[tuple[int, ...]] = ()
    """How many words may follow the options."""

    def parseArgs(self, *arguments: str) -> None:
        if not self.counts:
            return super().parseArgs(*arguments)
        if len(arguments) not in self.counts:
            raise UsageError(f"give it as 'p2phole id {self.command} {self.synopsis}'")
        self.words = arguments

    def settle(self) -> None:
        """What is left to settle is settled by the options of ``id``."""


class ListOptions(_PeopleOptions):
    """``p2phole id list``."""

    longdesc = "Shows whom you keep, and who was met recently: fingerprints and phrases to compare aloud."


class KeepOptions(_PeopleOptions):
    """``p2phole id keep``."""

    command = "keep"
    synopsis = "[options] NAME [WHO]"
    counts = (1, 2)
    longdesc = (
        "Keeps somebody who was met recently under a NAME of your own choosing. WHO is the name claimed or the "
        "start of the fingerprint, where it is not NAME; who was not met is kept by the whole fingerprint."
    )

    def settle(self) -> None:
        _own_name(self.words[0])


class ForgetOptions(_PeopleOptions):
    """``p2phole id forget``."""

    command = "forget"
    synopsis = "[options] NAME"
    counts = (1,)
    longdesc = "Forgets somebody who is kept."


class RenameOptions(_PeopleOptions):
    """``p2phole id rename``."""

    command = "rename"
    synopsis = "[options] OLD NEW"
    counts = (2,)
    longdesc = "Gives somebody who is kept another name."

    def settle(self) -> None:
        _own_name(self.words[1])


class Options(_IdOptions):
    """What ``p2phole id`` can be told; checked, it is in :attr:`settings`."""

    longdesc = (
        "Shows this peer's fingerprint, the six words by which two people compare it aloud, and its key file; "
        "makes the key if there is none. The commands below are about the keys of others."
    )
    settings: Settings

    @property
    def synopsis(self) -> str:
        """Of ``id`` itself; the commands below it go on where it ends."""
        return "" if self.subCommand else "[COMMAND] [options]"

    @property
    def subCommands(self) -> Iterator[tuple[str, None, Any, str]]:
        """As :class:`usage.Options` reads it."""
        yield "list", None, ListOptions, "show whom you keep and whom you have met"
        yield "keep", None, KeepOptions, "keep somebody's key under a name of your own"
        yield "forget", None, ForgetOptions, "forget somebody who is kept"
        yield "rename", None, RenameOptions, "give somebody who is kept another name"

    def getSynopsis(self) -> str:
        return super().getSynopsis().rstrip()

    def settle(self) -> None:
        below: _PeopleOptions | None = getattr(self, "subOptions", None)
        given = (below and below.given("key-file")) or self.given("key-file")
        key_file = default_key_file() if given is None else Path(coerced(given, file_path))
        self.settings = Settings(key_file, below.words if below else ())


def run(options: Options) -> int:
    """What ``p2phole id`` runs, to its exit status."""
    text = COMMANDS[options.subCommand or ""](options.settings)
    encoding = sys.stdout.encoding or "ascii"
    sys.stdout.write(text.encode(encoding, "backslashreplace").decode(encoding))
    sys.stdout.flush()
    return 0


def own(settings: Settings) -> str:
    """``p2phole id``."""
    fingerprint = load_or_make(settings.key_file).fingerprint
    return (
        f"fingerprint  {fingerprint}\nphrase       {phrase(fingerprint)}\n"
        f"key file     {harmless(str(settings.key_file))}\n"
    )


def people(settings: Settings) -> str:
    """``p2phole id list``."""
    from p2phole.people.screen import shown

    return shown(settings.known().people, time.time(), sys.stdout)


def keep(settings: Settings) -> str:
    """``p2phole id keep``."""
    known = settings.known()
    name, who = settings.words[0], settings.words[-1]
    fingerprint = known.people.find_met(who)
    known.keep(name, fingerprint)
    name = known.name_of(fingerprint) or name
    named_by = [one.how for one in known.people.met if one.fingerprint == fingerprint]
    if named_by == ["tofu"] and who.lower() != fingerprint:
        launch.tell(
            f"only a broker has said that this is the key of {name}: compare the six words with {name}, aloud, "
            f"and if theirs are others, 'p2phole id forget {name}'"
        )
    return f"{name} is kept, with the key {fingerprint[:16]}...: {phrase(fingerprint)}\n"


def forget(settings: Settings) -> str:
    """``p2phole id forget``."""
    [name] = settings.words
    settings.known().forget(name)
    return f"{harmless(name)} is forgotten.\n"


def rename(settings: Settings) -> str:
    """``p2phole id rename``."""
    old, new = settings.words
    settings.known().rename(old, new)
    return f"{harmless(old)} is now {new}.\n"


COMMANDS: dict[str, Callable[[Settings], str]] = {
    "": own,
    "list": people,
    "keep": keep,
    "forget": forget,
    "rename": rename,
}


def _own_name(text: str) -> None:
    try:
        check_own_name(text)
    except ValueError as problem:
        raise UsageError(str(problem)) from None
