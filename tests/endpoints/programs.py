"""Programs of Twisted's own, unchanged, to be run over any pair of endpoints: in memory, or on sockets."""

from __future__ import annotations

import hashlib
import random
from io import BytesIO
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from twisted.conch.avatar import ConchUser
from twisted.conch.interfaces import ISession
from twisted.conch.ssh.channel import SSHChannel
from twisted.conch.ssh.common import NS
from twisted.conch.ssh.connection import SSHConnection
from twisted.conch.ssh.factory import SSHFactory
from twisted.conch.ssh.keys import Key
from twisted.conch.ssh.session import SSHSession, wrapProtocol
from twisted.conch.ssh.transport import SSHClientTransport
from twisted.conch.ssh.userauth import SSHUserAuthClient, SSHUserAuthServer
from twisted.cred.checkers import InMemoryUsernamePasswordDatabaseDontUse
from twisted.cred.portal import IRealm, Portal
from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IPushProducer, IStreamClientEndpoint
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.task import Cooperator
from twisted.python.failure import Failure
from twisted.web.client import Agent, FileBodyProducer, ResponseDone
from twisted.web.http_headers import Headers
from twisted.web.iweb import IAgentEndpointFactory
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET, Request, Site
from zope.interface import implementer


def noise(size: int, seed: int = 0) -> bytes:
    """Bytes of which no two pieces are alike."""
    return random.Random(seed).randbytes(size)


def digest(data: bytes) -> str:
    """By which it is told whether they are the same."""
    return hashlib.sha256(data).hexdigest()


# The web: what is posted comes back, by a push producer, with its digest in a header.


@implementer(IPushProducer)
class _Sender:
    """Writes the body of a response in pieces, as long as it may."""

    def __init__(self, request: Request, body: bytes) -> None:
        self.request, self.body, self.at = request, body, 0
        self.paused = self.stopped = False
        request.registerProducer(self, True)
        self.resumeProducing()

    def resumeProducing(self) -> None:
        self.paused = False
        while not (self.paused or self.stopped) and self.at < len(self.body):
            self.request.write(self.body[self.at : self.at + 20_000])
            self.at += 20_000
        if self.at >= len(self.body) and not self.stopped:
            self.stopped = True
            self.request.unregisterProducer()
            self.request.finish()

    def pauseProducing(self) -> None:
        self.paused = True

    def stopProducing(self) -> None:
        self.stopped = True


class Mirror(Resource):
    isLeaf = True

    def render_POST(self, request: Any) -> int:
        body = request.content.read()
        request.setHeader(b"x-digest", digest(body).encode())
        request.setHeader(b"x-peer", str(getattr(request.getClientAddress(), "name", "")).encode())
        _Sender(request, body)
        return NOT_DONE_YET


def site(reactor: Any) -> Site:
    """The server."""
    found = Site(Mirror(), reactor=reactor)
    found.noisy = False
    return found


@implementer(IAgentEndpointFactory)
class Through:
    """Every connection of an agent, by one endpoint."""

    def __init__(self, endpoint: IStreamClientEndpoint) -> None:
        self._endpoint = endpoint

    def endpointForURI(self, uri: object) -> IStreamClientEndpoint:
        return self._endpoint


async def post(reactor: Any, endpoint: IStreamClientEndpoint, body: bytes) -> tuple[bytes, dict[str, str]]:
    """What comes back, and its headers."""
    agent = Agent.usingEndpointFactory(reactor, Through(endpoint))
    cooperator = Cooperator(scheduler=lambda turn: reactor.callLater(0, turn))
    producer = FileBodyProducer(BytesIO(body), cooperator=cooperator, readSize=30_000)
    response: Any = await agent.request(b"POST", b"http://bob/", Headers({"x": ["y"]}), producer)
    assert response.code == 200
    headers = {key.decode().lower(): values[0].decode() for key, values in response.headers.getAllRawHeaders()}
    body_of = Body()
    response.deliverBody(body_of)
    return await body_of.done, headers


class Body(Protocol):
    def __init__(self) -> None:
        self.got = bytearray()
        self.done: Deferred[bytes] = Deferred()

    def dataReceived(self, data: bytes) -> None:
        self.got += data

    def connectionLost(self, reason: Failure) -> None:  # type: ignore[override]
        reason.trap(ResponseDone)
        self.done.callback(bytes(self.got))


