"""A client of the broker protocol that says what it is told to, truth or not; blocking, one connection."""

from __future__ import annotations

import secrets
import socket
import struct
import time
from collections.abc import Iterator
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from p2phole.addresses import Candidate
from p2phole.secure.identity import Credentials
from p2phole.secure.possession import raw, sign
from p2phole.secure.roles import Identity
from p2phole.wire.codec import decode_to_peer, encode
from p2phole.wire.messages import (
    Error,
    Hello,
    Ping,
    Pong,
    Possession,
    Register,
    Registered,
    ToBroker,
    ToPeer,
    Welcome,
)

SECONDS = 30.0
"""For an answer that is to come, from a broker with much else to do."""


class Gone(Exception):
    """The broker has closed the connection, or said nothing in time; ``error`` is what it said before."""

    def __init__(self, error: Error | None = None) -> None:
        super().__init__(error)
        self.code = error.code if error else "gone"


class Client:
    """``source``: the address that it comes from."""

    def __init__(self, broker: tuple[str, int], source: str, key: Ed25519PrivateKey | None = None) -> None:
        self.dialled = f"{broker[0]}:{broker[1]}"
        self.link = socket.socket()
        self.link.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.link.settimeout(SECONDS)
        self.link.bind((source, 0))
        try:
            self.link.connect(broker)
        except OSError:
            self.link.close()
            raise
        self.link.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._buffer = b""
        self._made: Credentials | None = None
        self._key = key
        self.instance = secrets.token_hex(16)
        self.nonce = ""

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *problem: object) -> None:
        self.link.close()

    @property
    def credentials(self) -> Credentials:
        """Its key, new unless one was given."""
        if self._made is None:
            self._made = Credentials.of(self._key or Ed25519PrivateKey.generate())
        return self._made

    @property
    def identity(self) -> Identity:
        """As what it registers if it says the truth."""
        return Identity(self.credentials.fingerprint, self.instance)

    def say(self, message: ToBroker) -> None:
        """One message."""
        self.link.sendall(encode(message) + b"\n")

    def hear(self, seconds: float = SECONDS) -> ToPeer | None:
        """The next message but pings, which are answered; None: none in time.  Raises :class:`Gone`."""
        end = time.monotonic() + seconds
        while True:
            line, newline, rest = self._buffer.partition(b"\n")
            if newline:
                self._buffer = rest
                message = decode_to_peer(line)
                if isinstance(message, Error):
                    raise Gone(message)
                if not isinstance(message, Ping):
                    return message
                self.say(Pong(message.number))
                continue
            left = end - time.monotonic()
            if left <= 0:
                return None
            self.link.settimeout(left)
            try:
                chunk = self.link.recv(65_536)
            except TimeoutError:
                return None
            finally:
                self.link.settimeout(SECONDS)
            if not chunk:
                raise Gone()
            self._buffer += chunk

    def heard(self, seconds: float) -> Iterator[ToPeer]:
        """What comes within that time."""
        end = time.monotonic() + seconds
        while (message := self.hear(max(0.0, end - time.monotonic()))) is not None:
            yield message

    def hear_out(self, seconds: float = 3.0) -> int:
        """Read to the end; how many lines there were."""
        self.link.settimeout(seconds)
        count = self._buffer.count(b"\n")
        while chunk := self.link.recv(65_536):
            count += chunk.count(b"\n")
        return count

    def greet(self) -> None:
        """Say hello, and keep the nonce of the answer."""
        self.say(Hello(2, "hostile"))
        answer = self.hear()
        if not isinstance(answer, Welcome):
            raise Gone()
        self.nonce = answer.nonce

    def signed(self, room: tuple[str, str], instance: str, nonce: str | None = None) -> Possession:
        """The proof of its own key for that registration."""
        own, key = secrets.token_hex(16), self.credentials.key
        nonces = (self.nonce if nonce is None else nonce, own)
        signature = sign(key, self.dialled, nonces, room, instance)
        return Possession(raw(key.public_key()).hex(), own, self.dialled, signature)

    def register(self, room: tuple[str, str] = ("open", "lobby"), name: str = "mallory", **said: Any) -> str:
        """Register, with ``said`` in place of the truth; the room that it is in.  Raises :class:`Gone`."""
        candidates: tuple[Candidate, ...] = said.pop("candidates", ())
        instance = said.get("instance", self.instance)
        values: dict[str, Any] = {
            "fingerprint": self.credentials.fingerprint,
            "instance": instance,
            "possession": self.signed(room, instance) if "possession" not in said else None,
            **said,
        }
        self.say(Register(name=name, room=room[1], space=room[0], candidates=candidates, **values))
        while True:
            answer = self.hear()
            if isinstance(answer, Registered):
                return answer.room
            if answer is None:
                raise Gone()
