"""A program of its own: gets a page by an endpoint string, and writes its size and digest."""

from __future__ import annotations

import sys
from typing import Any

from twisted.internet.endpoints import clientFromString
from twisted.internet.task import react
from twisted.web.client import Agent

from tests.endpoints.programs import Body, Through, digest


async def fetch(reactor: Any, endpoint: str, path: str) -> None:
    """Get it."""
    agent = Agent.usingEndpointFactory(reactor, Through(clientFromString(reactor, endpoint)))
    response: Any = await agent.request(b"GET", b"http://bob/" + path.encode())
    body = Body()
    response.deliverBody(body)
    found = await body.done
    sys.stdout.write(f"{response.code} {len(found)} {digest(found)}\n")


if __name__ == "__main__":
    react(fetch, sys.argv[1:])
