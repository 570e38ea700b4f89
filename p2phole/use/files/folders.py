"""Folders, each opened in the one above it, and never through a link."""

from __future__ import annotations

import errno
import os
from collections import OrderedDict
from collections.abc import Callable

MOST_FOLDERS_OPEN = 16
"""Folders that are kept open for the next file in them."""

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


class Inside:
    """A folder that is open within a ``with``."""

    def __init__(self, fd: int) -> None:
        self._fd = fd

    def __enter__(self) -> int:
        return self._fd

    def __exit__(self, *problem: object) -> None:
        os.close(self._fd)


class Folders:
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


def step(at: int, name: str, make: bool) -> int:
    """The folder of that name in one that is open; made, if it is to be.  Raises :class:`OSError`."""
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


def status_of(at: int, name: str) -> os.stat_result | None:
    """Of whatever has that name, be it a link; None: nothing that could be seen."""
    try:
        return os.stat(name, dir_fd=at, follow_symlinks=False)
    except OSError:
        return None
