"""The process that talks UPnP-IGD, by ``miniupnpc``: one order, one line of JSON, the end.

``python -m p2phole.punch.portmap.upnp_child map PORT WANTED LEASE LOCATION GATEWAY SECONDS`` answers with
``{"ip": ..., "port": ..., "seconds": ..., "location": ...}``, ``... unmap EXTERNAL LOCATION GATEWAY SECONDS``
with ``{}``, and both with ``{"error": ...}``.  GATEWAY is an address, or ``-`` for any; LOCATION is that of an
earlier answer, which spares the search, or ``-``.

``miniupnpc`` blocks, and it is C code that parses what anybody in the LAN sends: here it can hang,
grow and crash by itself.  The process imports nothing of ours, and ends by itself, so that it also
deletes a mapping for a peer that is already gone.
"""

from __future__ import annotations

import importlib
import json
import random
import re
import signal
import socket
import sys
from collections.abc import Sequence
from contextlib import suppress
from typing import Any
from urllib.parse import urlsplit

LISTEN_SECONDS = 0.5
"""How long to listen for answers to each search; they may be late by the second that MX allows."""
SEARCHES = 3
MOST_ANSWERS = 50
"""To one search: whoever floods the LAN with them is not waited out."""
GROUP = "239.255.255.250", 1900
MEMORY = 512 * 1024 * 1024
TRIES = 4
"""External ports that are tried, where others have taken them."""
NAME = "p2phole"


class NoGateway(Exception):
    """No mapping, in a sentence."""


def limit(seconds: float) -> None:
    """Die after so many seconds, whatever hangs, and before this machine's memory is full."""
    if hasattr(signal, "setitimer"):
        # Not a handler, which Python would run only after the call into C: the default is to die.
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        import resource
    except ImportError:  # Windows
        return
    for kind, most in ((resource.RLIMIT_AS, MEMORY), (resource.RLIMIT_CORE, 0)):
        _, hard = resource.getrlimit(kind)
        if hard == resource.RLIM_INFINITY or hard > most:
            with suppress(ValueError, OSError):  # macOS does not take every limit
                resource.setrlimit(kind, (most, hard))


def location_in(answer: bytes, gateway: str) -> str | None:
    """Where the description is, according to an answer to a search (UPnP Device Architecture 1.1, 1.3.3).

    Anybody in the LAN may answer, and name any address: only what is at the gateway itself counts.
    """
    found = re.search(rb"(?im)^location:[ \t]*(http://[\x21-\x7e]{1,300})[ \t]*\r?$", answer)
    if found is None:
        return None
    url = found[1].decode("ascii")
    try:
        return url if urlsplit(url).hostname == gateway else None
    except ValueError:
        return None


def search(gateway: str) -> str:
    """Search for the gateway's description.  The library's own search would fetch from, and post to,
    wherever an answer from whomever tells it to."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as searcher:
        searcher.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_TTL, 2)
        searcher.settimeout(LISTEN_SECONDS)
        for _ in range(SEARCHES):
            for version in (1, 2):
                kind = f"urn:schemas-upnp-org:device:InternetGatewayDevice:{version}"
                lines = f"M-SEARCH * HTTP/1.1\r\nHOST: {GROUP[0]}:{GROUP[1]}\r\nST: {kind}\r\n"
                searcher.sendto(f'{lines}MAN: "ssdp:discover"\r\nMX: 1\r\n\r\n'.encode(), GROUP)
            for _ in range(MOST_ANSWERS):
                try:
                    answer, source = searcher.recvfrom(4096)
                except TimeoutError:
                    break
                location = location_in(answer, gateway) if source[0] == gateway else None
                if location is not None:
                    return location
    raise NoGateway("the gateway does not offer it")


def find(upnp: Any, location: str, gateway: str) -> str:
    """Let ``upnp`` find the router, which has to be the gateway where that is known; its location."""
    if gateway == "-":
        upnp.discoverdelay = round(LISTEN_SECONDS * 1000)
        upnp.discover()
        upnp.selectigd()
        return "-"
    if location == "-":
        location = search(gateway)
    for url in (location, upnp.selectigd(location)):
        # Nothing is posted to another machine either.
        if urlsplit(url).hostname != gateway:
            raise NoGateway("the gateway sends us to another machine")
    return location


def make(upnp: Any, port: int, wanted: int, lease: int) -> dict[str, object]:
    """Have the port mapped, outside at ``wanted`` (0: anywhere) or where there is room."""
    outside = upnp.externalipaddress()
    if not outside:
        raise NoGateway("the router has no address outside")
    for number in range(TRIES):
        external = wanted if wanted and number == 0 else random.randrange(1024, 65536)
        try:
            upnp.addportmapping(external, "TCP", upnp.lanaddr, port, NAME, "", lease)
        except Exception as problem:
            # 718 in IGD:1 2.4.16: taken by another machine.  All else, such as 725, by which a router
            # says that its mappings last for ever, and so longer than this program, ends it.
            if "Conflict" not in str(problem):
                raise
        else:
            return {"ip": outside, "port": external, "seconds": lease}
    raise NoGateway("all ports that were tried are taken")


def carry_out(upnp: Any, order: Sequence[str]) -> dict[str, object]:
    """What to print.  ``upnp``: a ``miniupnpc.UPnP``, which raises plain :class:`Exception`."""
    try:
        if order[0] == "map":
            port, wanted, lease, location, gateway, _ = order[1:]
            location = find(upnp, location, gateway)
            return {**make(upnp, int(port), int(wanted), int(lease)), "location": location}
        external, location, gateway, _ = order[1:]
        find(upnp, location, gateway)
        upnp.deleteportmapping(int(external), "TCP")
    except Exception as problem:
        return {"error": str(problem) or type(problem).__name__}
    return {}


def main(order: Sequence[str]) -> int:
    """Carry out the order in the arguments."""
    limit(float(order[-1]))
    try:
        upnp = importlib.import_module("miniupnpc").UPnP()
    except ImportError:
        answer: dict[str, object] = {"error": "miniupnpc is not installed"}
    else:
        answer = carry_out(upnp, order)
    try:
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()
    except BrokenPipeError:  # whoever asked is gone
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
