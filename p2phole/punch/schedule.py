"""When a SYN may leave.  Pure: the time comes in as a number of seconds.

Stock Linux and OpenWrt routers answer a stray SYN with RST, against RFC 5382 REQ-4, and then
refuse the other side until we send again: so after a refusal the next SYN leaves at once.  Where
routers drop instead, the SYN is left alone, since the kernel repeats it from the same port.
"""

from __future__ import annotations

from collections.abc import Callable

from p2phole.addresses import IPAddress
from p2phole.punch.ledger import SynLedger

AT_ONCE = 8
"""Refusals that are answered at once; more would be used up in no time by a router that is near."""
SHORTEST, LONGEST = 0.010, 0.100
"""Bounds in seconds of the random pause after that: a fixed one phase-locks with the other side's."""
PATIENT = 0.25
"""First pause in seconds towards an address that no router guards; it doubles."""
IN_ALL = 60
"""SYNs to one address in one round."""
REPEATED, EARLY, LATE = 1.0, 0.08, 0.125
"""The kernel repeats a SYN about once a second (tcp_syn_linear_timeouts; older ones less often), and its timers
are late by an eighth at the most: whether it may is asked so many seconds before."""
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
    """At most 60 SYNs to one address over the starts of one introduction, and what the process's ledger allows."""

    def __init__(self, ledger: SynLedger) -> None:
        self._ledger = ledger
        self._spent: dict[IPAddress, int] = {}

    def wait(self, ip: IPAddress, now: float) -> float | None:
        """Seconds after which to ask again whether a SYN may leave; 0: it may now; None: never again."""
        return None if self._spent.get(ip, 0) >= IN_ALL else self._ledger.wait(ip, now)

    def spend(self, ip: IPAddress, now: float, latest: float | None = None) -> float:
        """A SYN leaves now, or at ``latest``; what to give to :meth:`unspend` if it does not."""
        self._spent[ip] = self._spent.get(ip, 0) + 1
        return self._ledger.spend(ip, now, latest)

    def unspend(self, ip: IPAddress, stamp: float) -> None:
        """That one has not left this machine."""
        self._spent[ip] -= 1
        self._ledger.unspend(ip, stamp)
