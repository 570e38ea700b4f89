"""When a SYN may leave.  Pure: the time comes in as a number of seconds.

Stock Linux and OpenWrt routers answer a stray SYN with RST, against RFC 5382 REQ-4, and then
refuse the other side until we send again: so after a refusal the next SYN leaves at once.  Where
routers drop instead, the SYN is left alone, since the kernel repeats it from the same port.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from ipaddress import IPv4Address, IPv6Address

AT_ONCE = 8
"""Refusals that are answered at once; more would be used up in no time by a router that is near."""
SHORTEST, LONGEST = 0.010, 0.100
"""Bounds in seconds of the random pause after that: a fixed one phase-locks with the other side's."""
PATIENT = 0.25
"""First pause in seconds towards an address that no router guards; it doubles."""
PER_SECOND = 30
IN_ALL = 60
GUESS_SECONDS = 0.9
"""How long a predicted port is dialled: the kernel would repeat the SYN after a second, and many ports would
use up what may be sent to one address.  The listener takes what comes late."""


class Redial:
    """How long to wait after each refusal by one endpoint.

    ``eager``: a router may stand before it, so the timing decides.  Else there is none, and a
    refusal means that nobody listens there.
    """

    def __init__(self, random: Callable[[], float], eager: bool) -> None:
        self._random = random
        self._eager = eager
        self._refusals = 0

    def pause(self) -> float:
        """Seconds to wait after one more refusal."""
        self._refusals += 1
        if not self._eager:
            return float(PATIENT * 2 ** min(self._refusals - 1, 4))
        if self._refusals <= AT_ONCE:
            return 0.0
        return SHORTEST + self._random() * (LONGEST - SHORTEST)


class SynBudget:
    """At most 30 SYNs in any second and 60 in all to one address, over the starts of one introduction."""

    def __init__(self) -> None:
        self._recent: dict[IPv4Address | IPv6Address, deque[float]] = {}
        self._spent: dict[IPv4Address | IPv6Address, int] = {}

    def wait(self, ip: IPv4Address | IPv6Address, now: float) -> float | None:
        """Seconds until the next SYN to that address may leave; None: never again."""
        if self._spent.get(ip, 0) >= IN_ALL:
            return None
        recent = self._recent.setdefault(ip, deque())
        while recent and recent[0] <= now - 1.0:
            recent.popleft()
        return 0.0 if len(recent) < PER_SECOND else max(0.0, recent[0] + 1.0 - now)

    def patience(self, ip: IPv4Address | IPv6Address) -> float:
        """Seconds that the next SYN may go unanswered: the kernel repeats it about once a second."""
        return IN_ALL - self._spent.get(ip, 0) - 0.1

    def spend(self, ip: IPv4Address | IPv6Address, now: float, seconds: float = 0.0) -> None:
        """A SYN leaves now, and the kernel repeats it for so long at the most."""
        self._recent.setdefault(ip, deque()).append(now)
        self._spent[ip] = self._spent.get(ip, 0) + 1 + int(seconds)

    def unused(self, ip: IPv4Address | IPv6Address, syns: int) -> None:
        """So many SYNs that were reckoned with, mostly repeats of the kernel's, did not leave."""
        self._spent[ip] -= syns
