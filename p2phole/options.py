"""What both plugins and the console command share in reading options.

An option comes from the command line, then from ``--config FILE``, for the human commands then from the
user's own config file, then from the environment where it has a variable there, then from its default; an
empty value in a file or in the environment counts as none.  Every error is a
:class:`~twisted.python.usage.UsageError` of one line, raised before anything has started.
"""

from __future__ import annotations

import configparser
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, NoReturn, TypeVar

import platformdirs
from twisted.python import usage
from twisted.python.reflect import namedAny

from p2phole import __version__, launch
from p2phole.text import harmless

T = TypeVar("T")

SECTIONS = {"p2pbroker": "p2phole.broker.tap.Options", "p2ppeer": "p2phole.peer.tap.Options"}
"""The sections of a config file, and whose options are the keys there."""

_LARGEST_CONFIG = 1 << 20  # bytes; more is no config file, but perhaps /dev/zero


class PlainOptions(usage.Options):
    """``--help`` and ``--version``; every error one line that can be shown anywhere."""

    longdesc: str = ""

    def parseOptions(self, options: Sequence[str] | None = None) -> None:
        launch.prepare(self.parent)
        try:
            super().parseOptions(options)  # type: ignore[no-untyped-call]
        except usage.UsageError as problem:
            raise usage.UsageError(_printable(str(problem))) from None

    def parseArgs(self, *arguments: str) -> None:
        if arguments:
            raise usage.UsageError(f"there is no option or command {arguments[0]!r} here")

    def opt_version(self) -> NoReturn:
        """Display the version and exit."""
        sys.stdout.write(f"p2phole {__version__}\n")
        sys.exit(0)


@dataclass(frozen=True, slots=True)
class Given:
    """What the user gave for an option: the text, where, and how near (0: the command line)."""

    text: str
    where: str
    rank: int


class ConfigurableOptions(PlainOptions):
    """Options that a config file can hold, in the section :attr:`section` and under their long names.

    Parameters have the default None and no coercion: a value is coerced when it is known which one counts.
    """

    section: ClassVar[str]
    variables: ClassVar[Mapping[str, str]] = {}
    """Option to environment variable."""
    humane: ClassVar[bool] = False
    """Whether the user's own config file counts, as in the commands that people use by hand."""

    optParameters: ClassVar[list[list[Any]]] = [["config", None, None, "INI file with more options"]]

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._repeated: dict[str, list[str]] = {}
        self._config: dict[str, Given] = {}

    @classmethod
    def keys_in_config(cls) -> list[str]:
        """The long names of all options that a config file can hold."""
        options = cls()
        named = [name[:-1] for name in options.longOpt if name.endswith("=") and name != "config="]
        return sorted([*named, *(flag[0] for flag in getattr(options, "optFlags", ()))])

    def collect(self, key: str, text: str) -> None:
        """Keep one of the values of a repeatable option."""
        self._repeated.setdefault(key, []).append(text)

    def postOptions(self) -> None:
        own = own_config() if self.humane else None
        for path, rank in ((own, 2), (self["config"], 1)):
            section = read_config(path).get(self.section, {}) if path is not None else {}
            for key, text in section.items():
                if text:
                    self._config[key] = Given(text, f"{path}: {key}", rank)
        self.settle()

    def settle(self) -> None:
        """Check everything and keep it as settings; for subclasses."""
        raise NotImplementedError

    def given(self, key: str) -> Given | None:
        """What counts for ``key``; None: its default does."""
        if self.get(key) is not None:
            return Given(self[key], f"--{key}", 0)
        if key in self._config:
            return self._config[key]
        variable = self.variables.get(key)
        if variable and (text := os.environ.get(variable)):
            return Given(text, variable, 3)
        return None

    def every(self, key: str) -> list[Given]:
        """What counts for a repeatable ``key``: all from the command line, else a line each of the file."""
        if key in self._repeated:
            return [Given(text, f"--{key}", 0) for text in self._repeated[key]]
        found = self._config.get(key)
        if found is None:
            return []
        return [Given(line, found.where, found.rank) for line in found.text.splitlines() if line]

    def flag(self, key: str) -> bool:
        """Whether a flag is set, on the command line or by ``yes`` in the file."""
        if self[key]:
            return True
        found = self._config.get(key)
        return found is not None and coerced(found, yes_or_no)

    def value(self, key: str, coerce: Callable[[str], T], default: T) -> T:
        """What was given for ``key``, coerced, or ``default``."""
        given = self.given(key)
        return default if given is None else coerced(given, coerce)


def coerced(given: Given, coerce: Callable[[str], T]) -> T:
    """The value of what was given; a :class:`ValueError` becomes a usage error that says where."""
    try:
        return coerce(given.text)
    except ValueError as problem:
        raise usage.UsageError(f"{given.where}: {problem}") from None


def yes_or_no(text: str) -> bool:
    """The words that an INI file has for it."""
    found = configparser.RawConfigParser.BOOLEAN_STATES.get(text.lower())
    if found is None:
        raise ValueError(f"{text!r} is neither yes nor no")
    return found


def file_path(text: str) -> str:
    """A path, made absolute at once: twistd changes its folder before anything is opened."""
    if not text:
        raise ValueError("the path is empty: give one, or leave the option out")
    if "\0" in text:
        raise ValueError("a path cannot hold a NUL")
    path = os.path.abspath(os.path.expanduser(text))
    if text.startswith("~") and path.startswith(os.path.abspath("~")):
        raise ValueError(f"{text!r}: there is no such user's home folder, give the whole path")
    return path


def own_config() -> str | None:
    """The user's own config file, if there is one."""
    path = platformdirs.user_config_path("p2phole") / "config"
    return str(path) if path.is_absolute() and path.exists() else None


def read_config(path: str) -> dict[str, dict[str, str]]:
    """The sections of an INI file, both plugins' at once, all sections and keys known."""
    try:
        with open(path, "rb") as file:
            data = file.read(_LARGEST_CONFIG + 1)
        text = data.decode("utf-8-sig")
    except OSError as problem:
        raise usage.UsageError(f"--config {path}: cannot be read ({problem.strerror})") from None
    except ValueError:
        raise usage.UsageError(f"--config {path}: is not a text file in UTF-8") from None
    if len(data) > _LARGEST_CONFIG:
        raise usage.UsageError(f"--config {path}: is too large for a config file")
    parser = configparser.RawConfigParser(
        delimiters=("=",),
        default_section="",  # no section applies to the others: [DEFAULT] is an unknown one
    )
    parser.optionxform = str  # type: ignore[assignment,method-assign]
    try:
        parser.read_string(text, source=path)
    except configparser.Error as problem:
        raise usage.UsageError(f"--config {' '.join(str(problem).split())}") from None
    sections = {name: dict(parser[name]) for name in parser.sections()}
    for name, keys in sections.items():
        if name not in SECTIONS:
            raise usage.UsageError(f"--config {path}: unknown section [{name}], known: {_listed(SECTIONS)}")
        known = namedAny(SECTIONS[name]).keys_in_config()
        for key in keys:
            if key not in known:
                raise usage.UsageError(
                    f"--config {path}: unknown key {key!r} in [{name}], known: {_listed(known)}"
                )
    return sections


def _listed(names: Sequence[str] | Mapping[str, object]) -> str:
    return ", ".join(names)


def _printable(text: str) -> str:
    """One line that the standard output can encode: twistd prints usage errors there."""
    encoding = getattr(sys.stdout, "encoding", None) or "ascii"
    return harmless(text).encode(encoding, "backslashreplace").decode(encoding)
