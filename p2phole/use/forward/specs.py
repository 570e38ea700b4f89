"""What is forwarded and what is allowed, as ssh has them on its command line.  Pure.

A host is a name or an address; names count as they are written (small letters, IDNA), addresses in their
shortest spelling.  Nothing is looked up here: ``localhost`` and ``127.0.0.1`` are two hosts.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from ipaddress import ip_address

HIGHEST_PORT = 65535
MOST_PATH = 107
"""Bytes in the path of a Unix socket (``sun_path``, with its NUL)."""
CONNECT = "connect"
"""Purpose of a stream that is to be joined to a new connection; the argument is where to."""
LISTEN = "listen"
"""Purpose of a stream as long as which somebody listens; the argument is a number, a space, and where to."""
ARRIVAL = "arrival"
"""Purpose of a stream for what has come to such a listener; the argument is its number."""
NOT_ALLOWED = "not allowed"
"""Why a stream is refused that asks for what nobody has allowed."""

LOCALHOST = "localhost"
ANY = "*"

_FORBIDDEN = re.compile(r"[\s\x00-\x20\x7f/\\@?#\[\]:,;\"'<>*]")
_NUMBER_LAST = re.compile(r"(^|\.)([0-9]+|0x[0-9a-f]*)\.?$", re.IGNORECASE)
_FIELD = re.compile(r"(?:\\.|[^:\\])*", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Address:
    """A host and a TCP port.  To listen on, ``localhost`` is loopback, ``*`` is everywhere, port 0 is any."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


@dataclass(frozen=True, slots=True)
class SocketPath:
    """A Unix socket; the path is absolute."""

    path: str

    def __str__(self) -> str:
        return self.path


Target = Address | SocketPath


@dataclass(frozen=True, slots=True)
class Forward:
    """Whoever connects to ``listen`` on one side gets ``target`` on the other."""

    listen: Target
    target: Target

    def __str__(self) -> str:
        return f"{self.listen} to {self.target}"


@dataclass(frozen=True, slots=True)
class Permit:
    """What the other side may ask for: a host and a port (``*`` and None: any), or a path, and nothing else."""

    host: str
    port: int | None

    def permits(self, target: Target) -> bool:
        """Whether it is this that is asked for, letter by letter."""
        if isinstance(target, SocketPath):
            return self.host == target.path
        return self.host in (ANY, target.host) and self.port in (None, target.port)


@dataclass(frozen=True, slots=True)
class Plan:
    """What is forwarded to the other side, what from there to here, and what that side may ask of this one."""

    forwards: tuple[Forward, ...] = ()
    remote_forwards: tuple[Forward, ...] = ()
    allow: tuple[Permit, ...] = ()
    allow_listen: tuple[Permit, ...] = ()


def permitted(permits: Iterable[Permit], target: Target) -> bool:
    """Whether one of them permits it."""
    return any(permit.permits(target) for permit in permits)


# From an option's text.  Each raises ValueError with a sentence.


def forward(text: str) -> Forward:
    """``[ADDR:]PORT:HOST:PORT``; either end may be the path of a Unix socket."""
    usage = f"{text!r} is not [ADDR:]PORT:HOST:PORT"
    fields = _split(text, usage)
    at = -1 if fields[-1].is_path else -2
    return Forward(_listen(fields[:at], usage), _target(fields[at:], usage))


def target(text: str) -> Target:
    """``HOST:PORT``, or the path of a Unix socket."""
    usage = f"{text!r} is not HOST:PORT"
    return _target(_split(text, usage), usage)


def allowed(text: str) -> Permit:
    """What the other side may connect to: ``HOST:PORT``, either of them perhaps ``*``; or a path."""
    usage = f"{text!r} is not HOST:PORT"
    match _split(text, usage):
        case [_Field(is_path=True) as path]:
            return Permit(_path(path).path, None)
        case [host, port]:
            return Permit(ANY if host == _EVERYTHING else _host(host, usage), _port_or_any(port, least=1))
    raise ValueError(usage)


def allowed_to_listen(text: str) -> Permit:
    """What the other side may have listened on: ``[ADDR:]PORT``, either of them perhaps ``*``; or a path."""
    usage = f"{text!r} is not [ADDR:]PORT"
    match _split(text, usage):
        case [_Field(is_path=True) as path]:
            return Permit(_path(path).path, None)
        case [*interface, port] if len(interface) < 2:
            return Permit(_interface(interface, usage), _port_or_any(port, least=0))
    raise ValueError(usage)


