"""Protocols see over a stream what they see over TCP; where they do not, docs/endpoints.md says why."""

from __future__ import annotations

from typing import Any

import pytest
import pytest_twisted
from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import TCP4ClientEndpoint, TCP4ServerEndpoint
from twisted.internet.protocol import Factory

from p2phole.testing import MemoryPair
from tests.conftest import LoggedErrors
from tests.endpoints.scripted import ALIKE, UNLIKE, Scenario, Scripted
from tests.loopback.test_loopback import until

Seen = tuple[list[str], list[str]]


def factory(protocol: Scripted) -> Factory[Any]:
    found: Factory[Any] = Factory.forProtocol(lambda: protocol)
    found.noisy = False
    return found


async def over_tcp(client: Scripted, server: Scripted) -> None:
    port = await TCP4ServerEndpoint(reactor, 0, interface="127.0.0.1").listen(factory(server))
    await TCP4ClientEndpoint(reactor, "127.0.0.1", port.getHost().port).connect(factory(client))
    await until(lambda: client.over and server.over)
    await port.stopListening()


def over_stream(pair: MemoryPair, client: Scripted, server: Scripted) -> None:
    pair.bob.server().listen(factory(server))
    pair.alice.client().connect(factory(client)).addErrback(lambda reason: client.saw.append(f"no {reason.type}"))
    for _ in range(5):
        pair.flush()
    assert client.over and server.over
    assert (pair.alice.board.users, pair.bob.board.users) == (0, 1)


def ends(scenario: Scenario, clock: Any) -> tuple[Scripted, Scripted]:
    return Scripted(clock, scenario.one), Scripted(clock, scenario.two)


def seen_over_stream(scenario: Scenario) -> Seen:
    seen = []
    for swapped in (False, True):
        pair = MemoryPair()
        one, two = ends(scenario, pair.clock)
        over_stream(pair, *((two, one) if swapped else (one, two)))
        seen.append((one.saw, two.saw))
    assert seen[0] == seen[1], "it makes a difference who connects"
    return seen[0]


@pytest.mark.parametrize("scenario", ALIKE, ids=lambda scenario: scenario.name)
@pytest_twisted.inlineCallbacks
def test_alike(scenario: Scenario, logged_errors: LoggedErrors) -> Any:
    one, two = ends(scenario, reactor)
    yield Deferred.fromCoroutine(over_tcp(one, two))
    assert seen_over_stream(scenario) == (one.saw, two.saw)
    logged_errors.flush(ZeroDivisionError)


@pytest.mark.parametrize("scenario", UNLIKE, ids=lambda scenario: scenario.name)
def test_unlike(scenario: Scenario, logged_errors: LoggedErrors) -> None:
    assert seen_over_stream(scenario) == scenario.seen
    logged_errors.flush(ZeroDivisionError)
