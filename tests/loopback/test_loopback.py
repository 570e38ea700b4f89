"""A broker and peers on real sockets, in this process.  pytest-twisted; trial finds nothing here to run."""

from __future__ import annotations

import random
import secrets
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest_twisted
from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import TCP4ClientEndpoint
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.task import deferLater

from p2phole import events
from p2phole.broker.service import BrokerService
from p2phole.broker.settings import BrokerSettings
from p2phole.peer.service import PeerService
from p2phole.peer.settings import BrokerAddress, PeerSettings
from tests.system.world import FakeConsole

SECONDS = 10.0


async def until(predicate: Callable[[], object]) -> None:
    """Wait for it, and fail when it takes too long."""
    deadline = reactor.seconds() + SECONDS
    while not predicate():
        assert reactor.seconds() < deadline, "it took too long"
        await deferLater(reactor, 0.005)


class Peer:
    """One peer on real sockets; its own event sink."""

    def __init__(self, broker: int, name: str, folder: Path, **settings: Any) -> None:
        self.seen: list[events.Event] = []
        self.errors: list[Exception] = []
        self.service = PeerService(
            reactor,
            PeerSettings(
                broker=BrokerAddress("127.0.0.1", broker), name=name, key_file=folder / "key.pem", **settings
            ),
            self.errors.append,
            console=FakeConsole,
            sink=self,
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

    def __init__(self, listen: str = "tcp:0:interface=127.0.0.1") -> None:
        self.broker = BrokerService(reactor, BrokerSettings(listen=(listen,), probe_port=0), lambda error: None)
        self.broker.privilegedStartService()
        self.broker.startService()
        self.port = self.broker._ports[0].getHost().port
        self.peers: list[Peer] = []

    def peer(self, name: str, folder: Path, **settings: Any) -> Peer:
        peer = Peer(self.port, name, folder, **settings)
        self.peers.append(peer)
        return peer

    async def close(self) -> None:
        for peer in self.peers:
            await peer.service.stopService()
        await self.broker.stopService()


def on_stage(test: Callable[[Stage, Path], Any]) -> Any:
    """The test as a coroutine with a stage; everything is stopped after it."""

    def run(tmp_path: Path) -> Deferred[None]:
        async def play() -> None:
            stage = Stage()
            try:
                await test(stage, tmp_path)
            finally:
                await stage.close()

        return Deferred.fromCoroutine(play())

    run.__name__ = test.__name__
    run.__doc__ = test.__doc__
    return pytest_twisted.inlineCallbacks(lambda tmp_path: (yield run(tmp_path)))


@on_stage
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


@on_stage
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


@on_stage
async def test_a_message_of_the_largest_size(stage: Stage, folder: Path) -> None:
    """65,520 bytes arrive in one piece."""
    text = "x" * 65_520
    alice = stage.peer("alice", folder, messages=(text,))
    bob = stage.peer("bob", folder)
    await until(lambda: bob.all(events.Message) and alice.all(events.Message))
    assert bob.all(events.Message)[0].text == text


@pytest_twisted.ensureDeferred
async def test_behind_a_proxy() -> None:
    """What the PROXY header names is how the peer is seen."""
    stage = Stage("haproxy:tcp:0:interface=127.0.0.1")
    received: list[bytes] = []

    class Proxied(Protocol):
        def connectionMade(self) -> None:
            self.transport.write(b"PROXY TCP4 203.0.113.7 198.51.100.1 40000 9000\r\n")
            self.transport.write(b'{"type":"hello","version":2,"software":"test"}\n')

        def dataReceived(self, data: bytes) -> None:
            received.append(data)
            self.transport.abortConnection()

    try:
        endpoint = TCP4ClientEndpoint(reactor, "127.0.0.1", stage.port)
        await endpoint.connect(Factory.forProtocol(Proxied))
        await until(lambda: received)
        assert b'"observed":"203.0.113.7:40000"' in received[0]
    finally:
        await stage.close()
