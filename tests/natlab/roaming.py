"""Two peers that talk all the time, what is done to their networks meanwhile, and how long they were silent.

A message is a number, said by each side every few milliseconds.  What matters of an interruption is how long it
is, from the moment when the path is possible again, until a message arrives that was said after that moment:
messages are in order, so everything that was said before has arrived by then.
"""

from __future__ import annotations

import hashlib
import random
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.natlab.laboratory import Laboratory
from tests.natlab.namespace import Host
from tests.natlab.probes import wait_until
from tests.natlab.scenario import Event, Program, ScenarioError, report, start_broker, start_command, start_peer

PERIOD = 0.02
"""Seconds between two messages of one side."""
AGAIN = 60.0
"""Seconds after which it is given up that two ever hear of each other again."""


@dataclass(frozen=True)
class Interruption:
    """``seconds``: from the moment when the path was possible again, for each side, until it heard the other;
    ``resumed``: what each side's event says, None: the link has not been lost."""

    what: str
    seconds: tuple[float, float]
    resumed: tuple[float | None, float | None]

    @property
    def longest(self) -> float:
        """Of both sides."""
        return max(self.seconds)

    def __str__(self) -> str:
        resumed = " ".join("-" if seconds is None else f"{seconds:.2f}" for seconds in self.resumed)
        return f"{self.what}: heard after {self.seconds[0]:.2f} and {self.seconds[1]:.2f} s, resumed {resumed}"


class Speaker:
    """Says numbers to one program, in a thread of its own: a program that is busy reads late."""

    def __init__(self, program: Program, period: float, least: int) -> None:
        self.said: list[float] = []
        """When each number was, by the wall clock that events have."""
        self._program = program
        self._period = period
        self._least = least
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._speak, daemon=True)
        self._thread.start()

    def _speak(self) -> None:
        due = time.monotonic()
        while not self._stop.is_set() or len(self.said) < self._least:
            self.said.append(time.time())
            try:
                self._program.say(str(len(self.said) - 1))
            except (OSError, ValueError):
                return  # It has ended; whoever waits for what it should do says so.
            due += self._period
            time.sleep(max(0.0, due - time.monotonic()))

    def stop(self) -> None:
        """Say no more than the least, and return when that has been said."""
        self._stop.set()
        self._thread.join()

    def give_up(self) -> None:
        """Say no more at all."""
        self._least = 0
        self._stop.set()


class Talk:
    """A conversation of two peers that are connected."""

    def __init__(
        self, lab: Laboratory, programs: tuple[Program, Program], period: float = PERIOD, least: int = 0
    ) -> None:
        """``least``: how much each of them says, or more, until :meth:`end`."""
        self.lab = lab
        self.programs = programs
        self.log: list[Interruption] = []
        self.speakers = [Speaker(program, period, least) for program in programs]

    # -- what was heard

    def heard(self, side: int) -> list[Event]:
        """What arrived on one side."""
        return self.programs[side].events.all("message", direction="in")

    def heard_since(self, side: int, since: float) -> float | None:
        """When the first message arrived on this side that was said on the other one at ``since`` or later."""
        said = self.speakers[1 - side].said
        first = next((number for number, at in enumerate(said) if at >= since), None)
        events = self.heard(side)
        return None if first is None or len(events) <= first else float(events[first]["time"])

    def flows(self, since: float, what: str, timeout: float = AGAIN) -> tuple[float, float]:
        """Wait until each side has heard what was said after ``since``; how much later that was."""

        def both() -> tuple[float, float] | None:
            one, two = self.heard_since(0, since), self.heard_since(1, since)
            return None if one is None or two is None else (one - since, two - since)

        try:
            return wait_until(both, f"{what}: the talk goes on", timeout)
        except AssertionError as error:
            heard = [self.heard_since(side, since) for side in (0, 1)]
            raise ScenarioError(f"{error}, heard: {heard}\n{report(self.lab.folder)}") from None

    # -- what is done to them

    def interrupt(self, what: str, action: Callable[[], object], timeout: float = AGAIN) -> Interruption:
        """Do something after which the path is possible, and wait until the talk goes on."""
        self.flows(time.time(), f"before {what}", timeout)
        before = [len(program.events.all("resumed")) for program in self.programs]
        action()
        seconds = self.flows(time.time(), what, timeout)
        resumed = []
        for program, count in zip(self.programs, before, strict=True):
            # The session greets before it sends again: the event is there before any message.
            new = program.events.all("resumed")[count:]
            resumed.append(float(new[-1]["seconds"]) if new else None)
        found = Interruption(what, seconds, (resumed[0], resumed[1]))
        self.log.append(found)
        return found

    # -- the end

    def give_up(self) -> None:
        """Say no more; it does not matter what has arrived."""
        for speaker in self.speakers:
            speaker.give_up()

    def end(self) -> None:
        """Say no more, wait until all has arrived, and see that all is there, once and in order."""
        for speaker in self.speakers:
            speaker.stop()
        self.check()

    def check(self, timeout: float = AGAIN) -> None:
        """All that was said has arrived and is acknowledged, once and in order."""
        for side, program in enumerate(self.programs):
            count = len(self.speakers[side].said)
            expected = [str(number) for number in range(count)]
            program.wait("message", timeout, count=count, direction="out")
            self.programs[1 - side].wait("message", timeout, count=count, direction="in")
            for where, direction in ((program, "out"), (self.programs[1 - side], "in")):
                texts = [event["text"] for event in where.events.all("message", direction=direction)]
                if texts != expected:
                    raise ScenarioError(f"{where.name}, {direction}: {_difference(expected, texts)}")

    def summary(self) -> str:
        """Of all interruptions."""
        return "\n".join(map(str, self.log))


