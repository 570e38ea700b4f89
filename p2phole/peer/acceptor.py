"""Takes what comes in on the shared port, and finds out by its preface whose it is."""

from __future__ import annotations

from twisted.internet.interfaces import IAddress, IReactorTime
from twisted.internet.protocol import ServerFactory

from p2phole.secure.channel import Channel, Claim

MOST_STRANGERS = 64
"""Connections that have not shown a valid preface, at one time."""


class Acceptor(ServerFactory):
    """The ``ListeningPort``'s factory.  Shows nothing to whoever has no valid preface.

    A preface of a pair that is not known yet waits for its introduction, as long as any channel may
    wait: the other side may have been nearer to the broker.
    """

    noisy = False

    def __init__(self, clock: IReactorTime) -> None:
        self._clock = clock
        self._expected: dict[bytes, Claim] = {}
        self._strangers: dict[Channel, None] = {}
        self._early: dict[bytes, list[Channel]] = {}

    def expect(self, claim: Claim) -> None:
        """Connections with this pair's tag belong to this claim from now on."""
        tag = claim.pairing.their_tag
        self._expected[tag] = claim
        for channel in self._early.pop(tag, ()):
            self._strangers.pop(channel, None)
            channel.admit(claim)

    def forget(self, claim: Claim) -> None:
        """They no longer do."""
        self._expected.pop(claim.pairing.their_tag, None)

    def buildProtocol(self, addr: IAddress | None) -> Channel:
        """Somebody has connected."""
        if len(self._strangers) >= MOST_STRANGERS:
            # The oldest one has had the most time to say who it is.
            oldest = next(iter(self._strangers))
            del self._strangers[oldest]
            oldest.drop("slow")
        channel = Channel(self._clock, find=self._find, over=self._over)
        self._strangers[channel] = None
        return channel

    def _find(self, channel: Channel, tag: bytes) -> Claim | None:
        claim = self._expected.get(tag)
        if claim is not None:
            self._strangers.pop(channel, None)
            return claim
        self._early.setdefault(tag, []).append(channel)
        return None

    def _over(self, channel: Channel) -> None:
        self._strangers.pop(channel, None)
        for tag in [tag for tag, waiting in self._early.items() if channel in waiting]:
            self._early[tag].remove(channel)
            if not self._early[tag]:
                del self._early[tag]

    def close(self) -> None:
        """Drop everybody who is not known yet."""
        for channel in tuple(self._strangers):
            channel.drop()
