"""What the kernel knows of a TCP connection, and whether its path still lives (Linux: tcp(7), ``TCP_INFO``)."""

from __future__ import annotations

import socket
import struct
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import LoopingCall

LOOK = 0.25
"""Seconds between looks."""
LEAST_SILENCE = 2.0
"""Seconds without progress, while something is due, before a path is suspected; or three round trips."""
PRESSED_SILENCE = 0.5
"""The same where there is a reason to doubt: longer than until the kernel repeats something (RTO_MIN, 0.2 s)."""
ROUND_TRIPS = 3
TCP_INFO = getattr(socket, "TCP_INFO", 11)
_UNACKED, _ROUND_TRIP, _BYTES = 24, 68, 120
"""Offsets in ``struct tcp_info`` of include/uapi/linux/tcp.h: ``tcpi_unacked``, ``tcpi_rtt`` in microseconds, and
``tcpi_bytes_acked`` with ``tcpi_bytes_received`` behind it; it grows at its end only."""
_SIZE = _BYTES + 16


@dataclass(frozen=True, slots=True)
class Vitals:
    """``unacknowledged``: segments on the way.  ``acknowledged``, ``received``: bytes since the beginning.
    ``round_trip``: seconds."""

    unacknowledged: int
    acknowledged: int
    received: int
    round_trip: float


def vitals(transport: Any) -> Vitals | None:
    """Of a TCP transport, also one inside TLS; None where the system does not tell, or nothing is open."""
    while hasattr(transport, "transport"):  # TLS stands on the transport that has the socket
        transport = transport.transport
    handle = transport.getHandle() if hasattr(transport, "getHandle") else None
    if handle is None or not hasattr(handle, "getsockopt") or sys.platform != "linux":
        return None
    try:
        found = handle.getsockopt(socket.IPPROTO_TCP, TCP_INFO, _SIZE)
    except OSError:
        return None
    if len(found) < _SIZE:
        return None
    (unacknowledged,) = struct.unpack_from("=I", found, _UNACKED)
    (microseconds,) = struct.unpack_from("=I", found, _ROUND_TRIP)
    acknowledged, received = struct.unpack_from("=QQ", found, _BYTES)
    return Vitals(unacknowledged, acknowledged, received, microseconds / 1e6)


class Pulse:
    """Looks whether a path lives: ``suspected`` is called once nothing came and nothing was acknowledged for
    :data:`LEAST_SILENCE` or three round trips, while something is due; ``lives`` once there was progress again.

    TCP itself would go on sending for minutes (RFC 6298), and a new path may be there at once.
    """

    def __init__(
        self,
        clock: IReactorTime,
        read: Callable[[], Vitals | None],
        suspected: Callable[[], None],
        lives: Callable[[], None] = lambda: None,
    ) -> None:
        self.last: Vitals | None = None
        self._clock = clock
        self._read = read
        self._suspected = suspected
        self._lives = lives
        self._since = clock.seconds()
        """When there was progress last, or nothing due."""
        self._suspects = False
        self._least = LEAST_SILENCE
        self._watch = LoopingCall(self.look)
        self._watch.clock = clock

    def start(self) -> None:
        """Look from now on."""
        self._watch.start(LOOK)

    def stop(self) -> None:
        """No more."""
        if self._watch.running:
            self._watch.stop()

    def press(self) -> None:
        """There is a reason to doubt that it lives: be quick about it, until there is progress."""
        self._least = PRESSED_SILENCE
        self._since = self._clock.seconds()

    def look(self) -> None:
        """Once."""
        before, now = self.last, self._clock.seconds()
        self.last = found = self._read()
        if found is None:
            return
        moved = before is None or (found.acknowledged, found.received) != (before.acknowledged, before.received)
        if moved:
            self._least = LEAST_SILENCE
        if moved or not found.unacknowledged:
            self._since = now
            if self._suspects and moved:
                self._suspects = False
                self._lives()
        elif not self._suspects and now - self._since >= max(self._least, ROUND_TRIPS * found.round_trip):
            self._suspects = True
            self._suspected()
