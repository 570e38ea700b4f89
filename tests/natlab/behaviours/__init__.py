"""The laboratory's self-test: each function shows one behaviour by probing it with plain sockets.

It returns what it saw, in words, and raises AssertionError where it saw something else. The tests and
``python -m tests.natlab selftest`` run all of them.
"""

from __future__ import annotations

from collections.abc import Callable

from tests.natlab.behaviours import internet, places, ports, refusals, roaming, routers

BEHAVIOURS: tuple[Callable[[], str], ...] = (
    *internet.BEHAVIOURS,
    *routers.BEHAVIOURS,
    *ports.BEHAVIOURS,
    *refusals.BEHAVIOURS,
    *places.BEHAVIOURS,
    *roaming.BEHAVIOURS,
)
