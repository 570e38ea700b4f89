"""A whole broker on a clock, in which any key is believed that the test does not doubt."""

from collections.abc import Callable
from itertools import count
from typing import Any, cast

from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import Clock

from p2phole.broker.admission import Admission, Prove
from p2phole.broker.directory import MemoryDirectory
from p2phole.broker.factory import Broker
from p2phole.broker.introduction import Introductions
from p2phole.broker.journal import Journal
from p2phole.broker.limits import Limits
from p2phole.broker.line import Announcement
from p2phole.broker.settings import LimitSettings
from p2phole.wire.messages import Register

NOTHING_ELSE = Announcement()


def believe(message: Register, nonce: str) -> None:
    """Whatever it says."""


def numbered(first: int = 1) -> Callable[[], bytes]:
    """Instead of random bytes."""
    numbers = count(first)
    return lambda: next(numbers).to_bytes(16, "big")


def make_broker(
    clock: Clock,
    *,
    prove: Prove = believe,
    token: Callable[[], bytes] = lambda: b"t" * 16,
    entropy: Callable[[], bytes] | None = None,
    numbers: Callable[[], bytes] | None = None,
    announcement: Announcement = NOTHING_ELSE,
    log_addresses: bool = False,
    **limits: Any,
) -> Broker:
    """As the service makes it, but for keys and randomness; ``numbers``: for those of codes, from 1 on."""
    directory = MemoryDirectory()
    made = Limits(LimitSettings(**limits), clock.seconds)
    return Broker(
        Introductions(directory, token, clock.seconds),
        Admission(prove, made, directory, clock.callLater, numbers or numbered(0)),
        announcement,
        made,
        Journal(clock.seconds, log_addresses),
        cast(IReactorTime, clock),
        entropy or numbered(),
    )
