"""Protocols that do what a script says and keep what they see; what they do, as a table.

Every scenario ends with both connections, and nothing in it depends on what is faster.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from twisted.internet.interfaces import IHalfCloseableProtocol
from twisted.internet.protocol import Protocol
from twisted.python.failure import Failure
from zope.interface import directlyProvides

Act = Callable[[Any], object]
Script = dict[str, Act | None]
"""By what a protocol sees: what it does then.  ``half``: it is told of half-close."""


class Scripted(Protocol):
    """Keeps what it saw, data that came one after the other as one."""

    transport: Any

    def __init__(self, clock: Any, script: Script) -> None:
        self.clock, self.script = clock, dict(script)
        self.saw: list[str] = []
        self.got = b""
        self.lost = False
        self.timers: list[Any] = []
        if "half" in script:
            directlyProvides(self, IHalfCloseableProtocol)

    @property
    def over(self) -> bool:
        return self.lost and not any(timer.active() for timer in self.timers)

    def see(self, event: str, what: str = "") -> None:
        self.saw.append(f"{event} {what}".strip())
        act = self.script.get(event)
        if act is not None:
            act(self)

    def connectionMade(self) -> None:
        self.see("made")

    def dataReceived(self, data: bytes) -> None:
        if self.saw[-1].startswith("data "):
            self.saw.pop()
        else:
            self.got = b""
        self.got += data
        size = len(self.got)
        self.see("data", self.got.decode() if size < 20 else str(size) if size == MUCH else "in part")

    def readConnectionLost(self) -> None:
        self.see("reading over")

    def writeConnectionLost(self) -> None:
        self.see("writing over")

    def connectionLost(self, reason: Failure) -> None:  # type: ignore[override]
        self.lost = True
        self.see("lost", reason.type.__name__)

    # -- what scripts do

    def resume(self) -> None:
        self.saw.append("resumes")
        self.transport.resumeProducing()
        self.saw.append("resumed")

    def later(self, *acts: Any) -> None:
        self.timers.append(self.clock.callLater(0.03, do(*acts), self))

    def produce(self, kind: str, chunks: int, size: int) -> None:
        producer = Producer(self, kind, chunks, bytes(size))
        self.transport.registerProducer(producer, kind.startswith("push"))
        if kind.startswith("push"):
            producer.resumeProducing()

    def only_once(self) -> None:
        del self.script["data"]

    def persist(self) -> None:
        """Write until it is told."""
        if not self.lost:
            self.transport.write(b"?")
            self.later("persist")

    def replace(self) -> None:
        """Go on as another protocol, as after an upgrade."""
        other = Scripted(self.clock, {"data": do("loseConnection")})
        self.saw, other.saw = other.saw, self.saw
        self.transport.protocol = other
        other.makeConnection(self.transport)
        self.saw = other.saw
        other.connectionLost = self.connectionLost  # type: ignore[method-assign]

    def raises(self, kind: type[Exception], method: str, *given: Any) -> None:
        try:
            getattr(self.transport, method)(*given)
        except kind:
            self.saw.append(kind.__name__)

    def state(self) -> None:
        flags = ("connected", "disconnecting", "disconnected")
        self.saw.append(" ".join(flag for flag in flags if getattr(self.transport, flag)))

    def fail(self) -> None:
        raise ZeroDivisionError


class Producer:
    """``kind``: pull, slow (pull, and what it is asked for comes later), push, or push-on (never unregistered)."""

    def __init__(self, protocol: Scripted, kind: str, chunks: int, chunk: bytes) -> None:
        self.protocol, self.kind, self.chunks, self.chunk = protocol, kind, chunks, chunk
        self.paused = self.asked = False

    def resumeProducing(self) -> None:
        self.paused = False
        if self.kind == "slow":
            assert not self.asked
            self.asked = True
            self.protocol.clock.callLater(0.001, self.write)
        elif self.kind == "pull":
            self.write()
        while self.chunks and not self.paused and self.kind.startswith("push"):
            self.write()

    def write(self) -> None:
        self.asked = False
        if self.chunks:
            self.chunks -= 1
            self.protocol.transport.write(self.chunk)
        if not self.chunks and self.kind != "push-on":
            self.kind = "push-on"
            self.protocol.saw.append("produced")
            self.protocol.transport.unregisterProducer()

    def pauseProducing(self) -> None:
        self.paused = True
        if self.protocol.saw[-1] != "full":
            self.protocol.see("full")

    def stopProducing(self) -> None:
        self.chunks = 0
        self.protocol.saw.append("stop")


def do(*acts: Any) -> Act:
    """One after the other: a method of the protocol or else of the transport, alone or with what it is given;
    bytes are written."""

    def act(protocol: Scripted) -> None:
        for each in acts:
            name, *given = (
                each if isinstance(each, tuple) else ("write", each) if isinstance(each, bytes) else (each,)
            )
            method = getattr(protocol, name, None) or getattr(protocol.transport, name)
            method(*given)

    return act


def on(expected: bytes, *acts: Any) -> Act:
    """As soon as there is all of that."""
    return lambda protocol: do(*acts)(protocol) if protocol.got == expected else None


@dataclass(frozen=True)
class Scenario:
    name: str
    one: Script
    two: Script
    seen: tuple[list[str], list[str]] | None = None
    """What both see over a stream, where that is not what they see over TCP."""


MUCH = 3_000_000
"""Bytes, more than all buffers of loopback hold."""
BULK = bytes(MUCH)
LOSE, ABORT, FAIL = do("loseConnection"), do("abortConnection"), do("fail")
HELLO, BYE = do(b"hello"), do(b"hello", "loseConnection")
HELLO_ONCE = do("only_once", b"hello")
HOLD = do("pauseProducing", ("later", "resume"))
HOLD_AND_ABORT = do("pauseProducing", ("later", "abortConnection"))
PULL, PUSH, PUSH_ON = (("produce", kind, 30, 100_000) for kind in ("pull", "push", "push-on"))

# fmt: off
ALIKE = (
    Scenario("lose", {"made": LOSE}, {}),
    Scenario("both lose", {"made": LOSE}, {"made": LOSE}),
    Scenario("lose twice", {"made": do("loseConnection", "loseConnection")}, {}),
    Scenario("lose in data", {"made": HELLO}, {"data": LOSE}),
    Scenario("answer and lose in data", {"made": HELLO}, {"data": do(b"answer", "loseConnection")}),
    Scenario("both write and lose", {"made": BYE}, {"made": BYE}),
    Scenario("write much and lose", {"made": do(BULK, "loseConnection")}, {"made": HOLD}),
    Scenario("write much and lose in data", {"made": HELLO}, {"data": do(BULK, "loseConnection")}),
    Scenario("lose, then write", {"made": do("loseConnection", b"more")}, {}),
    Scenario("write in lost", {"made": LOSE, "lost": HELLO},
             {"lost": do(b"x", "loseConnection", "abortConnection")}),
    Scenario("lose and resume", {"made": do("loseConnection", "resume")}, {}),
    Scenario("stop", {"made": do("stopProducing")}, {}),
    Scenario("abort", {"made": ABORT}, {}),
    Scenario("abort twice, and lose", {"made": do("abortConnection", "abortConnection", "loseConnection")}, {}),
    Scenario("abort in data", {"made": HELLO}, {"data": ABORT}),
    Scenario("abort with much to send", {"made": do(BULK), "data": ABORT}, {"data": HELLO_ONCE}),
    Scenario("nothing", {"made": do(b"", ("writeSequence", []), "loseConnection")}, {}),
    Scenario("sequence", {"made": do(("writeSequence", [b"a", b"b"]), "loseConnection")}, {}),
    Scenario("what is not bytes", {"made": do(*(("raises", TypeError, "write", what) for what in ("a", None, 7)),
                                              ("raises", TypeError, "writeSequence", ["a"]), "loseConnection")},
             {}),
    Scenario("pause in made", {"made": HOLD}, {"made": BYE}),
    Scenario("pause in made, at the end", {"made": HOLD}, {"made": LOSE}),
    Scenario("pause in data", {"data": on(b"hello", "pauseProducing", b"held", ("later", "resume"))},
             {"made": HELLO, "data": do(b"more", "loseConnection")}),
    Scenario("pause and resume in data", {"data": do("pauseProducing", "resume")}, {"made": BYE}),
    Scenario("resume and pause", {"made": do("pauseProducing", ("later", "resume", "pauseProducing",
                                                                ("later", "resume")))}, {"made": BYE}),
    Scenario("half-closed, answered", {"half": None, "made": do(b"hello", "loseWriteConnection"), "data": LOSE},
             {"half": None, "reading over": do(b"answer", "loseConnection")}),
    Scenario("half-closed both, and lost", {"half": None, "made": do(b"hello", "loseWriteConnection"),
                                            "reading over": LOSE},
             {"half": None, "reading over": do(b"answer", "loseWriteConnection"), "writing over": LOSE}),
    Scenario("half-closed by one that is not told", {"made": do(b"hello", "loseWriteConnection")},
             {"half": None, "reading over": do(b"answer", "loseConnection")}),
    Scenario("half-closed to one that is not told", {"half": None, "made": do(b"hello", "loseWriteConnection"),
                                                     "reading over": LOSE}, {}),
    Scenario("half-closed, then written", {"half": None, "made": do("loseWriteConnection", b"hello"),
                                           "writing over": do(b"more"), "reading over": LOSE}, {}),
    Scenario("half-closed, then lost", {"half": None, "made": do(b"hello", "loseWriteConnection"),
                                        "writing over": LOSE}, {"half": None, "reading over": LOSE}),
    Scenario("half-closed and lost", {"half": None, "made": do(b"hello", "loseWriteConnection", "loseConnection")},
             {"half": None, "reading over": do(("later", b"answer", "loseConnection"))}),
    Scenario("half-closed with much to send", {"half": None, "made": do(BULK, "loseWriteConnection"),
                                               "reading over": LOSE},
             {"half": None, "made": HOLD, "reading over": LOSE}),
    Scenario("half-closed, aborted there", {"half": None, "made": do("loseWriteConnection")},
             {"half": None, "reading over": ABORT}),
    Scenario("lost to one that is told of half-close", {"made": LOSE}, {"half": None, "reading over": LOSE}),
    Scenario("written to one that is gone", {"made": LOSE}, {"half": None, "reading over": do("persist")}),
    Scenario("half-closed to one that is paused", {"made": do(b"hello", "loseWriteConnection")},
             {"half": None, "made": HOLD, "reading over": LOSE}),
    Scenario("fails in lost", {"lost": FAIL}, {"made": LOSE}),
    Scenario("fails when reading is over", {"half": None, "reading over": FAIL}, {"made": LOSE}),
    Scenario("pull", {"made": do(("produce", "pull", 5, 10))}, {"data": on(bytes(50), "loseConnection")}),
    Scenario("pull and lose", {"made": do(PULL, "loseConnection")}, {}),
    Scenario("pull slowly", {"made": do(("produce", "slow", 5, 10))}, {"data": on(bytes(50), "loseConnection")}),
    Scenario("pull nothing", {"made": do(("produce", "pull", 0, 0), "loseConnection")}, {}),
    Scenario("pull and half-close", {"made": do(PULL, "loseWriteConnection")},
             {"half": None, "reading over": LOSE}),
    Scenario("pull for nobody", {"made": do(("produce", "pull", 200, 100_000))}, {"made": HOLD_AND_ABORT}),
    Scenario("push", {"made": do(("produce", "push", 5, 10))}, {"data": on(bytes(50), "loseConnection")}),
    Scenario("push and lose", {"made": do(PUSH, "loseConnection")}, {"made": HOLD}),
    Scenario("push a little, not unregistered", {"made": do(("produce", "push-on", 5, 10), "loseConnection")}, {}),
    Scenario("push and half-close", {"made": do(PUSH, "loseWriteConnection")},
             {"half": None, "reading over": LOSE}),
    Scenario("push for nobody", {"made": do(("produce", "push", 200, 100_000))}, {"made": HOLD_AND_ABORT}),
    Scenario("push and abort", {"made": do(PUSH), "data": ABORT}, {"data": HELLO_ONCE}),
    Scenario("unregister while it is full", {"made": do(PUSH), "full": do("unregisterProducer", "loseConnection")},
             {"made": HOLD}),
    Scenario("two producers", {"made": do(("produce", "push-on", 0, 0), "loseConnection",
                                          ("raises", RuntimeError, "registerProducer", None, True))}, {}),
    Scenario("a producer too late", {"lost": do(PUSH)}, {"made": LOSE, "lost": do(PULL)}),
    Scenario("stop consuming", {"made": do(PUSH, "stopConsuming")}, {"data": do()}),
    Scenario("another protocol", {"made": do("replace")}, {"made": HELLO}),
    Scenario("state", {"made": do("state", "loseConnection", "state"), "lost": do("state")}, {}),
)

UNLIKE = (
    # What was written arrives, whatever the other side has written meanwhile that nobody reads.
    Scenario("much to send, and something comes", {"made": do(BULK, "loseConnection")},
             {"made": do("pauseProducing", b"hello", ("later", "resume"))},
             (["made", "lost ConnectionDone"],
              ["made", "resumes", "resumed", f"data {MUCH}", "lost ConnectionDone"])),
    Scenario("pull, and something comes", {"made": do(PULL, "loseConnection")}, {"made": HELLO},
             (["made", "produced", "lost ConnectionDone"], ["made", f"data {MUCH}", "lost ConnectionDone"])),
    # The same for one that is not told of half-close.
    Scenario("half-closed to one that is writing", {"half": None, "made": do(b"hello", "loseWriteConnection"),
                                                    "reading over": LOSE}, {"data": do(BULK)},
             (["made", "writing over", f"data {MUCH}", "reading over", "lost ConnectionDone"],
              ["made", "data hello", "lost ConnectionDone"])),
    # Behind loseConnection only what is written in the same turn goes out, whatever else waits.
    Scenario("written long behind", {"made": do(BULK, "loseConnection", ("later", b"more"))},
             {"made": do("pauseProducing", ("later", ("later", "resume")))},
             (["made", "lost ConnectionDone"],
              ["made", "resumes", "resumed", f"data {MUCH}", "lost ConnectionDone"])),
    # Both directions closed is closed.
    Scenario("half-closed both", {"half": None, "made": do(b"hello", "loseWriteConnection")},
             {"half": None, "reading over": do(b"answer", "loseWriteConnection")},
             (["made", "writing over", "data answer", "reading over", "lost ConnectionDone"],
              ["made", "data hello", "reading over", "writing over", "lost ConnectionDone"])),
    # Half-closing twice is half-closing.
    Scenario("half-closed twice", {"half": None, "made": do("loseWriteConnection", "loseWriteConnection",
                                                            ("later", "loseWriteConnection"))},
             {"half": None, "reading over": do(("later", ("later", "loseConnection")))},
             (["made", "writing over", "reading over", "lost ConnectionDone"],
              ["made", "reading over", "lost ConnectionDone"])),
    # One who does not read is told at once that the connection is broken off.
    Scenario("aborted to one that is paused", {"made": do(b"hello", ("later", "abortConnection"))},
             {"made": do("pauseProducing")},
             (["made", "lost ConnectionAborted"], ["made", "lost ConnectionLost"])),
    Scenario("half-closed, then aborted", {"made": do("loseWriteConnection", ("later", "abortConnection"))},
             {"half": None},
             (["made", "lost ConnectionAborted"], ["made", "reading over", "lost ConnectionLost"])),
    # A push producer that was paused and has nothing more need not be unregistered.
    Scenario("not unregistered", {"made": do(PUSH_ON, "loseConnection")}, {"made": HOLD},
             (["made", "full", "stop", "lost ConnectionDone"],
              ["made", "resumes", "resumed", f"data {MUCH}", "lost ConnectionDone"])),
    # The other side is told of a failure, and one in connectionMade is a failure, too.
    Scenario("fails in data", {"made": HELLO}, {"data": FAIL},
             (["made", "lost ConnectionLost"], ["made", "data hello", "lost ZeroDivisionError"])),
    Scenario("fails when writing is over", {"half": None, "made": do("loseWriteConnection"), "writing over": FAIL},
             {"half": None},
             (["made", "writing over", "lost ZeroDivisionError"],
              ["made", "reading over", "lost ConnectionLost"])),
)
# fmt: on
