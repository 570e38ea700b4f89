"""One remote endpoint, dialled until it answers."""

from __future__ import annotations

from math import inf

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.error import ConnectionDone
from twisted.internet.protocol import Protocol
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from p2phole.addresses import Candidate, Endpoint
from p2phole.punch.dial import ELSEWHERE, QUIET, Dial
from p2phole.punch.ledger import PER_SECOND, SynLedger
from p2phole.punch.schedule import AT_ONCE, GUESS_SECONDS, IN_ALL, PATIENT, Redial, SynBudget
from tests.doubles import THERE
from tests.punch.dialling import Call, FakeDialler

CANDIDATE = Candidate("srflx", Endpoint.parse("192.0.2.7:5000"))
UNTIL = 5.0


class DialTestCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.dialler = FakeDialler(self.clock)
        self.ledger = SynLedger()
        self.budget = SynBudget(self.ledger)
        self.built: list[Candidate] = []

    def dial(self, eager: bool = True, port: int = 5000, until: float = UNTIL, seconds: float = inf) -> Dial:
        def build(candidate: Candidate) -> Protocol:
            self.built.append(candidate)
            return Protocol()

        candidate = Candidate("srflx", Endpoint(CANDIDATE.endpoint.ip, port))
        redial = Redial(lambda: 0.5, eager)
        dial = Dial(self.clock, self.dialler, candidate, redial, self.budget, until, build, seconds)
        dial.dial()
        return dial

    @property
    def last(self) -> Call:
        return self.dialler.calls[-1]


class DialTests(DialTestCase):
    def test_the_first_syn_leaves_at_once(self) -> None:
        dial = self.dial()
        [call] = self.dialler.calls
        self.assertEqual((call.endpoint, call.factory, call.timeout), (CANDIDATE.endpoint, dial, UNTIL))
        self.assertEqual(dial.outcome, "silent")

    def test_refused_and_again_at_once(self) -> None:
        dial = self.dial()
        for number in range(1, AT_ONCE + 1):
            self.last.refuse()
            self.assertEqual(dial.outcome, "refused")
            self.clock.advance(0)
            self.assertEqual(len(self.dialler.calls), number + 1)
        self.last.refuse()
        self.clock.advance(0.050)
        self.assertEqual(len(self.dialler.calls), AT_ONCE + 1)
        self.clock.advance(0.006)
        self.assertEqual(len(self.dialler.calls), AT_ONCE + 2)

    def test_refused_where_no_router_is(self) -> None:
        self.dial(eager=False)
        self.last.refuse()
        self.clock.advance(PATIENT - 0.01)
        self.assertEqual(len(self.dialler.calls), 1)
        self.clock.advance(0.02)
        self.assertEqual(len(self.dialler.calls), 2)

    def test_it_goes_on_for_another_attempt(self) -> None:
        """Longer, and with the other's protocol; its SYN stays out, and when its time is up another follows."""
        dial = self.dial()
        self.clock.advance(1)
        built: list[Candidate] = []

        def build(candidate: Candidate) -> Protocol:
            built.append(candidate)
            return Protocol()

        self.assertTrue(dial.go_on(UNTIL + 1, build))
        self.assertEqual(len(self.dialler.open), 1)
        self.clock.advance(UNTIL - 1)
        self.last.time_out()
        self.clock.advance(0)
        self.assertEqual((len(self.dialler.calls), self.last.timeout), (2, 1.0))
        self.last.answer(THERE)
        self.assertEqual((self.built, built), ([], [CANDIDATE]))
        self.assertFalse(dial.go_on(UNTIL + 9, build))

    def test_on_silence_nothing_is_sent(self) -> None:
        dial = self.dial()
        self.clock.advance(UNTIL)
        self.last.time_out()
        self.clock.advance(10)
        self.assertEqual((len(self.dialler.calls), dial.outcome), (1, "silent"))
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_what_is_left_of_the_time(self) -> None:
        self.dial()
        self.clock.advance(2)
        self.last.refuse()
        self.clock.advance(0)
        self.assertEqual(self.last.timeout, UNTIL - 2)

    def test_an_icmp_error_is_as_good_as_a_reset(self) -> None:
        dial = self.dial()
        self.last.icmp()
        self.clock.advance(0)
        self.assertEqual((len(self.dialler.calls), dial.outcome), (2, "unreachable"))

    def test_no_route_and_joined_elsewhere(self) -> None:
        for how, outcome in (("no_route", "unreachable"), ("in_use", "elsewhere")):
            self.setUp()
            dial = self.dial()
            getattr(self.last, how)()
            self.assertEqual(dial.outcome, outcome)
            self.clock.advance(ELSEWHERE - 0.01)
            self.assertEqual(len(self.dialler.calls), 1)
            self.clock.advance(0.02)
            self.assertEqual(len(self.dialler.calls), 2)

    def test_connected(self) -> None:
        dial = self.dial()
        self.assertIsNotNone(self.last.answer(THERE))
        self.assertEqual((self.built, dial.outcome), ([CANDIDATE], "connected"))

    def test_lost_again(self) -> None:
        dial = self.dial()
        self.last.answer(THERE)
        assert self.last.wire is not None
        self.last.wire.lose(ConnectionDone())
        self.assertEqual(dial.outcome, "lost")
        self.clock.advance(ELSEWHERE)
        self.assertEqual(len(self.dialler.calls), 2)

    def test_not_again_shortly_before_the_end(self) -> None:
        """An answer that is on its way would reach the next start; but who had no turn yet gets one."""
        self.dial()
        self.clock.advance(UNTIL - QUIET + 0.01)
        self.last.refuse()
        self.clock.advance(10)
        self.assertEqual((len(self.dialler.calls), self.clock.getDelayedCalls()), (1, []))
        self.dial(until=self.clock.seconds() + QUIET / 2)
        self.assertEqual(len(self.dialler.calls), 2)

    def test_not_after_its_time(self) -> None:
        self.dial()
        self.clock.advance(UNTIL - 0.01)
        self.last.in_use()
        self.clock.advance(10)
        self.assertEqual((len(self.dialler.calls), self.clock.getDelayedCalls()), (1, []))


