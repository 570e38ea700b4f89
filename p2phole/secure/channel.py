"""From a hostile socket to an authenticated link: preface, TLS, proof, within five seconds.

:class:`Channel` is the protocol of the bare TCP connection, whoever opened it; :class:`SecureLink`
is what stands inside its TLS.  A :class:`Contest` hears how it goes.
"""

from __future__ import annotations

import socket
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, cast
from typing import Protocol as Interface

from twisted.internet.interfaces import (
    IAddress,
    IDelayedCall,
    IHandshakeListener,
    IPushProducer,
    IReactorTime,
    ITCPTransport,
    ITransport,
)
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.protocols.tls import TLSMemoryBIOProtocol
from twisted.python.failure import Failure
from zope.interface import implementer

from p2phole.addresses import Endpoint
from p2phole.prompt import PromptTLSFactory
from p2phole.secure.preface import NotAPreface, PrefaceReader, build
from p2phole.secure.roles import Pairing
from p2phole.secure.tls import PinnedTLS

PROOF_SECONDS = 5.0
"""Longest time from a TCP connection to the proof of who is there."""


class Contest(Interface):
    """Hears of the channels of one attempt."""

    def joined(self, channel: Channel) -> None:
        """A channel belongs to this attempt: its preface was valid."""

    def secured(self, link: SecureLink) -> None:
        """The TLS handshake is over and the other side has shown the expected key.

        On the TLS server that is the proof.  The client must wait for the first byte: in TLS 1.3
        it is through before the server has judged its certificate (RFC 8446 2).
        """

    def spoke(self, link: SecureLink, data: bytes) -> None:
        """Bytes from the other side, proven."""

    def dropped(self, channel: Channel, reason: str) -> None:
        """The channel is over; ``reason`` is one word of :data:`DROP_REASONS`."""


DROP_REASONS = {
    "stranger": "what is there does not speak this protocol, or belongs to another pair",
    "itself": "the connection led back to this very peer",
    "slow": "no proof of identity within five seconds",
    "unproven": "the TLS handshake failed: the key is not the one that was named",
    "closed": "the connection was closed",
}


@dataclass(frozen=True, slots=True)
class Claim:
    """Whose connection it is: the pair and attempt, who is to hear of it, and its TLS, which may be
    made while nothing else is to be done."""

    pairing: Pairing
    contest: Contest
    tls: Callable[[], PinnedTLS]


@implementer(IHandshakeListener)
class SecureLink(Protocol):
    """The authenticated inside of a channel.  After the race, ``receiver`` and ``ended`` are its user's."""

    def __init__(self, channel: Channel, contest: Contest) -> None:
        self.channel = channel
        self.receiver: Callable[[bytes], None] = lambda data: contest.spoke(self, data)
        self.ended: Callable[[Failure], None] = lambda reason: None
        self._contest = contest
        self._resting: IDelayedCall | None = None

    def handshakeCompleted(self) -> None:
        """TLS is up; see :class:`IHandshakeListener`."""
        self.channel.handshake_over()
        self._contest.secured(self)

    def dataReceived(self, data: bytes) -> None:
        """Bytes from inside TLS."""
        self.channel.proven()
        self.receiver(data)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """The link is over."""
        resting, self._resting = self._resting, None
        if resting is not None:
            resting.cancel()
        self.ended(reason)

    def rest(self, seconds: float) -> None:
        """Read nothing for so long; what is decrypted already still comes."""
        if self._resting is None and self.transport is not None:
            cast(IPushProducer, self.transport).pauseProducing()
            self._resting = self.channel.clock.callLater(seconds, self._go_on)

    def _go_on(self) -> None:
        self._resting = None
        if self.transport is not None:
            cast(IPushProducer, self.transport).resumeProducing()

    def write(self, data: bytes) -> None:
        """Send bytes to the other side."""
        if self.transport is not None:
            self.transport.write(data)


