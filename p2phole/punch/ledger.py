"""How many SYNs this process has sent to whom: bounds that hold whatever a broker or a member says.  Pure:
the time comes in as a number of seconds.

A broker may make up any number of members and name one address for all of them, so what is counted for one
member is not enough.  A birthday has bounds of its own and is not counted here.

Where somebody has proven who it is, the minute begins anew: these SYNs were wanted there.  Else who roams, or is
behind a NAT whose ports have to be guessed, could not come back more than four times in a minute.
"""

from __future__ import annotations

from bisect import bisect_right, insort

from p2phole.addresses import IPAddress

PER_SECOND = 30
"""SYNs to one address in any second, those that the kernel repeats included."""
PER_MINUTE = 60
"""SYNs to one address in any minute."""
ALL_PER_SECOND = 200
"""SYNs in any second, whereto ever."""
SECOND, MINUTE = 1.1, 61.0
"""What is taken for a second and a minute: a SYN leaves a little after it was asked for."""
MOST_ADDRESSES = 4096
"""Addresses that are remembered; to a further one nothing is sent until one is forgotten, after a minute."""
SHORTEST_WAIT = 0.05
"""Seconds: many dials may wait for one place, and must not all come back for each."""


class SynLedger:
    """One for the process."""

    def __init__(self) -> None:
        # When each SYN leaves, at the latest, in order.  The addresses are in the order of their last SYNs.
        self._by_address: dict[IPAddress, list[float]] = {}
        self._all: list[float] = []
        self._proven: dict[IPAddress, float] = {}

    def wait(self, ip: IPAddress, now: float) -> float:
        """Seconds after which to ask again whether a SYN may leave for that address; 0: it may now."""
        self._forget(now)
        stamps = self._by_address.get(ip)
        waits = [_until_fewer(self._all, ALL_PER_SECOND, SECOND, now)]
        if stamps is not None:
            waits += [
                _until_fewer(stamps, PER_SECOND, SECOND, now),
                _until_fewer(stamps[self._wanted(ip, stamps) :], PER_MINUTE, MINUTE, now),
            ]
        elif len(self._by_address) >= MOST_ADDRESSES:
            oldest = next(iter(self._by_address.values()))
            waits.append(oldest[-1] + MINUTE - now)
        longest = max(waits)
        return max(longest, SHORTEST_WAIT) if longest > 0 else 0.0

    def spend(self, ip: IPAddress, now: float, latest: float | None = None) -> float:
        """A SYN leaves now, or at ``latest``; what to give to :meth:`unspend` if it does not."""
        stamp = now if latest is None else max(now, latest)
        stamps = self._by_address.pop(ip, [])
        del stamps[: bisect_right(stamps, now - MINUTE)]
        insort(stamps, stamp)
        insort(self._all, stamp)
        self._by_address[ip] = stamps
        return stamp

    def unspend(self, ip: IPAddress, stamp: float) -> None:
        """That one has not left this machine."""
        for stamps in (self._by_address.get(ip, []), self._all):
            if stamp in stamps:
                stamps.remove(stamp)
        if not self._by_address.get(ip, [stamp]):
            self._drop(ip)

    def proven(self, ip: IPAddress, now: float) -> None:
        """There is a connection with somebody at that address who is the one that was sought."""
        if ip in self._by_address:
            self._proven[ip] = now

    def __len__(self) -> int:
        """How many addresses are remembered."""
        return len(self._by_address)

    def _forget(self, now: float) -> None:
        del self._all[: bisect_right(self._all, now - SECOND)]
        while self._by_address:
            ip, stamps = next(iter(self._by_address.items()))
            if stamps[-1] > now - MINUTE:
                return
            self._drop(ip)

    def _drop(self, ip: IPAddress) -> None:
        del self._by_address[ip]
        self._proven.pop(ip, None)

    def _wanted(self, ip: IPAddress, stamps: list[float]) -> int:
        """How many of the first ones were before the last proof."""
        at = self._proven.get(ip)
        return 0 if at is None else bisect_right(stamps, at)


def _until_fewer(stamps: list[float], most: int, seconds: float, now: float) -> float:
    """Seconds until fewer than ``most`` of them are of the last ``seconds``."""
    return stamps[-most] + seconds - now if len(stamps) >= most else 0.0
