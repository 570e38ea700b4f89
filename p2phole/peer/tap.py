"""``twistd p2ppeer``: its options, and its service."""

from __future__ import annotations

import getpass
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

import platformdirs
from twisted.application.service import IService
from twisted.python.usage import UsageError

from p2phole import launch
from p2phole.coercion import broker_address, port_or_zero, seconds
from p2phole.options import ConfigurableOptions, coerced, file_path
from p2phole.peer.settings import RESUME_FOR, PeerSettings
from p2phole.session.frames import MOST_PAYLOAD
from p2phole.text import MAXIMUM_NAME, check_name, without_harm
from p2phole.use.forward.options import ForwardOptions
from p2phole.use.forward.specs import Plan


class Common(ConfigurableOptions):
    """What every peer can be told, whatever it is for; checked, it is in :attr:`settings`."""

    section = "p2ppeer"
    variables = {"broker": "P2PHOLE_BROKER"}
    optParameters: ClassVar[list[list[Any]]] = [
        ["broker", None, None, "HOST[:PORT], or tls:HOST:PORT (required)"],
        ["name", None, None, "shown to the others (default: your user name)"],
        ["room", None, None, "whom to meet (default: lobby)"],
        ["events", None, None, "append events to this file; - is standard output"],
        ["port", None, None, "local port of all connections (default: any)"],
        ["key-file", None, None, "this peer's key (default: in your data folder)"],
        ["secret-file", None, None, "the room's secret: meet only who has it"],
        ["to", None, None, "meet only this one, known by p2phole id"],
        ["broker-ca", None, None, "certificates in PEM to check a tls: broker by"],
        ["resume-for", None, None, "seconds until a lost session is given up"],
    ]
    optFlags: ClassVar[list[list[Any]]] = [
        ["map-port", None, "ask the router to map the port (PCP, NAT-PMP, UPnP)"],
        ["no-host-candidates", None, "tell nobody this machine's own addresses"],
    ]
    settings: PeerSettings

    def settle(self) -> None:
        broker = self.given("broker")
        if broker is None:
            raise UsageError("no broker: give --broker HOST:PORT, or set P2PHOLE_BROKER")
        secret_file, room = self.given("secret-file"), self.given("room")
        if secret_file is not None and room is None:
            raise UsageError(f"{secret_file.where}: a secret is a room's: give --room too")
        address, ca = coerced(broker, broker_address), self.given("broker-ca")
        if ca is not None:
            if not address.tls:
                raise UsageError(f"{ca.where}: {broker.text} is not reached over TLS: give tls:{address}")
            address = replace(address, ca=coerced(ca, path))
        self.settings = PeerSettings(
            broker=address,
            name=self.value("name", lambda text: check_name(text, "name"), None) or user_name(),
            room=self.value("room", lambda text: check_name(text, "room"), "lobby"),
            messages=tuple(coerced(text, message) for text in self.every("message")),
            events=self.value("events", lambda text: text if text == "-" else file_path(text), None),
            port=self.value("port", port_or_zero, 0),
            map_port=self.flag("map-port"),
            key_file=self.value("key-file", path, None) or default_key_file(),
            secret_file=self.value("secret-file", path, None),
            to=self.value("to", lambda text: check_name(text, "name"), None),
            host_candidates=not self.flag("no-host-candidates"),
            resume_for=self.value("resume-for", seconds, RESUME_FOR),
        )


class MessageOptions(ConfigurableOptions):
    """Where there is somebody to read them."""

    def opt_message(self, text: str) -> None:
        """sent to each peer once connected, repeatable"""
        self.collect("message", text)


class Options(ForwardOptions, MessageOptions, Common):
    """What the service can be told."""

    longdesc = (
        "Joins a room at the broker, makes a direct connection to each other peer there, and sends them each "
        "line of its standard input. What they send goes to standard output."
    )


def path(text: str) -> Path:
    """A path, absolute."""
    return Path(file_path(text))


def message(text: str) -> str:
    """A text that can be sent."""
    if not text:
        raise ValueError("the message is empty: give it some text, or leave the option out")
    if (size := len(text.encode("utf-8", "replace"))) > MOST_PAYLOAD:
        raise ValueError(f"the message has {size} bytes: {MOST_PAYLOAD} are allowed, standard input takes more")
    try:
        text.encode()
    except UnicodeEncodeError:
        raise ValueError("the message is not valid UTF-8") from None
    return text


def user_name() -> str:
    """The user's name, as far as it will do as a name; "peer" where there is none."""
    try:
        name = without_harm(getpass.getuser())[:MAXIMUM_NAME].strip()
        return check_name(name, "name")
    except (KeyError, OSError, ImportError, ValueError):  # no such user, as containers have it
        return "peer"


def default_key_file() -> Path:
    """In the folder where this system keeps a user's data."""
    path = platformdirs.user_data_path("p2phole") / "key.pem"
    if not path.is_absolute():
        raise UsageError("this user has no home folder to keep a key in: give --key-file")
    return path


def makeService(options: Options) -> IService:
    """What twistd runs."""
    from twisted.internet import reactor

    return launch.under_twistd(reactor, partial(_build, reactor, options))


def run(options: Options) -> int:
    """What ``p2phole peer`` runs, to its exit status."""
    from twisted.internet import reactor

    return launch.run(reactor, partial(_build, reactor, options))


def _build(reactor: Any, options: Options, fail: launch.Fail) -> IService:
    # Imported when it is wanted: --help is quick without.
    from p2phole.peer.service import make_peer

    if options.plan == Plan():
        return make_peer(reactor, options.settings, fail)
    from p2phole.use.forward.forwarding import Forwarding

    return make_peer(reactor, options.settings, fail, Forwarding(reactor, options.plan))
