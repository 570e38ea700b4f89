"""Kernel keep-alive: a vanished machine is noticed within a minute, with no chatter of our own."""

from __future__ import annotations

import socket
import struct
from typing import Any

IDLE, INTERVAL, PROBES = 20, 10, 3
"""Seconds of silence before the first probe, seconds between probes, probes without an answer."""
UNACKNOWLEDGED_MILLISECONDS = 50_000
"""How long sent data may stay unacknowledged (Linux ``TCP_USER_TIMEOUT``, RFC 5482): keep-alive says
nothing while data is under way."""


def keep_alive(transport: Any) -> None:
    """Switch it on for a TCP transport, also one inside TLS; what the system does not know is left out.

    Probes every 20 s also keep a NAT's mapping: many forget an idle one within minutes.
    """
    transport.setTcpKeepAlive(True)
    handle = _handle(transport)
    for name, value in (
        ("TCP_KEEPIDLE", IDLE),
        ("TCP_KEEPINTVL", INTERVAL),
        ("TCP_KEEPCNT", PROBES),
        ("TCP_USER_TIMEOUT", UNACKNOWLEDGED_MILLISECONDS),
    ):
        if hasattr(socket, name):
            handle.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)


def reset_when_closed(transport: Any) -> None:
    """Close with RST, also where the other side has closed first (``SO_LINGER`` with no time).

    A FIN whose acknowledgement does not come, since the path has died at the same moment, would hold the 4-tuple
    for minutes (Linux: LAST_ACK), and the next connection has the same ends.
    """
    _handle(transport).setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def _handle(transport: Any) -> Any:
    while hasattr(transport, "transport"):  # TLS stands on the transport that has the socket
        transport = transport.transport
    return transport.getHandle()
