"""Two peers whose versions do not go together tell it both, in words."""

from __future__ import annotations

import sys

from tests.loopback.processes import Stage

_NEWER = """
import p2phole.session.frames as frames
frames.VERSION += 1
import p2phole.session.greeting as greeting
greeting.SOFTWARE = "p2phole 99.1"
from p2phole.cli import main
main()
"""


def test_each_side_says_which_one_to_update(stage: Stage) -> None:
    broker = f"127.0.0.1:{stage.broker('tcp:0:interface=127.0.0.1')}"
    older = stage.peer("older", broker)
    newer = stage.peer("newer", broker, python=(sys.executable, "-c", _NEWER))
    old = older.line(r"(newer: The other side runs .*)")
    new = newer.line(r"(older: The other side runs .*)")
    assert old.startswith("newer: The other side runs p2phole 99.1, this one p2phole ")
    assert old.endswith("and the two cannot talk: update this side.")
    assert new.endswith(", this one p2phole 99.1, and the two cannot talk: update the other side.")