class StopTests(DialTestCase):
    def test_while_it_dials(self) -> None:
        dial = self.dial()
        dial.stop()
        dial.stop()
        self.assertEqual((self.last.state, self.clock.getDelayedCalls()), ("disconnected", []))

    def test_while_it_waits(self) -> None:
        dial = self.dial()
        self.last.in_use()
        dial.stop()
        self.clock.advance(10)
        self.assertEqual((len(self.dialler.calls), self.clock.getDelayedCalls()), (1, []))

    def test_a_connection_that_stands_is_not_touched(self) -> None:
        dial = self.dial()
        self.last.answer(THERE)
        dial.stop()
        assert self.last.wire is not None
        self.assertFalse(self.last.wire.disconnecting)
        self.last.wire.lose(ConnectionDone())
        self.clock.advance(10)
        self.assertEqual(len(self.dialler.calls), 1)

    def test_while_it_dials_again_after_a_loss(self) -> None:
        dial = self.dial()
        self.last.answer(THERE)
        assert self.last.wire is not None
        self.last.wire.lose(ConnectionDone())
        self.clock.advance(ELSEWHERE)
        dial.stop()
        self.assertEqual(self.last.state, "disconnected")

    def test_nothing_is_built_any_more(self) -> None:
        dial = self.dial()
        call = self.last
        call.stopConnecting = lambda: None  # type: ignore[method-assign]
        dial.stop()
        self.assertIsNone(call.answer(THERE))
        self.assertEqual(self.built, [])


