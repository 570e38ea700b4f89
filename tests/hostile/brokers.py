"""Brokers that are our own, with something in between: each changes what it says in one way."""

from __future__ import annotations

import base64
import json
from argparse import Namespace
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from twisted.internet import reactor
from twisted.internet.task import LoopingCall

from p2phole import events
from p2phole.addresses import Endpoint
from p2phole.broker.service import BrokerService
from p2phole.broker.settings import BrokerSettings
from p2phole.secure.identity import Credentials
from p2phole.secure.roles import Identity
from p2phole.wire.messages import Introduction, Letter, ToPeer
from tests.hostile.modes import Told
from tests.hostile.puppet import Puppet, play, secret_of
from tests.hostile.trap import Trap

Change = Callable[[Any, ToPeer], list[ToPeer]]


class Meddler:
    """A broker that passes all that it says through ``change``; sessions are its connections."""

    def __init__(self, arguments: Namespace, change: Change = lambda session, message: [message]) -> None:
        self.did: Counter[str] = Counter()
        self.arguments = arguments
        self.change = change
        self.sessions: dict[Any, Identity] = {}
        """Who has tried to register by which connection."""
        self.own: list[Puppet] = []
        self.key = Credentials.of(Ed25519PrivateKey.generate())
        listen = (f"tcp:{arguments.port}:interface=127.0.0.1",)
        service = BrokerService(reactor, BrokerSettings(listen=listen, probe_port=0), lambda error: reactor.stop())
        self.factory: Any = service._factory
        self._build = self.factory.buildProtocol
        self.factory.buildProtocol = self._meddling
        service.privilegedStartService()
        service.startService()

    def _meddling(self, address: Any) -> Any:
        session = self._build(address)
        if session is None:
            return None
        session.say, hear = session.send, session.lineReceived

        def send(message: ToPeer) -> None:
            for changed in self.change(session, message):
                session.say(changed)

        def line(content: bytes) -> None:
            if b'"register"' in content:
                told = json.loads(content)
                self.sessions[session] = Identity(told["fingerprint"], told["instance"])
            hear(content)

        session.send, session.lineReceived = send, line
        return session

    def of(self, instance: str) -> Any:
        """The connection of a member, the latest one."""
        return [each for each, who in self.sessions.items() if who.instance == instance][-1]

    def run(self) -> Told:
        """Until its time is over."""
        play(self.arguments.seconds)
        self.did["content"] = self.did["content"] + sum(puppet.content for puppet in self.own)
        return dict(self.did)


def swap_keys(arguments: Namespace) -> Told:
    """See :data:`~tests.hostile.modes.MODES`."""

    def change(session: Any, message: ToPeer) -> list[ToPeer]:
        if isinstance(message, Introduction):
            broker.did["introductions"] += 1
            message = replace(message, fingerprint=broker.key.fingerprint)
        return [message]

    broker = Meddler(arguments, change)
    return broker.run()


def swap_endpoints(arguments: Namespace) -> Told:
    """See :data:`~tests.hostile.modes.MODES`."""

    def change(session: Any, message: ToPeer) -> list[ToPeer]:
        if isinstance(message, Introduction):
            broker.did["introductions"] += 1
            theirs = Identity(message.fingerprint, message.instance)
            trap.expect(theirs, broker.sessions[session], message.token)
            observed = Endpoint.make("127.0.0.1", trap.port)
            message = replace(message, observed=observed, candidates=())
        return [message]

    broker = Meddler(arguments, change)
    trap = Trap(broker.key, broker.did)
    return broker.run()


