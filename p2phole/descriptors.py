"""How many sockets this process may have."""

from __future__ import annotations

import os

try:
    import resource
except ImportError:  # not on Windows
    resource = None  # type: ignore[assignment]


def raise_descriptor_limit() -> None:
    """Raise the soft limit to the hard one: the usual soft limit of 1,024 dates from ``select()``, which
    none of Twisted's reactors on Linux uses.  Where that is not allowed, what is there is kept."""
    if resource is None:
        return
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == hard:
        return
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    except (OSError, ValueError):
        pass


RESERVE = 64
"""Descriptors that are left for what else the process does."""


def spare_descriptors(most: int) -> int:
    """How many of so many sockets may be opened, with some left over; where nothing tells, all of them."""
    if resource is None:
        return most
    try:
        used = len(os.listdir("/proc/self/fd"))
    except OSError:
        return most
    soft, _hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    return most if soft == resource.RLIM_INFINITY else max(0, min(most, soft - used - RESERVE))
