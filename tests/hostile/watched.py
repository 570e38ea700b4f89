"""``python -m tests.hostile.watched FILE twistd-arguments``: twistd, and a line in FILE for each address dialled.

A line holds the time, the address and the port.  What is not on loopback is answered with ENETUNREACH, as by a
machine without a network, so that no mistake of ours leaves this one.
"""

from __future__ import annotations

import errno
import os
import sys
import time
from ipaddress import ip_address
from typing import Any


def watch(path: str) -> None:
    """From now on, for the whole process; the interpreter itself tells of each ``connect``."""
    file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        if event != "socket.connect" or not isinstance(arguments[1], tuple):
            return
        host, port = arguments[1][0].partition("%")[0], arguments[1][1]
        os.write(file, f"{time.monotonic()} {host} {port}\n".encode())
        if not ip_address(host).is_loopback:
            raise OSError(errno.ENETUNREACH, os.strerror(errno.ENETUNREACH))

    sys.addaudithook(hook)


if __name__ == "__main__":
    watch(sys.argv[1])
    sys.argv = ["twistd", *sys.argv[2:]]
    from twisted.scripts.twistd import run

    run()