def swap_both(arguments: Namespace) -> Told:
    """Each member is alone in its room with a false one; between the false ones texts are passed on."""
    broker = Meddler(arguments)
    rooms: dict[str, int] = {}
    enter = broker.factory.admission.enter

    def enter_alone(message: Any, *rest: Any) -> str:
        room, who = enter(message, *rest), message.fingerprint
        number = rooms.setdefault(who, len(rooms))
        if number < 2:
            members[number] = message
            if number == 1 and not broker.own:
                reactor.callLater(0, begin)  # type: ignore[attr-defined]
        return f"{room}|{number if number < 2 else number - 2}"

    def begin() -> None:
        guess = secret_of(arguments.secret_file) if members[0].space == "secret" else None
        if members[0].space == "secret" and guess is None:
            guess = b"a guess of the broker at the secret"
        for number in (0, 1):
            message, other = members[number], members[1 - number]
            puppet = Puppet(
                ("127.0.0.1", arguments.port),
                other.name,
                arguments.room,
                guess,
                (message.space, message.room),
                heard=lambda text, number=number: broker.own[1 - number].say(text),  # type: ignore[misc]
            )
            rooms[puppet.credentials.fingerprint] = number + 2
            broker.own.append(puppet)

    members: dict[int, Any] = {}
    broker.factory.admission.enter = enter_alone
    told = broker.run()
    return {"false members": len(broker.own), "connected": _connected(broker), **told}


def _connected(broker: Meddler) -> int:
    return sum(puppet.count(events.Connected) for puppet in broker.own)


def replay(arguments: Namespace) -> Told:
    """Once they have met, as far as they do: what is replayed before just keeps them from it."""
    kept: list[ToPeer] = []

    def change(session: Any, message: ToPeer) -> list[ToPeer]:
        if isinstance(message, Introduction | Letter):
            if not kept:
                reactor.callLater(4.0, LoopingCall(again).start, 0.02)  # type: ignore[attr-defined]
            kept.append(message)
        return [message]

    def again() -> None:
        if broker.did["said again"] < arguments.count:
            session, message = arguments.random.choice(list(broker.sessions)), arguments.random.choice(kept)
            if not session._closing:
                broker.did["said again"] += 1
                session.say(message)
                if broker.did["said again"] == arguments.count:
                    print("all said again", flush=True)  # noqa: T201

    broker = Meddler(arguments, change)
    return broker.run()


def change_letters(arguments: Namespace) -> Told:
    """See :data:`~tests.hostile.modes.MODES`."""

    def change(session: Any, message: ToPeer) -> list[ToPeer]:
        if isinstance(message, Letter):
            broker.did["letters"] += 1
            content = bytearray(base64.b64decode(message.body))
            content[arguments.random.randrange(len(content))] ^= 1 << arguments.random.randrange(8)
            message = replace(message, body=base64.b64encode(content).decode())
        return [message]

    broker = Meddler(arguments, change)
    return broker.run()


def reflect_letters(arguments: Namespace) -> Told:
    """See :data:`~tests.hostile.modes.MODES`."""

    def change(session: Any, message: ToPeer) -> list[ToPeer]:
        if not isinstance(message, Letter):
            return [message]
        broker.did["letters"] += 1
        writer = broker.of(message.instance)
        writer.say(replace(message, instance=broker.sessions[session].instance))
        return []

    broker = Meddler(arguments, change)
    return broker.run()


def withhold_letters(arguments: Namespace) -> Told:
    """See :data:`~tests.hostile.modes.MODES`."""

    def change(session: Any, message: ToPeer) -> list[ToPeer]:
        broker.did["letters"] += isinstance(message, Letter)
        return [] if isinstance(message, Letter) else [message]

    broker = Meddler(arguments, change)
    return broker.run()


def join(arguments: Namespace) -> Told:
    """It knows the room as the broker does, and what it is called is no secret."""
    broker = Meddler(arguments)
    enter = broker.factory.admission.enter

    def entered(message: Any, *rest: Any) -> str:
        if not places:
            places.append((message.space, message.room))
            for number in range(arguments.count):
                reactor.callLater(2.0 + number / 2, begin, number)  # type: ignore[attr-defined]
        room: str = enter(message, *rest)
        return room

    def begin(number: int) -> None:
        guess = f"guess {number} of the broker's".encode()
        broker.own.append(Puppet(("127.0.0.1", arguments.port), "bob", arguments.room, guess, places[0]))

    places: list[tuple[str, str]] = []
    broker.factory.admission.enter = entered
    told = broker.run()
    refused = sum(puppet.count(events.Failed, reason="secret") for puppet in broker.own)
    return {"members": len(broker.own), "connected": _connected(broker), "refused": refused, **told}
