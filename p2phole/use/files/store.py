"""The folder that files are received into, and never a step out of it.

Every name is opened relative to the folder that it is in, and no link is ever followed (``O_NOFOLLOW``), so
that it makes no difference what somebody puts in the way meanwhile.  What has not arrived as a whole has a
hidden name, and takes its own by ``link()``, which replaces nothing.
"""

from __future__ import annotations

import errno
import fcntl
import os
import stat
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path

from p2phole.use.files.errors import CannotWrite, why
from p2phole.use.files.folders import Folders, Inside, status_of, step
from p2phole.use.files.hashing import Digest, digest_of
from p2phole.use.files.incoming import Incoming
from p2phole.use.files.listing import MOST_COPIES, Entry
from p2phole.use.files.names import MOST_CANDIDATES, check_path, numbered, part_name

_FILE = os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK


@dataclass(slots=True)
class Found:
    """What the folder has of one entry.  ``part``: bytes of it from a time before; ``taken``: what has its name,
    as device and inode; ``wrong``: it can't be written there, and why; ``copies``: names of files of that size."""

    part: int = 0
    taken: tuple[int, int] | None = None
    wrong: str = ""
    copies: tuple[str, ...] = ()


class Store:
    """See above.  ``sender``: the fingerprint of whose files they are.  ``umask``: as the process has it."""

    def __init__(self, folder: Path, sender: str, umask: int) -> None:
        self.folder = folder
        self.umask = umask
        self._sender = sender
        self._folders = Folders(self._walk)
        self._touched: set[str] = set()
        self._digested: dict[str, tuple[int, int, int]] = {}
        """What a part was when its digest was taken."""

    # -- folders

    def inside(self, path: str) -> Inside:
        """The folder of that path, open.  Raises :class:`OSError`."""
        return Inside(self._walk(path))

    def _walk(self, path: str, make: bool = False) -> int:
        at = os.open(self.folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        for name in check_path(path) if path else ():
            try:
                below = step(at, name, make)
            finally:
                os.close(at)
            at = below
        return at

    def close(self) -> None:
        """Keep nothing open."""
        self._folders.close()

    # -- before

    def free(self) -> int:
        """Bytes that may be written here.  Raises :class:`OSError`."""
        folder = self.folder
        while not folder.exists() and folder != folder.parent:
            folder = folder.parent
        found = os.statvfs(folder)
        return found.f_bavail * found.f_frsize

    def look(self, entries: Iterable[Entry], stopped: Callable[[], bool]) -> list[Found]:
        """What there is of each, or of the first ones where it was stopped.  Blocks; writes nothing."""
        folders = Folders(self._walk)  # of this thread
        try:
            return [self._look(entry, folders) for entry in takewhile(lambda _: not stopped(), entries)]
        finally:
            folders.close()

    def _look(self, entry: Entry, folders: Folders) -> Found:
        folder, _, name = entry.path.rpartition("/")
        found = Found()
        try:
            at = folders.open(folder)
        except FileNotFoundError:
            return found
        except OSError as problem:
            found.wrong = why(problem)
            return found
        there = status_of(at, name)
        if entry.size is None:
            if there is not None and not stat.S_ISDIR(there.st_mode):
                found.wrong = "something that is no folder has its name"
            return found
        found.taken = None if there is None else (there.st_dev, there.st_ino)
        copies: list[str] = []
        number = 1
        candidate = name
        while there is not None and len(copies) < MOST_COPIES and number < MOST_CANDIDATES:
            if stat.S_ISREG(there.st_mode) and there.st_size == entry.size:
                copies.append(candidate)
            number += 1
            candidate = numbered(name, number)
            there = status_of(at, candidate)
        found.copies = tuple(copies)
        part = status_of(at, part_name(self._sender, entry.path))
        if part is not None and stat.S_ISREG(part.st_mode) and part.st_nlink == 1:
            found.part = min(part.st_size, entry.size)
        return found

    def make(self, folders: Iterable[str], stopped: Callable[[], bool]) -> dict[str, str]:
        """Make the folder itself, and these, unless it is stopped; which could not be made, and why.  Blocks.
        Raises :class:`CannotWrite`."""
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as problem:
            raise CannotWrite(path=self.folder, why=why(problem)) from None
        wrong = {}
        for path in takewhile(lambda _: not stopped(), folders):
            try:
                os.close(self._walk(path, make=True))
                self._touched.add(path.rpartition("/")[0])
            except OSError as problem:
                wrong[path] = why(problem)
        return wrong

    def digest(self, entry: Entry, size: int, copy: str | None, stopped: Callable[[], bool]) -> Digest | None:
        """Of the first bytes of an entry's part, or of a copy; None: there are fewer, or it was stopped.  Blocks.
        Raises :class:`OSError`."""
        folder, _, _ = entry.path.rpartition("/")
        with self.inside(folder) as at:
            fd = os.open(copy or part_name(self._sender, entry.path), os.O_RDONLY | _FILE, dir_fd=at)
        try:
            found = os.fstat(fd)
            if copy is None:
                self._digested[entry.path] = _identity(found)
            return digest_of(fd, size, stopped) if stat.S_ISREG(found.st_mode) else None
        finally:
            os.close(fd)

    # -- meanwhile

    def open(self, entry: Entry, start: int) -> Incoming:
        """Begin a file, or go on with its part.  Raises :class:`OSError`."""
        folder = entry.path.rpartition("/")[0]
        name = part_name(self._sender, entry.path)
        at = self._folders.open(folder)
        self._touched.add(folder)
        fd = self._lock(at, name)
        try:
            # What is sent is the rest of what was compared, and of nothing else.
            if start and self._digested.get(entry.path) != _identity(os.fstat(fd)):
                raise OSError(errno.EBUSY, "what there was of it has changed meanwhile")
            os.ftruncate(fd, start)
            os.lseek(fd, start, os.SEEK_SET)
        except BaseException:
            os.close(fd)
            raise
        return Incoming(self.inside, self.umask, entry, fd, name)

    def _lock(self, at: int, name: str) -> int:
        """The part of that name, open, and nobody else's: two at once would write into one file."""
        for _ in range(3):
            try:
                fd = os.open(name, os.O_CREAT | os.O_WRONLY | _FILE, 0o600, dir_fd=at)
            except OSError as problem:
                if problem.errno not in (errno.ELOOP, errno.EISDIR):
                    raise
                break
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
                found, named = os.fstat(fd), status_of(at, name)
                # Whoever had it may have given it its own name meanwhile: then it is a part no more.
                if named is not None and os.path.samestat(found, named):
                    if stat.S_ISREG(found.st_mode) and found.st_nlink == 1:
                        return fd
                    if stat.S_ISREG(found.st_mode):  # it was killed between the two names
                        os.unlink(name, dir_fd=at)
            except BlockingIOError:
                os.close(fd)
                raise OSError(errno.EBUSY, "another p2phole receives it at this moment") from None
            except BaseException:
                os.close(fd)
                raise
            os.close(fd)
        raise OSError(errno.EEXIST, f"{name} is in the way")

    def forget(self, entry: Entry) -> None:
        """Of an entry that is there, a part is of no more use."""
        name = part_name(self._sender, entry.path)
        try:
            at = self._folders.open(entry.path.rpartition("/")[0])
            if status_of(at, name) is None:
                return  # as mostly
            fd = self._lock(at, name)
            try:
                os.unlink(name, dir_fd=at)
            finally:
                os.close(fd)
        except OSError:  # or so it stays, if it is another one's at this moment
            pass

    # -- behind

    def settle(self) -> None:
        """See to it that the names are on the disk, too.  Blocks.  Raises :class:`OSError`."""
        touched, self._touched = self._touched, set()
        for path in touched:
            with self.inside(path) as at:
                try:
                    os.fsync(at)
                except OSError as problem:
                    if problem.errno not in (errno.EINVAL, errno.EOPNOTSUPP):
                        raise
                    # Some file systems of networks know that of no folder.


def _identity(found: os.stat_result) -> tuple[int, int, int]:
    return found.st_ino, found.st_size, found.st_mtime_ns
