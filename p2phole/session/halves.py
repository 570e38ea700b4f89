"""One direction of a stream as a machine, the same for both ends of it.  Pure.

States: *silent* (nothing may be sent yet), *carrying*, *finished* (everything was sent), *taken* (and
everything was consumed), *cut* (broken off; what crosses a RESET on its way means nothing any more).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol as Interface

from automat import NoTransition, TypeMachineBuilder

from p2phole.session.frames import MOST_PAYLOAD, BadFrame, Kind

INITIAL_WINDOW = MOST_PAYLOAD
"""Bytes that may be sent on a stream before the first CREDIT: one full frame."""
MOST_WINDOW = 16 * 1024 * 1024
"""Bytes that a CREDIT may allow beyond what it says was consumed."""


class Half(Interface):
    """What moves one direction on."""

    def begin(self) -> None:
        """OPEN, for what the opener sends; ACCEPT, for what comes back."""

    def finish(self) -> None:
        """FINISH, from whoever sends the data."""

    def take(self) -> None:
        """TAKEN, from whoever reads it."""

    def cut(self) -> None:
        """RESET, from either."""


@dataclass(slots=True)
class Flow:
    """What one direction has carried and may carry: bytes from the beginning of the stream."""

    carried: int = 0
    consumed: int = 0
    limit: int = INITIAL_WINDOW
    open: bool = False
    """Whether DATA may come."""
    finished: bool = False
    taken: bool = False
    is_cut: bool = False

    def carry(self, size: int) -> None:
        """DATA of so many bytes.  Raises :class:`BadFrame`."""
        if not self.open:
            raise BadFrame(why="data on a stream that is not open for it")
        if self.carried + size > self.limit:
            raise BadFrame(why="more data than it had credit for")
        self.carried += size

    def allow(self, consumed: int, limit: int) -> None:
        """A CREDIT.  Raises :class:`BadFrame`; one that is worth nothing is refused, so there is no end of them
        only while there is no end of data."""
        if self.taken or not (self.open or self.finished):
            raise BadFrame(why="credit for a stream that is not open")
        if not self.consumed <= consumed <= self.carried:
            raise BadFrame(why="it consumed what was never sent")
        if limit < self.limit or limit - consumed > MOST_WINDOW:
            raise BadFrame(why=f"a window of {limit - consumed} bytes")
        if consumed == self.consumed and limit - self.limit < MOST_PAYLOAD:
            raise BadFrame(why="a credit that is worth nothing")
        self.consumed, self.limit = consumed, limit


class Direction:
    """One direction: its flow, and the machine, whose objections are :class:`BadFrame`."""

    __slots__ = ("_machine", "flow")

    def __init__(self) -> None:
        self.flow = Flow()
        self._machine = _machine(self.flow)

    def apply(self, kind: Kind) -> None:
        """A frame of this kind was sent or has come.  Raises :class:`BadFrame`."""
        try:
            _INPUTS[kind](self._machine)
        except NoTransition:
            raise BadFrame(why=f"a {kind.name} out of turn") from None


_INPUTS: dict[Kind, Callable[[Half], None]] = {
    Kind.OPEN: lambda half: half.begin(),
    Kind.ACCEPT: lambda half: half.begin(),
    Kind.FINISH: lambda half: half.finish(),
    Kind.TAKEN: lambda half: half.take(),
    Kind.RESET: lambda half: half.cut(),
}


def _build() -> Callable[[Flow], Half]:
    builder = TypeMachineBuilder(Half, Flow)
    silent = builder.state("silent")
    carrying = builder.state("carrying")
    finished = builder.state("finished")
    taken = builder.state("taken")
    cut = builder.state("cut")

    @silent.upon(Half.begin).to(carrying)
    def begin(half: Half, flow: Flow) -> None:
        flow.open = True

    @carrying.upon(Half.finish).to(finished)
    def finish(half: Half, flow: Flow) -> None:
        flow.open, flow.finished = False, True

    @finished.upon(Half.take).to(taken)
    def take(half: Half, flow: Flow) -> None:
        flow.consumed, flow.taken = flow.carried, True

    @silent.upon(Half.cut).to(cut)
    @carrying.upon(Half.cut).to(cut)
    @finished.upon(Half.cut).to(cut)
    @taken.upon(Half.cut).to(cut)
    def break_off(half: Half, flow: Flow) -> None:
        flow.open, flow.is_cut = False, True

    for ignored in (Half.begin, Half.finish, Half.take, Half.cut):
        cut.upon(ignored).loop().returns(None)
    return builder.build()


_machine = _build()
