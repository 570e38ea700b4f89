"""A broker and peers on real sockets, in this process.  pytest-twisted; trial finds nothing here to run."""

from __future__ import annotations

import random
import secrets
import struct
from collections.abc import Callable
from datetime import UTC, datetime
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest_twisted
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import TCP4ClientEndpoint
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.task import deferLater
from twisted.protocols.portforward import ProxyClient, ProxyClientFactory, ProxyFactory, ProxyServer

from p2phole import events
from p2phole.broker.service import BrokerService
from p2phole.broker.settings import BrokerSettings
from p2phole.peer.lines import Lines
from p2phole.peer.service import PeerService
from p2phole.peer.settings import BrokerAddress, PeerSettings
from p2phole.secure.identity import Credentials
from tests.secure.parties import certificate
from tests.system.world import FakeConsole

SECONDS = 60.0


async def until(predicate: Callable[[], object]) -> None:
    """Wait for it, and fail when it takes too long."""
    deadline = reactor.seconds() + SECONDS
    while not predicate():
        assert reactor.seconds() < deadline, "it took too long"
        await deferLater(reactor, 0.005)


class Peer:
    """One peer on real sockets; its own event sink."""

    def __init__(
        self, broker: int, name: str, folder: Path, credentials: Credentials | None = None, **settings: Any
    ) -> None:
        self.seen: list[events.Event] = []
        self.errors: list[Exception] = []
        self.service = PeerService(
            reactor,
            PeerSettings(
                broker=BrokerAddress("127.0.0.1", broker), name=name, key_file=folder / "key.pem", **settings
            ),
            self.errors.append,
            [Lines(reactor, settings.get("messages", ()), console=FakeConsole)],
            sink=self,
            credentials=credentials,
            instance=secrets.token_hex(16),
            random=random.random,
        )
        self.service.privilegedStartService()
        self.service.startService()

    def emit(self, event: events.Event) -> None:
        self.seen.append(event)

    def all(self, kind: type) -> list[Any]:
        return [event for event in self.seen if isinstance(event, kind)]


class Stage:
    """A broker on ports that the system picks, and what is to be stopped in the end."""

    def __init__(self, listen: str) -> None:
        self._before = set(reactor.getReaders())
        self.broker = BrokerService(reactor, BrokerSettings(listen=(listen,), probe_port=0), lambda error: None)
        self.broker.privilegedStartService()
        self.broker.startService()
        self.port = self.broker._ports[0].getHost().port
        self.peers: list[Peer] = []

    def peer(self, name: str, folder: Path, credentials: Credentials | None = None, **settings: Any) -> Peer:
        peer = Peer(self.port, name, folder, credentials, **settings)
        self.peers.append(peer)
        return peer

    async def close(self) -> None:
        for peer in self.peers:
            await peer.service.stopService()
        await self.broker.stopService()
        # What a proxy passed on ends a moment later.
        await until(lambda: self._before.issuperset(reactor.getReaders()))


def on_stage(listen: str = "tcp:0:interface=127.0.0.1") -> Callable[[Callable[[Stage, Path], Any]], Any]:
    """The test as a coroutine with a stage; everything is stopped after it."""

    def decorate(test: Callable[[Stage, Path], Any]) -> Any:
        def run(tmp_path: Path) -> Deferred[None]:
            async def play() -> None:
                stage = Stage(listen)
                try:
                    await test(stage, tmp_path)
                finally:
                    await stage.close()

            return Deferred.fromCoroutine(play())

        run.__name__ = test.__name__
        run.__doc__ = test.__doc__
        return pytest_twisted.inlineCallbacks(lambda tmp_path: (yield run(tmp_path)))

    return decorate


@on_stage()
async def test_two_peers_talk_from_one_port_each(stage: Stage, folder: Path) -> None:
    """Broker connection, acceptor and direct connection of a peer have one local port."""
    alice = stage.peer("alice", folder, messages=("hello from alice",))
    bob = stage.peer("bob", folder, messages=("hello from bob",))
    await until(lambda: all(len(peer.all(events.Message)) == 2 for peer in (alice, bob)))
    for peer in (alice, bob):
        (registered,), (connected,) = peer.all(events.Registered), peer.all(events.Connected)
        ports = {registered.local.rpartition(":")[2], connected.local.rpartition(":")[2]}
        assert ports == {str(peer.service.port.port)}
        assert connected.path == "direct"


