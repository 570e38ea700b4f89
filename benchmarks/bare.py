"""A bare puncher: the product's introduction, port and race, without TLS and with any redial policy.

Run by ``connect.py`` and ``matrix.py`` on a host of the laboratory: ``bare BROKER NAME POLICY [SECONDS]``;
those of one policy meet each other.  Prints one JSON line: seconds from the introduction to the moment at
which this side knows that both hold the same connection; None after SECONDS without one.
"""

from __future__ import annotations

import json
import random
import secrets
import sys
from collections.abc import Callable
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from twisted.internet import reactor as _reactor
from twisted.internet.protocol import Protocol, ServerFactory

from p2phole.peer.broker_link import BrokerLink
from p2phole.peer.settings import BrokerAddress
from p2phole.punch.candidates import Surroundings, gather, to_dial
from p2phole.punch.dial import Dial
from p2phole.punch.interfaces import interface_addresses
from p2phole.punch.ledger import SynLedger
from p2phole.punch.schedule import Redial, SynBudget
from p2phole.punch.shared_port import SharedPort
from p2phole.secure.possession import fingerprint_of, raw, sign
from p2phole.secure.preface import SIZE, build
from p2phole.secure.roles import Identity, Pairing
from p2phole.wire.messages import Introduction, Possession, Register, Welcome

reactor: Any = _reactor
GIVE_UP = 6.0
NEVER = 1e6


class FixedPause:
    """A redial policy: the same pause after every refusal."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds

    def pause(self) -> float:
        """Seconds to wait."""
        return self._seconds


POLICIES: dict[str, Callable[[], Any]] = {
    "at-once": lambda: Redial(random.random, True),
    "one": lambda: FixedPause(NEVER),
    "fixed-200ms": lambda: FixedPause(0.2),
    # As most examples do: the acceptor where the broker saw us, but the dial from a port that nobody has seen.
    "fresh": lambda: FixedPause(NEVER),
}


class BareChannel(Protocol):
    """The same bytes as the product's, without the TLS: prefaces, the leader's choice, the confirmation."""

    def __init__(self, peer: BarePeer, dialled: bool) -> None:
        self.peer = peer
        self.dialled = dialled
        self.buffer = b""

    def connectionMade(self) -> None:
        self.transport.setTcpNoDelay(True)  # type: ignore[union-attr]
        if self.dialled:
            self.say_hello()

    def say_hello(self) -> None:
        pairing = self.peer.pairing
        nomination = b"N" if pairing.leads and self.peer.nominate(self) else b""
        self.transport.write(build(pairing.my_tag) + nomination)  # type: ignore[union-attr]

    def dataReceived(self, data: bytes) -> None:
        before = len(self.buffer)
        self.buffer += data
        if before < SIZE <= len(self.buffer) and not self.dialled:
            self.say_hello()
        if len(self.buffer) > SIZE:
            if not self.peer.pairing.leads:
                self.transport.write(b"C")  # type: ignore[union-attr]
            self.peer.done(self)


class BarePeer:
    """See :class:`p2phole.peer.broker_protocol.Room`."""

    def __init__(self, broker: str, name: str, policy: str, give_up: str = str(GIVE_UP)) -> None:
        self.name = name
        self.policy = policy
        self.give_up = float(give_up)
        # Only the broker wants it proven.
        self.key = Ed25519PrivateKey.generate()
        self.mine = Identity(fingerprint_of(self.key.public_key()), secrets.token_hex(16))
        self.nominee: BareChannel | None = None
        self.dials: list[Dial] = []
        factory = ServerFactory()
        factory.buildProtocol = lambda addr: BareChannel(self, False)  # type: ignore[method-assign,assignment]
        self.port = SharedPort(reactor, 0, factory)
        host, _, number = broker.rpartition(":")
        address = BrokerAddress(host.strip("[]"), int(number))
        self.dialled = str(address)
        self.link = BrokerLink(reactor, address, self.port.binding, self, random.random, self.fail)
        self.link.start()

    def fail(self, error: Exception) -> None:
        sys.stderr.write(f"{error}\n")
        reactor.stop()

    def registration(self, link: Any, welcome: Welcome) -> Register:
        self.here = Surroundings(interface_addresses(), self.port.port, link.remote.ip, welcome.observed)
        nonce, place = secrets.token_hex(16), ("open", self.policy)
        signature = sign(self.key, self.dialled, (welcome.nonce, nonce), place, self.mine.instance)
        shown = Possession(raw(self.key.public_key()).hex(), nonce, self.dialled, signature)
        here = gather(self.here)
        return Register(self.name, self.policy, self.mine.fingerprint, self.mine.instance, here, shown)

    def registered(self, link: Any, message: object) -> None:
        self.tell(event="registered")

    def introduced(self, message: Introduction) -> None:
        self.since = reactor.seconds()
        theirs = Identity(message.fingerprint, message.instance)
        self.pairing = Pairing(self.mine, theirs, bytes.fromhex(message.token))
        reactor.callLater(message.delay, self.dial, message)
        reactor.callLater(message.delay + self.give_up, self.end, None)

    def dial(self, message: Introduction) -> None:
        budget, until = SynBudget(SynLedger()), reactor.seconds() + self.give_up
        dialler = self.port.fresh if self.policy == "fresh" else self.port
        for candidate in to_dial(message.candidates, message.observed, self.here):
            redial = POLICIES[self.policy]()
            dial = Dial(reactor, dialler, candidate, redial, budget, until, lambda _: BareChannel(self, True))
            self.dials.append(dial)
            dial.dial()

    def nominate(self, channel: BareChannel) -> bool:
        if self.nominee is None:
            self.nominee = channel
        return self.nominee is channel

    def done(self, channel: BareChannel) -> None:
        self.end(reactor.seconds() - self.since)

    def end(self, seconds: float | None) -> None:
        self.tell(event="ended", seconds=seconds)
        self.end = lambda seconds: None  # type: ignore[method-assign]
        # The other side may still wait for our confirmation.
        reactor.callLater(0.5, reactor.stop)

    def requested(self, message: Any) -> None:
        pass

    def letter(self, message: object) -> None:
        """Nobody writes any."""

    def absent(self, message: Any) -> None:
        pass

    def unregistered(self, link: Any, reason: str) -> None:
        pass

    def tell(self, **keys: object) -> None:
        sys.stdout.write(json.dumps(keys) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    BarePeer(*sys.argv[1:])
    reactor.run()
