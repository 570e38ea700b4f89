"""The folder of the sockets by which peers are asked, and what in it is trusted."""

from __future__ import annotations

import os
import socket
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from p2phole.peer import status_folder
from p2phole.peer.status_folder import NEW_SECONDS, FolderUnsafe


class FolderTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.above = Path(self.mktemp()).resolve()
        self.above.mkdir(parents=True, mode=0o700)
        self.path = self.above / "p2phole"

    def unsafe(self) -> str:
        with self.assertRaises(FolderUnsafe) as caught:
            status_folder.make(self.path)
        self.assertRaises(FolderUnsafe, status_folder.sockets, self.path)
        return str(caught.exception)

    def test_made_for_this_user_alone(self) -> None:
        status_folder.make(self.path)
        self.assertEqual(os.lstat(self.path).st_mode & 0o7777, 0o700)
        status_folder.make(self.path)

    def test_with_the_folder_above(self) -> None:
        self.above.rmdir()
        status_folder.make(self.path)
        self.assertEqual(os.lstat(self.above).st_mode & 0o7777, 0o700)

    def test_one_that_others_may_use(self) -> None:
        for mode in (0o755, 0o770, 0o701):
            self.path.mkdir()
            self.path.chmod(mode)
            self.assertIn("others may use it", self.unsafe())
            self.path.rmdir()

    def test_one_that_others_may_replace(self) -> None:
        self.path.mkdir(mode=0o700)
        self.above.chmod(0o777)
        self.assertIn("others may replace it", self.unsafe())
        self.above.chmod(0o1777)  # as /tmp: nobody removes what is not his
        status_folder.make(self.path)

    def test_what_is_no_folder(self) -> None:
        for make in (
            lambda: self.path.symlink_to(self.above),
            lambda: self.path.write_text(""),
            lambda: os.mkfifo(self.path),
        ):
            make()
            self.assertIn("it is no folder", self.unsafe())
            self.path.unlink()

    def test_a_folder_of_somebody_else(self) -> None:
        status_folder.make(self.path)
        mine = os.geteuid()
        self.patch(os, "geteuid", lambda: mine + 1)
        self.assertIn("others may use it", self.unsafe())

    def test_where_nothing_can_be_made(self) -> None:
        self.above.rmdir()
        self.above.write_text("")
        with self.assertRaises(FolderUnsafe) as caught:
            status_folder.make(self.path)
        self.assertIn("Not a directory", str(caught.exception))

    def test_none(self) -> None:
        self.assertEqual(status_folder.sockets(self.path), [])

    def listening(self, name: str, folder: Path | None = None) -> Path:
        path = (folder or self.path) / name
        # Its path may be longer than an address can be.
        here = os.getcwd()
        os.chdir(path.parent)
        self.addCleanup(os.chdir, here)
        found = socket.socket(socket.AF_UNIX)
        self.addCleanup(found.close)
        found.bind(path.name)
        os.chdir(here)
        return path

    def test_only_sockets_count(self) -> None:
        status_folder.make(self.path)
        real = self.listening("1-aa.status")
        outside = self.listening("outside.status", self.above)
        self.listening("1-aa.other")
        (self.path / "file.status").write_text("x")
        (self.path / "folder.status").mkdir()
        (self.path / "link.status").symlink_to(outside)
        (self.path / "nowhere.status").symlink_to("nowhere")
        os.mkfifo(self.path / "fifo.status")
        self.assertEqual(status_folder.sockets(self.path), [real])

    def test_the_newest_first_and_not_too_many(self) -> None:
        status_folder.make(self.path)
        paths = [self.listening(f"{number}.status") for number in range(4)]
        for number, path in enumerate(paths):
            os.utime(path, (number, number))
        self.patch(status_folder, "MOST_SOCKETS", 3)
        self.assertEqual(status_folder.sockets(self.path), [paths[3], paths[2], paths[1]])

    def test_only_a_socket_is_removed_and_no_new_one(self) -> None:
        status_folder.make(self.path)
        path, file = self.listening("1.status"), self.path / "file.status"
        file.write_text("x")
        at = os.lstat(path).st_mtime
        status_folder.forget(path, lambda: at + NEW_SECONDS)
        status_folder.forget(file, lambda: at + 1000)
        self.assertTrue(path.exists() and file.exists())
        status_folder.forget(path, lambda: at + NEW_SECONDS + 1)
        self.assertFalse(path.exists())
        status_folder.forget(path)

    def test_where_it_is(self) -> None:
        self.patch(os, "environ", {**os.environ, "XDG_RUNTIME_DIR": str(self.above)})
        self.assertEqual(status_folder.folder(), self.path)
