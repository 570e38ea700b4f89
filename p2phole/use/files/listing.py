"""What is offered and what is wanted of it, as JSON and back, with every bound.  Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeGuard

from p2phole.text import harmless
from p2phole.use.files.errors import BadOffer
from p2phole.use.files.names import check_path
from p2phole.use.files.records import MOST_RECORD, as_json

VERSION = 1
MOST_ENTRIES = 200_000
"""Files and folders of one offer."""
MOST_LISTING = 32 * 1024 * 1024
"""Bytes of all ENTRIES together."""
MOST_BYTES = 2**62
"""Bytes of all files together."""
MOST_TEXT = 32 * 1024
"""Bytes of a text in UTF-8; its JSON fits a record in any case but that of control characters."""
MOST_COPIES = 8
"""Files of the receiver that may be the very file that is offered."""
MOST_WHYS = 20
"""Failures that a RESULT tells with their reasons."""
MOST_WHY = 200
"""Characters of a reason."""

_BATCH = MOST_RECORD - 8192
"""Bytes of JSON after which a record is full; no entry has more than the rest."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A file or a folder.  ``size``: None for a folder.  ``mtime``: nanoseconds since the epoch."""

    path: str
    size: int | None = None
    mtime: int = 0
    executable: bool = False


@dataclass(frozen=True, slots=True)
class Offer:
    """How much there is, or a text."""

    files: int = 0
    folders: int = 0
    size: int = 0
    text: str | None = None


@dataclass(frozen=True, slots=True)
class Have:
    """What the receiver says of one entry, by its number.  ``part``: bytes that it has, and their digest;
    ``copies``: digests of whole files; ``skip``: it wants nothing of it, unless it is one of those."""

    at: int
    part: tuple[int, bytes] | None = None
    copies: tuple[bytes, ...] = ()
    skip: bool = False


@dataclass(frozen=True, slots=True)
class Result:
    """What came of it.  ``failed``: some of the entries that did not arrive, and why; ``failures``: how many."""

    arrived: int
    failures: int = 0
    failed: tuple[tuple[int, str], ...] = ()


def _is_number(value: object, most: int, least: int = 0) -> TypeGuard[int]:
    return type(value) is int and least <= value <= most


def encode_offer(offer: Offer) -> bytes:
    """The payload of OFFER."""
    if offer.text is not None:
        return as_json({"version": VERSION, "text": offer.text})
    return as_json({"version": VERSION, "files": offer.files, "folders": offer.folders, "bytes": offer.size})


def decode_offer(found: Any) -> Offer:
    """Of the JSON of an OFFER.  Raises :class:`BadOffer`."""
    if not isinstance(found, dict):
        raise BadOffer(why="an offer that is none")
    if found.get("version") != VERSION:
        raise BadOffer(why="another version of the protocol: install the same one on both sides")
    text = found.get("text")
    if text is not None:
        if not isinstance(text, str) or len(text) > MOST_TEXT:
            raise BadOffer(why="a text that is none, or too long")
        return Offer(text=text)
    files, folders, size = (found.get(key) for key in ("files", "folders", "bytes"))
    if not (
        _is_number(files, MOST_ENTRIES) and _is_number(folders, MOST_ENTRIES) and _is_number(size, MOST_BYTES)
    ):
        raise BadOffer(why=f"more than {MOST_ENTRIES:,} entries, or no numbers")
    if not 0 < files + folders <= MOST_ENTRIES:
        raise BadOffer(why=f"{files + folders:,} entries, where 1 to {MOST_ENTRIES:,} are taken")
    return Offer(files, folders, size)


def encode_entries(entries: Sequence[Entry]) -> Iterator[bytes]:
    """The payloads of ENTRIES."""
    yield from _batches(
        [entry.path] if entry.size is None else [entry.path, entry.size, entry.mtime, int(entry.executable)]
        for entry in entries
    )


def _batches(items: Iterator[Any]) -> Iterator[bytes]:
    batch: list[bytes] = []
    size = 0
    for item in items:
        encoded = as_json(item)
        if size + len(encoded) > _BATCH and batch:
            yield b"[" + b",".join(batch) + b"]"
            batch, size = [], 0
        batch.append(encoded)
        size += len(encoded) + 1
    if batch:
        yield b"[" + b",".join(batch) + b"]"


