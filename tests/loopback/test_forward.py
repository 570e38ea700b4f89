"""``p2phole forward`` as processes, and what others send through it: HTTP, ssh, Redis."""

from __future__ import annotations

import getpass
import hashlib
import os
import random
import shlex
import shutil
import signal
import socket
import stat
import subprocess
import threading
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from socketserver import StreamRequestHandler, ThreadingUnixStreamServer
from typing import Any

import pytest

from p2phole.demo import free_ports
from tests.loopback.processes import PYTHON, ROOT, SECONDS, Process, Stage, until

LARGE = 8 * 2**20


class Pair:
    """A broker, and forwards that meet in one room."""

    def __init__(self, stage: Stage, folder: Path) -> None:
        self.stage = stage
        self.folder = folder
        self.broker = f"127.0.0.1:{stage.broker('tcp:0:interface=127.0.0.1')}"

    def forward(self, name: str, *options: str) -> Process:
        return self.stage.process(
            name, "forward", "--broker", self.broker, "--room", "team", "--name", name, *options
        )

    def two(self, allow: str, *options: str) -> tuple[Process, Process]:
        """One that allows something, and one that makes use of it; connected."""
        bob, alice = self.forward("bob", "--allow", allow), self.forward("alice", *options)
        alice.line("(Connected to bob)")
        return bob, alice

    def port(self, allow: str) -> int:
        """On which there is now what ``allow`` names."""
        _bob, alice = self.two(allow, "-L", f"0:{allow}")
        return int(alice.line(r"Listening on localhost:(\d+):"))

    def typed(self, *arguments: str) -> list[str]:
        """A command that is no Process: somebody else starts it, or talks to it."""
        environment = ("env", f"PYTHONPATH={ROOT}", f"HOME={self.folder}")
        return [*environment, *PYTHON, "forward", "--broker", self.broker, "--room", "team", *arguments]


@pytest.fixture
def pair(stage: Stage, tmp_path: Path) -> Pair:
    return Pair(stage, tmp_path)


