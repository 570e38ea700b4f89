"""A machine on the memory network, which is a reactor to the program that runs on it."""

from __future__ import annotations

import select
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from twisted.internet.base import _ThreePhaseEvent
from twisted.internet.defer import Deferred
from twisted.internet.error import DNSLookupError
from twisted.internet.interfaces import (
    IConnector,
    IDelayedCall,
    IHostnameResolver,
    IListeningPort,
    IReactorCore,
    IReactorFDSet,
    IReactorPluggableNameResolver,
    IReactorTCP,
    IReactorTime,
    IReadDescriptor,
    IWriteDescriptor,
)
from twisted.internet.posixbase import _DisconnectSelectableMixin, _PollLikeMixin
from zope.interface import implementer

from tests.support.names import Resolver
from tests.support.packets import Packet, is_loopback
from tests.support.stack import Stack
from tests.support.twisted_tcp import Connector, Port

if TYPE_CHECKING:
    from tests.support.network import Lan, Network

LOOPBACK_DELAY = 0.00005
"""Seconds that a packet to the host itself takes."""


@implementer(IReactorCore, IReactorFDSet, IReactorPluggableNameResolver, IReactorTCP, IReactorTime)
class Host(_PollLikeMixin, _DisconnectSelectableMixin):
    """
    One machine with one process: pass it as `reactor=` to the code under test.

    Connectors, ports and transports are Twisted's own classes; only the sockets and the waiting for them are
    simulated, with epoll's level-triggered events. So whatever Twisted does with errors, producers,
    half-closes and callbacks is what the code under test meets. Made by `Network.host`.
    """

    _POLL_IN = select.EPOLLIN
    _POLL_OUT = select.EPOLLOUT
    _POLL_DISCONNECTED = select.EPOLLHUP | select.EPOLLERR

    lan: Lan
    delay: float
    """Where it is; set by `Network.move`."""

    def __init__(self, network: Network, name: str) -> None:
        self.network = network
        self.name = name
        self.addresses: list[str] = []
        """In canonical text, without loopback: what `ifaddr` would say."""
        self.running = True
        self.stack = Stack(network, name, self.addresses, self._transmit, self._woken)
        self._reads: dict[int, IReadDescriptor] = {}
        self._writes: dict[int, IWriteDescriptor] = {}
        self._polls: set[int] = set()
        self._calls: list[Any] = []
        self._calls_limit = 64
        self._system_events: dict[str, _ThreePhaseEvent] = {}
        self.nameResolver: IHostnameResolver = Resolver(self, network.lookup)

    def __repr__(self) -> str:
        return f"<Host {self.name} {' '.join(self.addresses)}>"

    # The wire

    def _transmit(self, packet: Packet) -> None:
        packet = packet._replace(sender=self.name, sent=(packet.source, packet.destination))
        if self.stack.owns(packet.destination.host):
            self.network.record(self.name, packet)
            self.network.timeline.later(LOOPBACK_DELAY, self.arrive, packet)
        elif self._may_leave(packet):
            self.network.tap(self.name, packet)
            self.lan.carry(self, packet)

    def _may_leave(self, packet: Packet) -> bool:
        # RFC 2827: networks do not forward a source that is not theirs, such as one from before a move.
        if is_loopback(packet.destination.host) or packet.source.host not in self.addresses:
            return False
        return self.name not in self.network.isolated

    def arrive(self, packet: Packet) -> None:
        """A packet reaches this host."""
        if not self.network.is_cut(packet.sender, self.name):
            self.network.tap(self.name, packet)
            self.stack.receive(packet)

    # IReactorTime

    def seconds(self) -> float:
        return self.network.clock.seconds()

    def callLater(
        self, delay: float, callable: Callable[..., object], *args: object, **kw: object
    ) -> IDelayedCall:
        """On the shared clock; a call that raises fails the test, where a reactor would log it."""
        self.network.timeline.tick()
        call = self.network.clock.callLater(delay, callable, *args, **kw)
        self._calls.append(call)
        if len(self._calls) > self._calls_limit:
            self._calls = [each for each in self._calls if each.active()]
            self._calls_limit = 64 + 2 * len(self._calls)
        return call

    def getDelayedCalls(self) -> Sequence[IDelayedCall]:
        """Those of this host's program, soonest first: none of another host or of the network itself."""
        self._calls = [each for each in self._calls if each.active()]
        return sorted(self._calls, key=lambda call: call.getTime())

    # IReactorTCP

    def connectTCP(
        self, host: str, port: int, factory: Any, timeout: float = 30, bindAddress: Any = None
    ) -> IConnector:
        """`bindAddress`: None, `(host, port)` or a Binding of `tcp.makeBinding`."""
        connector = Connector(host, port, factory, timeout, bindAddress, self)
        connector.connect()
        return connector

    def listenTCP(self, port: Any, factory: Any, backlog: int = 50, interface: str = "") -> IListeningPort:
        """`port`: a number or a Binding; an IPv6 Binding needs `interface` as well, as in Twisted."""
        listening = Port(port, factory, backlog, interface, self)
        listening.startListening()
        return listening

    # IReactorFDSet

    def _woken(self, fd: int) -> None:
        if fd not in self._polls and (fd in self._reads or fd in self._writes):
            self._polls.add(fd)
            self.network.timeline.later(0, self._poll, fd)

    def _events(self, fd: int) -> int:
        interest = self._POLL_DISCONNECTED
        if fd in self._reads:
            interest |= self._POLL_IN
        if fd in self._writes:
            interest |= self._POLL_OUT
        return self.stack.sockets[fd].poll() & interest

    def _poll(self, fd: int) -> None:
        self._polls.discard(fd)
        selectable = self._reads.get(fd) or self._writes.get(fd)
        if selectable is not None and (events := self._events(fd)):
            self._doReadOrWrite(selectable, fd, events)
            if (fd in self._reads or fd in self._writes) and self._events(fd):
                self._woken(fd)

    def _add(self, descriptor: Any, descriptors: dict[int, Any]) -> None:
        fd = descriptor.fileno()
        if fd in self.stack.sockets:  # not so after `crash`, when the dead program's objects still call
            descriptors[fd] = descriptor
            self._woken(fd)

    def _remove(self, descriptor: Any, descriptors: dict[int, Any]) -> None:
        fd = descriptor.fileno()
        if fd < 0:
            fd = next((each for each, one in descriptors.items() if one is descriptor), -1)
        descriptors.pop(fd, None)

    def addReader(self, reader: IReadDescriptor) -> None:
        self._add(reader, self._reads)

    def addWriter(self, writer: IWriteDescriptor) -> None:
        self._add(writer, self._writes)

    def removeReader(self, reader: IReadDescriptor) -> None:
        self._remove(reader, self._reads)

    def removeWriter(self, writer: IWriteDescriptor) -> None:
        self._remove(writer, self._writes)

    def removeAll(self) -> list[Any]:
        removed = list({**self._reads, **self._writes}.values())
        self._reads.clear()
        self._writes.clear()
        return removed

    def getReaders(self) -> list[IReadDescriptor]:
        return list(self._reads.values())

    def getWriters(self) -> list[IWriteDescriptor]:
        return list(self._writes.values())

    # Names

    def installNameResolver(self, resolver: IHostnameResolver) -> IHostnameResolver:
        previous, self.nameResolver = self.nameResolver, resolver
        return previous

    def resolve(self, name: str, timeout: Sequence[int] = ()) -> Deferred[str]:
        """The first IPv4 address of a name, as `connectTCP` wants for a name; fails with `DNSLookupError`."""
        found: Deferred[str] = Deferred()
        addresses = [text for text in self.network.lookup(name) if ":" not in text]
        if addresses:
            self.callLater(0, found.callback, addresses[0])
        else:
            self.callLater(0, found.errback, DNSLookupError(name))
        return found

    # IReactorCore

    def callWhenRunning(self, callable: Callable[..., object], *args: object, **kw: object) -> None:
        """It always runs."""
        callable(*args, **kw)

    def addSystemEventTrigger(
        self, phase: str, eventType: str, callable: Callable[..., object], *args: object, **kw: object
    ) -> Any:
        event = self._system_events.setdefault(eventType, _ThreePhaseEvent())
        return eventType, event.addTrigger(phase, callable, *args, **kw)

    def removeSystemEventTrigger(self, triggerID: Any) -> None:
        eventType, handle = triggerID
        self._system_events[eventType].removeTrigger(handle)

    def fireSystemEvent(self, eventType: str) -> None:
        if eventType in self._system_events:
            self._system_events[eventType].fireEvent()

    def stop(self) -> None:
        """Fires the shutdown triggers. The host stays where it is."""
        self.running = False
        self.fireSystemEvent("shutdown")

    def crash(self) -> None:
        """
        The process dies: none of its calls does anything any more, and the kernel closes its sockets.

        The calls are still there to be cancelled: a test's clean-up may stop services that are dead.
        """
        for call in self._calls:
            call.func, call.args, call.kw = _do_nothing, (), {}
        self._calls.clear()
        self.removeAll()
        self._system_events.clear()
        self.stack.close_all()

    def run(self) -> None:
        raise NotImplementedError("the test drives: Network.advance")

    def iterate(self, delay: float = 0) -> None:
        raise NotImplementedError("the test drives: Network.advance")


def _do_nothing() -> None:
    pass
