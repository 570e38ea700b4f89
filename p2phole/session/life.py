"""The life of a session, from link to link, as a machine.

States: *apart* (no link), *greeting* (a link whose other side has not greeted yet), *linked*, *replacing*
(linked, and a newer link is greeting: the old one stays until then), *over*.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol as Interface

from automat import TypeMachineBuilder
from twisted.internet.interfaces import IDelayedCall, IReactorTime

from p2phole.errors import P2pholeError
from p2phole.session.attachment import Attachment
from p2phole.session.errors import GaveUp


class Life(Interface):
    """What can happen to the links of a session, and to itself."""

    def attached(self, attachment: Attachment) -> None:
        """There is a new link, proven."""

    def greeted(self) -> None:
        """The other side has greeted on the newest link."""

    def lost_newest(self) -> None:
        """The link on which the other side was to greet has ended."""

    def lost_current(self) -> None:
        """The link that is used has ended."""

    def expired(self) -> None:
        """There was no link for too long."""

    def ended(self, error: P2pholeError) -> None:
        """Either side has had enough."""


class Actions(Interface):
    """What a session does about it."""

    def use(self, attachment: Attachment | None) -> None:
        """Send on this link from now on, or on none."""

    def is_back(self, seconds: float) -> None:
        """There is a link again, or another one; how long there was none."""

    def is_over(self, error: P2pholeError) -> None:
        """Everything ends."""


@dataclass
class Links:
    """The data of one session's life."""

    actions: Actions
    clock: IReactorTime
    resume_for: float
    current: Attachment | None = None
    newest: Attachment | None = None
    """The link that is greeting."""
    apart_since: float | None = None
    timer: IDelayedCall | None = None

    def greet(self, attachment: Attachment) -> None:
        """A newer link takes the place of one that was still greeting."""
        if self.newest is not None:
            self.newest.drop()
        self.newest = attachment
        attachment.greet()

    def switch(self) -> None:
        """The newest link is used, and the old one is done with."""
        old, self.current, self.newest = self.current, self.newest, None
        if old is not None:
            old.drop()
        if self.timer is not None:
            self.timer.cancel()
            self.timer = None
        since, self.apart_since = self.apart_since, None
        self.actions.use(self.current)
        if since is not None or old is not None:
            now = self.clock.seconds()
            self.actions.is_back(0.0 if since is None else now - since)

    def part(self, life: Life) -> None:
        """There is no link that could be used."""
        self.current = None
        self.actions.use(None)
        self.apart_since = self.clock.seconds()
        self.wait(life)

    def wait(self, life: Life) -> None:
        """Not for ever."""
        if self.timer is None:
            self.timer = self.clock.callLater(self.resume_for, life.expired)

    def end(self, error: P2pholeError) -> None:
        """No timer, no link, and everything above ends.  The links are closed by whoever has made them."""
        if self.timer is not None and self.timer.active():
            self.timer.cancel()
        for attachment in (self.current, self.newest):
            if attachment is not None:
                attachment.stop()
        self.current = self.newest = self.timer = None
        self.actions.use(None)
        self.actions.is_over(error)


def _build() -> Callable[[Links], Life]:
    builder = TypeMachineBuilder(Life, Links)
    apart = builder.state("apart")
    greeting = builder.state("greeting")
    linked = builder.state("linked")
    replacing = builder.state("replacing")
    over = builder.state("over")

    @apart.upon(Life.attached).to(greeting)
    @greeting.upon(Life.attached).loop()
    @linked.upon(Life.attached).to(replacing)
    @replacing.upon(Life.attached).loop()
    def attached(life: Life, links: Links, attachment: Attachment) -> None:
        links.greet(attachment)

    @greeting.upon(Life.greeted).to(linked)
    @replacing.upon(Life.greeted).to(linked)
    def greeted(life: Life, links: Links) -> None:
        links.switch()

    @greeting.upon(Life.lost_newest).to(apart)
    def lost_the_only_one(life: Life, links: Links) -> None:
        links.newest = None
        links.wait(life)

    @replacing.upon(Life.lost_newest).to(linked)
    def lost_newest(life: Life, links: Links) -> None:
        links.newest = None

    @linked.upon(Life.lost_current).to(apart)
    @replacing.upon(Life.lost_current).to(greeting)
    def lost_current(life: Life, links: Links) -> None:
        links.part(life)

    @apart.upon(Life.expired).to(over)
    @greeting.upon(Life.expired).to(over)
    def expired(life: Life, links: Links) -> None:
        links.end(GaveUp(seconds=links.resume_for))

    @apart.upon(Life.ended).to(over)
    @greeting.upon(Life.ended).to(over)
    @linked.upon(Life.ended).to(over)
    @replacing.upon(Life.ended).to(over)
    def ended(life: Life, links: Links, error: P2pholeError) -> None:
        links.end(error)

    @over.upon(Life.attached).loop()
    def too_late(life: Life, links: Links, attachment: Attachment) -> None:
        attachment.drop()

    over.upon(Life.ended).loop().returns(None)
    return builder.build()


_machine = _build()


def life(links: Links) -> Life:
    """The life of a session, *apart*."""
    return _machine(links)