class BudgetTests(DialTestCase):
    def test_a_router_that_always_refuses(self) -> None:
        dial = self.dial()
        while self.clock.seconds() < UNTIL + 1:
            for call in self.dialler.open:
                call.refuse()
            self.clock.advance(0.001)
        times = [call.at for call in self.dialler.calls]
        self.assertLessEqual(len(times), IN_ALL)
        for at in times:
            self.assertLessEqual(len([time for time in times if at <= time < at + 1]), PER_SECOND)
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.assertIn(dial.outcome, ("refused", "spent"))

    def test_spent(self) -> None:
        for _ in range(IN_ALL):
            self.budget.spend(CANDIDATE.endpoint.ip, -100.0)
        dial = self.dial()
        self.assertEqual((self.dialler.calls, dial.outcome), ([], "spent"))

    def test_full_for_this_second(self) -> None:
        """Also by what other members of the room get: it waits."""
        for _ in range(PER_SECOND):
            self.ledger.spend(CANDIDATE.endpoint.ip, 0.0)
        dial = self.dial()
        self.assertEqual((self.dialler.calls, dial.outcome), ([], "busy"))
        self.clock.pump([0.1] * 12)
        self.assertEqual((len(self.dialler.calls), dial.outcome), (1, "silent"))

    def test_a_guess_has_its_time_from_the_first_syn_on(self) -> None:
        for _ in range(PER_SECOND):
            self.ledger.spend(CANDIDATE.endpoint.ip, 0.0)
        dial = self.dial(seconds=GUESS_SECONDS)
        self.clock.pump([0.1] * 12)
        self.assertAlmostEqual(self.last.timeout, GUESS_SECONDS)
        self.last.time_out()
        self.clock.advance(UNTIL)
        self.assertEqual((len(self.dialler.calls), dial.outcome), (1, "silent"))

    def test_the_kernel_repeats_while_it_may(self) -> None:
        """Else the socket is closed before it does, and dialled again when a SYN may leave."""
        dial = self.dial()
        self.clock.advance(0.5)
        for _ in range(PER_SECOND):
            self.ledger.spend(CANDIDATE.endpoint.ip, 0.5)
        self.clock.pump([0.1] * 4)
        self.assertEqual(self.last.state, "connecting")
        self.clock.advance(0.05)
        self.assertEqual((self.last.state, dial.outcome), ("disconnected", "silent"))
        self.clock.pump([0.1] * 10)
        self.assertEqual((len(self.dialler.calls), self.last.state), (2, "connecting"))
        dial.stop()
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_the_kernel_repeats_no_more_than_a_round_has(self) -> None:
        for _ in range(IN_ALL - 2):
            self.budget.spend(CANDIDATE.endpoint.ip, -100.0)
        dial = self.dial()
        self.clock.pump([0.1] * 15)
        self.assertEqual(self.last.state, "connecting")
        self.clock.pump([0.1] * 5)
        self.assertEqual((self.last.state, dial.outcome), ("disconnected", "silent"))
        self.clock.advance(UNTIL)
        self.assertEqual((len(self.dialler.calls), self.clock.getDelayedCalls()), (1, []))

    def test_what_the_kernel_repeats_counts(self) -> None:
        # Silent addresses, as a member may name them: eight ports of one machine, three starts.
        syns: list[float] = []
        ended: dict[Call, float] = {}
        for start in range(3):
            began = self.clock.seconds()
            dials = [self.dial(port=5000 + port, until=began + UNTIL) for port in range(8)]
            while self.clock.seconds() < began + UNTIL:
                self.clock.advance(0.05)
                for call in self.dialler.calls:
                    if call.state == "disconnected":
                        ended.setdefault(call, self.clock.seconds())
            for dial in dials:
                dial.stop()
            for call in self.dialler.calls:
                ended.setdefault(call, self.clock.seconds())
            self.assertEqual(self.clock.getDelayedCalls(), [], start)
        for call, end in ended.items():
            syns += [call.at, *(at for second in range(1, 6) if (at := call.at + second) < end - 0.1)]
        self.assertLessEqual(len(syns), IN_ALL)
        self.assertGreater(len(syns), IN_ALL / 2)


class AnythingTests(DialTestCase):
    ANSWERS = st.sampled_from(["refuse", "time_out", "no_route", "in_use", "icmp", "answer", "lose", "wait"])

    @given(st.lists(st.tuples(ANSWERS, st.sampled_from([0.0, 0.001, 0.05, 0.5, 1.0])), max_size=60), st.booleans())
    @settings(deadline=None, max_examples=150)
    def test_any_answers(self, steps: list[tuple[str, float]], stops: bool) -> None:
        self.setUp()
        dial = self.dial()
        for how, pause in steps:
            self.assertLessEqual(len(self.dialler.open), 1)
            if how == "lose" and self.last.wire is not None:
                self.last.wire.lose(ConnectionDone())
            elif how == "answer" and self.dialler.open:
                self.last.answer(THERE)
            elif how not in ("answer", "lose", "wait") and self.dialler.open:
                getattr(self.last, how)()
            self.clock.advance(pause)
        if stops:
            dial.stop()
            self.assertEqual((self.dialler.open, self.clock.getDelayedCalls()), ([], []))
        times = [call.at for call in self.dialler.calls]
        self.assertTrue(all(time < UNTIL for time in times))
        self.assertLessEqual(len(times), IN_ALL)
        for at in times:
            self.assertLessEqual(len([time for time in times if at <= time < at + 1]), PER_SECOND)
