"""What the user of a chat types: something to say, or a command; and how both are completed.  Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

COMMANDS = {
    "who": ("", "who is here, and how"),
    "to": ("NAME", "talk to this one only; without a name to everybody again"),
    "send": ("FILE", "send a file or a folder to the other one, or to whom /to has chosen"),
    "take": ("", "take what is offered, into the folder that the chat was started in"),
    "refuse": ("", "do not"),
    "quit": ("", "leave; so do ctrl-C, and ctrl-D on an empty line"),
    "help": ("", "this"),
}
"""What follows each, and what it does."""
WITH_NAME = ("to",)
WITH_FILE = ("send",)
HELP = (
    *(f"/{name} {follows}".rstrip() + f": {does}" for name, (follows, does) in COMMANDS.items()),
    "Tab completes, PageUp and PageDown scroll. // begins a line that begins with a slash.",
    "\N{HORIZONTAL ELLIPSIS} waits   \N{CHECK MARK} sent   \N{CHECK MARK}\N{CHECK MARK} arrived   "
    "\N{BALLOT X} may not have arrived",
)


@dataclass(frozen=True, slots=True)
class Said:
    """Something to say."""

    text: str


@dataclass(frozen=True, slots=True)
class Command:
    """One of :data:`COMMANDS`, and what follows it."""

    name: str
    argument: str = ""


@dataclass(frozen=True, slots=True)
class Unknown:
    """Something like a command that there is not."""

    name: str


def read(line: str) -> Said | Command | Unknown:
    """What a line means."""
    if not line.startswith("/"):
        return Said(line)
    if line.startswith("//"):
        return Said(line[1:])
    name, _, argument = line[1:].partition(" ")
    return Command(name, argument.strip()) if name in COMMANDS else Unknown(name)


def file_begun(before: str) -> str | None:
    """The beginning of a path that stands before the cursor; None: none is due there."""
    command, space, argument = before.removeprefix("/").partition(" ")
    return argument if before.startswith("/") and space and command in WITH_FILE else None


def completions(before: str, names: Sequence[str]) -> Iterator[tuple[int, str]]:
    """What may stand before the cursor instead: of the text there the last so many characters are replaced."""
    if before.startswith("/") and not before.startswith("//"):
        command, space, argument = before[1:].partition(" ")
        if not space:
            for name, (follows, _) in COMMANDS.items():
                if name.startswith(command):
                    yield len(before), f"/{name}" + (" " if follows else "")
        elif command in WITH_NAME:
            yield from ((len(argument), name) for name in names if _begins(name, argument.lstrip()))
        return
    word = before.rpartition(" ")[2]
    if word:
        # Whom a line is for stands at its beginning.
        after = ": " if word == before else ""
        yield from ((len(word), name + after) for name in names if _begins(name, word))


def _begins(name: str, start: str) -> bool:
    return name.casefold().startswith(start.casefold())
