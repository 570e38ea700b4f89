"""A sending and a receiving side over a session in memory, on real folders."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred, execute, succeed
from twisted.internet.task import Clock

from p2phole.errors import P2pholeError
from p2phole.session.streams import Stream
from p2phole.use.files.deciding import Proposal
from p2phole.use.files.feeding import Work
from p2phole.use.files.incoming import Clash
from p2phole.use.files.listing import Result
from p2phole.use.files.receiving import Receiving
from p2phole.use.files.sending import Sending
from p2phole.use.files.source import Sources, find
from p2phole.use.files.store import Store
from tests.session.sides import Cable, flush, pair

SENDER = "5e" * 32


def work(call: Callable[..., Any], *arguments: Any) -> Deferred[Any]:
    """What blocks, at once."""
    return execute(call, *arguments)


class Told:
    """A user of either side, and all that it was told."""

    def __init__(self) -> None:
        self.answer: Deferred[Clash | None] = succeed(Clash.KEEP_BOTH)
        self.proposals: list[Proposal] = []
        self.files: list[str] = []
        self.done = self.moved = 0
        self.names: dict[str, str] = {}
        self.failures: dict[str, str] = {}
        self.texts: list[str] = []
        self.taken = 0
        self.result: Result | None = None
        self.error: P2pholeError | None = None
        self.settlement: Result | None = None
        self.ends = 0

    def asked(self, proposal: Proposal) -> Deferred[Clash | None]:
        self.proposals.append(proposal)
        return self.answer

    def accepted(self) -> None:
        self.taken += 1

    def text(self, text: str) -> None:
        self.texts.append(text)

    def file(self, path: str) -> None:
        self.files.append(path)

    def progress(self, done: int, moved: int) -> None:
        assert done >= 0 and moved >= 0
        self.done, self.moved = done, moved

    def arrived(self, path: str, name: str) -> None:
        self.names[path] = name

    def failed(self, path: str, why: str) -> None:
        self.failures[path] = why

    def settled(self, result: Result) -> None:
        self.settlement = result

    def over(self, result: Result | None, error: P2pholeError | None) -> None:
        assert not self.ends
        self.ends += 1
        self.result, self.error = result, error


class Pair:
    """One offer, from ``paths`` into ``folder``; a new one for each run, as after a restart."""

    def __init__(
        self,
        paths: list[Path],
        folder: Path,
        text: str | None = None,
        store: Store | None = None,
        sources: Sources | None = None,
        receive: bool = True,
    ) -> None:
        self.clock = Clock()
        self.one, self.two, self.cable = pair(self.clock, room=65_536)
        self.sender, self.receiver = Told(), Told()
        self.store = store or Store(folder, SENDER, 0o022)
        self.sources = sources or (find(paths, lambda: False) if paths else Sources())
        self.sending = Sending(self.sources, work, self.sender, text)
        self.receiving: Receiving | None = None
        self.work: Work = work
        """Of the receiver."""
        if receive:
            self.two.session.offer("files", self.opened)
        flush(self.clock, self.cable)

    def opened(self, stream: Stream) -> None:
        self.receiving = Receiving(stream, self.store, self.work, self.receiver)
        self.receiving.begin()

    def begin(self) -> None:
        self.sending.begin(self.one.session.open("files", self.sending))

    def run(self) -> Pair:
        """To the end, if nobody is asked."""
        self.begin()
        flush(self.clock, self.cable)
        return self

    def again(self) -> Cable:
        """Another link under the same session."""
        self.cable.cut()
        self.cable = Cable(self.one, self.two, 65_536)
        return self.cable
