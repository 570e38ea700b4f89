"""kill -9 at any moment: the key file and the file of known people are there whole, or not yet."""

from __future__ import annotations

import os
import random
import signal
import stat
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from p2phole.secure.identity import load_or_make
from p2phole.secure.known import FILE_NAME, Known
from p2phole.secure.people_codec import decode

BOB, EVE = "b2" * 32, "e5" * 32


def child(work: Callable[[], None]) -> int:
    """Another process that does the work and ends."""
    process = os.fork()
    if not process:
        status = 1
        try:
            work()
            status = 0
        finally:
            os._exit(status)
    return process


def killed_at(number: int, work: Callable[[], None]) -> bool:
    """Whether the process was killed before it had called that many functions; else it has done its work."""
    left = number

    def count(frame: FrameType, event: str, argument: Any) -> None:
        nonlocal left
        if event == "c_call":
            left -= 1
            if left < 0:
                os.kill(os.getpid(), signal.SIGKILL)

    def counted() -> None:
        sys.setprofile(count)
        work()

    _, status = os.waitpid(child(counted), 0)
    if os.WIFSIGNALED(status):
        assert os.WTERMSIG(status) == signal.SIGKILL
        return True
    assert os.WEXITSTATUS(status) == 0
    return False


class KilledTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.folder = Path(self.mktemp())
        self.folder.mkdir()

    def private(self) -> None:
        """Whatever is there, only its owner can read it."""
        for path in self.folder.iterdir():
            self.assertEqual(stat.S_IMODE(path.stat().st_mode), 0o600, path.name)

    def test_key_between_any_two_calls(self) -> None:
        path = self.folder / "key.pem"
        missing, found, number = 0, 0, 0
        while killed_at(number, lambda: load_or_make(path)):
            self.private()
            if path.exists():
                found += 1
                first = load_or_make(path).fingerprint  # whole
                self.assertEqual(load_or_make(path).fingerprint, first)
            else:
                missing += 1
            for left in self.folder.iterdir():
                left.unlink()
            number += 1
        self.assertTrue(missing > 10 and found, (missing, found))

    def test_known_people_between_any_two_calls(self) -> None:
        path = self.folder / FILE_NAME
        Known.load(path, lambda: 0.0).keep("bob", BOB)
        before = path.read_bytes()
        old, new, number = 0, 0, 0
        while killed_at(number, lambda: Known.load(path, lambda: 0.0).keep("eve", EVE)):
            self.private()
            names = [one.name for one in decode(path.read_bytes()).kept]
            self.assertIn(names, (["bob"], ["bob", "eve"]))
            if len(names) == 1:
                old += 1
            else:
                new += 1
                path.write_bytes(before)
            number += 1
        self.assertTrue(old > 20 and new, (old, new))
        # The lock went with its owner, and the half written file is replaced.
        Known.load(path, lambda: 0.0).rename("bob", "ann")
        self.assertEqual({one.name for one in self.folder.iterdir()}, {FILE_NAME, ".known.json.lock"})

    def test_known_people_at_random_moments(self) -> None:
        """Two writers at a time, as the kernel happens to run them."""
        seed = random.randrange(1 << 32)
        chance = random.Random(seed)
        path = self.folder / FILE_NAME
        whole = {f"{name}{number}" for name in "ab" for number in range(2)}

        def write(name: str, fingerprint: str) -> None:
            known = Known.load(path, lambda: 0.0)
            if known.fingerprint_of(f"{name}0") is None and known.fingerprint_of(f"{name}1") is None:
                known.keep(f"{name}0", fingerprint)
            while True:
                for old, new in ((0, 1), (1, 0)):
                    if known.fingerprint_of(f"{name}{old}") is not None:
                        known.rename(f"{name}{old}", f"{name}{new}")

        seen, rounds = set(), 0
        # On a machine with much else to do a writer may not have come to anything by the time that it is killed.
        while rounds < 60 or (seen != whole and rounds < 2000):
            rounds += 1
            writers = [child(lambda: write("a", BOB)), child(lambda: write("b", EVE))]
            for writer in chance.sample(writers, 2):
                time.sleep(chance.uniform(0, 0.02))
                os.kill(writer, signal.SIGKILL)
                os.waitpid(writer, 0)
            self.private()
            if path.exists():
                names = {one.name for one in decode(path.read_bytes()).kept}
                self.assertLessEqual(names, whole, f"seed {seed}")
                # Who has been there once is never lost.
                self.assertLessEqual({name[0] for name in seen}, {name[0] for name in names}, f"seed {seed}")
                seen |= names
        self.assertEqual(seen, whole, f"seed {seed}")
