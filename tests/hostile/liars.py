"""Brokers that are none: they register whoever comes, and say what nobody said."""

from __future__ import annotations

from argparse import Namespace
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

from twisted.internet import reactor
from twisted.internet.protocol import Factory
from twisted.internet.task import LoopingCall
from twisted.protocols.basic import LineReceiver

from p2phole.addresses import Candidate, Endpoint
from p2phole.behaviour import PORT, UNKNOWN, Behaviour
from p2phole.wire.codec import BadLine, decode_to_broker, encode
from p2phole.wire.messages import (
    DialBack,
    DialledBack,
    Hello,
    Introduction,
    Ping,
    Register,
    Registered,
    Request,
    Requested,
    ToPeer,
    Welcome,
)
from tests.hostile.lines import Mutator
from tests.hostile.modes import Told
from tests.hostile.puppet import play

SEEN = "127.0.0.3"
"""As what a peer is seen, by its word."""
VICTIM = "127.0.0.66"
"""A third address, at which nobody is."""
FORBIDDEN = (
    "10.0.0.9:5000",
    "172.16.3.4:5000",
    "192.168.1.1:5000",
    "100.64.0.5:5000",
    "169.254.169.254:5000",
    "0.0.0.0:5000",
    "224.0.0.1:5000",
    "240.0.0.1:5000",
    "255.255.255.255:5000",
    "[::]:5000",
    "[ff02::1]:5000",
    "[fe80::1]:5000",
    "[fc00::1]:5000",
    "[64:ff9b::a00:1]:5000",
    "[2002:c0a8:101::1]:5000",
    f"{VICTIM}:22",
    f"{VICTIM}:1023",
    "127.255.255.255:5000",
)
"""That last one is the broadcast address of the loopback network."""
RANDOM = Behaviour(PORT, PORT, "random", "silent")


class Liar(LineReceiver):
    """One connection to such a broker."""

    delimiter = b"\n"
    transport: Any

    def __init__(self, did: Counter[str], begin: Callable[[Liar], None], probe_port: int) -> None:
        self.did = did
        self._begin = begin
        self._probe_port = probe_port

    def connectionMade(self) -> None:
        """It may stop reading."""
        self.did["connections"] += 1

    def lineReceived(self, line: bytes) -> None:
        """Whatever is asked is granted."""
        self.did["heard"] += 1
        try:
            message = decode_to_broker(line)
        except BadLine:
            return
        if isinstance(message, Hello):
            peer = self.transport.getPeer()
            # With a probe port: seen as behind a router, which maps by nothing, and so fit for a birthday.
            host = SEEN if self._probe_port else peer.host
            self.say(Welcome(2, "liar", Endpoint.make(host, peer.port), "0" * 32, self._probe_port))
        elif isinstance(message, Register):
            self.say(Registered(message.room))
            self._begin(self)
        elif isinstance(message, DialBack):
            self.say(DialledBack("port", "silent"))
        elif isinstance(message, Request):
            self.did["requests"] += 1

    def say(self, message: ToPeer) -> None:
        """A message as it should be."""
        self.did["said"] += 1
        self.sendLine(encode(message))


def listen(arguments: Namespace, begin: Callable[[Liar], None], probes: bool = False) -> Counter[str]:
    """Wait for peers; ``begin`` gets each connection that has registered."""
    did: Counter[str] = Counter()
    probe_port = 0
    factory = Factory()
    factory.noisy = False
    factory.buildProtocol = lambda address: Liar(did, begin, probe_port)  # type: ignore[method-assign]
    if probes:
        probe = reactor.listenTCP(0, factory, interface="127.0.0.1")  # type: ignore[attr-defined]
        probe_port = probe.getHost().port
    reactor.listenTCP(arguments.port, factory, interface="127.0.0.1")  # type: ignore[attr-defined]
    return did


def introduction(
    number: int, observed: str, candidates: tuple[str, ...] = (), kind: str = "srflx", nat: Behaviour = UNKNOWN
) -> Introduction:
    """Of a member that is made up."""
    told = tuple(Candidate(kind, Endpoint.parse(text)) for text in candidates)
    fingerprint, instance, token = f"{number:064x}", f"{number:08x}" * 4, f"{number:032x}"
    return Introduction(
        f"member {number}", fingerprint, instance, Endpoint.parse(observed), told, token, 1, 0.0, nat
    )


def _every(seconds: float, link: Liar, messages: Iterator[ToPeer]) -> None:
    def one() -> None:
        message = next(messages, None)
        if message is None or not link.transport.connected:
            print("all said", flush=True)  # noqa: T201
            loop.stop()
        else:
            link.say(message)

    loop = LoopingCall(one)
    loop.start(seconds)


def forbidden(arguments: Namespace) -> Told:
    """As the observed endpoint, and as candidates of every kind."""

    def messages() -> Iterator[ToPeer]:
        number = 0
        for kind in ("host", "mapped", "srflx", "predicted"):
            number += 1
            yield introduction(number, f"{VICTIM}:4000", FORBIDDEN, kind)
        for endpoint in FORBIDDEN[:-3]:
            number += 1
            yield introduction(number, endpoint, nat=RANDOM)

    did = listen(arguments, lambda link: _every(0.1, link, messages()))
    play(arguments.seconds)
    return dict(did)


def victims(arguments: Namespace) -> Told:
    """Each with ports of its own, so that there is always a further one to dial; some with random ports."""

    def messages() -> Iterator[ToPeer]:
        for number in range(1, arguments.count + 1):
            ports = tuple(f"{VICTIM}:{1024 + (number * 16 + each) % 60_000}" for each in range(16))
            yield introduction(number, ports[0], ports, nat=RANDOM if number % 5 == 0 else UNKNOWN)
            yield Requested(f"{number + arguments.count:08x}" * 4)

    def begin(link: Liar) -> None:
        # Not before its NAT has been looked at, in its view.
        reactor.callLater(2.0, _every, 0.005, link, messages())  # type: ignore[attr-defined]

    did = listen(arguments, begin, probes=True)
    play(arguments.seconds)
    return dict(did)


def garbage(arguments: Namespace) -> Told:
    """Some dozens that can be read, and one that can't: then the peer goes, and comes back by itself."""
    mutator = Mutator(arguments.random)

    def begin(link: Liar) -> None:
        link.say(Ping(1))
        for _ in range(arguments.random.randrange(100, 300)):
            if did["hostile"] < arguments.count:
                did["hostile"] += 1
                link.transport.write(mutator.readable(to_peer=True) + b"\n")
        did["hostile"] += 1
        link.transport.write(mutator.line() + b"\n")

    did = listen(arguments, begin)
    play(arguments.seconds)
    return dict(did)
