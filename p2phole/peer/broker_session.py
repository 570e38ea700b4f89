"""The peer's side of one connection to a broker, as a machine: *greeting*, *registering*, *registered*, *over*."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol as Interface

from automat import TypeMachineBuilder

from p2phole.addresses import Endpoint
from p2phole.errors import RemoteProtocolError
from p2phole.wire.messages import (
    Absent,
    DialledBack,
    Introduction,
    Letter,
    Register,
    Registered,
    Requested,
    ToBroker,
    Welcome,
)


class Room(Interface):
    """Whom a registered peer's connection tells."""

    def registration(self, link: Link, welcome: Welcome) -> Register:
        """The broker has greeted: what shall be registered?"""

    def registered(self, link: Link, message: Registered) -> None:
        """This peer is in the room."""

    def introduced(self, message: Introduction) -> None:
        """Another member was named."""

    def requested(self, message: Requested) -> None:
        """Another member asks for a new introduction."""

    def absent(self, message: Absent) -> None:
        """A member that was asked for is not there."""

    def letter(self, message: Letter) -> None:
        """Another member has sent something by way of the broker."""

    def dialled_back(self, message: DialledBack) -> None:
        """The broker has tried to connect to this peer."""

    def unregistered(self, link: Link, reason: str) -> None:
        """The broker is gone after it had registered us (a few words)."""


class Link(Interface):
    """The connection, as the machine and a room see it."""

    @property
    def local(self) -> Endpoint:
        """This end of it."""

    @property
    def remote(self) -> Endpoint:
        """The broker's end of it."""

    def send(self, message: ToBroker) -> None:
        """Write one message."""

    def press(self) -> None:
        """There is a reason to doubt that anything gets through: what was just sent tells."""

    def expect_answer(self) -> None:
        """Give up if nothing comes in time."""

    def expect_nothing(self) -> None:
        """No answer is due."""

    def give_up(self, reason: RemoteProtocolError) -> None:
        """Close it: it is of no more use."""


class Machine(Interface):
    """What can happen on the connection."""

    def welcome(self, message: Welcome) -> None:
        """The broker has greeted."""

    def registered(self, message: Registered) -> None:
        """The broker has put us in the room."""

    def introduction(self, message: Introduction) -> None:
        """Another member was named."""

    def requested(self, message: Requested) -> None:
        """Another member asks for a new introduction."""

    def absent(self, message: Absent) -> None:
        """A member that was asked for is not there."""

    def letter(self, message: Letter) -> None:
        """Another member has sent something."""

    def dialled_back(self, message: DialledBack) -> None:
        """The broker has tried to connect to this peer."""

    def ended(self, reason: RemoteProtocolError) -> None:
        """The connection is of no more use."""


@dataclass
class Core:
    """The machine's data."""

    link: Link
    room: Room


def _build() -> Callable[[Core], Machine]:
    builder = TypeMachineBuilder(Machine, Core)
    greeting = builder.state("greeting")
    registering = builder.state("registering")
    registered = builder.state("registered")
    over = builder.state("over")

    @greeting.upon(Machine.welcome).to(registering)
    def welcome(machine: Machine, core: Core, message: Welcome) -> None:
        core.link.expect_answer()
        core.link.send(core.room.registration(core.link, message))

    @registering.upon(Machine.registered).to(registered)
    def in_room(machine: Machine, core: Core, message: Registered) -> None:
        core.link.expect_nothing()
        core.room.registered(core.link, message)

    @registered.upon(Machine.introduction).loop()
    def introduction(machine: Machine, core: Core, message: Introduction) -> None:
        core.room.introduced(message)

    @registered.upon(Machine.requested).loop()
    def requested(machine: Machine, core: Core, message: Requested) -> None:
        core.room.requested(message)

    @registered.upon(Machine.absent).loop()
    def absent(machine: Machine, core: Core, message: Absent) -> None:
        core.room.absent(message)

    @registered.upon(Machine.letter).loop()
    def letter(machine: Machine, core: Core, message: Letter) -> None:
        core.room.letter(message)

    @registered.upon(Machine.dialled_back).loop()
    def dialled_back(machine: Machine, core: Core, message: DialledBack) -> None:
        core.room.dialled_back(message)

    @greeting.upon(Machine.ended).to(over)
    @registering.upon(Machine.ended).to(over)
    def never_in(machine: Machine, core: Core, reason: RemoteProtocolError) -> None:
        core.link.give_up(reason)

    @registered.upon(Machine.ended).to(over)
    def no_longer_in(machine: Machine, core: Core, reason: RemoteProtocolError) -> None:
        core.link.give_up(reason)
        core.room.unregistered(core.link, str(reason).removesuffix("."))

    over.upon(Machine.ended).loop().returns(None)
    return builder.build()


_machine = _build()


def broker_session(link: Link, room: Room) -> Machine:
    """One connection to the broker, *greeting*."""
    return _machine(Core(link, room))
