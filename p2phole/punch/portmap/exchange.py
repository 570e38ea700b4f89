"""One request to the gateway and its answer over UDP, sent again until it comes (RFC 6886 3.1, RFC 6887 8)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from ipaddress import IPv4Address
from typing import Any, Generic, TypeVar
from typing import Protocol as Interface

from twisted.internet.defer import Deferred
from twisted.internet.error import CannotListenError
from twisted.internet.interfaces import IAddress, IDelayedCall, IListeningPort
from twisted.internet.protocol import DatagramProtocol

from p2phole.punch.portmap.grant import BadAnswer, NoMapping, Refused

PORT = 5351
"""Where a gateway listens, for NAT-PMP and PCP alike."""

T = TypeVar("T")


class UDPReactor(Interface):
    """What is used of a reactor: ``IReactorUDP`` and ``IReactorTime``."""

    def listenUDP(self, port: int, protocol: DatagramProtocol) -> IListeningPort:
        """See ``IReactorUDP``."""

    def callLater(self, delay: float, callable: Callable[..., object], *args: object) -> IDelayedCall:
        """See ``IReactorTime``."""

    def seconds(self) -> float:
        """See ``IReactorTime``."""


def ask(
    reactor: UDPReactor,
    way: str,
    gateway: IPv4Address,
    compose: Callable[[IPv4Address], bytes],
    read: Callable[[bytes], T | None],
    waits: Iterator[float],
) -> Deferred[T]:
    """Ask the gateway.  The Deferred may be cancelled, and nothing is left behind then.

    ``compose``: the request, from the address that it is sent from.  ``read``: the answer; it may say
    that this is not the one that is waited for (None, or :class:`BadAnswer`), or raise
    :class:`Refused`.  ``waits``: seconds after each sending; fails with :class:`NoMapping` when they are over.
    """
    question = _Question(reactor, way, gateway, compose, read, waits)
    question.open()
    return question.done


class _Question(DatagramProtocol, Generic[T]):
    noisy = False

    def __init__(
        self,
        reactor: UDPReactor,
        way: str,
        gateway: IPv4Address,
        compose: Callable[[IPv4Address], bytes],
        read: Callable[[bytes], T | None],
        waits: Iterator[float],
    ) -> None:
        self.done: Deferred[T] = Deferred(lambda _: self._close())
        self._reactor = reactor
        self._way = way
        self._gateway = gateway
        self._compose = compose
        self._read = read
        self._waits = waits
        self._request = b""
        self._port: IListeningPort | None = None
        self._timer: IDelayedCall | None = None

    def open(self) -> None:
        """Send for the first time."""
        try:
            # Any port: mappings do not depend on it, and a stranger has to guess it.
            self._port = self._reactor.listenUDP(0, self)
            transport: Any = self.transport
            # From now on the kernel lets nothing else in, and tells of an ICMP error.
            transport.connect(str(self._gateway), PORT)
            self._request = self._compose(_address(transport.getHost()))
        except (CannotListenError, OSError, ValueError) as error:
            self._fail(NoMapping(way=self._way, why=f"the gateway cannot be asked ({error})"))
        else:
            self._send()

    def _send(self) -> None:
        wait = next(self._waits, None)
        if wait is None:
            self._fail(NoMapping(way=self._way, why="the gateway does not answer"))
            return
        self._timer = self._reactor.callLater(wait, self._send)
        transport: Any = self.transport
        try:
            transport.write(self._request)
        except OSError as error:
            self._fail(NoMapping(way=self._way, why=f"the gateway cannot be asked ({error})"))

    def datagramReceived(self, datagram: bytes, addr: Any) -> None:
        if self.done.called or tuple(addr[:2]) != (str(self._gateway), PORT):
            return
        try:
            answer = self._read(datagram)
        except BadAnswer:
            return  # RFC 6887 8.3: discarded silently; the right one may yet come
        except Refused as refusal:
            self._fail(refusal)
            return
        if answer is not None:
            self._close()
            self.done.callback(answer)

    def connectionRefused(self) -> None:
        self._fail(NoMapping(way=self._way, why="the gateway does not offer it"))

    def stopProtocol(self) -> None:
        # With epoll and poll, an ICMP error on a connected UDP socket closes it instead of the above.
        self._port = None
        self.connectionRefused()

    def _fail(self, error: NoMapping) -> None:
        if not self.done.called:
            self._close()
            self.done.errback(error)

    def _close(self) -> None:
        if self._timer is not None and self._timer.active():
            self._timer.cancel()
        port, self._port = self._port, None
        if port is not None:
            port.stopListening()


def _address(host: IAddress) -> IPv4Address:
    return IPv4Address(getattr(host, "host", ""))
