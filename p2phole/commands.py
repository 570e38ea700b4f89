"""The commands of ``p2phole``: the two services by the same code as under twistd, the check of a
network, the keys of people, secrets, and the demonstration."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

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
        """As :class:`usage.Options` reads it; a command is imported when it is wanted."""
        yield "broker", None, _broker_options, "introduce peers to each other"
        yield "peer", None, _peer_options, "meet the peers of a room and talk to them directly"
        yield "chat", None, _chat_options, "talk to somebody, by a code or in a room"
        yield "pipe", None, _pipe_options, "join standard input and output with those of another machine"
        yield "forward", None, _forward_options, "reach what listens on the other side, as ssh -L, -R and -W do"
        yield "check", None, _check_options, "say what this network does to direct connections"
        yield "id", None, _id_options, "show this peer's key, keep and name those of others"
        yield "secret", None, _secret_options, "make a secret for a room"
        yield "demo", None, DemoOptions, "show all of it on this machine"

    def postOptions(self) -> None:
        if self.subCommand is None:
            raise usage.UsageError("which command?")


def broker(options: Any) -> int:
    """``p2phole broker``."""
    from p2phole.broker.tap import run

    return run(options)


def peer(options: Any) -> int:
    """``p2phole peer``."""
    from p2phole.peer.tap import run

    return run(options)


def chat(options: Any) -> int:
    """``p2phole chat``."""
    from p2phole.use.chat import run

    return run(options)


def pipe(options: Any) -> int:
    """``p2phole pipe``."""
    from p2phole.use.piping import run

    return run(options)


def forward(options: Any) -> int:
    """``p2phole forward``."""
    from p2phole.use.forward import run

    return run(options)


def check(options: Any) -> int:
    """``p2phole check``."""
    from p2phole.check.command import run

    return run(options)


def identity(options: Any) -> int:
    """``p2phole id``."""
    from p2phole.people.command import run

    return run(options)


def secret(options: Any) -> int:
    """``p2phole secret``."""
    from p2phole.people.secret import run

    return run(options)


def demo(options: Any) -> int:
    """``p2phole demo``."""
    from p2phole.demo import demonstrate

    return demonstrate()


COMMANDS = {
    "broker": broker,
    "peer": peer,
    "chat": chat,
    "pipe": pipe,
    "forward": forward,
    "check": check,
    "id": identity,
    "secret": secret,
    "demo": demo,
}


def _broker_options() -> usage.Options:
    from p2phole.broker.tap import Options

    return Options()


def _peer_options() -> usage.Options:
    from p2phole.peer.tap import Options

    return Options()


def _chat_options() -> usage.Options:
    from p2phole.use.chat import Options

    return Options()


def _pipe_options() -> usage.Options:
    from p2phole.use.piping import Options

    return Options()


def _forward_options() -> usage.Options:
    from p2phole.use.forward import Options

    return Options()


def _check_options() -> usage.Options:
    from p2phole.check.command import Options

    return Options()


def _id_options() -> usage.Options:
    from p2phole.people.command import Options

    return Options()


def _secret_options() -> usage.Options:
    from p2phole.people.secret import Options

    return Options()  # type: ignore[no-untyped-call]