@on_stage()
async def test_a_stranger_gets_not_one_byte(stage: Stage, folder: Path) -> None:
    """Whoever connects to the direct port and has no valid preface is closed, and the peers do not care."""
    alice = stage.peer("alice", folder)
    received: list[bytes] = []
    lost: list[object] = []

    class Stranger(Protocol):
        def connectionMade(self) -> None:
            self.transport.write(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")

        def dataReceived(self, data: bytes) -> None:
            received.append(data)

        def connectionLost(self, reason: object = None) -> None:
            lost.append(reason)

    await until(lambda: alice.all(events.Registered))
    endpoint = TCP4ClientEndpoint(reactor, "127.0.0.1", alice.service.port.port)
    await endpoint.connect(Factory.forProtocol(Stranger))
    await until(lambda: lost)
    assert received == []
    bob = stage.peer("bob", folder)
    await until(lambda: alice.all(events.Connected) and bob.all(events.Connected))


@on_stage()
async def test_a_message_of_the_largest_size(stage: Stage, folder: Path) -> None:
    """65,520 bytes arrive in one piece."""
    text = "x" * 65_520
    alice = stage.peer("alice", folder, messages=(text,))
    bob = stage.peer("bob", folder)
    await until(lambda: bob.all(events.Message) and alice.all(events.Message))
    assert bob.all(events.Message)[0].text == text


@on_stage()
async def test_certificates_of_any_date(stage: Stage, folder: Path) -> None:
    """One that is long over meets one that has not begun."""
    pairs = ((1971, 1972), (2200, 2201))
    keys = [Ed25519PrivateKey.generate() for _ in pairs]
    dated = [
        Credentials(key, certificate(key, *(datetime(year, 1, 1, tzinfo=UTC) for year in years)))
        for key, years in zip(keys, pairs, strict=True)
    ]
    alice, bob = (stage.peer(name, folder, own) for name, own in zip(("alice", "bob"), dated, strict=True))
    await until(lambda: alice.all(events.Connected) and bob.all(events.Connected))
    assert alice.all(events.Connected)[0].id == dated[1].fingerprint


class Proxied(Protocol):
    """A peer's first line behind a proxy's header."""

    def __init__(self, header: bytes) -> None:
        self.header = header
        self.received = b""
        self.over = False

    def connectionMade(self) -> None:
        self.transport.write(self.header)
        self.transport.write(b'{"type":"hello","version":2,"software":"test"}\n')

    def dataReceived(self, data: bytes) -> None:
        self.received += data
        self.transport.abortConnection()

    def connectionLost(self, reason: object = None) -> None:
        self.over = True


def header_of_version_2(source: str, port: int) -> bytes:
    """Section 2.2 of the specification of the PROXY protocol."""
    ip = ip_address(source)
    addresses = ip.packed + type(ip)("198.51.100.1" if ip.version == 4 else "2001:db8::1").packed
    content = addresses + struct.pack("!HH", port, 9000)
    kind = 0x11 if ip.version == 4 else 0x21
    return b"\r\n\r\n\0\r\nQUIT\n" + struct.pack("!BBH", 0x21, kind, len(content)) + content


BEHIND = "haproxy:tcp:0:interface=127.0.0.1"


async def said_behind_a_proxy(stage: Stage, header: bytes) -> bytes:
    """What the broker answers."""
    endpoint = TCP4ClientEndpoint(reactor, "127.0.0.1", stage.port)
    proxied: Any = await endpoint.connect(Factory.forProtocol(lambda: Proxied(header)))
    await until(lambda: proxied.over)
    return bytes(proxied.received)


@on_stage(BEHIND)
async def test_behind_a_proxy(stage: Stage, folder: Path) -> None:
    """What the PROXY header names is how the peer is seen, in both versions and families."""
    for header, seen in (
        (b"PROXY TCP4 203.0.113.7 198.51.100.1 40000 9000\r\n", b"203.0.113.7:40000"),
        (b"PROXY TCP6 2001:db8::7 2001:db8::1 40000 9000\r\n", b"[2001:db8::7]:40000"),
        (header_of_version_2("203.0.113.7", 40000), b"203.0.113.7:40000"),
        (header_of_version_2("2001:db8::7", 40000), b"[2001:db8::7]:40000"),
    ):
        assert b'"observed":"%s"' % seen in await said_behind_a_proxy(stage, header)


@on_stage(BEHIND)
async def test_past_the_proxy(stage: Stage, folder: Path) -> None:
    """Whoever comes without a header is not let in: there is no telling where it comes from."""
    for header in (b"", b"PROXY UNKNOWN\r\n", b"PROXY TCP4 nowhere 198.51.100.1 40000 9000\r\n"):
        assert b"welcome" not in await said_behind_a_proxy(stage, header)


class Onwards(ProxyClient):
    """The proxy's connection to the broker: first a header that names where the other one comes from."""

    def connectionMade(self) -> None:
        came_from = self.peer.transport.getPeer()
        self.transport.write(header_of_version_2(came_from.host, came_from.port))
        super().connectionMade()


class OnwardsFactory(ProxyClientFactory):
    protocol = Onwards
    noisy = False


class Proxy(ProxyServer):
    clientProtocolFactory = OnwardsFactory


@on_stage(BEHIND)
async def test_two_peers_meet_through_a_proxy(stage: Stage, folder: Path) -> None:
    """They are seen with their own ports, and dial those."""
    proxy = ProxyFactory("127.0.0.1", stage.port)
    proxy.protocol, proxy.noisy = Proxy, False
    listening = reactor.listenTCP(0, proxy, interface="127.0.0.1")
    stage.port = listening.getHost().port
    try:
        alice, bob = stage.peer("alice", folder), stage.peer("bob", folder)
        # The broker is where the proxy says, which is no address of this machine: it dials nobody back.
        await until(lambda: all(peer.all(events.Connected) and peer.all(events.Nat) for peer in (alice, bob)))
        for peer, other in ((alice, bob), (bob, alice)):
            assert peer.all(events.Registered)[0].observed == f"127.0.0.1:{peer.service.port.port}"
            assert peer.all(events.Connected)[0].remote.endswith(f":{other.service.port.port}")
            assert peer.all(events.Nat)[0].filtering == "unknown"
    finally:
        await listening.stopListening()
