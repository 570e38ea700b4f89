"""One file on its way, under a hidden name until it is whole."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from contextlib import suppress
from enum import Enum

from p2phole.use.files.folders import Inside
from p2phole.use.files.listing import Entry
from p2phole.use.files.names import MOST_CANDIDATES, numbered

_NEW = os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_NOFOLLOW | os.O_CLOEXEC


class Clash(Enum):
    """What to do with a file whose name is taken by another one."""

    KEEP_BOTH = "keep both"
    REPLACE = "replace"
    SKIP = "skip"


class Incoming:
    """A file on its way, under its hidden name."""

    def __init__(self, inside: Callable[[str], Inside], umask: int, entry: Entry, fd: int, name: str) -> None:
        self.entry = entry
        self._inside = inside
        self._umask = umask
        self._fd = fd
        self._name = name

    def write(self, data: bytes | memoryview) -> None:
        """Add it.  Raises :class:`OSError`."""
        view = memoryview(data)
        while len(view):
            view = view[os.write(self._fd, view) :]

    def finish(self, clash: Clash) -> str:
        """Write it to the disk, and give it its name; which one it got.  Blocks.  Raises :class:`OSError`."""
        entry, fd = self.entry, self._fd
        mode = 0o666 | (0o111 if entry.executable else 0)
        with suppress(OSError):  # a file system that has no modes
            os.fchmod(fd, mode & ~self._umask)
        with suppress(OSError, OverflowError):  # a time that this file system does not know
            os.utime(fd, ns=(entry.mtime, entry.mtime))
        os.fsync(fd)
        folder, _, name = entry.path.rpartition("/")
        with self._inside(folder) as at:
            found = _give_name(at, self._name, name, clash)
        self.close()
        return f"{folder}/{found}" if folder else found

    def close(self) -> None:
        """Keep what has come, for the next time."""
        if self._fd >= 0:
            fd, self._fd = self._fd, -1
            os.close(fd)

    def drop(self) -> None:
        """It is worth nothing."""
        try:
            # Before it is closed, and another one may have it.
            with self._inside(self.entry.path.rpartition("/")[0]) as at:
                os.unlink(self._name, dir_fd=at)
        except OSError:  # or so it stays, and is found to be wrong the next time
            pass
        self.close()


def _give_name(at: int, part: str, name: str, clash: Clash) -> str:
    if clash is Clash.REPLACE:
        os.rename(part, name, src_dir_fd=at, dst_dir_fd=at)
        return name
    for number in range(1, MOST_CANDIDATES):
        found = name if number == 1 else numbered(name, number)
        try:
            os.link(part, found, src_dir_fd=at, dst_dir_fd=at, follow_symlinks=False)
        except FileExistsError:
            if clash is Clash.SKIP:
                raise
            continue
        except OSError as problem:
            if problem.errno not in (errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK):
                raise
            # A file system without links, as on memory cards: an empty file of our own keeps the place.
            try:
                os.close(os.open(found, _NEW, 0o600, dir_fd=at))
            except FileExistsError:
                if clash is Clash.SKIP:
                    raise
                continue
            os.rename(part, found, src_dir_fd=at, dst_dir_fd=at)
            return found
        os.unlink(part, dir_fd=at)
        return found
    raise FileExistsError(errno.EEXIST, f"{MOST_CANDIDATES} files of this name are there")