# SSH: "digest SIZE" reads so much, and writes what comes of it.


class Digest(Protocol):
    def __init__(self, command: bytes) -> None:
        self.size = int(command.removeprefix(b"digest "))
        self.input = bytearray()

    def dataReceived(self, data: bytes) -> None:
        self.input += data
        if len(self.input) == self.size:
            assert self.transport is not None
            self.transport.write(digest(bytes(self.input)).encode())
            self.transport.loseConnection()


@implementer(ISession)
class Commands:
    def __init__(self, avatar: object) -> None:
        self.running: Digest | None = None

    def execCommand(self, process: Any, command: bytes) -> None:
        self.running = Digest(command)
        self.running.makeConnection(process)
        process.makeConnection(wrapProtocol(self.running))

    def eofReceived(self) -> None: ...

    def closed(self) -> None: ...

    def getPty(self, term: object, size: object, modes: object) -> None:
        raise NotImplementedError

    def openShell(self, process: object) -> None:
        raise NotImplementedError

    def windowChanged(self, size: object) -> None:
        raise NotImplementedError


class Someone(ConchUser):
    def __init__(self) -> None:
        super().__init__()
        self.channelLookup[b"session"] = SSHSession

    def __conform__(self, interface: object) -> object:
        return Commands(self) if interface is ISession else None


@implementer(IRealm)
class Realm:
    def requestAvatar(self, name: object, mind: object, *interfaces: Any) -> Any:
        return interfaces[0], Someone(), lambda: None


def ssh_server(reactor: Any, key: Key) -> SSHFactory:
    """One that lets in ``user`` by ``password``."""

    class Authentication(SSHUserAuthServer):
        clock = reactor

    factory = SSHFactory()
    factory.noisy = False
    factory.privateKeys = {key.sshType(): key}
    factory.publicKeys = {key.sshType(): key.public()}
    factory.services = {b"ssh-userauth": Authentication, b"ssh-connection": SSHConnection}
    factory.portal = Portal(Realm(), [InMemoryUsernamePasswordDatabaseDontUse(user=b"password")])
    return factory


def ssh_key() -> Key:
    return Key(Ed25519PrivateKey.generate())


class _Connection(SSHConnection):
    def __init__(self, ready: Deferred[SSHConnection]) -> None:
        super().__init__()
        self.ready = ready

    def serviceStarted(self) -> None:
        super().serviceStarted()
        self.ready.callback(self)


class _Authentication(SSHUserAuthClient):
    def getPassword(self, prompt: object = None) -> Deferred[bytes]:
        return succeed(b"password")


class SSHClient(SSHClientTransport):
    """Fires ``ready`` with the connection; checks the server's key."""

    def __init__(self, key: Key) -> None:
        self.expected = key.public().blob()
        self.ready: Deferred[SSHConnection] = Deferred()
        self.reason: Failure | None = None

    def verifyHostKey(self, key: bytes, fingerprint: object) -> Deferred[bool]:
        assert key == self.expected
        return succeed(True)

    def connectionSecure(self) -> None:
        self.requestService(_Authentication(b"user", _Connection(self.ready)))

    def connectionLost(self, reason: Failure) -> None:
        super().connectionLost(reason)
        self.reason = reason


class _Command(SSHChannel):
    name = b"session"

    def __init__(self, connection: SSHConnection, text: bytes) -> None:
        super().__init__(conn=connection)
        self.text = text
        self.output = b""
        self.done: Deferred[bytes] = Deferred()

    def channelOpen(self, specific: bytes) -> None:
        asked = self.conn.sendRequest(self, b"exec", NS(b"digest %d" % len(self.text)), wantReply=True)
        asked.addCallback(lambda reply: self.write(self.text))

    def dataReceived(self, data: bytes) -> None:
        self.output += data

    def closed(self) -> None:
        self.done.callback(self.output)


async def ssh(endpoint: IStreamClientEndpoint, key: Key, text: bytes) -> tuple[bytes, SSHClient]:
    """The output of the command, and the client, which has said that it disconnects."""
    client: Any = await endpoint.connect(Factory.forProtocol(lambda: SSHClient(key)))
    connection: Any = await client.ready
    running = _Command(connection, text)
    connection.openChannel(running)
    output = await running.done
    client.loseConnection()
    return output, client
