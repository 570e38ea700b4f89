"""The folder in which each running peer of a user has a socket, by which it can be asked how it is."""

from __future__ import annotations

import os
import stat
import time
import warnings
from collections.abc import Callable
from pathlib import Path

import platformdirs

from p2phole.errors import LocalError

SUFFIX = ".status"
MOST_SOCKETS = 1_000
"""That are looked at."""
NEW_SECONDS = 10.0
"""Age up to which a socket is let alone: it may be about to listen."""


class FolderUnsafe(LocalError):
    """{folder} cannot be used ({why}): set XDG_RUNTIME_DIR to a folder that only you can use."""


def folder() -> Path:
    """Where it is; it need not be there."""
    with warnings.catch_warnings():
        # It says so where the variable is not set: what comes instead is checked here.
        warnings.simplefilter("ignore")
        return platformdirs.user_runtime_path("p2phole")


def make(path: Path) -> None:
    """See to it that the folder is there, and nobody else's.  Raises :class:`FolderUnsafe`."""
    try:
        for each in (path.parent, path):
            try:
                os.mkdir(each, 0o700)
            except FileExistsError:
                pass
        check(path)
    except OSError as problem:
        raise FolderUnsafe(folder=path, why=problem.strerror) from None


def check(path: Path) -> None:
    """Raises :class:`FolderUnsafe` where others could put or replace something there; :class:`OSError` where it is
    not there."""
    mine = os.geteuid()
    found, above = os.lstat(path), os.lstat(path.parent)
    if not stat.S_ISDIR(found.st_mode):
        raise FolderUnsafe(folder=path, why="it is no folder")
    if found.st_uid != mine or found.st_mode & 0o077:
        raise FolderUnsafe(folder=path, why="others may use it")
    # Whoever has the folder above could put another one in the place of this one.
    replaceable = above.st_mode & 0o022 and not above.st_mode & stat.S_ISVTX
    if not stat.S_ISDIR(above.st_mode) or above.st_uid not in (0, mine) or replaceable:
        raise FolderUnsafe(folder=path, why="others may replace it")


def sockets(path: Path) -> list[Path]:
    """What may be the socket of a peer, the newest first.  Raises :class:`FolderUnsafe`, :class:`OSError`."""
    try:
        check(path)
        names = [name for name in os.listdir(path) if name.endswith(SUFFIX)]
    except FileNotFoundError:
        return []
    found: list[tuple[float, Path]] = []
    for name in names:
        try:
            status = os.lstat(path / name)
        except OSError:
            continue  # it has ended
        if stat.S_ISSOCK(status.st_mode) and status.st_uid == os.geteuid():
            found.append((status.st_mtime, path / name))
    found.sort(reverse=True)
    return [each for _, each in found[:MOST_SOCKETS]]


def forget(socket: Path, now: Callable[[], float] = time.time) -> None:
    """Remove a socket at which nobody listens, unless it is new."""
    try:
        found = os.lstat(socket)
        if stat.S_ISSOCK(found.st_mode) and now() - found.st_mtime > NEW_SECONDS:
            os.unlink(socket)
    except OSError:
        pass  # somebody else has