@dataclass
class Listing:
    """The entries of one offer as they come; each is checked against those before it."""

    offer: Offer
    entries: list[Entry] = field(default_factory=list)
    _paths: dict[str, bool] = field(default_factory=dict)
    """And whether each is a folder."""
    _bytes: int = 0
    _listed: int = 0
    _files: int = 0

    def add(self, size: int, found: Any) -> None:
        """The JSON of one ENTRIES, which had so many bytes.  Raises :class:`BadOffer`."""
        self._bytes += size
        if self._bytes > MOST_LISTING:
            raise BadOffer(why=f"a list of more than {MOST_LISTING // 2**20} MiB")
        if not isinstance(found, list) or not found:
            raise BadOffer(why="a list that is none")
        for item in found:
            self._add(item)

    def _add(self, item: Any) -> None:
        if len(self.entries) >= self.offer.files + self.offer.folders:
            raise BadOffer(why="more entries than it said")
        if not (isinstance(item, list) and item and isinstance(item[0], str)):
            raise BadOffer(why="an entry that is none")
        path = item[0]
        try:
            names = check_path(path)
        except ValueError as problem:
            raise BadOffer(why=str(problem)) from None
        if path in self._paths:
            raise BadOffer(why=f"{path} twice")
        if len(names) > 1 and not self._paths.get(path.rpartition("/")[0]):
            raise BadOffer(why=f"{path}, whose folder is not in the list before it")
        entry = Entry(path)
        if len(item) > 1:
            entry = self._file(path, item[1:])
        self._paths[path] = entry.size is None
        self.entries.append(entry)

    def _file(self, path: str, rest: list[Any]) -> Entry:
        if len(rest) != 3:
            raise BadOffer(why="an entry that is none")
        size, mtime, executable = rest
        if not (_is_number(size, MOST_BYTES) and _is_number(mtime, 2**63, -(2**63)) and executable in (0, 1)):
            raise BadOffer(why=f"{path} with numbers that are none")
        self._files += 1
        self._listed += size
        if self._listed > self.offer.size:
            raise BadOffer(why="more bytes than it said")
        return Entry(path, size, mtime, bool(executable))

    def finish(self) -> None:
        """That were all.  Raises :class:`BadOffer`."""
        offer, folders = self.offer, len(self.entries) - self._files
        if (self._files, folders, self._listed) != (offer.files, offer.folders, offer.size):
            raise BadOffer(why="a list of less than it said")


def encode_plan(plan: Sequence[Have]) -> Iterator[bytes]:
    """The payloads of PLAN."""

    def items() -> Iterator[Any]:
        for have in plan:
            item: dict[str, Any] = {"at": have.at}
            if have.part is not None:
                item["part"] = [have.part[0], have.part[1].hex()]
            if have.copies:
                item["copies"] = [digest.hex() for digest in have.copies]
            if have.skip:
                item["skip"] = True
            yield item

    yield from _batches(items())


def decode_plan(found: Any, entries: Sequence[Entry], after: int) -> Iterator[Have]:
    """Of the JSON of a PLAN; ``after``: the number of the entry that was named last.  Raises
    :class:`BadOffer`."""
    if not isinstance(found, list) or not found:
        raise BadOffer(why="a plan that is none")
    for item in found:
        if not isinstance(item, dict) or not _is_number(item.get("at"), len(entries) - 1, after + 1):
            raise BadOffer(why="a plan that is none")
        after = item["at"]
        size = entries[after].size
        part, copies, skip = item.get("part"), item.get("copies", []), item.get("skip", False)
        if not isinstance(copies, list) or len(copies) > MOST_COPIES or not isinstance(skip, bool):
            raise BadOffer(why="a plan that is none")
        if size is None and (part is not None or copies):
            raise BadOffer(why="parts of a folder")
        read = None
        if part is not None:
            if not (isinstance(part, list) and len(part) == 2 and _is_number(part[0], size or 0)):
                raise BadOffer(why="more of a file than there is")
            read = part[0], _digest(part[1])
        yield Have(after, read, tuple(_digest(each) for each in copies), skip)


def _digest(text: Any) -> bytes:
    try:
        digest = bytes.fromhex(text)
    except (TypeError, ValueError):
        digest = b""
    if len(digest) != 32:
        raise BadOffer(why="a digest that is none")
    return digest


def encode_result(result: Result) -> bytes:
    """The payload of RESULT."""
    failed = [[at, why[:MOST_WHY]] for at, why in result.failed[:MOST_WHYS]]
    return as_json({"arrived": result.arrived, "failures": result.failures, "failed": failed})


def decode_result(found: Any, count: int) -> Result:
    """Of the JSON of a RESULT about so many entries.  Raises :class:`BadOffer`."""
    if not isinstance(found, dict):
        raise BadOffer(why="a result that is none")
    arrived, failures, failed = (found.get(key) for key in ("arrived", "failures", "failed"))
    if not (_is_number(arrived, count) and _is_number(failures, count) and arrived + failures == count):
        raise BadOffer(why="a result that does not add up")
    if not isinstance(failed, list) or len(failed) > min(failures, MOST_WHYS):
        raise BadOffer(why="a result that is none")
    read = []
    for item in failed:
        if not (isinstance(item, list) and len(item) == 2 and _is_number(item[0], count - 1)):
            raise BadOffer(why="a result that is none")
        if not isinstance(item[1], str) or len(item[1]) > MOST_WHY:
            raise BadOffer(why="a result that is none")
        read.append((item[0], harmless(item[1])))
    return Result(arrived, failures, tuple(read))