class Channel(Protocol):
    """A TCP connection on the direct port, until it is proven or dropped.

    A dialled one comes with its ``claim``; an accepted one finds it by the tag in the preface,
    through ``find``, which may also keep the channel waiting for an introduction that is due
    (it then calls :meth:`admit` later, and returns None).
    """

    def __init__(
        self,
        clock: IReactorTime,
        claim: Claim | None = None,
        find: Callable[[Channel, bytes], Claim | None] = lambda channel, tag: None,
        over: Callable[[Channel], None] = lambda channel: None,
    ) -> None:
        self.dialled = claim is not None
        self.link: SecureLink | None = None
        self.clock = clock
        self._claim = claim
        self._find = find
        self._over = over
        self._reader: PrefaceReader | None = PrefaceReader()
        self._early = b""
        self._tls: TLSMemoryBIOProtocol | None = None
        self._timer: IDelayedCall | None = None
        self._dropped: str | None = None

    # -- the socket

    def connectionMade(self) -> None:
        """Start the clock; a dialler shows its preface."""
        transport = cast(ITCPTransport, self.transport)
        transport.setTcpNoDelay(True)
        self.local = _endpoint(transport.getHost())
        self.remote = _endpoint(transport.getPeer())
        self._timer = self.clock.callLater(PROOF_SECONDS, self.drop, "slow")
        if self._claim is not None:
            self._claim.contest.joined(self)
            if self._dropped is not None:
                return
            self._show_preface(self._claim.pairing)
            if self._claim.pairing.leads:
                # The ClientHello shows nothing of us, and sent now it saves half a round trip.
                self._start_tls(self._claim)

    def dataReceived(self, data: bytes) -> None:
        """The preface first, then TLS."""
        if self._dropped is not None:
            return
        if self._reader is None:
            self._pass_on(data)
            return
        try:
            found = self._reader.feed(data)
        except NotAPreface:
            self.drop("stranger")
            return
        if found is None:
            return
        self._reader = None
        tag, self._early = found
        if self._claim is None:
            claim = self._find(self, tag)
            if claim is not None:
                self.admit(claim)
        elif tag == self._claim.pairing.my_tag:
            self.drop("itself")
        elif tag != self._claim.pairing.their_tag:
            self.drop("stranger")
        else:
            self._enter(self._claim)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """The socket is gone."""
        self._stop_timer()
        if self._tls is not None:
            self._tls.connectionLost(reason)
        # A leader is in TLS before it has read a preface: what hung up on that may be anything.
        under_way = self.link is not None and self._reader is None and not self._secured
        self._tell_dropped("unproven" if under_way else "closed")
        self._over(self)

    # -- from the preface to the proof

    _secured = False

    def admit(self, claim: Claim) -> None:
        """An accepted connection turned out to be that pair's: answer its preface."""
        if self._dropped is None:
            self._claim = claim
            claim.contest.joined(self)
        if self._dropped is None:
            self._show_preface(claim.pairing)
            self._enter(claim)

    def _show_preface(self, pairing: Pairing) -> None:
        assert self.transport is not None
        self.transport.write(build(pairing.my_tag))

    def _enter(self, claim: Claim) -> None:
        if self._tls is None:
            self._start_tls(claim)
        early, self._early = self._early, b""
        self._pass_on(early)

    def _start_tls(self, claim: Claim) -> None:
        link = self.link = SecureLink(self, claim.contest)
        factory = PromptTLSFactory(claim.tls(), claim.pairing.leads, _Single(link), self.clock)
        self._tls = factory.buildProtocol(None)
        self._tls.makeConnection(cast(ITransport, self.transport))

    def _pass_on(self, data: bytes) -> None:
        if self._tls is None:
            # Only an acceptor that waits for its introduction gets here; a dialler sends a preface and
            # at the most a ClientHello before it hears from us.
            self._early += data
            if len(self._early) > 4096:
                self.drop("stranger")
        elif data:
            self._tls.dataReceived(data)

    def handshake_over(self) -> None:
        """TLS is up; on its server side that is the proof."""
        self._secured = True
        if self._claim is not None and not self._claim.pairing.leads:
            self.proven()

    def proven(self) -> None:
        """The other side is who it should be."""
        self._stop_timer()

    # -- the end

    def drop(self, reason: str = "closed") -> None:
        """Close with RST, which frees the 4-tuple at once; idempotent."""
        self._stop_timer()
        if self._dropped is None:
            self._tell_dropped(reason)
            cast(ITCPTransport, self.transport).abortConnection()

    def drop_unheard(self) -> None:
        """The same, but the RST ends at the first router: that is to know of the end, and nobody else.

        A router that is a Linux lets the two ends be connected anew after a RST from inside.  After one from
        outside it takes no SYN from there for 10 s, and every refusal begins these seconds anew
        (nf_conntrack_proto_tcp.c, TCP_CONNTRACK_CLOSE).
        """
        transport: Any = self.transport
        while hasattr(transport, "transport"):
            transport = transport.transport
        handle: Any = transport.getHandle()
        for level, option in ((socket.IPPROTO_IP, socket.IP_TTL), (socket.IPPROTO_IPV6, socket.IPV6_UNICAST_HOPS)):
            with suppress(OSError, AttributeError):  # of the two families, one; or it is closed
                handle.setsockopt(level, option, 1)
        self.drop()

    def _tell_dropped(self, reason: str) -> None:
        if self._dropped is None:
            self._dropped = reason
            if self._claim is not None:
                self._claim.contest.dropped(self, reason)

    def _stop_timer(self) -> None:
        timer, self._timer = self._timer, None
        if timer is not None and timer.active():
            timer.cancel()


class _Single(Factory):
    """Builds the one protocol that is already there."""

    noisy = False

    def __init__(self, link: SecureLink) -> None:
        self._link = link

    def buildProtocol(self, addr: IAddress | None) -> SecureLink:
        return self._link


def _endpoint(address: IAddress) -> Endpoint:
    return Endpoint.make(str(getattr(address, "host", "")), int(getattr(address, "port", 0)))
