"""The file of known people, beside the key file: read when it has changed, written whole or not at all."""

from __future__ import annotations

import fcntl
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from p2phole.errors import LocalError
from p2phole.secure.people import People
from p2phole.secure.people_codec import MOST_BYTES, decode, encode

FILE_NAME = "known.json"
TURN_SECONDS = 0.01
MOST_TURNS = 500
"""How often, and how many times, the lock is tried: a change takes a few milliseconds."""

_wait = threading.Event().wait
_Stamp = tuple[int, int, int] | None


class KnownUnusable(LocalError):
    """The file of known people {path} cannot be used ({why}): check its owner, mode and disk."""


class NotKnownPeople(LocalError):
    """The file of known people {path} is not as p2phole writes it: {why}. Nothing was changed: put it right, or
    move it away and a new one is made."""


class KnownBusy(LocalError):
    """The file of known people {path} has been locked by another process for {seconds:g} s: look for a p2phole
    that hangs, end it and try again."""


class Known:
    """Who is known.  Questions are answered by the file as it is now, also where another process has changed it.

    While the file can't be read, they are answered as before; what changes it raises :class:`LocalError` then.
    """

    def __init__(self, path: Path, now: Callable[[], float], pause: Callable[[float], object]) -> None:
        # The file may be a link to one elsewhere: that one is replaced, and the link stays.
        self._path = Path(os.path.realpath(path))
        self._now = now
        self._pause = pause
        self._people, self._stamp = self._read()

    @classmethod
    def load(cls, path: Path, now: Callable[[], float], pause: Callable[[float], object] = _wait) -> Known:
        """The people in that file, nobody if there is none.

        ``now``: seconds since the epoch.  ``pause``: waits that many seconds for the lock.
        Raises :class:`KnownUnusable` or :class:`NotKnownPeople`.
        """
        return cls(path, now, pause)

    @property
    def people(self) -> People:
        """All of them."""
        if self._stamp != self._look():
            try:
                self._people, self._stamp = self._read()
            except LocalError:
                pass
        return self._people

    def name_of(self, fingerprint: str) -> str | None:
        """The user's own name for a key that is kept."""
        kept = self.people.kept_with(fingerprint)
        return None if kept is None else kept.name

    def fingerprint_of(self, name: str) -> str | None:
        """The key that is kept under a name."""
        kept = self.people.kept_as(name)
        return None if kept is None else kept.fingerprint

    def is_known(self, fingerprint: str) -> bool:
        """Kept, or met by code within a day."""
        return self.people.is_known(fingerprint, self._now())

    def is_kept(self, fingerprint: str) -> bool:
        """Whether the user has kept this key."""
        return self.name_of(fingerprint) is not None

    def shown(self, claimed: str, fingerprint: str) -> str:
        """How to call somebody: see :meth:`People.shown`."""
        return self.people.shown(claimed, fingerprint)

    def met_by(self, mark: str) -> str | None:
        """Whose key the code with that mark has left: see :meth:`People.met_by`."""
        return self.people.met_by(mark, self._now())

    def met(self, fingerprint: str, claimed: str, how: str, mark: str = "") -> None:
        """Note a meeting; ``how`` as in :data:`~p2phole.secure.people.HOWS`.  By ``code``, the key is known for
        a day; ``mark``: see :meth:`People.meet`."""
        self._change(lambda people: people.meet(fingerprint, claimed, how, self._now(), mark))

    def use_up(self, mark: str) -> None:
        """A code is not to be typed again: see :meth:`People.use_up`."""
        self._change(lambda people: people.use_up(mark))

    def keep(self, name: str, fingerprint: str) -> None:
        """Pin a key: see :meth:`People.keep`."""
        self._change(lambda people: people.keep(name, fingerprint, self._now()))

    def forget(self, name: str) -> None:
        """Unpin: see :meth:`People.forget`."""
        self._change(lambda people: people.forget(name))

    def rename(self, old: str, new: str) -> None:
        """Another name for a pin: see :meth:`People.rename`."""
        self._change(lambda people: people.rename(old, new))

    # -- the file

    def _change(self, change: Callable[[People], People]) -> None:
        with self._alone():
            self._people, self._stamp = self._read()
            changed = change(self._people)
            if changed != self._people:
                self._write(encode(changed))
                self._people, self._stamp = changed, self._look()

    def _look(self) -> _Stamp:
        try:
            return _stamp(os.stat(self._path))
        except OSError:
            return None

    def _read(self) -> tuple[People, _Stamp]:
        try:
            with open(self._path, "rb") as file:
                stamp = _stamp(os.fstat(file.fileno()))
                data = file.read(MOST_BYTES + 1)
        except FileNotFoundError:
            return People(), None
        except OSError as error:
            raise self._unusable(error) from None
        try:
            return decode(data), stamp
        except ValueError as problem:
            raise NotKnownPeople(path=self._path, why=problem) from None

    def _write(self, data: bytes) -> None:
        # The lock is ours: what is there under this name was left by a process that was killed.
        temporary = self._path.with_name(f".{self._path.name}.new")
        try:
            temporary.unlink(missing_ok=True)
            handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
            try:
                with os.fdopen(handle, "wb") as file:
                    os.fchmod(file.fileno(), 0o600)  # whatever the umask has left of it
                    file.write(data)
                    file.flush()
                    os.fsync(file.fileno())
                os.replace(temporary, self._path)
            except BaseException:
                temporary.unlink(missing_ok=True)
                raise
        except OSError as error:
            raise self._unusable(error) from None

    @contextmanager
    def _alone(self) -> Iterator[None]:
        # A file of its own: the one that is replaced can't be locked, and a folder can't on NFS.
        path = self._path.with_name(f".{self._path.name}.lock")
        try:
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        except OSError as error:
            raise self._unusable(error) from None
        try:
            self._lock(handle)
            yield
        finally:
            os.close(handle)

    def _lock(self, handle: int) -> None:
        # Never for long: a peer does nothing else meanwhile.
        for _ in range(MOST_TURNS):
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                os.fchmod(handle, 0o600)
                return
            except BlockingIOError:
                self._pause(TURN_SECONDS)
            except OSError as error:
                raise self._unusable(error) from None
        raise KnownBusy(path=self._path, seconds=MOST_TURNS * TURN_SECONDS)

    def _unusable(self, error: OSError) -> KnownUnusable:
        return KnownUnusable(path=self._path, why=error.strerror or error)


def _stamp(status: os.stat_result) -> tuple[int, int, int]:
    return status.st_ino, status.st_mtime_ns, status.st_size
