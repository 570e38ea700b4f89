"""Lines to messages and back.  Pure: bytes in, dataclasses out; only :class:`BadLine` is raised."""

from __future__ import annotations

import json
import math
import types
from collections.abc import Callable
from dataclasses import MISSING, fields
from typing import Any, TypeVar, get_args, get_type_hints

from p2phole.addresses import KINDS, Candidate, Endpoint
from p2phole.behaviour import ALLOCATIONS, ANSWERS, FILTERINGS, MAPPINGS, Behaviour
from p2phole.errors import RemoteProtocolError
from p2phole.text import harmless
from p2phole.wire import messages
from p2phole.wire.messages import (
    LINKED_PREFIX,
    MAX_BODY,
    MAX_CANDIDATES,
    MAX_LINE,
    MAX_LINKED,
    SPACES,
    Message,
    Possession,
)

_BASE64 = set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/=")
Reader = Callable[[object], object]
M = TypeVar("M", bound=Message)


class BadLine(RemoteProtocolError):
    """{detail}."""

    def __init__(self, code: str, detail: str, retry: float = 0.0) -> None:
        super().__init__(code=code, detail=detail)
        self.code = code
        self.detail = detail
        self.retry = retry


def encode(message: Message) -> bytes:
    """The message's line, without the newline.  Raises :class:`BadLine` if it is over 4,096 bytes."""
    content: dict[str, object] = {"type": type(message).__name__.lower()}
    for field in fields(message):
        content[field.name] = _plain(getattr(message, field.name))
    line = json.dumps(content, ensure_ascii=False, separators=(",", ":")).encode("utf-8")
    if len(line) > MAX_LINE:
        raise BadLine("too-long", f"a line of {len(line)} bytes is over {MAX_LINE}")
    return line


def _plain(value: object) -> object:
    if isinstance(value, Endpoint):
        return str(value)
    if isinstance(value, Candidate):
        return {"kind": value.kind, "endpoint": str(value.endpoint)}
    if isinstance(value, Behaviour | Possession):
        return {field.name: getattr(value, field.name) for field in fields(value)}
    if isinstance(value, tuple):
        return [_plain(item) for item in value]
    return value


def decode_to_broker(line: bytes) -> messages.ToBroker:
    """Read what a peer said.  Raises :class:`BadLine`, whose ``code`` tells the kind."""
    return _decode(line, _TO_BROKER)


def decode_to_peer(line: bytes) -> messages.ToPeer:
    """Read what the broker said.  Raises :class:`BadLine`, whose ``code`` tells the kind."""
    return _decode(line, _TO_PEER)


def _decode(line: bytes, kinds: dict[str, type[M]]) -> M:
    if len(line) > MAX_LINE:
        raise BadLine("too-long", f"a line of {len(line)} bytes is over {MAX_LINE}")
    try:
        content = json.loads(line.decode("utf-8"), parse_constant=_no_constant)
    except (ValueError, RecursionError):
        raise BadLine("bad-json", "a line that is not JSON in UTF-8") from None
    if not isinstance(content, dict):
        raise BadLine("bad-message", "a line that is not a JSON object")
    kind = content.get("type")
    found = kinds.get(kind) if isinstance(kind, str) else None
    if found is None:
        raise BadLine("unknown-type", f"a message of the unknown type {_shown(kind)}")
    values: dict[str, Any] = {}
    for name, reader, required in _SCHEMAS[found]:
        if name not in content:
            if required:
                raise BadLine("bad-message", f"{kind}: {name} is missing")
            continue
        try:
            values[name] = reader(content[name])
        except (ValueError, OverflowError) as error:
            # Cut, so that it fits into an Error, whose texts have 256 characters at the most.
            raise BadLine("bad-message", f"{kind}: {name}: {harmless(str(error))[:160]}") from None
    return found(**values)


def _no_constant(text: str) -> object:
    raise ValueError(f"{text} is not JSON")


def _shown(value: object) -> str:
    return harmless(repr(value)[:40])


def _text(value: object) -> str:
    if not isinstance(value, str) or len(value) > 256:
        raise ValueError("not a text of at most 256 characters")
    value.encode("utf-8")  # a lone surrogate is a UnicodeEncodeError, which is a ValueError
    return value


def _hexadecimal(value: object, digits: int) -> str:
    if not isinstance(value, str) or len(value) != digits or not set(value) <= set("0123456789abcdef"):
        raise ValueError(f"not {digits} hexadecimal digits")
    return value


