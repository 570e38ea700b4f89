"""The product in a laboratory: brokers and peers as programs of hosts, and their events.

::

    with Laboratory() as lab:
        start_broker(lab)
        alice = start_peer(lab.site("alice", Masquerade()), "alice", message="hello")
        bob = start_peer(lab.site("bob", Masquerade()), "bob")
        bob.wait("message", text="hello", direction="in")

Whatever a scenario waits for and does not get ends it with the last lines of every log.
"""

from __future__ import annotations

import itertools
import json
import os
import subprocess
import sys
import unittest
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import IO, Any

from tests.natlab.laboratory import Laboratory, unavailable
from tests.natlab.namespace import ROOT, Host
from tests.natlab.probes import DEADLINE, connected, wait_until

BROKER_PORT = 9000
BROKER = f"198.51.100.1:{BROKER_PORT}"
"""Where a laboratory's first broker is unless told otherwise."""

_TWISTD = "from twisted.scripts.twistd import run; run()"
_TAIL = 15

Event = dict[str, Any]
Option = str | int | float | bool | os.PathLike[str] | Sequence[str] | None


class ScenarioError(AssertionError):
    """Something that a scenario waited for did not happen; with the logs."""


def require_laboratory() -> None:
    """For ``setUp``: skip with the reason where there can be no laboratory; root in CI must have one."""
    reason = unavailable()
    if reason is None:
        return
    if os.environ.get("CI") and os.geteuid() == 0:
        raise AssertionError(f"in CI, as root, the laboratory may not be skipped: {reason}")
    raise unittest.SkipTest(reason)


