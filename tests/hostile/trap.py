"""A listener that knows what a broker knows of a pair, the token too, and shows a key of its own."""

from __future__ import annotations

from collections import Counter

from twisted.internet import reactor

from p2phole.peer.acceptor import Acceptor
from p2phole.punch.race import CONFIRM, NOMINATE
from p2phole.secure.channel import Channel, Claim, SecureLink
from p2phole.secure.identity import Credentials
from p2phole.secure.roles import Identity, Pairing
from p2phole.secure.tls import PinnedTLS


class Trap:
    """A :class:`~p2phole.secure.channel.Contest` that counts what it gets in ``did``."""

    def __init__(self, key: Credentials, did: Counter[str]) -> None:
        self.did = did
        self._key = key
        self._acceptor = Acceptor(reactor)  # type: ignore[arg-type]
        listening = reactor.listenTCP(0, self._acceptor, interface="127.0.0.1")  # type: ignore[attr-defined]
        self.port: int = listening.getHost().port

    def expect(self, claimed: Identity, victim: Identity, token: str) -> None:
        """``victim`` is told that this is where ``claimed`` is."""
        pairing = Pairing(claimed, victim, bytes.fromhex(token))
        self._acceptor.expect(Claim(pairing, self, lambda: PinnedTLS(self._key, victim.fingerprint)))

    def joined(self, channel: Channel) -> None:
        """See :class:`~p2phole.secure.channel.Contest`."""
        self.did["trapped"] += 1

    def secured(self, link: SecureLink) -> None:
        """See :class:`~p2phole.secure.channel.Contest`."""
        link.write(NOMINATE + CONFIRM)

    def spoke(self, link: SecureLink, data: bytes) -> None:
        """See :class:`~p2phole.secure.channel.Contest`."""
        self.did["content"] += len(data)

    def dropped(self, channel: Channel, reason: str) -> None:
        """See :class:`~p2phole.secure.channel.Contest`."""
        self.did["dropped"] += 1
