"""A LAN in memory: a clock, a UDP stack with one gateway in reach, and processes that do not run."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from twisted.internet.address import IPv4Address
from twisted.internet.error import CannotListenError, ProcessExitedAlready
from twisted.internet.protocol import DatagramProtocol, ProcessProtocol
from twisted.internet.task import Clock
from twisted.python.failure import Failure

OWN, GATEWAY = "192.168.1.10", "192.168.1.1"


class Socket:
    """A UDP socket, its transport and port in one."""

    def __init__(self, lan: Lan, protocol: DatagramProtocol) -> None:
        self.lan, self.protocol = lan, protocol
        self.open = True
        self.peer: tuple[str, int] | None = None

    def connect(self, host: str, port: int) -> None:
        if self.lan.unreachable:
            raise OSError(101, "Network is unreachable")
        self.peer = host, port

    def getHost(self) -> IPv4Address:
        return IPv4Address("UDP", OWN, 50000)

    def write(self, data: bytes) -> None:
        if self.lan.unwritable:
            raise OSError(1, "Operation not permitted")
        assert self.open and self.peer is not None
        self.lan.sent.append((self.lan.seconds(), data))
        for answer in self.lan.gateway(data):
            self.lan.callLater(self.lan.delay, self.receive, answer)

    def receive(self, data: bytes, source: tuple[str, int] = (GATEWAY, 5351)) -> None:
        """A datagram comes in."""
        if self.open:
            self.protocol.datagramReceived(data, source)

    def stopListening(self) -> None:
        assert self.open
        self.open = False
        self.lan.callLater(0, self.protocol.doStop)


class Process:
    """A process; the test says what it prints."""

    def __init__(self, protocol: ProcessProtocol, command: list[str]) -> None:
        self.protocol, self.command = protocol, command
        self.killed = self.ended = False

    def signalProcess(self, name: str) -> None:
        if self.ended:
            raise ProcessExitedAlready()
        assert name == "KILL"
        self.killed = True

    def prints(self, output: bytes) -> None:
        """It prints this, and ends."""
        self.protocol.outReceived(output)
        self.ended = True
        self.protocol.processEnded(Failure(Exception("ended")))


class Lan(Clock):
    """What a mapper uses of a reactor.  ``gateway``: the answers to a datagram."""

    def __init__(self) -> None:
        super().__init__()
        self.sent: list[tuple[float, bytes]] = []
        self.sockets: list[Socket] = []
        self.processes: list[Process] = []
        self.delay = 0.001
        self.full = self.unreachable = self.unwritable = False
        self.gateway: Callable[[bytes], list[bytes]] = lambda data: []

    def listenUDP(self, port: int, protocol: DatagramProtocol) -> Any:
        if self.full:
            raise CannotListenError("", port, OSError(24, "Too many open files"))
        assert port == 0
        socket = Socket(self, protocol)
        self.sockets.append(socket)
        protocol.makeConnection(socket)  # type: ignore[arg-type]
        return socket

    def spawnProcess(
        self, processProtocol: ProcessProtocol, executable: str, args: list[str], env: Mapping[str, str] | None
    ) -> Any:
        if self.full:
            raise OSError(11, "Resource temporarily unavailable")
        process = Process(processProtocol, args)
        self.processes.append(process)
        processProtocol.makeConnection(process)  # type: ignore[arg-type]
        return process

    def open_sockets(self) -> int:
        """Sockets that are not closed."""
        return sum(socket.open for socket in self.sockets)

    def pass_time(self, seconds: float, step: float = 0.05) -> None:
        """Let time go by in small steps."""
        self.pump([step] * round(seconds / step))
