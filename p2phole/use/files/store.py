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
from collections import OrderedDict
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from p2phole.use.files.errors import CannotWrite, why
from p2phole.use.files.hashing import Digest, digest_of
from p2phole.use.files.listing import MOST_COPIES, Entry
from p2phole.use.files.names import MOST_CANDIDATES, check_path, numbered, part_name

MOST_FOLDERS_OPEN = 16
"""Folders that are kept open for the next file in them."""

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_FILE = os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK


class Clash(Enum):
    """What to do with a file whose name is taken by another one."""

    KEEP_BOTH = "keep both"
    REPLACE = "replace"
    SKIP = "skip"


@dataclass(slots=True)
class Found:
    """What the folder has of one entry.  ``part``: bytes of it from a time before; ``taken``: something else has
    its name; ``wrong``: it can't be written there, and why; ``copies``: names of files of the same size."""

    part: int = 0
    taken: bool = False
    wrong: str = ""
    copies: tuple[str, ...] = ()


class Incoming:
    """A file on its way, under its hidden name."""

    def __init__(self, store: Store, entry: Entry, fd: int, name: str) -> None:
        self.entry = entry
        self._store = store
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
        os.fchmod(fd, mode & ~self._store.umask)
        try:
            os.utime(fd, ns=(entry.mtime, entry.mtime))
        except (OSError, OverflowError):  # a time that this file system does not know
            pass
        os.fsync(fd)
        folder, _, name = entry.path.rpartition("/")
        with self._store.inside(folder) as at:
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
        self.close()
        try:
            with self._store.inside(self.entry.path.rpartition("/")[0]) as at:
                os.unlink(self._name, dir_fd=at)
        except OSError:  # or so it stays, and is found to be wrong the next time
            pass


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
            if problem.errno not in (errno.EPERM, errno.EOPNOTSUPP, errno.EMLINK):
                raise
            # A file system without links, as on memory cards: an empty file of our own keeps the place.
            try:
                os.close(os.open(found, os.O_CREAT | os.O_EXCL | os.O_WRONLY | _FILE, 0o600, dir_fd=at))
            except FileExistsError:
                if clash is Clash.SKIP:
                    raise
                continue
            os.rename(part, found, src_dir_fd=at, dst_dir_fd=at)
            return found
        os.unlink(part, dir_fd=at)
        return found
    raise FileExistsError(errno.EEXIST, f"{MOST_CANDIDATES} files of this name are there")


class _Inside:
    """A folder that is open within a ``with``."""

    def __init__(self, fd: int) -> None:
        self._fd = fd

    def __enter__(self) -> int:
        return self._fd

    def __exit__(self, *problem: object) -> None:
        os.close(self._fd)


class _Folders:
    """Those that were used last, open."""

    def __init__(self, walk: Callable[[str], int]) -> None:
        self._walk = walk
        self._open: OrderedDict[str, int] = OrderedDict()

    def open(self, path: str) -> int:
        """The folder of that path.  Raises :class:`OSError`."""
        fd = self._open.get(path)
        if fd is None:
            fd = self._open[path] = self._walk(path)
            if len(self._open) > MOST_FOLDERS_OPEN:
                os.close(self._open.popitem(last=False)[1])
        else:
            self._open.move_to_end(path)
        return fd

    def close(self) -> None:
        """Keep none of them."""
        while self._open:
            os.close(self._open.popitem()[1])


