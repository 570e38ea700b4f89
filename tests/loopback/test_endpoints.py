"""Endpoints on real sockets: in this process, and in processes of their own."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

import pytest
from twisted.internet import reactor
from twisted.internet.endpoints import clientFromString, serverFromString
from twisted.internet.error import ConnectionDone
from twisted.internet.protocol import Factory, Protocol

from p2phole.endpoints import NotServed, leave_unused
from tests.endpoints import programs
from tests.endpoints.programs import digest, noise
from tests.loopback.processes import SECONDS, Process, Stage, until
from tests.loopback.test_loopback import Stage as Inside
from tests.loopback.test_loopback import on_stage
from tests.loopback.test_loopback import until as until_there

MANY = 8_000_000


@pytest.fixture(autouse=True)
def own_runtime_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the peers of this process can be asked for their status."""
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))


def written(port: int, folder: Path, *parts: str) -> str:
    """The string of an endpoint."""
    return ":".join(("p2p", *parts, rf"broker=127.0.0.1\:{port}", f"keyFile={folder / 'key.pem'}"))


@on_stage()
async def test_both_ends_in_this_process(stage: Inside, folder: Path) -> None:
    """A web server, an SSH server, and clients of both: one key, one room, one process."""
    (folder / "secret").write_text("correct horse battery staple\n")
    (folder / "secret").chmod(0o600)
    secret = ("room=team", f"secretFile={folder / 'secret'}")
    own = [("name=bob", *secret, service) for service in ("service=web", "service=ssh")]
    web, shell = (serverFromString(reactor, written(stage.port, folder, *parts)) for parts in own)
    key = programs.ssh_key()
    ports = [await web.listen(programs.site(reactor)), await shell.listen(programs.ssh_server(reactor, key))]
    try:
        to_web, to_shell, to_none = (
            clientFromString(reactor, written(stage.port, folder, "bob", *secret, f"service={name}"))
            for name in ("web", "ssh", "none")
        )
        for seed in range(2):
            body = noise(MANY, seed)
            found, headers = await programs.post(reactor, to_web, body)
            assert digest(found) == headers["x-digest"] == digest(body)
        text = noise(1_000_000)
        output, client = await programs.ssh(to_shell, key, text)
        assert output.decode() == digest(text)
        await until_there(lambda: client.reason is not None)
        client.reason.trap(ConnectionDone)
        with pytest.raises(NotServed):
            await to_none.connect(Factory.forProtocol(Protocol))
    finally:
        for port in ports:
            await port.stopListening()
        await leave_unused(reactor)


TWISTD = (sys.executable, "-c", "from twisted.scripts.twistd import run; run()", "-n", "--pidfile=")
FETCH = (sys.executable, "-m", "tests.loopback.fetch")


def test_twistd_as_it_is(stage: Stage) -> None:
    """A web server that listens on an endpoint, a port forwarder that does, and clients: each its own process."""
    broker = stage.broker("tcp:0:interface=127.0.0.1")
    served = stage.folder / "served"
    served.mkdir()
    (served / "file").write_bytes(noise(MANY))

    def name(who: str, *parts: str) -> str:
        return written(broker, stage.folder / f"key of {who}", who, "room=web", *parts)

    def serve(*arguments: str) -> Process:
        return stage.process(f"process {len(stage.started)}", *arguments, python=TWISTD)

    web = serve("web", "--listen", "tcp:0:interface=127.0.0.1", "--path", str(served))
    port = until(lambda: re.search(r"Site starting on (\d+)", web.output), lambda: web.output + web.told)[1]
    serve("web", "--listen", name("name=bob"), "--path", str(served))
    serve("portforward", "--port", name("name=carol"), "--host", "127.0.0.1", "--dest_port", port)
    for whom in ("bob", "carol"):
        client = stage.process(f"to {whom}", name(whom, "name=user", "timeout=60"), "file", python=FETCH)
        assert client.process.wait(SECONDS) == 0, client.told
        assert client.output.split() == ["200", str(MANY), digest(noise(MANY))]
    status = stage.process("status", "status", "--json")
    assert status.process.wait(SECONDS) == 0, status.told
    shown = [json.loads(line) for line in status.output.splitlines()]
    assert sorted((each["name"], each["command"]) for each in shown) == [
        ("bob", "endpoint"),
        ("carol", "endpoint"),
    ]


def test_what_is_wrong_is_told_in_a_line(stage: Stage) -> None:
    """A port that is taken, by twistd's own way to listen."""
    broker = stage.broker("tcp:0:interface=127.0.0.1")
    taken = written(broker, stage.folder, "name=bob", f"port={broker}")
    process = stage.process("web", "web", "--listen", taken, python=TWISTD)
    why = f"Cannot listen as bob: Port {broker} cannot be listened on"
    until(lambda: why in process.output + process.told, lambda: process.output + process.told)
