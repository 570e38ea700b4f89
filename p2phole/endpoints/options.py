"""What an endpoint is told: by a program, or in a ``p2p:`` string.  Every error is a :class:`ValueError` with a
sentence."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from twisted.python.usage import UsageError

from p2phole.coercion import broker_address, port_or_zero, seconds
from p2phole.options import yes_or_no
from p2phole.peer import tap
from p2phole.peer.settings import RESUME_FOR, PeerSettings
from p2phole.text import check_name

PURPOSE = "endpoint"
"""What streams of endpoints are opened for; of those with a service of its own: ``endpoint.SERVICE``."""
TIMEOUT = 30.0
"""Seconds, as Twisted's own endpoints have them."""
_SERVICE = re.compile("[a-z0-9][a-z0-9.-]{0,54}")

# The options of a string that make up the settings of a peer: what each is called there, and how it is read.
_OF_PEER: dict[str, tuple[str, Callable[[str], Any]]] = {
    "broker": ("broker", str),
    "room": ("room", str),
    "secretFile": ("secret_file", str),
    "name": ("name", str),
    "to": ("to", str),
    "keyFile": ("key_file", str),
    "brokerCa": ("broker_ca", str),
    "port": ("port", port_or_zero),
    "mapPort": ("map_port", yes_or_no),
    "hostCandidates": ("host_candidates", yes_or_no),
    "resumeFor": ("resume_for", seconds),
}
_OF_BOTH = (*_OF_PEER, "service")
_OF_CLIENT = (*_OF_BOTH, "timeout")


def purpose(service: str) -> str:
    """What to open streams for."""
    if service and not _SERVICE.fullmatch(service):
        raise ValueError(f"service: {service!r} is none: give 1 to 55 of a-z 0-9 . -, the first one of a-z 0-9")
    return f"{PURPOSE}.{service}" if service else PURPOSE


def timeout(text: str) -> float:
    """Seconds, more than none."""
    found = seconds(text)
    if not found:
        raise ValueError("nobody is reached in 0 seconds: give it more")
    return found


def peer_settings(
    broker: str | None = None,
    *,
    room: str | None = None,
    secret_file: str | Path | None = None,
    name: str | None = None,
    to: str | None = None,
    key_file: str | Path | None = None,
    broker_ca: str | Path | None = None,
    port: int = 0,
    map_port: bool = False,
    host_candidates: bool = True,
    resume_for: float = RESUME_FOR,
) -> PeerSettings:
    """The settings of the peer by which an endpoint connects or listens: as the options of ``p2ppeer``, with
    their defaults.  ``broker``: as ``--broker`` has it, or in ``P2PHOLE_BROKER``."""
    broker = broker or os.environ.get("P2PHOLE_BROKER")
    if not broker:
        raise ValueError("no broker: give it as broker, or set P2PHOLE_BROKER")
    address = named("broker", broker_address, broker)
    if secret_file is not None and room is None:
        raise ValueError("secretFile: a secret is a room's: give room, too")
    if broker_ca is not None:
        if not address.tls:
            raise ValueError(f"brokerCa: {broker} is not reached over TLS")
        address = replace(address, ca=named("brokerCa", tap.path, str(broker_ca)))
    try:
        key = named("keyFile", tap.path, str(key_file)) if key_file is not None else tap.default_key_file()
    except UsageError:
        raise ValueError("keyFile: this user has no home folder to keep a key in: give one") from None
    return PeerSettings(
        broker=address,
        name=tap.user_name() if name is None else named("name", check_name, name, "name"),
        key_file=key,
        room="lobby" if room is None else named("room", check_name, room, "room"),
        secret_file=None if secret_file is None else named("secretFile", tap.path, str(secret_file)),
        to=None if to is None else named("to", check_name, to, "name"),
        port=port,
        map_port=map_port,
        host_candidates=host_candidates,
        resume_for=resume_for,
    )


def read_string(
    arguments: Sequence[str], options: Mapping[str, str], client: bool
) -> tuple[str | None, PeerSettings, str, float]:
    """What stands in a ``p2p:`` string: whom to call, the peer's settings, the service, the timeout; the first and
    the last one are a client's."""
    known = _OF_CLIENT if client else _OF_BOTH
    for option in options:
        if option not in known:
            raise ValueError(f"p2p: unknown option {option!r}, known: {', '.join(known)}")
    if len(arguments) > client:
        extra = arguments[client]
        raise ValueError(f"p2p: {extra!r} is one part too many: within a value a colon is written \\:")
    try:
        whom = named("whom to call", check_name, arguments[0], "name") if arguments else None
        given = {
            python: named(option, read, options[option])
            for option, (python, read) in _OF_PEER.items()
            if option in options
        }
        until = named("timeout", timeout, options["timeout"]) if "timeout" in options else TIMEOUT
        purpose(service := options.get("service", ""))
        settings = peer_settings(**given)
        if client:
            whom_to_call(whom, settings)
        return whom, settings, service, until
    except ValueError as problem:
        raise ValueError(f"p2p: {problem}") from None


def whom_to_call(name: str | None, settings: PeerSettings) -> str:
    """The one that is called: by that name, or the only one that is met."""
    if (name is None) == (settings.to is None):
        raise ValueError("whom to call? give a name, as in p2p:bob:…, or to=NAME for one who is known; not both")
    return name or settings.to or ""


def named(what: str, read: Callable[..., Any], *given: Any) -> Any:
    """What is read, or an error that says of what."""
    try:
        return read(*given)
    except ValueError as problem:
        raise ValueError(f"{what}: {problem}") from None
