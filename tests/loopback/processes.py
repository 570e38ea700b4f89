"""Brokers and peers as real processes on loopback, and certificates for a broker."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

T = TypeVar("T")

ROOT = Path(__file__).resolve().parents[2]
SECONDS = 60.0
"""Far beyond what is needed, also by a machine that is slow and has much else to do: a failure may take long."""
PYTHON = (sys.executable, "-m", "p2phole")
NOW = datetime.now(UTC)
YEAR = timedelta(days=365)


def until(found: Callable[[], T], what: Callable[[], object]) -> T:
    """Look until it is there, and fail when that takes too long."""
    deadline = time.monotonic() + SECONDS
    while not (result := found()):
        assert time.monotonic() < deadline, what()
        time.sleep(0.01)
    return result


def pem(*certificates: x509.Certificate) -> bytes:
    return b"".join(each.public_bytes(Encoding.PEM) for each in certificates)


def named(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


class Authority:
    """Signs certificates; ``file`` has its own one, which is ``above``'s, or nobody's, to sign."""

    def __init__(self, folder: Path, above: Authority | None = None) -> None:
        self.folder = folder
        self.name = "an authority" if above is None else "an authority of its own"
        self.key = Ed25519PrivateKey.generate()
        self.own = (above or self).sign(self.name, self.key, NOW - YEAR, NOW + YEAR, authority=True)
        self.file = folder / f"{self.name}.pem"
        self.file.write_bytes(pem(self.own))

    def sign(
        self, name: str, key: Ed25519PrivateKey, first: datetime, last: datetime, authority: bool = False
    ) -> x509.Certificate:
        builder = (
            x509.CertificateBuilder()
            .subject_name(named(name))
            .issuer_name(named(self.name))
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(first)
            .not_valid_after(last)
            .add_extension(x509.BasicConstraints(authority, None), critical=True)
        )
        if not authority:
            builder = builder.add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        return builder.sign(self.key, None)

    def endpoint(self, name: str = "localhost", first: datetime = NOW - YEAR, last: datetime = NOW + YEAR) -> str:
        """A server endpoint with a certificate for that name, at any port."""
        key = Ed25519PrivateKey.generate()
        path = self.folder / f"{name}.pem"
        private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        path.write_bytes(private + pem(self.sign(name, key, first, last)))
        return f"tls:0:privateKey={path}:interface=127.0.0.1"


class Process:
    """A ``p2phole`` process; all that it says is in ``told``.  ``python``: what to start it with."""

    def __init__(self, folder: Path, name: str, *arguments: str, python: Sequence[str] = PYTHON) -> None:
        home = folder / name
        home.mkdir()
        mine = ("P2PHOLE_", "XDG_", "SSL_")
        kept = {key: value for key, value in os.environ.items() if not key.startswith(mine)}
        self._files = home / "out", home / "err"
        with ExitStack() as opened:
            out, err = (opened.enter_context(open(path, "wb")) for path in self._files)
            self.process = subprocess.Popen(
                [*python, *arguments],
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
                cwd=home,
                env={**kept, "HOME": str(home), "PYTHONPATH": str(ROOT), "XDG_RUNTIME_DIR": str(folder / "run")},
            )

    @property
    def told(self) -> str:
        return self._files[1].read_text()

    @property
    def output(self) -> str:
        """What was written to standard output so far."""
        return self._files[0].read_text()

    def line(self, pattern: str) -> str:
        """The first group of what is said on standard error."""
        found = until(lambda: re.search(pattern, self.told), lambda: (pattern, self.told))
        return found[1]

    def event(self, kind: str, **keys: str) -> dict[str, Any]:
        """The first such event on standard output."""

        def look() -> dict[str, Any] | None:
            whole = self._files[0].read_text().rpartition("\n")[0]
            for event in map(json.loads, whole.splitlines()):
                if event["event"] == kind and all(event[key] == value for key, value in keys.items()):
                    return event
            return None

        return until(look, lambda: (kind, self._files[0].read_text(), self.told))

    def end(self) -> tuple[int, str]:
        """Its status, once it has ended by itself, and all that it said."""
        status = self.process.wait(SECONDS)
        assert self._files[0].read_text() == ""
        return status, self.told


class Stage:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "run").mkdir(mode=0o700)
        self.authority = Authority(folder)
        self.started: list[subprocess.Popen[bytes]] = []

    def process(self, name: str, *arguments: str, python: Sequence[str] = PYTHON) -> Process:
        process = Process(self.folder, name, *arguments, python=python)
        self.started.append(process.process)
        return process

    def broker(self, endpoint: str, *options: str) -> int:
        """Its port."""
        broker = self.process(f"broker {len(self.started)}", "broker", "--listen", endpoint, *options)
        return int(broker.line(r"listens on port (\d+)"))

    def peer(self, name: str, broker: str, *options: str, python: Sequence[str] = PYTHON) -> Process:
        told = ("--broker", broker, "--name", name, "--events", "-")
        return self.process(name, "peer", *told, *options, python=python)

    def refused(self, broker: str, *options: str, python: Sequence[str] = PYTHON) -> str:
        """The one line that a peer ends with."""
        status, told = self.peer(f"peer {len(self.started)}", broker, *options, python=python).end()
        [line] = told.splitlines()
        assert (status, line[:9]) == (1, "p2phole: "), told
        return line

    def close(self) -> None:
        for process in self.started:
            process.terminate()
        for process in self.started:
            process.wait(SECONDS)
