"""Asking from several places how the shared port is seen: the probes.

Each probe is a connection from the shared port that says hello and reads the welcome, nothing
else, and is closed with RST so that its 4-tuple can be used again at once.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol as Interface
from typing import cast

from twisted.internet.defer import CancelledError, Deferred, FirstError, gatherResults
from twisted.internet.interfaces import IAddress, IConnector, IDelayedCall, IReactorTime, ITCPTransport
from twisted.internet.protocol import ClientFactory, connectionDone
from twisted.protocols.basic import LineReceiver
from twisted.python.failure import Failure

from p2phole.addresses import Endpoint
from p2phole.punch.dial import Dialler
from p2phole.punch.mapping import Observation

PROBE_SECONDS = 1.0
MOST_LINE = 4096


class Phrases(Interface):
    """What is said and heard on a probe: the layer above knows the broker's protocol."""

    def greeting(self) -> bytes:
        """The line to send."""

    def observed_in(self, line: bytes) -> Endpoint | None:
        """What the answer tells, or None."""


class _Probe(LineReceiver):
    delimiter = b"\n"
    MAX_LENGTH = MOST_LINE

    def __init__(self, factory: _ProbeFactory) -> None:
        self._factory = factory

    def connectionMade(self) -> None:
        self._factory.port = int(getattr(cast(ITCPTransport, self.transport).getHost(), "port", 0))
        cast(ITCPTransport, self.transport).write(self._factory.phrases.greeting() + b"\n")

    def lineReceived(self, line: bytes) -> None:
        self._factory.finish(self._factory.phrases.observed_in(line))

    def lineLengthExceeded(self, line: bytes) -> None:
        self._factory.finish(None)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self._factory.finish(None)


class _ProbeFactory(ClientFactory):
    noisy = False

    def __init__(self, clock: IReactorTime, phrases: Phrases) -> None:
        self.phrases = phrases
        self.done: Deferred[Endpoint | None] = Deferred(lambda _: self._close())
        self.port = 0
        self.connector: IConnector | None = None
        self._timer: IDelayedCall = clock.callLater(PROBE_SECONDS, self.finish, None)
        self._protocol: _Probe | None = None
        self._over = False

    def buildProtocol(self, addr: IAddress | None) -> _Probe | None:
        if self._over:
            return None
        self._protocol = _Probe(self)
        return self._protocol

    def clientConnectionFailed(self, connector: IConnector, reason: Failure) -> None:
        self.finish(None)

    def finish(self, observed: Endpoint | None) -> None:
        if not self._over:
            self._close()
            self.done.callback(observed)

    def _close(self) -> None:
        # First of all: stopConnecting calls back into clientConnectionFailed.
        self._over = True
        if self._timer.active():
            self._timer.cancel()
        if self._protocol is not None and self._protocol.transport is not None:
            cast(ITCPTransport, self._protocol.transport).abortConnection()
        elif self.connector is not None and getattr(self.connector, "state", "") == "connecting":
            self.connector.stopConnecting()


async def probe(
    clock: IReactorTime, dialler: Dialler, phrases: Phrases, targets: Sequence[Endpoint]
) -> list[Observation]:
    """Ask all targets at once; within a second, whatever came back, in the order of ``targets``.

    Raises :class:`CancelledError` where that is no longer wanted; then nothing is left.
    """
    looks: list[_ProbeFactory] = []
    for target in targets:
        factory = _ProbeFactory(clock, phrases)
        factory.connector = dialler.dial(target, factory, PROBE_SECONDS)
        looks.append(factory)
    try:
        answers = await gatherResults([look.done for look in looks], consumeErrors=True)
    except FirstError:
        raise CancelledError from None
    return [
        Observation(target, observed, look.port)
        for target, observed, look in zip(targets, answers, looks, strict=True)
        if observed is not None
    ]