def _difference(expected: Sequence[str], found: Sequence[str]) -> str:
    at = next((i for i, pair in enumerate(zip(expected, found, strict=False)) if pair[0] != pair[1]), None)
    where = min(len(expected), len(found)) if at is None else at
    return (
        f"{len(expected)} expected, {len(found)} found, {len(set(found))} different ones; "
        f"from {where} on: {list(found[where : where + 5])}"
    )


@contextmanager
def talking(
    lab: Laboratory, first: Host, second: Host, period: float = PERIOD, least: int = 0, **options: str
) -> Iterator[Talk]:
    """A broker, and two peers that have met and talk; at the end of the block, that nothing is missing."""
    if "broker" not in lab.sites:
        start_broker(lab)
    alice = start_peer(first, "alice", **options)
    alice.wait("registered")
    bob = start_peer(second, "bob", **options)
    for program in (alice, bob):
        program.wait("connected", timeout=AGAIN)
    talk = Talk(lab, (alice, bob), period, least)
    try:
        yield talk
    except BaseException:
        talk.give_up()
        raise
    talk.end()


class Disruptions:
    """What can be done to the networks of a talk; each leaves a path that is possible."""

    def __init__(self, lab: Laboratory, broker: Program) -> None:
        self._lab = lab
        self.broker = broker

    def reboot(self, *sites: str, seconds: float = 0.0) -> None:
        """These sites' routers at once, down for so long."""
        for site in sites:
            self._lab.link_down(site)
        time.sleep(seconds)
        for site in sites:
            # Forgets and connects it again.
            self._lab.reboot_router(site)

    def cut(self, site: str, seconds: float) -> None:
        """A site's connection to the internet, which forgets nothing."""
        with self._lab.outage(site):
            time.sleep(seconds)

    def blackhole(self, first: str, second: str, seconds: float) -> None:
        """Between two sites only: both still reach the broker."""
        self._lab.loss(first, second, 1.0)
        time.sleep(seconds)
        self._lab.loss(first, second, 0.0)

    def kill_broker(self) -> None:
        """With kill -9."""
        self.broker.process.kill()
        self.broker.process.wait()

    def restart_broker(self) -> None:
        """On the same port."""
        self.broker = start_broker(self._lab)


def cuts(talk: Talk, disruptions: Disruptions, dice: random.Random, count: int) -> Iterator[Interruption]:
    """So many disruptions of any kind, each at a random moment after the one before is over."""
    kinds: dict[str, Callable[[], object]] = {
        "alice's router": lambda: disruptions.reboot("alice", seconds=dice.choice((0.0, 1.0))),
        "bob's router": lambda: disruptions.reboot("bob", seconds=dice.choice((0.0, 1.0))),
        "both routers": lambda: disruptions.reboot("alice", "bob", seconds=dice.choice((0.0, 2.0))),
        "alice's link": lambda: disruptions.cut("alice", dice.uniform(0.1, 6.0)),
        "between the two": lambda: disruptions.blackhole("alice", "bob", dice.uniform(0.1, 6.0)),
    }
    for _ in range(count):
        time.sleep(dice.uniform(0.0, 1.0))
        what = dice.choice(sorted(kinds))
        yield talk.interrupt(what, kinds[what])


