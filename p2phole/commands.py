"""The commands of ``p2phole``: each is a module with its ``Options``, and ``run``, which gives an exit status."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from importlib import import_module
from typing import Any, cast

from twisted.python import usage

from p2phole.options import PlainOptions


@dataclass(frozen=True, slots=True)
class Command:
    """``module`` is imported when it is wanted: ``--help`` is quick without.  ``purpose``: its line there."""

    module: str
    purpose: str

    def options(self) -> usage.Options:
        """What its command line is parsed by."""
        return cast(usage.Options, import_module(self.module).Options())

    def run(self, options: Any) -> int:
        """Do it, to the exit status."""
        return cast(int, import_module(self.module).run(options))


COMMANDS = {
    "broker": Command("p2phole.broker.tap", "introduce peers to each other"),
    "peer": Command("p2phole.peer.tap", "meet the peers of a room and talk to them directly"),
    "chat": Command("p2phole.use.chat.command", "talk to somebody, by a code or in a room"),
    "pipe": Command("p2phole.use.pipe.command", "join standard input and output with those of another machine"),
    "forward": Command("p2phole.use.forward.command", "reach what listens on the other side, as ssh does"),
    "status": Command("p2phole.use.status.command", "show what runs here, and whom it is connected to"),
    "send": Command("p2phole.use.files.send_command", "send files, folders or a text"),
    "receive": Command("p2phole.use.files.receive_command", "receive what is sent"),
    "check": Command("p2phole.check.command", "say what this network does to direct connections"),
    "id": Command("p2phole.people.command", "show this peer's key, keep and name those of others"),
    "secret": Command("p2phole.people.secret", "make a secret for a room"),
    "demo": Command("p2phole.demo", "show all of it on this machine"),
}


class Options(PlainOptions):
    """The commands."""

    longdesc = "A direct TCP connection between two machines behind NATs, introduced by a small broker."

    @property
    def synopsis(self) -> str:
        """The first line of ``--help``; a command's own line starts with it."""
        return "Usage: p2phole" if self.subCommand else "Usage: p2phole COMMAND [options]"

    @property
    def subCommands(self) -> Iterator[tuple[str, None, Any, str]]:
        """As :class:`usage.Options` reads it."""
        for name, command in COMMANDS.items():
            yield name, None, command.options, command.purpose

    def postOptions(self) -> None:
        if self.subCommand is None:
            raise usage.UsageError("which command?")
