"""What witnesses of a connection say, and whether they agree: two peers' events and the kernel.  Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from p2phole.kernel import ESTABLISHED, LISTEN, Socket

Event = Mapping[str, Any]


class NotDirect(Exception):
    """The events say that there is no direct connection, in a sentence."""


@dataclass(frozen=True, slots=True)
class Statement:
    """What one peer's events say of its connection; ``shared_port``: from where it came to the broker."""

    name: str
    id: str
    connected_id: str
    local: str
    remote: str
    shared_port: int
    seconds: float


def parse_events(data: bytes) -> list[Event]:
    """The events in a file that is still being written: an unfinished last line does not count yet."""
    return [json.loads(line) for line in data.split(b"\n")[:-1]]


def has_message(events: Sequence[Event], direction: str, text: str) -> bool:
    """Whether this text came in ("in"), or was acknowledged by the other side ("out")."""
    wanted = ("message", direction, text)
    return any((event["event"], event.get("direction"), event.get("text")) == wanted for event in events)


def statement(name: str, events: Sequence[Event], other: str) -> Statement | None:
    """What the events of ``name`` say of its connection to ``other``; None: nothing yet.

    :raises NotDirect: there will be none, or it is not direct.
    """
    found: dict[str, Event] = {}
    for event in events:
        if event["event"] == "failed":
            raise NotDirect(f"{name} cannot reach {event['peer']} ({event['reason']}): {event['detail']}")
        if event.get("peer", other) == other:
            found.setdefault(event["event"], event)
    registered, connected = found.get("registered"), found.get("connected")
    if registered is None or connected is None:
        return None
    if connected["path"] != "direct":
        raise NotDirect(f"{name} is connected to {other}, but not directly: {connected['path']}")
    return Statement(
        name=name,
        id=registered["id"],
        connected_id=connected["id"],
        local=connected["local"],
        remote=connected["remote"],
        shared_port=_port(registered["local"]),
        seconds=connected["seconds"],
    )


def contradiction(one: Statement, two: Statement) -> str | None:
    """Where the two peers' events do not fit together; None: nowhere."""
    for mine, other in ((one, two), (two, one)):
        if mine.local != other.remote:
            return f"{mine.name} says that it is at {mine.local}, {other.name} sees it at {other.remote}"
        if mine.connected_id != other.id:
            return f"{mine.name} is connected to the key {mine.connected_id}, {other.name} has {other.id}"
        if _port(mine.local) != mine.shared_port:
            return f"{mine.name} uses port {mine.shared_port} to the broker, but {mine.local} to {other.name}"
    return None


def disagreement(told: Statement, sockets: Sequence[Socket], broker_port: int) -> str | None:
    """Where the kernel's list for a peer does not bear out its events; None: nowhere."""
    shared = [entry for entry in sockets if entry.local.port == told.shared_port]
    if not any(entry.state == LISTEN for entry in shared):
        return f"the kernel knows no acceptor of {told.name} on port {told.shared_port}"
    if not _to_broker(shared, broker_port):
        return f"the kernel knows no connection of {told.name} to the broker from port {told.shared_port}"
    return _no_direct(told, sockets)


def disagreement_after(told: Statement, sockets: Sequence[Socket], broker_port: int) -> str | None:
    """The same when the broker is gone: the direct connection is the old one, and no other is left."""
    if _to_broker(sockets, broker_port):
        return f"the kernel still has a connection of {told.name} to the broker"
    return _no_direct(told, sockets)


def _no_direct(told: Statement, sockets: Sequence[Socket]) -> str | None:
    for entry in sockets:
        if entry.state == ESTABLISHED and (str(entry.local), str(entry.remote)) == (told.local, told.remote):
            return None
    return f"the kernel knows no connection of {told.name} from {told.local} to {told.remote}"


def _to_broker(sockets: Sequence[Socket], port: int) -> bool:
    return any(entry.state == ESTABLISHED and entry.remote and entry.remote.port == port for entry in sockets)


def _port(endpoint: str) -> int:
    return int(endpoint.rpartition(":")[2])
