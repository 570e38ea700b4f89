"""Two sides of a conversation, and links between them that come, die and end in any order, at any moment."""

from __future__ import annotations

from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from p2phole import events
from p2phole.errors import P2pholeError
from p2phole.peer.conversation import Conversation
from p2phole.peer.use import Partner
from p2phole.secure.roles import Identity
from p2phole.session.errors import SessionOver
from tests.peer.test_conversation import Link, Peer, Told
from tests.session.sides import End

RARELY = st.sampled_from([False, False, False, False, True])
NAMES = Identity("a" * 64, "a" * 32), Identity("b" * 64, "b" * 32)


class Half(Link):
    """One end of a wire."""

    def __init__(self) -> None:
        super().__init__()
        self.over = False
        """Whether this end has noticed that it has ended."""
        self.unheard = False

    def drop_unheard(self) -> None:
        self.dropped = self.unheard = True

    def end(self) -> None:
        if not self.over:
            self.over = True
            self.ended(None)


class Wire:
    """A proven link; each side is told of it at its own time, or never."""

    def __init__(self) -> None:
        self.halves = Half(), Half()
        self.attached = [False, False]
        self.dead = False

    def deliver(self, to: int, share: float = 1.0) -> bool:
        """Let some of what was written arrive, or the RST behind it; whether anything did."""
        here, there = self.halves[to], self.halves[1 - to]
        if here.dropped and not here.over:
            here.end()
            return True
        if self.dead or here.over or not self.attached[to]:
            return False
        written = there.transport.written
        data = bytes(written[: max(1, round(len(written) * share))])
        if data:
            del written[: len(data)]
            here.receiver(data)
            return True
        if there.dropped and not there.unheard:
            here.end()
            return True
        return False


class Watched(Told):
    """Checks in what order it is told, and opens a stream in each session."""

    def __init__(self) -> None:
        super().__init__()
        self.open = self.linked_now = False

    def met(self, partner: Partner) -> None:
        assert not self.open
        self.open = True
        partner.session.offer("thing", lambda stream: stream.accept(End()))
        end = End()
        end.stream = partner.session.open("thing", end)
        end.stream.write(b"hello")

    def linked(self, partner: Partner) -> None:
        assert self.open and not self.linked_now and partner.path is not None
        self.linked_now = True

    def unlinked(self, partner: Partner) -> None:
        assert self.linked_now and partner.path is None
        self.linked_now = False

    def over(self, partner: Partner, error: P2pholeError) -> None:
        assert self.open
        self.open = False
        self.errors.append(error)


class Side(Peer):
    """One peer, for one conversation."""

    def __init__(self, clock: Clock, number: int) -> None:
        super().__init__()
        self.clock, self.mine = clock, NAMES[number]
        self.use: Any = Watched()
        self.count = 0
        self.conversation = Conversation(self, self, NAMES[1 - number], "other")
        self.leaving = self.gone = False
        """Whether this side has said goodbye, or has heard it, so that it wants no link."""
        self.since = 0.0
        """When the session began, or went on."""

    def emit(self, event: events.Event) -> None:
        super().emit(event)
        if isinstance(event, events.Resumed):
            assert event.seconds <= self.clock.seconds() - self.since + 1e-6
            self.since = self.clock.seconds()

    def parted(self, for_good: bool) -> None:
        super().parted(for_good)
        self.gone |= for_good

    def session_ident(self) -> str:
        self.count += 1
        self.since = self.clock.seconds()
        return f"{self.mine.instance[0]}{self.count}"


