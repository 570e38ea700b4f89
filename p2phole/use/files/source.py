"""What is sent: the files and folders that the user names, and what is below them."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from p2phole.text import harmless
from p2phole.use.files.errors import Unfit, why
from p2phole.use.files.hashing import Digest, digest_of
from p2phole.use.files.listing import MOST_ENTRIES, Entry, Offer
from p2phole.use.files.names import check_path

_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


LATEST = 2**63 - 1
"""Nanoseconds since the epoch, or before it: the furthest time of a file that is told, in the year 2262."""


class Changed(Exception):
    """A file is not as it was when it was listed; the text says how."""


@dataclass(slots=True)
class Sources:
    """``paths``: where each of ``entries`` is.  ``skipped``: lines on what is not sent, being neither file nor
    folder; ``unfit``: on what should be and can't."""

    entries: list[Entry] = field(default_factory=list)
    paths: list[str] = field(default_factory=list)
    skipped: list[str] = field(default_factory=list)
    unfit: list[str] = field(default_factory=list)

    @property
    def offer(self) -> Offer:
        """All of it in numbers."""
        sizes = [entry.size for entry in self.entries if entry.size is not None]
        return Offer(len(sizes), len(self.entries) - len(sizes), sum(sizes))

    def digest(self, at: int, size: int, stopped: Callable[[], bool]) -> Digest | None:
        """Of the first bytes of an entry; None: it has fewer, or it was stopped.  Blocks.  Raises
        :class:`OSError`."""
        fd = os.open(self.paths[at], _FILE)
        try:
            return digest_of(fd, size, stopped)
        finally:
            os.close(fd)

    def digests(self, ats: Sequence[int], stopped: Callable[[], bool]) -> list[bytes | OSError | None]:
        """Of whole entries, or why there is none.  Blocks."""
        found: list[bytes | OSError | None] = []
        for at in ats:
            try:
                digest = self.digest(at, self.entries[at].size or 0, stopped)
                found.append(digest.digest() if digest is not None else None)
            except OSError as problem:
                found.append(problem)
        return found

    def open(self, at: int, start: int) -> Reading:
        """An entry, to be read from there on.  Raises :class:`OSError`, :class:`Changed`."""
        return Reading(self.paths[at], self.entries[at], start)


class Reading:
    """A file that is read, and watched for changes."""

    def __init__(self, path: str, entry: Entry, start: int) -> None:
        self._entry = entry
        self._fd = os.open(path, _FILE)
        self._left = (entry.size or 0) - start
        try:
            self._check()
            os.lseek(self._fd, start, os.SEEK_SET)
        except BaseException:
            self.close()
            raise

    def read(self, size: int) -> bytes:
        """The next bytes; none at the end.  Raises :class:`OSError`, :class:`Changed`."""
        data = os.read(self._fd, min(size, self._left)) if self._left else b""
        if not data:
            self._check()
            if self._left:
                raise Changed("it became shorter while it was sent")
        self._left -= len(data)
        return data

    def _check(self) -> None:
        found = os.fstat(self._fd)
        if not stat.S_ISREG(found.st_mode):
            raise Changed("it is no file any more")
        if found.st_size != self._entry.size:
            longer = found.st_size > (self._entry.size or 0)
            raise Changed(f"it became {'longer' if longer else 'shorter'} while it was sent")
        if _mtime(found) != self._entry.mtime:
            raise Changed("it was written to while it was sent")

    def close(self) -> None:
        """Read no more."""
        if self._fd >= 0:
            fd, self._fd = self._fd, -1
            os.close(fd)


def find(arguments: Sequence[Path], stopped: Callable[[], bool]) -> Sources:
    """Everything that the arguments name; links among them are followed, those below them are not.  Blocks.

    Raises :class:`Unfit`: one of them is not there, two have one name, or it is too much.
    """
    found = Sources()
    names: set[str] = set()
    for argument in arguments:
        path = argument.resolve()
        if path.name in names:
            raise Unfit(why=f"two of them are called {harmless(path.name)}, send one after the other")
        if not path.name:
            raise Unfit(why="the root of everything has no name, send what is in it")
        names.add(path.name)
        try:
            status = path.stat()
        except OSError as problem:
            raise Unfit(why=f"{harmless(str(argument))} ({why(problem)})") from None
        _add(found, str(path), path.name, status)
        if stat.S_ISDIR(status.st_mode):
            _descend(found, str(path), path.name, stopped)
    if not found.entries:
        raise Unfit(why="\n".join(found.unfit + found.skipped) or "there is nothing in it")
    return found


def _descend(found: Sources, top: str, name: str, stopped: Callable[[], bool]) -> None:
    todo = [(top, name)]
    while todo and not stopped():
        where, path = todo.pop()
        try:
            with os.scandir(where) as scan:
                below = sorted(scan, key=lambda entry: entry.name)
        except OSError as problem:
            found.unfit.append(f"{harmless(path)}: {why(problem)}")
            continue
        folders = []
        for entry in below:
            inner = f"{path}/{entry.name}"
            try:
                status = entry.stat(follow_symlinks=False)
            except OSError as problem:
                found.unfit.append(f"{harmless(inner)}: {why(problem)}")
                continue
            if _add(found, entry.path, inner, status) and stat.S_ISDIR(status.st_mode):
                folders.append((entry.path, inner))
        todo.extend(reversed(folders))


def _add(found: Sources, where: str, path: str, status: os.stat_result) -> bool:
    if stat.S_ISLNK(status.st_mode):
        found.skipped.append(f"{harmless(path)}: a link")
        return False
    if not (stat.S_ISREG(status.st_mode) or stat.S_ISDIR(status.st_mode)):
        found.skipped.append(f"{harmless(path)}: neither a file nor a folder")
        return False
    try:
        check_path(path)
    except ValueError as problem:
        found.unfit.append(str(problem))
        return False
    if stat.S_ISDIR(status.st_mode):
        entry = Entry(path)
    elif os.access(where, os.R_OK):
        executable = bool(status.st_mode & stat.S_IXUSR)
        entry = Entry(path, status.st_size, _mtime(status), executable)
    else:
        found.unfit.append(f"{harmless(path)}: not to be read by you")
        return False
    if len(found.entries) >= MOST_ENTRIES:
        raise Unfit(why=f"more than {MOST_ENTRIES:,} files and folders, send an archive of them (tar)")
    found.entries.append(entry)
    found.paths.append(where)
    return True


def _mtime(status: os.stat_result) -> int:
    return min(max(status.st_mtime_ns, -LATEST), LATEST)