@pytest.fixture
def started(tmp_path: Path) -> Iterator[Callable[..., subprocess.Popen[bytes]]]:
    """Starts servers, and ends them."""
    with ExitStack() as stack:

        def start(*arguments: str | Path) -> subprocess.Popen[bytes]:
            log = stack.enter_context(open(tmp_path / "server", "ab"))
            process = subprocess.Popen(arguments, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
            stack.callback(process.wait, SECONDS)
            stack.callback(process.terminate)
            return process

        yield start


@pytest.fixture
def web(tmp_path: Path) -> Iterator[tuple[int, bytes]]:
    """The port of a web server, and what it has under /large."""
    folder = tmp_path / "web"
    folder.mkdir()
    large = random.Random(1).randbytes(LARGE)
    (folder / "large").write_bytes(large)

    class Quiet(SimpleHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def __init__(self, *arguments: Any) -> None:
            super().__init__(*arguments, directory=str(folder))

        def log_message(self, *arguments: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Quiet) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server.server_address[1], large
        server.shutdown()
        thread.join()


def listens(port: int) -> bool:
    with socket.socket() as trial:
        return trial.connect_ex(("127.0.0.1", port)) == 0


def needs(program: str) -> str:
    found = shutil.which(program) or shutil.which(program, path="/usr/sbin")
    if found is None:
        pytest.skip(f"{program} is not installed")
    return found


def fetched(port: int) -> bytes:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/large", timeout=SECONDS) as answer:
        data: bytes = answer.read()
        return data


def test_http(pair: Pair, web: tuple[int, bytes]) -> None:
    """One after the other, and several at once."""
    port, large = web
    here = pair.port(f"localhost:{port}")
    assert fetched(here) == large
    got: list[bytes] = []
    threads = [threading.Thread(target=lambda: got.append(fetched(here))) for _ in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(SECONDS)
    assert got == 5 * [large]


def test_curl(pair: Pair, web: tuple[int, bytes]) -> None:
    port, large = web
    here = pair.port(f"127.0.0.1:{port}")
    address = f"http://127.0.0.1:{here}/large"
    got = subprocess.run([needs("curl"), "-sS", address, address], capture_output=True, timeout=SECONDS)
    assert (got.returncode, got.stdout) == (0, 2 * large)


def test_the_other_way(pair: Pair, web: tuple[int, bytes]) -> None:
    port, large = web
    bob = pair.forward("bob", "--allow-listen", "*")
    alice = pair.forward("alice", "-R", f"0:127.0.0.1:{port}")
    there = int(alice.line(r"bob listens on localhost:(\d+):"))
    assert fetched(there) == large
    assert f"Listening on localhost:{there} for alice" in bob.told


def test_what_is_not_allowed_is_told_on_both_sides(pair: Pair, web: tuple[int, bytes]) -> None:
    bob, alice = pair.two("localhost:1", "-L", f"0:localhost:{web[0]}")
    with socket.create_connection(("127.0.0.1", int(alice.line(r"Listening on localhost:(\d+):")))) as client:
        client.settimeout(SECONDS)
        with pytest.raises(ConnectionResetError):
            client.recv(1)
    alice.line("(There is no connection to localhost:.*: bob does not allow it)")
    bob.line("(alice asked for a connection to localhost:.*, which is not allowed here)")


def test_by_a_code(pair: Pair, web: tuple[int, bytes]) -> None:
    port, large = web
    told = ("forward", "--broker", pair.broker)
    bob = pair.stage.process("bob", *told, "--invite", "--allow", f"localhost:{port}")
    command = shlex.split(bob.line("    (p2phole forward .*)"))
    alice = pair.stage.process("alice", *command[1:], "-L", f"0:localhost:{port}")
    assert fetched(int(alice.line(r"Listening on localhost:(\d+):"))) == large
    bob.process.send_signal(signal.SIGTERM)
    assert alice.end()[0] == 0


def test_a_port_that_is_taken(pair: Pair, web: tuple[int, bytes]) -> None:
    status, told = pair.forward("alice", "-L", f"{web[0]}:localhost:1").end()
    assert status == 1 and f"p2phole: Port {web[0]} cannot be listened on" in told


class TestUnixSockets:
    class Upper(StreamRequestHandler):
        def handle(self) -> None:
            self.wfile.write(self.rfile.read().upper())

    @pytest.fixture
    def server(self, tmp_path: Path) -> Iterator[Path]:
        path = tmp_path / "upper"
        with ThreadingUnixStreamServer(str(path), self.Upper) as server:
            thread = threading.Thread(target=server.serve_forever)
            thread.start()
            yield path
            server.shutdown()
            thread.join()

    def ask(self, where: Path) -> bytes:
        with socket.socket(socket.AF_UNIX) as client:
            client.settimeout(SECONDS)
            client.connect(str(where))
            client.sendall(b"half closed")
            client.shutdown(socket.SHUT_WR)
            with client.makefile("rb") as answer:
                return answer.read()

    def test_both_ends(self, pair: Pair, server: Path, tmp_path: Path) -> None:
        near = tmp_path / "near"
        pair.two(str(server), "-L", f"{near}:{server}")
        assert self.ask(near) == b"HALF CLOSED"
        assert stat.S_IMODE(near.stat().st_mode) == 0o600

    def test_what_a_killed_one_has_left_is_replaced(self, pair: Pair, server: Path, tmp_path: Path) -> None:
        near = tmp_path / "near"
        _bob, alice = pair.two(str(server), "-L", f"{near}:{server}")
        second = pair.forward("second", "-L", f"{near}:{server}")
        status, told = second.end()
        assert (status, "already in use" in told) == (1, True)
        alice.process.kill()
        alice.process.wait(SECONDS)
        assert near.is_socket()
        third = pair.forward("third", "-L", f"{near}:{server}")
        third.line("(Connected to bob)")
        assert self.ask(near) == b"HALF CLOSED"
        third.process.terminate()
        third.process.wait(SECONDS)
        assert not near.exists()

    def test_a_file_is_left_alone(self, pair: Pair, tmp_path: Path) -> None:
        near = tmp_path / "near"
        near.write_text("mine")
        assert pair.forward("alice", "-L", f"{near}:db:1").end()[0] == 1
        assert near.read_text() == "mine"


class TestStandard:
    """``-W``."""

    def test_one_connection(self, pair: Pair, web: tuple[int, bytes]) -> None:
        port, large = web
        pair.forward("bob", "--allow", f"localhost:{port}")
        request = b"GET /large HTTP/1.0\r\n\r\n"
        got = subprocess.run(
            pair.typed("-W", f"localhost:{port}"), input=request, capture_output=True, timeout=SECONDS
        )
        assert got.returncode == 0, got.stderr
        assert got.stdout.endswith(b"\r\n\r\n" + large)

    def test_refused(self, pair: Pair) -> None:
        pair.forward("bob", "--allow", "localhost:1")
        for target, why in (("localhost:1", "nothing listens there"), ("localhost:2", "bob does not allow it")):
            got = subprocess.run(pair.typed("-W", target), capture_output=True, timeout=SECONDS)
            assert (got.returncode, got.stdout) == (1, b"")
            [line] = got.stderr.decode().splitlines()
            assert line.startswith(f"p2phole: There is no connection to {target}: ") and why in line


class TestSsh:
    """The real client and the real server."""

    @pytest.fixture
    def server(self, tmp_path: Path, started: Callable[..., subprocess.Popen[bytes]]) -> int:
        needs("ssh")
        sshd = needs("sshd")
        for name in ("host", "user"):
            subprocess.run([needs("ssh-keygen"), "-qt", "ed25519", "-N", "", "-f", tmp_path / name], check=True)
        port = free_ports()[0]
        configuration = tmp_path / "sshd_config"
        configuration.write_text(
            f"ListenAddress 127.0.0.1\nPort {port}\nHostKey {tmp_path}/host\nPidFile none\nUsePAM no\n"
            f"AuthorizedKeysFile {tmp_path}/user.pub\nStrictModes no\nPasswordAuthentication no\n"
            "Subsystem sftp internal-sftp\n"
        )
        if os.geteuid() == 0:
            Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)  # compiled in
        started(sshd, "-D", "-e", "-f", configuration)
        until(lambda: listens(port), lambda: (tmp_path / "server").read_text())
        return port

    def options(self, folder: Path) -> list[str]:
        given = {
            "IdentityFile": f"{folder}/user",
            "UserKnownHostsFile": "/dev/null",
            "StrictHostKeyChecking": "no",
            "IdentitiesOnly": "yes",
            "BatchMode": "yes",
            "LogLevel": "ERROR",
        }
        return ["-F", "none", *(word for key, value in given.items() for word in ("-o", f"{key}={value}"))]

    def test_as_a_proxy_command(self, pair: Pair, server: int, tmp_path: Path) -> None:
        bob = pair.forward("bob", "--allow", f"localhost:{server}")
        proxy = shlex.join(pair.typed("-W")) + " %h:%p"
        data = random.Random(2).randbytes(LARGE)
        command = ["ssh", *self.options(tmp_path), "-o", f"ProxyCommand={proxy}", "-p", str(server)]
        got = subprocess.run(
            [*command, f"{getpass.getuser()}@localhost", "cat; exit 7"],
            input=data,
            capture_output=True,
            timeout=SECONDS,
        )
        assert (got.returncode, got.stdout, got.stderr) == (7, data, b"")
        bob.line("(Disconnected from [^:]*: left)")  # not lost: nothing of it is kept for later

    def test_through_a_port(self, pair: Pair, server: int, tmp_path: Path) -> None:
        """With a large file by sftp."""
        here = pair.port(f"127.0.0.1:{server}")
        file, copy = tmp_path / "file", tmp_path / "copy"
        file.write_bytes(random.Random(3).randbytes(LARGE))
        got = subprocess.run(
            [needs("scp"), *self.options(tmp_path), "-P", str(here), file, f"127.0.0.1:{copy}"],
            capture_output=True,
            timeout=SECONDS,
        )
        assert got.returncode == 0, got.stderr
        assert digest(copy) == digest(file)


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_redis(pair: Pair, tmp_path: Path, started: Callable[..., subprocess.Popen[bytes]]) -> None:
    """A hundred connections at once, with pipelines."""
    port = free_ports()[0]
    started(needs("redis-server"), "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", tmp_path)
    until(lambda: listens(port), lambda: (tmp_path / "server").read_text())
    here = str(pair.port(f"localhost:{port}"))

    def redis(*command: str, data: bytes = b"") -> bytes:
        words = [needs("redis-cli"), "-h", "127.0.0.1", "-p", here, *command]
        return subprocess.run(words, input=data, capture_output=True, timeout=SECONDS, check=True).stdout

    value = random.Random(4).randbytes(1_000_000).hex().encode()
    assert redis("-x", "set", "key", data=value) == b"OK\n"
    assert redis("get", "key") == value + b"\n"
    words = [
        needs("redis-benchmark"),
        "-h",
        "127.0.0.1",
        "-p",
        here,
        *["-q", "-n", "5000", "-c", "100", "-P", "10", "-t", "set,get"],
    ]
    got = subprocess.run(words, capture_output=True, timeout=3 * SECONDS)
    assert got.returncode == 0 and b"requests per second" in got.stdout, got


def test_a_thousand_connections(pair: Pair, tmp_path: Path) -> None:
    """All open at once, each with its own answer."""
    code = "import socketserver as s\n"
    code += (
        "class H(s.StreamRequestHandler):\n def handle(self):\n  self.wfile.write(self.rfile.readline()[::-1])\n"
    )
    with ExitStack() as stack:
        server = stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=1024))
        here = pair.port(f"127.0.0.1:{server.getsockname()[1]}")
        clients = [stack.enter_context(socket.create_connection(("127.0.0.1", here))) for _ in range(1000)]
        for number, client in enumerate(clients):
            client.sendall(b"%d\n" % number)
        arrived = []
        server.settimeout(SECONDS)
        for _ in clients:
            connection = stack.enter_context(server.accept()[0])
            connection.settimeout(SECONDS)
            arrived.append((connection, connection.makefile("rb")))
        for connection, lines in arrived:
            connection.sendall(b"answer to " + lines.readline())
            lines.close()
        for number, client in enumerate(clients):
            client.settimeout(SECONDS)
            with client.makefile("rb") as lines:
                assert lines.readline() == b"answer to %d\n" % number


def test_a_service_forwards_as_well(pair: Pair, web: tuple[int, bytes], tmp_path: Path) -> None:
    """By the same options, from a config file."""
    port, large = web
    config, here = tmp_path / "peer.cfg", free_ports()[0]
    config.write_text(
        f"[p2ppeer]\nbroker = {pair.broker}\nroom = team\nforward = {here}:localhost:{port}\n  0:a:1\n"
    )
    service = pair.stage.process("service", "peer", "--config", str(config))
    pair.stage.process("other", "peer", "--broker", pair.broker, "--room", "team", "--allow", f"localhost:{port}")
    service.line("(Connected to)")
    assert fetched(here) == large
