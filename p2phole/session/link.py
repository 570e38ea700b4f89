"""A Twisted transport as the link of a session."""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

from twisted.internet.interfaces import IConsumer, IPushProducer, ITransport
from zope.interface import implementer

from p2phole.session.attachment import Attachment
from p2phole.session.session import Session


@implementer(IPushProducer)
class TransportLink:
    """See :class:`~p2phole.session.upper.Link`.  ``close`` closes the transport at once."""

    def __init__(self, transport: ITransport, close: Callable[[], None]) -> None:
        self.close = close
        self._transport = transport
        self._attachment: Attachment | None = None

    def write(self, data: bytes) -> None:
        """See :class:`~p2phole.session.upper.Link`."""
        self._transport.write(data)

    def pause(self) -> None:
        """See :class:`~p2phole.session.turns.Reader`."""
        cast(IPushProducer, self._transport).pauseProducing()

    def resume(self) -> None:
        """See :class:`~p2phole.session.turns.Reader`."""
        cast(IPushProducer, self._transport).resumeProducing()

    def start(self, session: Session) -> Attachment:
        """Attach it; what the transport receives goes to :meth:`Attachment.receive`, its end to ``lost``."""
        self._attachment = session.attach(self)
        cast(IConsumer, self._transport).registerProducer(self, True)
        return self._attachment

    # -- the transport's producer

    def pauseProducing(self) -> None:
        """See :class:`IPushProducer`."""
        if self._attachment is not None:
            self._attachment.block()

    def resumeProducing(self) -> None:
        """See :class:`IPushProducer`."""
        if self._attachment is not None:
            self._attachment.unblock()

    def stopProducing(self) -> None:
        """See :class:`IPushProducer`: the transport tells its protocol as well."""


def attach(session: Session, transport: ITransport, close: Callable[[], None]) -> Attachment:
    """Put a session on a proven transport."""
    return TransportLink(transport, close).start(session)
