"""A broker and peers, the real services, in one process on the memory network."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from ipaddress import ip_interface
from typing import Any, TypeVar

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock

from p2phole import events
from p2phole.addresses import InterfaceAddress
from p2phole.broker.service import BrokerService
from p2phole.broker.settings import BrokerSettings
from p2phole.errors import LocalError
from p2phole.peer.lines import Lines
from p2phole.peer.service import PeerService
from p2phole.peer.settings import BrokerAddress, PeerSettings
from p2phole.peer.use import Use
from p2phole.secure.identity import Credentials
from tests.doubles import FakePeople
from tests.support.network import Firewall, Host, Nat, Network

BROKER = "198.51.100.1"
SECOND = "198.51.100.2"
_KEYS = [Credentials.of(Ed25519PrivateKey.generate()) for _ in range(12)]

E = TypeVar("E", bound=events.Event)


def interfaces_of(host: Host) -> tuple[InterfaceAddress, ...]:
    """What ``ifaddr`` would say there."""
    own = [ip_interface(f"{text}/{64 if ':' in text else 24}") for text in host.addresses]
    own += [ip_interface("127.0.0.1/8"), ip_interface("::1/128")]
    return tuple(InterfaceAddress(each.ip, each.network) for each in own)


class FakeConsole:
    """In place of standard input and output."""

    def __init__(self, most: int, line: Callable[[str], None], over: Callable[[], None]) -> None:
        self.line = line
        self.over = over
        self.held = True
        self.shown: list[str] = []
        self.blocked: list[Callable[[], None]] | None = None

    def start(self, reactor: Any) -> None:
        """Nothing to take over."""

    def stop(self) -> None:
        """Nothing to let go of."""

    def hold(self, held: bool) -> None:
        """Whether lines shall wait."""
        self.held = held

    def show(self, line: str, done: Callable[[], None]) -> None:
        """Print; or, while ``blocked`` is a list, keep whom to tell later."""
        self.shown.append(line)
        if self.blocked is None:
            done()
        else:
            self.blocked.append(done)


class Peer:
    """A running peer on a host of the memory network."""

    def __init__(self, world: World, host: Host, name: str, number: int, **settings: Any) -> None:
        self.host = host
        self.name = name
        self.seen: list[tuple[float, events.Event]] = []
        self.errors: list[LocalError] = []
        self.world = world
        broker = settings.pop("broker", BrokerAddress(BROKER, 9000))
        self.credentials = settings.pop("credentials", _KEYS[number % len(_KEYS)])
        self.people = settings.pop("people", None) or FakePeople()
        hooks = {hook: settings.pop(hook) for hook in ("invited", "asleep", "finish") if hook in settings}
        said_all = settings.pop("said_all", lambda: None)
        uses: list[Use] = settings.pop("uses", [])
        self.finished: list[None] = []
        hooks.setdefault("finish", lambda: self.finished.append(None))
        given = PeerSettings(broker=broker, name=name, key_file=None, **settings)  # type: ignore[arg-type]
        lines = Lines(
            host,
            given.messages,
            shows=given.events != "-",
            console=FakeConsole,  # type: ignore[arg-type]
            said_all=said_all,
        )
        self.console: Any = lines._console
        self.service = PeerService(
            host,
            given,
            self.errors.append,
            [lines, *uses],
            interfaces=lambda: interfaces_of(host),
            sink=self,
            credentials=self.credentials,
            instance=f"{number + 1:x}".rjust(4, "0").ljust(32, "0"),
            random=random.Random(number).random,
            people=self.people,
            **hooks,
        )
        self.service.privilegedStartService()
        self.service.startService()

    def emit(self, event: events.Event) -> None:
        """See :class:`~p2phole.events.EventSink`."""
        self.seen.append((self.host.seconds(), event))

    def all(self, kind: type[E], **keys: object) -> list[E]:
        """The events of that kind so far, with those values."""
        return [
            event
            for _time, event in self.seen
            if isinstance(event, kind) and all(getattr(event, key) == value for key, value in keys.items())
        ]

    def texts(self, direction: str = "in") -> list[str]:
        """The messages so far."""
        return [event.text for event in self.all(events.Message, direction=direction)]

    def say(self, text: str) -> None:
        """Type a line."""
        self.console.line(text)

    def stop(self) -> None:
        """Stop it in order, and check that nothing is left."""
        stopped: list[object] = []
        done: Deferred[None] = self.service.stopService()
        done.addCallback(stopped.append)
        self.world.until(lambda: stopped, 5)


class World:
    """A memory network with a broker."""

    def __init__(self, seed: int = 0, broker: bool = True, **network: Any) -> None:
        self.clock = Clock()
        self.clock.advance(1_000_000)  # far from zero, as clocks are
        self.net = Network(self.clock, seed, **network)
        self.peers: list[Peer] = []
        self.broker_host = self.net.host("broker", [BROKER, SECOND, "2001:db8::1", "2001:db8::2"])
        self.broker_errors: list[LocalError] = []
        self.broker: BrokerService | None = None
        if broker:
            self.start_broker()

    def start_broker(self, **settings: Any) -> BrokerService:
        """Start the broker's service."""
        self.broker = BrokerService(self.broker_host, BrokerSettings(**settings), self.broker_errors.append)
        self.broker.privilegedStartService()
        self.broker.startService()
        return self.broker

    def site(self, name: str, router: Firewall | None = None, **options: Any) -> Host:
        """A host, on the open internet or behind a router."""
        number = len(self.net.hosts)
        if isinstance(router, Nat):
            address = options.pop("address", f"192.168.{number}.2")
        else:
            address = options.pop("address", f"203.0.113.{100 + number}")
        return self.net.host(name, address=address, behind=router, **options)

    def peer(self, host: Host, name: str | None = None, **settings: Any) -> Peer:
        """Start a peer on that host."""
        peer = Peer(self, host, name or host.name, len(self.peers), **settings)
        self.peers.append(peer)
        return peer

    def until(self, predicate: Callable[[], object], limit: float = 30.0) -> None:
        """Let time pass until it holds."""
        self.net.run_until(predicate, limit)

    def connected(self, peers: Sequence[Peer] | None = None, limit: float = 30.0) -> None:
        """Let time pass until every one of them is connected to every other."""
        peers = self.peers if peers is None else peers
        self.until(
            lambda: all(len(peer.all(events.Connected)) >= len(peers) - 1 for peer in peers),
            limit,
        )