class Store:
    """See above.  ``sender``: the fingerprint of whose files they are.  ``umask``: as the process has it."""

    def __init__(self, folder: Path, sender: str, umask: int) -> None:
        self.folder = folder
        self.umask = umask
        self._sender = sender
        self._folders = _Folders(self._walk)
        self._touched: set[str] = set()
        self._digested: dict[str, tuple[int, int, int]] = {}
        """What a part was when its digest was taken."""

    # -- folders

    def inside(self, path: str) -> _Inside:
        """The folder of that path, open.  Raises :class:`OSError`."""
        return _Inside(self._walk(path))

    def _walk(self, path: str, make: bool = False) -> int:
        at = os.open(self.folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        for name in check_path(path) if path else ():
            try:
                below = _step(at, name, make)
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

    def look(self, entries: Iterable[Entry]) -> list[Found]:
        """What there is of each.  Blocks; writes nothing."""
        folders = _Folders(self._walk)  # of this thread
        try:
            return [self._look(entry, folders) for entry in entries]
        finally:
            folders.close()

    def _look(self, entry: Entry, folders: _Folders) -> Found:
        folder, _, name = entry.path.rpartition("/")
        found = Found()
        try:
            at = folders.open(folder)
        except FileNotFoundError:
            return found
        except OSError as problem:
            found.wrong = why(problem)
            return found
        there = _status(at, name)
        if entry.size is None:
            if there is not None and not stat.S_ISDIR(there.st_mode):
                found.wrong = "something that is no folder has its name"
            return found
        found.taken = there is not None
        copies: list[str] = []
        number = 1
        candidate = name
        while there is not None and len(copies) < MOST_COPIES and number < MOST_CANDIDATES:
            if stat.S_ISREG(there.st_mode) and there.st_size == entry.size:
                copies.append(candidate)
            number += 1
            candidate = numbered(name, number)
            there = _status(at, candidate)
        found.copies = tuple(copies)
        part = _status(at, part_name(self._sender, entry.path))
        if part is not None and stat.S_ISREG(part.st_mode):
            found.part = min(part.st_size, entry.size)
        return found

    def make(self, folders: Iterable[str]) -> dict[str, str]:
        """Make the folder itself, and these; which could not be made, and why.  Blocks.  Raises
        :class:`CannotWrite`."""
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as problem:
            raise CannotWrite(path=self.folder, why=why(problem)) from None
        wrong = {}
        for path in folders:
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
        try:
            fd = os.open(name, os.O_CREAT | os.O_WRONLY | _FILE, 0o600, dir_fd=at)
        except OSError as problem:
            if problem.errno not in (errno.ELOOP, errno.EISDIR):
                raise
            raise OSError(problem.errno, f"{name} is in the way") from None
        try:
            found = os.fstat(fd)
            if not stat.S_ISREG(found.st_mode) or found.st_nlink != 1:
                raise OSError(errno.EEXIST, f"{name} is in the way")
            # Two at once would write into one file.
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise OSError(errno.EBUSY, "another p2phole receives it at this moment") from None
            # What is sent is the rest of what was compared, and of nothing else.
            if start and self._digested.get(entry.path) != _identity(os.fstat(fd)):
                raise OSError(errno.EBUSY, "what there was of it has changed meanwhile")
            os.ftruncate(fd, start)
            os.lseek(fd, start, os.SEEK_SET)
        except BaseException:
            os.close(fd)
            raise
        return Incoming(self, entry, fd, name)

    # -- behind

    def settle(self) -> None:
        """See to it that the names are on the disk, too.  Blocks.  Raises :class:`OSError`."""
        touched, self._touched = self._touched, set()
        for path in touched:
            with self.inside(path) as at:
                os.fsync(at)


def _step(at: int, name: str, make: bool) -> int:
    if make:
        try:
            os.mkdir(name, dir_fd=at)
        except FileExistsError:
            pass
    try:
        return os.open(name, _FOLDER, dir_fd=at)
    except OSError as problem:
        if problem.errno in (errno.ELOOP, errno.ENOTDIR):
            raise NotADirectoryError(errno.ENOTDIR, f"{name} is a link or a file, and no folder") from None
        raise


def _identity(found: os.stat_result) -> tuple[int, int, int]:
    return found.st_ino, found.st_size, found.st_mtime_ns


def _status(at: int, name: str) -> os.stat_result | None:
    try:
        return os.stat(name, dir_fd=at, follow_symlinks=False)
    except OSError:
        return None