class TwoConversations(RuleBasedStateMachine):
    """Links are agreed on one after the other, as by meetings; all else happens at any time."""

    def __init__(self) -> None:
        super().__init__()
        self.clock = Clock()
        self.sides = Side(self.clock, 0), Side(self.clock, 1)
        self.wires: list[Wire] = []

    def attach(self, wire: Wire, side: int) -> None:
        half = wire.halves[side]
        if not (wire.attached[side] or half.dropped or self.sides[side].leaving):
            wire.attached[side], self.sides[side].gone = True, False
            self.sides[side].conversation.attach(half.success, 0.1, 1)

    @precondition(lambda self: len(self.wires) < 12)
    @rule(first=st.integers(0, 1), both=st.sampled_from([True, True, True, False]))
    def win(self, first: int, both: bool) -> None:
        """A start that follows another one ends it: a link that only one side knows of is closed by the other."""
        if self.wires and not all(self.wires[-1].attached):
            for half, attached in zip(self.wires[-1].halves, self.wires[-1].attached, strict=True):
                half.dropped = half.dropped or not attached
        self.wires.append(Wire())
        self.attach(self.wires[-1], first)
        if both:
            self.attach(self.wires[-1], 1 - first)

    @precondition(lambda self: self.wires)
    @rule(side=st.integers(0, 1))
    def win_late(self, side: int) -> None:
        if any(self.wires[-1].attached):
            self.attach(self.wires[-1], side)

    @precondition(lambda self: self.wires)
    @rule(which=st.integers(0, 11), to=st.integers(0, 1), share=st.sampled_from([0.3, 1, 1]))
    def deliver(self, which: int, to: int, share: float) -> None:
        self.arrive(self.wires[which % len(self.wires)], to, share)

    @rule()
    def all_arrives(self) -> None:
        self.settle()

    @precondition(lambda self: self.wires)
    @rule(which=st.integers(0, 11), now=RARELY)
    def die(self, which: int, now: bool) -> None:
        """Nothing gets through, and nobody is told."""
        if now:
            self.wires[which % len(self.wires)].dead = True

    @precondition(lambda self: self.wires)
    @rule(which=st.integers(0, 11), side=st.integers(0, 1), now=RARELY)
    def notice(self, which: int, side: int, now: bool) -> None:
        """The kernel gives up; it may be that more than one look finds that out."""
        wire = self.wires[which % len(self.wires)]
        if now and wire.attached[side]:
            wire.dead = True
            wire.halves[side].end()
            wire.halves[side].ended(None)

    @rule(side=st.integers(0, 1))
    def suspect(self, side: int) -> None:
        self.sides[side].conversation.suspect()

    @rule(side=st.integers(0, 1), here=st.booleans())
    def make_way(self, side: int, here: bool) -> None:
        path = self.sides[side].conversation.path
        if path is not None:
            self.sides[side].conversation.make_way([path.remote], {path.local.ip} if here else set())

    @rule(seconds=st.sampled_from([0.02, 0.02, 1.0, 1.0, 3.0, 45.0, 61.0]))
    def wait(self, seconds: float) -> None:
        for _ in range(max(1, int(seconds))):
            self.clock.advance(min(seconds, 1.0))

    @rule(side=st.integers(0, 1), now=RARELY)
    def leave(self, side: int, now: bool) -> None:
        """At the end of half a second it would let go by itself; here it waits for as long as it takes."""
        if now:
            self.sides[side].leaving = True
            self.sides[side].conversation.leave()

    @invariant()
    def one_story(self) -> None:
        for side in self.sides:
            conversation = side.conversation
            assert side.use.open == conversation.is_open
            assert side.use.linked_now == (conversation.path is not None) == (conversation.link is not None)
            assert not (conversation.is_healthy and conversation.link.dropped)  # type: ignore[attr-defined]
            told = [event.event for event in side.seen if not isinstance(event, events.Resumed)]
            assert told == (["connected", "disconnected"] * len(told))[: len(told)], told
            assert (len(told) % 2 == 1) == (conversation.link is not None)
            for error in side.use.errors:
                assert isinstance(error, SessionOver), error

    def settle(self) -> None:
        while any(self.arrive(wire, to) for wire in self.wires for to in (0, 1)):
            pass

    def arrive(self, wire: Wire, to: int, share: float = 1.0) -> bool:
        for half, attached, side in zip(wire.halves, wire.attached, self.sides, strict=True):
            half.dropped = half.dropped or (side.gone and not attached)  # it has ended its start
        return wire.deliver(to, share)

    def teardown(self) -> None:
        self.settle()
        one, two = self.sides
        path = [side.conversation.path is not None for side in self.sides]
        live = [w for w in self.wires if all(w.attached) and not w.dead and not any(h.over for h in w.halves)]
        leaver = next((side for side in self.sides if side.leaving), one)
        leaver.conversation.leave()
        self.settle()
        if live and all(path):
            assert not (two if leaver is one else one).conversation.is_open, "it was not told"
        for side in self.sides:
            side.conversation.leave()
            side.conversation.hang_up("left", for_good=True)
        self.one_story()
        assert not any(side.conversation.is_open for side in self.sides)
        assert self.clock.getDelayedCalls() == []
        assert one.pools.kept.used == two.pools.kept.used == 0


class ReplacingTests(SynchronousTestCase):
    def test_whatever_happens(self) -> None:
        run_state_machine_as_test(
            TwoConversations, settings=settings(deadline=None, max_examples=200, stateful_step_count=40)
        )