# From what the other side asks for: only as this side would have written it.


def asked_target(argument: bytes) -> Target:
    """Where to connect to.  Raises :class:`ValueError`."""
    return _same(argument, _target)


def asked_listen(argument: bytes) -> Target:
    """Where to listen.  Raises :class:`ValueError`."""
    return _same(argument, _listen)


def _same(argument: bytes, parse: Callable[[list[_Field], str], Target]) -> Target:
    text = argument.decode()
    usage = f"{text!r} makes no sense here"
    found = parse([_Field(text, is_path=True)] if text.startswith("/") else _split(text, usage), usage)
    if str(found) != text:
        raise ValueError(usage)
    return found


# Inside.


@dataclass(frozen=True, slots=True)
class _Field:
    """Between two colons.  ``bracketed``: it stood in brackets."""

    text: str
    is_path: bool = False
    bracketed: bool = False


_EVERYTHING = _Field(ANY)


def _split(text: str, usage: str) -> list[_Field]:
    """The fields; one in brackets, or a path in which a backslash stands before it, may hold colons."""
    fields: list[_Field] = []
    at = 0
    while True:
        if text.startswith("[", at):
            end = text.find("]", at)
            if end < 0:
                raise ValueError(f"{usage}: a bracket is not closed")
            fields.append(_Field(text[at + 1 : end], bracketed=True))
            end += 1
        else:
            match = _FIELD.match(text, at)
            assert match is not None  # it matches nothing, too
            end = match.end()
            piece = match[0]
            if piece.startswith("/"):
                fields.append(_Field(re.sub(r"\\(.)", r"\1", piece, flags=re.DOTALL), is_path=True))
            else:
                fields.append(_Field(piece))
        if end == len(text):
            return fields
        if text[end] != ":":
            raise ValueError(usage)
        at = end + 1


def _listen(fields: list[_Field], usage: str) -> Target:
    match fields:
        case [_Field(is_path=True) as path]:
            return _path(path)
        case [*interface, port] if len(interface) < 2:
            return Address(_interface(interface, usage), _port(port, least=0))
    raise ValueError(usage)


def _target(fields: list[_Field], usage: str) -> Target:
    match fields:
        case [_Field(is_path=True) as path]:
            return _path(path)
        case [host, port]:
            return Address(_host(host, usage), _port(port, least=1))
    raise ValueError(usage)


def _path(field: _Field) -> SocketPath:
    if "\0" in field.text:
        raise ValueError("a path cannot hold a NUL")
    if len(field.text.encode()) > MOST_PATH:
        raise ValueError(f"{field.text!r} is too long for the path of a socket: {MOST_PATH} bytes are the most")
    return SocketPath(field.text)


def _interface(fields: list[_Field], usage: str) -> str:
    """Addresses of this machine: as for ssh, no field is loopback, and an empty one everywhere."""
    if not fields:
        return LOCALHOST
    return ANY if fields[0] in (_EVERYTHING, _Field("")) else _host(fields[0], usage)


def _host(field: _Field, usage: str) -> str:
    text = field.text
    try:
        return str(ip_address(text))
    except ValueError:
        pass
    if field.bracketed:
        raise ValueError(f"{usage}: {text!r} in brackets is no IPv6 address")
    # getaddrinfo would read "9000" as the address 0.0.35.40, and "0x7f.1" as loopback.
    if not text or _FORBIDDEN.search(text) or _NUMBER_LAST.search(text):
        raise ValueError(f"{usage}: {text!r} is neither a host name nor an address")
    try:
        return text.encode("idna").decode("ascii").lower()
    except UnicodeError:
        raise ValueError(f"{usage}: {text!r} cannot be a host name") from None


def _port(field: _Field, least: int) -> int:
    text = field.text
    # int() alone would take "1_000", " 5 " and the digits of every script.
    if field.bracketed or not re.fullmatch("[0-9]{1,5}", text) or not least <= int(text) <= HIGHEST_PORT:
        raise ValueError(f"{text!r} is not a port: give a number from {least} to {HIGHEST_PORT}")
    return int(text)


def _port_or_any(field: _Field, least: int) -> int | None:
    return None if field == _EVERYTHING else _port(field, least)
