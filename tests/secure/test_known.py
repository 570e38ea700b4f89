"""The file of known people."""

from __future__ import annotations

import fcntl
import os
import stat
import subprocess
import sys
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from p2phole.errors import LocalError
from p2phole.secure import known as module
from p2phole.secure.known import FILE_NAME, Known, KnownBusy, KnownUnusable, NotKnownPeople
from p2phole.secure.people import NotKept
from p2phole.secure.people_codec import decode

BOB, EVE = "b2" * 32, "e5" * 32


class WithFile(SynchronousTestCase):
    def setUp(self) -> None:
        self.folder = Path(self.mktemp()) / "data"
        self.path = self.folder / FILE_NAME
        self.time = 1_800_000_000.0
        self.pauses: list[float] = []

    def load(self) -> Known:
        return Known.load(self.path, lambda: self.time, self.pauses.append)


class UseTests(WithFile):
    def test_nobody_yet(self) -> None:
        known = self.load()
        self.assertEqual(known.name_of(BOB), None)
        self.assertEqual(known.fingerprint_of("bob"), None)
        self.assertFalse(known.is_known(BOB))
        self.assertEqual(known.shown("bob", BOB), "bob")
        self.assertFalse(self.folder.exists(), "asking writes nothing")

    def test_remembered(self) -> None:
        known = self.load()
        known.met(BOB, "robert", "secret")
        known.met(EVE, "bob", "code")
        known.keep("bob", BOB)
        for one in (known, self.load()):
            self.assertEqual((one.name_of(BOB), one.fingerprint_of("Bob")), ("bob", BOB))
            self.assertEqual((one.is_known(BOB), one.is_known(EVE)), (True, True))
            self.assertEqual((one.shown("robert", BOB), one.shown("bob", EVE)), ("bob", "bob?e5e5"))
            self.assertEqual([met.claimed for met in one.people.met], ["robert", "bob"])
        self.time += 86_400
        self.assertFalse(known.is_known(EVE))
        known.rename("bob", "ann")
        self.assertEqual(self.load().name_of(BOB), "ann")
        known.forget("ann")
        self.assertEqual(self.load().name_of(BOB), None)

    def test_a_code_that_was_typed(self) -> None:
        known = self.load()
        known.met(EVE, "eve", "code", "d" * 64)
        for one in (known, self.load()):
            self.assertEqual((one.met_by("d" * 64), one.met_by("c" * 64)), (EVE, None))
        known.use_up("d" * 64)
        self.assertEqual((self.load().met_by("d" * 64), self.load().is_known(EVE)), (None, True))
        known.met(EVE, "eve", "code", "d" * 64)
        self.time += 86_400
        self.assertIsNone(self.load().met_by("d" * 64))

    def test_refused_changes_write_nothing(self) -> None:
        known = self.load()
        known.keep("bob", BOB)
        before = self.path.stat()
        self.assertRaises(NotKept, known.forget, "eve")
        self.assertRaises(ValueError, known.keep, "", EVE)
        known.keep("bob", BOB)
        self.assertEqual(self.path.stat(), before)

    def test_another_process(self) -> None:
        """What it writes is seen at once, and not lost."""
        known, other = self.load(), self.load()
        other.keep("bob", BOB)
        self.assertEqual(known.name_of(BOB), "bob")
        known.met(EVE, "eve", "tofu")
        self.assertEqual([one.claimed for one in other.people.met], ["eve"])
        other.forget("bob")
        self.assertEqual(known.name_of(BOB), None)
        self.path.unlink()
        self.assertEqual(known.people.met, ())