# -- much data at once

_BLOCK = 1 << 20
_PATIENCE = 400.0
"""Seconds for a large part of a transfer: the laboratory carries some megabytes a second."""
ROOM = "bulk"


def make_file(path: Path, size: int, seed: int) -> str:
    """A file of which no two blocks are alike; its digest."""
    dice, digest = random.Random(seed), hashlib.sha256()
    with open(path, "wb") as stream:
        for start in range(0, size, _BLOCK):
            block = dice.randbytes(min(_BLOCK, size - start))
            digest.update(block)
            stream.write(block)
    return digest.hexdigest()


def digest_of(path: Path) -> str:
    """SHA-256 of a file."""
    with open(path, "rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


class Transfer:
    """So many bytes on their way from one host to another, by ``pipe`` or by ``send``."""

    def __init__(self, lab: Laboratory, how: str, first: Host, second: Host, size: int, seed: int) -> None:
        self.size = size
        self._lab = lab
        source = lab.folder / "source"
        self._digest = make_file(source, size, seed)
        folder = lab.folder / "arrived"
        folder.mkdir()
        if how == "pipe":
            self.receiver = start_command(second, "receiver", "pipe", room=ROOM, stdin=subprocess.DEVNULL)
            self.receiver.wait("registered")
            with open(source, "rb") as stream:
                self.sender = start_command(first, "sender", "pipe", room=ROOM, stdin=stream)
            self._arrived = [self.receiver.output]
        else:
            self.receiver = start_command(second, "receiver", "receive", "-y", room=ROOM, output=folder)
            self.receiver.wait("registered")
            self.sender = start_command(first, "sender", "send", source, room=ROOM)
            self._arrived = [folder]

    def arrived(self) -> int:
        """Bytes that are there."""
        [place] = self._arrived
        files = [place] if place.is_file() else [path for path in place.rglob("*") if path.is_file()]
        return sum(path.stat().st_size for path in files)

    def interrupt(self, share: float, action: Callable[[], object]) -> float:
        """When so much is there, do something that lets nothing pass for a while; how long it takes from its end
        until more is there."""
        self._wait(lambda: self.arrived() >= share * self.size, f"{share:.0%} of it", _PATIENCE)
        action()
        since, before = time.monotonic(), self.arrived()
        if before == self.size:
            raise ScenarioError("all of it was there before: nothing was interrupted")
        self._wait(lambda: self.arrived() > before, "more of it", AGAIN)
        return time.monotonic() - since

    def end(self, timeout: float) -> None:
        """Wait for both, and see that what arrived is what was sent."""
        for program in (self.sender, self.receiver):
            try:
                status = program.process.wait(timeout)
            except subprocess.TimeoutExpired:
                raise ScenarioError(f"{program.name} does not end\n{report(self._lab.folder)}") from None
            if status:
                raise ScenarioError(f"{program.name} ended with {status}\n{report(self._lab.folder)}")
        [place] = self._arrived
        found = place if place.is_file() else place / "source"
        if (found.stat().st_size, digest_of(found)) != (self.size, self._digest):
            raise ScenarioError(f"{found.stat().st_size} bytes instead of {self.size}, or others")

    def _wait(self, condition: Callable[[], bool], what: str, timeout: float) -> None:
        try:
            wait_until(condition, what, timeout)
        except AssertionError as error:
            raise ScenarioError(f"{error}\n{report(self._lab.folder)}") from None


def rebooted_and_brokerless(transfer: Transfer, disruptions: Disruptions) -> list[float]:
    """Three times the first side's router reboots, the second time without a broker for a while."""

    def without_broker() -> None:
        disruptions.kill_broker()
        disruptions.reboot("alice", seconds=1.0)
        disruptions.restart_broker()

    reboot = lambda: disruptions.reboot("alice", seconds=0.5)  # noqa: E731
    return [
        transfer.interrupt(share, action)
        for share, action in ((0.1, reboot), (0.35, without_broker), (0.6, reboot))
    ]
