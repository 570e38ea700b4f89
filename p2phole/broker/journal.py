"""What the broker logs of its connections: few lines, whoever comes, and addresses only where it is asked to."""

from __future__ import annotations

from collections.abc import Callable

from twisted.logger import Logger

from p2phole.addresses import Endpoint
from p2phole.bucket import Bucket, Rate
from p2phole.wire.messages import Error

LINES = Rate(30, 0.5)
"""Lines at once, and a second from then on."""

_log = Logger()


class Journal:
    """Says why connections are closed.  ``addresses``: also whose, and what exactly was wrong, in which there
    may be addresses too."""

    def __init__(self, seconds: Callable[[], float], addresses: bool = False) -> None:
        self._seconds = seconds
        self._addresses = addresses
        self._bucket = Bucket(LINES)
        self._unsaid = 0

    def refused(self, error: Error, where: Endpoint | None) -> None:
        """That was said last on the connection from there."""
        if self._bucket.take(self._seconds()):
            self._unsaid += 1
            return
        if self._unsaid:
            _log.info("{count} more connections were closed.", count=self._unsaid)
            self._unsaid = 0
        if self._addresses:
            _log.info(
                "The connection from {where} is closed: {detail} ({code}).",
                where=str(where or "nowhere"),
                detail=error.detail,
                code=error.code,
            )
        else:
            _log.info("A connection is closed: {code}.", code=error.code)
