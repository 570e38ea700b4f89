"""A machine whose clock is wrong: real processes on loopback.  Plain functions, for pytest alone."""

from __future__ import annotations

import shutil
import subprocess
import sys
import time
from collections.abc import Sequence

import pytest

from tests.loopback.processes import PYTHON, Stage

HOUR = 3600.0

# All that asks for the time in Python, and OpenSSL where it judges dates, is told that it is 1970.  Python's own
# monotonic clock goes on.
PATCHED = """
import runpy, sys, time
from datetime import datetime, timedelta
true, began = time.time, time.time()
time.time = lambda: true() - began + 60
from OpenSSL import SSL
class Context(SSL.Context):
    def __init__(self, *arguments):
        super().__init__(*arguments)
        self.get_cert_store().set_time(datetime(1970, 1, 1) + timedelta(seconds=time.time()))
SSL.Context = Context
sys.argv[0] = "p2phole"
runpy.run_module("p2phole", run_name="__main__", alter_sys=True)
"""


@pytest.fixture(params=["patched", "faketime"])
def in_1970(request: pytest.FixtureRequest) -> Sequence[str]:
    """What starts a p2phole for which it is 1970: by patches, or where there is faketime, by a false libc."""
    if request.param == "patched":
        return (sys.executable, "-c", PATCHED)
    faketime = shutil.which("faketime")
    if faketime is None:
        pytest.skip("needs faketime (Debian: faketime)")
    # The wrapper would stay as the parent, and die alone when the test ends what it has started.
    library = subprocess.run([faketime, "-f", "+0", "printenv", "LD_PRELOAD"], capture_output=True, check=True)
    false = {
        "LD_PRELOAD": library.stdout.decode().strip(),
        "FAKETIME": "@1970-01-01 00:01:00",
        # Timers are for the monotonic clock, which is not the one that is wrong.
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
    }
    return ("env", *(f"{name}={value}" for name, value in false.items()), *PYTHON)


def test_it_meets_one_whose_clock_is_right(stage: Stage, in_1970: Sequence[str]) -> None:
    """In a room with a secret."""
    port = stage.broker("tcp:0:interface=127.0.0.1", "--probe-port", "0")
    secret = stage.folder / "secret"
    secret.write_text("a secret that is the same whatever the time is\n")
    secret.chmod(0o600)
    room = ("--room", "r", "--secret-file", str(secret), "--message", "hello")
    alice = stage.peer("alice", f"localhost:{port}", *room, python=in_1970)
    bob = stage.peer("bob", f"localhost:{port}", *room)
    for peer, now in ((alice, 60.0), (bob, time.time())):
        connected = peer.event("connected")
        assert connected["authenticated"] == "secret"
        assert abs(connected["time"] - now) < HOUR
        assert peer.event("message", direction="in")["text"] == "hello"
        assert peer.event("message", direction="out")["text"] == "hello"
    assert "defect" not in alice.told


def test_a_broker_over_tls_needs_a_clock(stage: Stage, in_1970: Sequence[str]) -> None:
    """Which shows as well that OpenSSL there takes it for 1970: elsewhere no date is looked at."""
    port = stage.broker(stage.authority.endpoint())
    trusted = ("--broker-ca", str(stage.authority.file))
    line = stage.refused(f"tls:localhost:{port}", *trusted, python=in_1970)
    assert "out of date" in line
    assert stage.peer("bob", f"tls:localhost:{port}", *trusted).event("registered")
