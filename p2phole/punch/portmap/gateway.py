"""This machine's default gateway: whom to ask for a mapping.

Linux tells in ``/proc/net/route`` (proc(5)), without a privilege and without starting a program.
Other systems tell by routing sockets, or by calls of their own; there nobody is asked by PCP and
NAT-PMP, and UPnP, which finds the router by multicast, is all that is tried.
"""

from __future__ import annotations

import sys
from ipaddress import IPv4Address
from pathlib import Path

_UP, _GATEWAY = 0x1, 0x2  # include/uapi/linux/route.h: RTF_UP, RTF_GATEWAY


def default_gateways(table: Path = Path("/proc/net/route")) -> tuple[IPv4Address, ...]:
    """The gateways of the IPv4 default routes, the one that counts first; none where that cannot be told."""
    try:
        text = table.read_text("ascii", "replace")
    except OSError:
        return ()
    return parse_routes(text)


def parse_routes(text: str) -> tuple[IPv4Address, ...]:
    """The default gateways in the text of ``/proc/net/route``, by metric; what makes no sense does not count."""
    found: list[tuple[int, IPv4Address]] = []
    for line in text.splitlines()[1:]:
        try:
            _, destination, gateway, flags, _, _, metric, mask = line.split()[:8]
            # A route over a tunnel has no gateway; 0/1 and 128/1, as some VPNs set them, are no default route.
            if int(destination, 16) or int(mask, 16) or ~int(flags, 16) & (_UP | _GATEWAY):
                continue
            # The 32-bit word in the byte order of this machine.
            packed = int(gateway, 16).to_bytes(4, sys.byteorder)
            found.append((int(metric), IPv4Address(packed)))
        except (ValueError, OverflowError):
            continue
    # The sort is stable: among equals the kernel takes the first.
    return tuple(dict.fromkeys(ip for _, ip in sorted(found, key=lambda route: route[0])))
