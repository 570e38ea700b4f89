"""UPnP-IGD, by ``miniupnpc`` in a process of its own; see :mod:`~p2phole.punch.portmap.upnp_child`."""

from __future__ import annotations

import importlib.util
import json
import os
import sys
from collections.abc import Mapping
from contextlib import suppress
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any
from typing import Protocol as Interface

from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.error import ProcessExitedAlready
from twisted.internet.interfaces import IProcessTransport
from twisted.internet.protocol import ProcessProtocol
from twisted.python.failure import Failure

from p2phole.addresses import Endpoint
from p2phole.punch.portmap.grant import LEASE, Grant, NoMapping, Refused
from p2phole.punch.portmap.ways import believed, suggestion
from p2phole.text import harmless

CHILD_SECONDS = 4
"""After which the process ends by itself.  Whoever waits for it may lose patience earlier."""
NAME = "UPnP"
MOST_OUTPUT = 4096
MOST_SHOWN = 200
MOST_LOCATION = 400
ANY = "-"
"""For the child: not known."""
_CHILD = Path(__file__).with_name("upnp_child.py")


class ProcessReactor(Interface):
    """What is used of a reactor: ``IReactorProcess``."""

    def spawnProcess(
        self, processProtocol: ProcessProtocol, executable: str, args: list[str], env: Mapping[str, str] | None
    ) -> IProcessTransport:
        """See ``IReactorProcess``."""


def parse_grant(output: bytes) -> tuple[Grant, str]:
    """What was granted, and the router's location for the child, from what the child printed.

    Raises :class:`Refused`, and nothing else.
    """
    try:
        answer = json.loads(output)
    except (ValueError, RecursionError):
        raise Refused(way=NAME, why="the answer cannot be read" if output else "no answer") from None
    if isinstance(answer, dict) and "error" in answer:
        # It may quote the router.
        raise Refused(way=NAME, why=harmless(str(answer["error"])[:MOST_SHOWN]))
    match answer:
        case {"ip": str(ip), "port": int(port), "seconds": int(seconds), "location": str(location)}:
            # It will be an argument of a command.
            usable = location.isascii() and location.isprintable() and len(location) < MOST_LOCATION
            try:
                return believed(NAME, IPv4Address(ip), port, seconds), location if usable else ANY
            except ValueError:
                raise Refused(way=NAME, why="the router names no IPv4 address as its own") from None
    raise Refused(way=NAME, why="something is missing in the answer")


class _Child(ProcessProtocol):
    def __init__(self) -> None:
        self.done: Deferred[bytes] = Deferred(lambda _: self.kill())
        self.output = b""

    def outReceived(self, data: bytes) -> None:
        self.output += data
        if len(self.output) > MOST_OUTPUT:
            self.kill()

    def errReceived(self, data: bytes) -> None:
        """What C code complains about is nothing for this log."""

    def processEnded(self, reason: Failure) -> None:
        if not self.done.called:
            self.done.callback(self.output)

    def kill(self) -> None:
        """End the process, if it is there still."""
        transport: Any = self.transport
        with suppress(ProcessExitedAlready):
            transport.signalProcess("KILL")


class Upnp:
    """UPnP-IGD.  ``gateway``: None where it is not known; then whichever router answers is taken."""

    name = NAME

    def __init__(
        self, reactor: ProcessReactor, gateway: IPv4Address | None, port: int, installed: bool | None = None
    ) -> None:
        self._reactor = reactor
        self._gateway = str(gateway) if gateway is not None else ANY
        self._port = port
        self._installed = installed
        self._external: int | None = None
        self._location = ANY

    def ask(self, wanted: Endpoint | None) -> Deferred[Grant]:
        """See :class:`~p2phole.punch.portmap.ways.Way`."""
        if self._installed is None:
            self._installed = importlib.util.find_spec("miniupnpc") is not None
        if not self._installed:
            return fail(NoMapping(way=NAME, why='miniupnpc is not installed; it comes with the extra "upnp"'))
        return Deferred.fromCoroutine(self._ask(suggestion(self._port, wanted)))

    async def _ask(self, wanted: int) -> Grant:
        # The next time it may be elsewhere: that is a router that was started anew.
        location, self._location = self._location, ANY
        output = await self._run("map", str(self._port), str(wanted), str(LEASE), location)
        found, self._location = parse_grant(output)
        self._external = found.external.port
        return found

    def check(self) -> Deferred[bool]:
        """See :class:`~p2phole.punch.portmap.ways.Way`: UPnP has no clock to look at, only the renewal tells."""
        return succeed(True)

    def release(self) -> Deferred[None]:
        """See :class:`~p2phole.punch.portmap.ways.Way`.  The child goes on when nobody waits for it any more."""
        if self._external is None:
            return succeed(None)
        waiting: Deferred[None] = Deferred()
        done = self._run("unmap", str(self._external), self._location)
        done.addBoth(lambda _: None if waiting.called else waiting.callback(None))
        return waiting

    def _run(self, *order: str) -> Deferred[bytes]:
        child = _Child()
        # -P: nothing that lies in the folder where this was started is imported.
        command = [sys.executable, "-P", str(_CHILD), *order, self._gateway, str(CHILD_SECONDS)]
        try:
            self._reactor.spawnProcess(child, command[0], command, env=dict(os.environ))
        except OSError as error:
            return fail(NoMapping(way=self.name, why=f"no process could be started ({error})"))
        return child.done