class Events:
    """An events file that somebody else is writing."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._position = 0
        self._events: list[Event] = []

    def all(self, event: str | None = None, **keys: Any) -> list[Event]:
        """Those complete by now; optionally of one kind, and with these values."""
        try:
            with open(self.path, "rb") as stream:
                stream.seek(self._position)
                text = stream.read()
        except FileNotFoundError:
            text = b""
        complete = text[: text.rfind(b"\n") + 1]  # What follows is a line that is still being written.
        self._position += len(complete)
        self._events += [json.loads(line) for line in complete.splitlines()]
        return [
            found
            for found in self._events
            if event in (None, found["event"]) and all(found.get(key) == keys[key] for key in keys)
        ]


class Program:
    """A program that runs on a host: ``events`` is its events file; ``output``, ``log``: its two outputs."""

    def __init__(
        self,
        host: Host,
        name: str,
        command: Callable[[Path], Sequence[str]],
        stdin: int | IO[bytes] = subprocess.PIPE,
    ) -> None:
        """``command``: the command line, from the path of the events file to write."""
        folder = host.site.keeper.folder
        # Each start has files of its own: a scenario may start a program of one name again.
        label = next(name for name in _labels(name) if not (folder / name).exists())
        self.home = folder / label
        self.home.mkdir()
        self.host = host
        self.name = name
        self.output = self.home / "output"
        self.log = self.home / "log"
        self.events = Events(self.home / "events")
        self.process = host.start(
            command(self.events.path),
            stdin=stdin,
            stdout=self.output,
            stderr=self.log,
            env=_environment(self.home),
            cwd=self.home,
        )

    def wait(
        self,
        event: str,
        timeout: float = DEADLINE,
        where: Callable[[Event], bool] | None = None,
        count: int = 1,
        **keys: Any,
    ) -> Event:
        """Wait for an event of this kind with these values, for which ``where`` (if given) is true.

        It may have been there before. With ``count``: wait for so many, and answer with the last of these.
        """

        def found() -> Event | None:
            ended = self.process.poll() is not None
            matching = [seen for seen in self.events.all(event, **keys) if where is None or where(seen)]
            if len(matching) >= count:
                return matching[count - 1]
            if ended:
                raise AssertionError(f"{self.name} ended with status {self.process.returncode} before")
            return None

        what = f"{self.name}: {count} event(s) {event} {keys or ''}"
        try:
            return wait_until(found, what, timeout)
        except AssertionError as error:
            raise ScenarioError(f"{what}\n{error}\n{report(self.home.parent)}") from None

    def say(self, line: str) -> None:
        """Write a line to its standard input."""
        assert self.process.stdin is not None
        self.process.stdin.write(line.encode() + b"\n")
        self.process.stdin.flush()

    def stop(self, timeout: float = DEADLINE) -> int:
        """Send SIGTERM and wait; its exit status."""
        self.process.terminate()
        try:
            return self.process.wait(timeout)
        except subprocess.TimeoutExpired:
            text = f"{self.name} does not end on SIGTERM\n{report(self.home.parent)}"
            raise ScenarioError(text) from None


def start_broker(lab: Laboratory, host: Host | None = None, port: int = BROKER_PORT, **options: Option) -> Program:
    """Start ``twistd -n p2pbroker`` and wait until it listens.

    ``host``: by default the laboratory's site ``broker``, made now if there is none. Options: see
    :func:`arguments`.
    """
    if host is None:
        host = lab.sites["broker"].hosts[0] if "broker" in lab.sites else lab.broker()
    broker = start_plugin(host, "p2pbroker", host.name, port=port, **options)

    def listens() -> bool:
        if broker.process.poll() is not None:
            raise AssertionError(f"it ended with status {broker.process.returncode}")
        try:
            with connected(host, host.address, port):
                return True
        except ConnectionRefusedError:
            return False

    try:
        wait_until(listens, "listening")
    except AssertionError as error:
        raise ScenarioError(f"{broker.name}: {error}\n{report(lab.folder)}") from None
    return broker


def start_peer(host: Host, name: str, broker: str = BROKER, **options: Option) -> Program:
    """Start ``twistd -n p2ppeer`` with an events file of its own; do not wait for anything.

    Its key is that of the host and name: started again it is the same peer.
    """
    key_file = host.site.keeper.folder / f"{host.name}-{name}.key"
    return start_plugin(host, "p2ppeer", name, **{"key_file": key_file, **options}, broker=broker, name=name)


def start_command(
    host: Host,
    name: str,
    *words: str | os.PathLike[str],
    stdin: int | IO[bytes] = subprocess.PIPE,
    broker: str = BROKER,
    **options: Option,
) -> Program:
    """Start ``p2phole WORDS``, a command that people use, with an events file and a key of its own."""
    key_file = host.site.keeper.folder / f"{host.name}-{name}.key"

    def command(events: Path) -> list[str]:
        given = arguments({"key_file": key_file, **options, "broker": broker, "events": events})
        return [sys.executable, "-m", "p2phole", *map(os.fspath, words), *given]

    return Program(host, name, command, stdin)


def start_plugin(host: Host, plugin: str, label: str, /, **options: Option) -> Program:
    """Start a twistd plugin with these options; a peer also gets ``--events``."""

    def command(events: Path) -> list[str]:
        extra: dict[str, Option] = {"events": events} if plugin == "p2ppeer" else {}
        return [sys.executable, "-c", _TWISTD, "-n", plugin, *arguments({**extra, **options})]

    return Program(host, label, command)


def arguments(options: Mapping[str, Option]) -> list[str]:
    """``probe_port=9001``: ``--probe-port=9001``; True: a flag; a sequence: repeated; None: nothing."""
    result = []
    for key, value in options.items():
        option = "--" + key.replace("_", "-")
        if value is True:
            result.append(option)
        elif value is None or value is False:
            continue
        elif isinstance(value, Sequence) and not isinstance(value, str):
            result += [f"{option}={item}" for item in value]
        else:
            result.append(f"{option}={os.fspath(value) if isinstance(value, os.PathLike) else value}")
    return result


def report(folder: Path) -> str:
    """The last lines of every file that the programs wrote."""
    parts = []
    for path in sorted(folder.glob("*/*")):
        if path.name in ("log", "output", "events"):
            lines = path.read_text("utf-8", "replace").splitlines()
            parts += [f"--- {path.relative_to(folder)} ({len(lines)} lines)", *lines[-_TAIL:]]
    return "\n".join(parts)


def _labels(name: str) -> Any:
    return itertools.chain([name], (f"{name}-{number}" for number in itertools.count(2)))


def _environment(home: Path) -> dict[str, str]:
    """The caller's, without what would let a user's own settings or an older product in."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("P2PHOLE_", "XDG_"))}
    path = [str(ROOT), *filter(None, [kept.get("PYTHONPATH")])]
    return {**kept, "HOME": str(home), "PYTHONPATH": os.pathsep.join(path)}