class FileTests(WithFile):
    def test_for_nobody_else_under_any_umask(self) -> None:
        self.folder.mkdir(parents=True)
        for umask in (0, 0o022, 0o077, 0o277, 0o777):
            old = os.umask(umask)
            try:
                self.load().keep("bob", BOB)
            finally:
                os.umask(old)
            modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in self.folder.iterdir()}
            self.assertEqual(modes, {FILE_NAME: 0o600, ".known.json.lock": 0o600})
            for name in modes:
                (self.folder / name).unlink()

    def test_made_private(self) -> None:
        """A mode that somebody else gave it does not outlast a change; the folder is ours."""
        self.load().keep("bob", BOB)
        self.assertEqual(stat.S_IMODE(self.folder.stat().st_mode), 0o700)
        self.path.chmod(0o666)
        self.load().keep("eve", EVE)
        self.assertEqual(stat.S_IMODE(self.path.stat().st_mode), 0o600)

    def test_a_link_stays_one(self) -> None:
        elsewhere = Path(self.mktemp()).absolute()
        self.folder.mkdir(parents=True)
        self.path.symlink_to(elsewhere)
        self.load().keep("bob", BOB)
        self.assertTrue(self.path.is_symlink())
        self.assertEqual(decode(elsewhere.read_bytes()).kept[0].name, "bob")

    def test_broken_or_foreign(self) -> None:
        """It is named, and neither changed nor lost."""
        self.folder.mkdir(parents=True)
        for content in (b"", b"{}", b"\xff\x00", b'{"p2phole": "known people", "version": 2}', b"x" * (2 << 20)):
            self.path.write_bytes(content)
            error = self.assertRaises(NotKnownPeople, self.load)
            self.assertIsInstance(error, LocalError)
            self.assertIn(f"{self.path} is not as p2phole writes it: ", str(error))
            self.assertIn("move it away", str(error))
            self.assertEqual(self.path.read_bytes(), content)

    def test_broken_while_it_is_used(self) -> None:
        known = self.load()
        known.keep("bob", BOB)
        self.path.write_bytes(b"{}")
        self.assertEqual(known.name_of(BOB), "bob")
        self.assertRaises(NotKnownPeople, known.keep, "eve", EVE)
        self.assertEqual(self.path.read_bytes(), b"{}")
        self.path.unlink()
        known.keep("eve", EVE)
        self.assertEqual([one.name for one in self.load().people.kept], ["eve"])

    def test_unusable(self) -> None:
        self.path.mkdir(parents=True)
        self.assertIn("(Is a directory)", str(self.assertRaises(KnownUnusable, self.load)))
        self.path = self.folder / "file" / FILE_NAME
        (self.folder / "file").write_bytes(b"")
        self.assertIn("(Not a directory)", str(self.assertRaises(KnownUnusable, self.load)))

    def test_no_space(self) -> None:
        """The old file stays, and nothing beside it."""
        known = self.load()
        known.keep("bob", BOB)
        before = self.path.read_bytes()

        def fsync(handle: int) -> None:
            raise OSError(28, "No space left on device")

        self.patch(module.os, "fsync", fsync)
        self.assertIn("No space left", str(self.assertRaises(KnownUnusable, known.keep, "eve", EVE)))
        self.assertEqual(self.path.read_bytes(), before)
        self.assertEqual({path.name for path in self.folder.iterdir()}, {FILE_NAME, ".known.json.lock"})
        self.assertEqual(known.name_of(EVE), None)


class LockTests(WithFile):
    def test_waits_for_its_turn(self) -> None:
        known = self.load()
        known.keep("bob", BOB)
        with open(self.folder / ".known.json.lock") as other:
            fcntl.flock(other, fcntl.LOCK_EX)
            error = self.assertRaises(KnownBusy, known.keep, "eve", EVE)
        self.assertIn("for 5 s", str(error))
        self.assertEqual(self.pauses, [0.01] * 500)
        self.pauses.clear()
        known.keep("eve", EVE)
        self.assertEqual(self.pauses, [])

    def test_several_processes_lose_nothing(self) -> None:
        code = (
            "import sys\nfrom pathlib import Path\nfrom p2phole.secure.known import Known\n"
            "known = Known.load(Path(sys.argv[1]), lambda: 0.0)\n"
            "for each in range(20): known.keep(f'{sys.argv[2]}-{each}', f'{sys.argv[2]}{each:063x}')\n"
        )
        root = str(Path(module.__file__).parents[2])
        writers = [
            subprocess.Popen(
                [sys.executable, "-c", code, str(self.path), str(number)], env={**os.environ, "PYTHONPATH": root}
            )
            for number in range(4)
        ]
        self.assertEqual([writer.wait(60) for writer in writers], [0] * 4)
        names = {one.name for one in self.load().people.kept}
        self.assertEqual(names, {f"{number}-{each}" for number in range(4) for each in range(20)})