def _whole(value: object, least: int = 0, most: int = 2**31 - 1) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
        raise ValueError(f"not a whole number from {least} to {most}")
    return value


def _seconds(value: object) -> float:
    if not isinstance(value, (int, float)) or isinstance(value, bool) or not math.isfinite(value) or value < 0:
        raise ValueError("not a number of seconds")
    return float(value)


def _endpoint(value: object) -> Endpoint:
    return Endpoint.parse(_text(value))


def _candidate(value: object) -> Candidate:
    if not isinstance(value, dict) or value.get("kind") not in KINDS:
        raise ValueError("not a candidate of a known kind")
    return Candidate(str(value["kind"]), _endpoint(value.get("endpoint")))


def _nat(value: object) -> Behaviour:
    if not isinstance(value, dict):
        raise ValueError("not an object")
    known = {"mapping": MAPPINGS, "filtering": FILTERINGS, "allocation": ALLOCATIONS, "unsolicited": ANSWERS}
    # A word that is not known here is one of a newer version: it tells nothing.
    return Behaviour(**{key: value[key] for key, words in known.items() if value.get(key) in words})


def _possession(value: object) -> Possession:
    if not isinstance(value, dict):
        raise ValueError("not an object")
    return Possession(
        key=_hexadecimal(value.get("key"), 64),
        nonce=_hexadecimal(value.get("nonce"), 32),
        dialled=_text(value.get("dialled")),
        signature=_hexadecimal(value.get("signature"), 128),
    )


def _body(value: object) -> str:
    if not isinstance(value, str) or len(value) > MAX_BODY or not set(value) <= _BASE64:
        raise ValueError(f"not base64 of at most {MAX_BODY} characters")
    return value


def _word(value: object, words: tuple[str, ...]) -> str:
    if value not in words:
        raise ValueError(f"not one of {', '.join(words)}")
    return str(value)


def _truth(value: object) -> bool:
    if not isinstance(value, bool):
        raise ValueError("not true or false")
    return value


def _many(value: object, reader: Reader, most: int) -> tuple[object, ...]:
    if not isinstance(value, list) or len(value) > most:
        raise ValueError(f"not a list of at most {most}")
    return tuple(reader(item) for item in value)


_BY_NAME: dict[str, Reader] = {
    "fingerprint": lambda value: _hexadecimal(value, 64),
    "instance": lambda value: _hexadecimal(value, 32),
    "token": lambda value: _hexadecimal(value, 32),
    "nonce": lambda value: _hexadecimal(value, 32),
    "possession": _possession,
    "space": lambda value: _word(value, SPACES),
    "body": _body,
    "candidates": lambda value: _many(value, _candidate, MAX_CANDIDATES),
    "linked": lambda value: _many(value, lambda item: _hexadecimal(item, LINKED_PREFIX), MAX_LINKED),
    "nat": _nat,
    "origin": lambda value: _word(value, ("port", "address")),
    "outcome": lambda value: _word(value, ("accepted", "reset", "icmp", "silent")),
    "probe_port": lambda value: _whole(value, 0, 65535),
}
_BY_TYPE: dict[object, Reader] = {
    str: _text,
    int: _whole,
    bool: _truth,
    float: _seconds,
    Endpoint: _endpoint,
}


def _schema(kind: type[Message]) -> tuple[tuple[str, Reader, bool], ...]:
    hints = get_type_hints(kind)
    return tuple(
        (
            field.name,
            _or_empty(_BY_NAME.get(field.name) or _BY_TYPE[hints[field.name]], field.default),
            field.default is MISSING,
        )
        for field in fields(kind)
    )


def _or_empty(reader: Reader, default: object) -> Reader:
    """A text that may be left out may also be empty, whatever it has to be otherwise."""
    return reader if default != "" else lambda value: value if value == "" else reader(value)


def _kinds(union: types.UnionType) -> dict[str, Any]:
    return {kind.__name__.lower(): kind for kind in get_args(union)}


_TO_BROKER: dict[str, type[messages.ToBroker]] = _kinds(messages.ToBroker)
_TO_PEER: dict[str, type[messages.ToPeer]] = _kinds(messages.ToPeer)
_SCHEMAS: dict[type, tuple[tuple[str, Reader, bool], ...]] = {
    kind: _schema(kind) for kind in (*_TO_BROKER.values(), *_TO_PEER.values())
}
