"""``p2phole secret``: one strong secret on standard output."""

from __future__ import annotations

import secrets
import sys
from typing import Any

from p2phole import launch
from p2phole.options import PlainOptions
from p2phole.secure.words import secret

HINT = "keep it in a file that only you can read: (umask 077; p2phole secret > room.secret)"


class Options(PlainOptions):
    """There is nothing to choose."""

    synopsis = "[options]"
    longdesc = (
        "Prints a new secret for a room: 128 random bits as twelve words. All members of the room have it in a "
        "file. Exit status: 0 done, 1 it failed, 2 usage."
    )


def run(options: Any) -> int:
    """What ``p2phole secret`` runs, to its exit status."""
    made = secret(secrets.token_bytes)
    sys.stdout.write(f"{made}\n")
    sys.stdout.flush()
    if sys.stdout.isatty():
        launch.tell(HINT)
    return 0
