"""The course of one stream of files at the receiving side, as a machine.

States: *waiting* (for the offer), *listing* (the entries come), *deciding* (the user is asked, and what is there
already is looked at), *receiving* (between files), *taking* (a file), *settling* (all has come; the disk is
waited for), *told* (so was the other side), *over*.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from typing import Protocol as Interface

from automat import TypeMachineBuilder

from p2phole.errors import P2pholeError
from p2phole.use.files.arriving import Arriving
from p2phole.use.files.listing import Offer


class Reception(Interface):
    """What can happen."""

    def offered(self, offer: Offer) -> None:
        """What there is in all."""

    def texted(self, text: str) -> None:
        """A text, and that is all."""

    def entries(self, size: int, found: Any) -> None:
        """Some of it, one by one."""

    def listed(self) -> None:
        """Those were all."""

    def decided(self) -> None:
        """The user wants it, and the other side was told what is here."""

    def began(self, at: int, start: int) -> None:
        """A file, from there on."""

    def finished(self, digest: bytes) -> None:
        """All of that file."""

    def same(self, at: int, digest: bytes) -> None:
        """A file that is here already."""

    def failed(self, at: int, reason: str) -> None:
        """A file that the other side can't send."""

    def done(self) -> None:
        """That was all."""

    def settled(self) -> None:
        """Everything is on the disk, and the other side was told."""

    def ended(self, error: P2pholeError | None) -> None:
        """Nothing more can come."""


class Actions(Interface):
    """What is done about it.  Whatever does not fit what came before raises
    :class:`~p2phole.use.files.errors.BadOffer`."""

    arriving: Arriving
    """Where files come, once it is decided."""

    def keep_offer(self, offer: Offer) -> None:
        """The entries are next."""

    def tell_text(self, text: str) -> None:
        """That was all."""

    def add(self, size: int, found: Any) -> None:
        """Some of the entries."""

    def decide(self) -> None:
        """Look, ask, prepare, and tell the other side; nothing is written before the user wants it."""

    def close(self, error: P2pholeError | None) -> None:
        """It ended."""


@dataclass(frozen=True, slots=True)
class _Core:
    actions: Actions


def _build() -> Callable[[_Core], Reception]:
    builder = TypeMachineBuilder(Reception, _Core)
    waiting = builder.state("waiting")
    listing = builder.state("listing")
    deciding = builder.state("deciding")
    receiving = builder.state("receiving")
    taking = builder.state("taking")
    settling = builder.state("settling")
    told = builder.state("told")
    over = builder.state("over")

    @waiting.upon(Reception.offered).to(listing)
    def offered(reception: Reception, core: _Core, offer: Offer) -> None:
        core.actions.keep_offer(offer)

    @waiting.upon(Reception.texted).to(settling)
    def texted(reception: Reception, core: _Core, text: str) -> None:
        core.actions.tell_text(text)

    @listing.upon(Reception.entries).loop()
    def entries(reception: Reception, core: _Core, size: int, found: Any) -> None:
        core.actions.add(size, found)

    @listing.upon(Reception.listed).to(deciding)
    def listed(reception: Reception, core: _Core) -> None:
        core.actions.decide()

    deciding.upon(Reception.decided).to(receiving).returns(None)

    @receiving.upon(Reception.began).to(taking)
    def began(reception: Reception, core: _Core, at: int, start: int) -> None:
        core.actions.arriving.open(at, start)

    @taking.upon(Reception.finished).to(receiving)
    def finished(reception: Reception, core: _Core, digest: bytes) -> None:
        core.actions.arriving.finish(digest)

    @receiving.upon(Reception.same).loop()
    def same(reception: Reception, core: _Core, at: int, digest: bytes) -> None:
        core.actions.arriving.is_same(at, digest)

    @receiving.upon(Reception.failed).loop()
    @taking.upon(Reception.failed).to(receiving)
    def failed(reception: Reception, core: _Core, at: int, reason: str) -> None:
        core.actions.arriving.give_up(at, reason)

    @receiving.upon(Reception.done).to(settling)
    def done(reception: Reception, core: _Core) -> None:
        core.actions.arriving.settle()

    settling.upon(Reception.settled).to(told).returns(None)

    for state in (waiting, listing, deciding, receiving, taking, settling, told):

        @state.upon(Reception.ended).to(over)
        def ended(reception: Reception, core: _Core, error: P2pholeError | None) -> None:
            core.actions.close(error)

    over.upon(Reception.ended).loop().returns(None)
    return builder.build()


_machine = _build()


def reception(actions: Actions) -> Reception:
    """The course of one stream, *waiting*."""
    return _machine(_Core(actions))
