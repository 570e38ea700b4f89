"""How a peer gets to a connection with one other member, again and again."""

from __future__ import annotations

from itertools import pairwise

from automat import NoTransition
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from p2phole.addresses import Endpoint
from p2phole.peer.meeting import (
    ANSWER_SECONDS,
    AWAITED_REST,
    FIRST_REST,
    LONGEST_REST,
    REFUSED_REST,
    Meeting,
    Round,
    meeting,
)
from p2phole.punch.attempt import Success
from p2phole.punch.ledger import SynLedger
from p2phole.punch.verdict import REASONS
from p2phole.wire.messages import Introduction

HERE = Endpoint.parse("192.0.2.7:5000")
MESSAGE = Introduction("bob", "b" * 64, "b" * 32, HERE, (), "0" * 32, 1, 0.1)
SUCCESS = Success(None, b"", "srflx", HERE, HERE)  # type: ignore[arg-type]


class Done:
    """Actions that are only written down."""

    def __init__(self) -> None:
        self.log: list[str] = []
        self.connected = self.awaited = False

    def begin_start(self, message: Introduction) -> None:
        self.log.append("start")

    def cancel_start(self) -> None:
        self.log.append("cancel")

    def refresh(self) -> None:
        self.log.append("refresh")

    def ask(self) -> None:
        self.log.append("ask")

    def is_connected(self) -> bool:
        return self.connected

    def is_awaited(self) -> bool:
        return self.awaited

    def tell_introduced(self) -> None:
        self.log.append("introduced")

    def tell_connected(self, success: Success, seconds: float, attempts: int) -> None:
        self.connected = True
        self.log.append(f"connected {seconds:.2f} {attempts}")

    def tell_failed(self, reason: str) -> None:
        assert reason in REASONS
        self.log.append(f"failed {reason}")


class MeetingTestCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.done = Done()
        self.round = Round(self.done, self.clock, lambda: 0.5, SynLedger())
        self.meeting = meeting(self.round)

    def log(self) -> list[str]:
        log, self.done.log = self.done.log, []
        return log

    def again(self) -> None:
        """Another start, by way of the broker."""
        self.meeting.refreshed()
        self.meeting.introduced(MESSAGE)


class RoundTests(MeetingTestCase):
    def test_at_the_first_start(self) -> None:
        self.meeting.introduced(MESSAGE)
        self.clock.advance(0.25)
        self.meeting.won(SUCCESS)
        self.assertEqual(self.log(), ["introduced", "start", "connected 0.25 1"])
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_at_the_third(self) -> None:
        self.meeting.introduced(MESSAGE)
        for _ in range(2):
            self.clock.advance(5)
            self.meeting.start_failed()
            self.again()
        self.meeting.won(SUCCESS)
        one_more = ["refresh", "ask", "start"]
        self.assertEqual(self.log(), ["introduced", "start", *one_more, *one_more, "connected 10.00 3"])

    def test_the_mapping_is_learned_before_the_broker_is_asked(self) -> None:
        self.meeting.introduced(MESSAGE)
        self.log()
        self.meeting.start_failed()
        self.assertEqual(self.log(), ["refresh"])
        self.meeting.refreshed()
        self.assertEqual(self.log(), ["ask"])

    def test_failed_once_and_tried_again_after_a_rest_that_doubles(self) -> None:
        tries = []
        for _ in range(8):
            self.meeting.introduced(MESSAGE)
            self.meeting.round_failed("silent")
            self.assertEqual(self.log(), ["introduced", "start", "failed silent"])
            began = self.clock.seconds()
            while not self.done.log:
                self.clock.advance(0.5)
            self.assertEqual(self.log(), ["refresh"])
            tries.append(self.clock.seconds() - began)
            self.meeting.refreshed()
            self.log()
        self.assertTrue(FIRST_REST <= tries[0] <= FIRST_REST * 1.1)
        for one, two in pairwise(tries[:5]):
            self.assertAlmostEqual(two / one, 2, delta=0.1)
        self.assertTrue(all(one <= LONGEST_REST * 1.1 for one in tries))
        self.assertAlmostEqual(tries[-1], LONGEST_REST * 1.05, delta=1)

    def test_the_rest_stays_short_while_a_session_waits(self) -> None:
        self.done.awaited = True
        for awaited, longest in ((True, AWAITED_REST), (True, AWAITED_REST), (False, FIRST_REST)):
            self.done.awaited = awaited
            self.meeting.introduced(MESSAGE)
            self.meeting.round_failed("silent")
            [call] = self.clock.getDelayedCalls()
            self.assertTrue(longest <= call.getTime() - self.clock.seconds() <= longest * 1.1)

    def test_the_rest_is_longer_where_a_session_waits_and_all_was_refused(self) -> None:
        self.done.awaited = True
        self.meeting.introduced(MESSAGE)
        self.meeting.round_failed("refused")
        self.log()
        self.clock.advance(REFUSED_REST)
        self.assertEqual(self.log(), [])
        self.clock.advance(REFUSED_REST / 10)
        self.assertEqual(self.log(), ["refresh"])

    def test_the_reason_is_passed_on(self) -> None:
        for word in REASONS:
            self.setUp()
            self.meeting.introduced(MESSAGE)
            self.meeting.round_failed(word)
            self.assertEqual(self.log()[-1], f"failed {word}")

    def test_a_success_makes_the_next_rest_short_again(self) -> None:
        for _ in range(3):
            self.meeting.introduced(MESSAGE)
            self.meeting.round_failed("silent")
        self.meeting.introduced(MESSAGE)
        self.meeting.won(SUCCESS)
        self.done.connected = False
        self.meeting.introduced(MESSAGE)
        self.meeting.round_failed("silent")
        [call] = self.clock.getDelayedCalls()
        self.assertLessEqual(call.getTime() - self.clock.seconds(), FIRST_REST * 1.1)

    def test_each_round_has_its_own_budget(self) -> None:
        self.meeting.introduced(MESSAGE)
        first = self.round.budget
        self.meeting.start_failed()
        self.again()
        self.assertIs(self.round.budget, first)
        self.meeting.round_failed("silent")
        self.meeting.introduced(MESSAGE)
        self.assertIsNot(self.round.budget, first)

    def test_the_broker_does_not_answer(self) -> None:
        self.meeting.introduced(MESSAGE)
        self.meeting.start_failed()
        self.meeting.refreshed()
        self.log()
        self.clock.advance(ANSWER_SECONDS)
        self.assertEqual(self.log(), ["failed broker"])

    def test_nothing_has_failed_where_nothing_was_introduced(self) -> None:
        self.meeting.want()
        self.meeting.refreshed()
        self.clock.advance(ANSWER_SECONDS)
        self.assertEqual(self.log(), ["refresh", "ask"])

    def test_the_other_side_is_gone(self) -> None:
        self.meeting.introduced(MESSAGE)
        self.meeting.start_failed()
        self.meeting.refreshed()
        self.log()
        self.meeting.absent()
        self.assertEqual((self.log(), self.clock.getDelayedCalls()), (["failed gone"], []))

    def test_the_broker_is_gone_while_it_is_asked(self) -> None:
        self.meeting.want()
        self.meeting.refreshed()
        self.meeting.broker_lost()
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.meeting.introduced(MESSAGE)
        self.assertEqual(self.log()[-2:], ["introduced", "start"])

    def test_the_broker_is_gone_while_the_mapping_is_learned(self) -> None:
        """Whether that comes to an end or not: when the broker is back, it has this side ask."""
        self.meeting.want()
        self.meeting.broker_lost()
        self.meeting.refreshed()
        self.assertEqual((self.log(), self.clock.getDelayedCalls()), (["refresh"], []))
        self.meeting.requested()
        self.meeting.refreshed()
        self.assertEqual(self.log(), ["refresh", "ask"])


class OtherSideTests(MeetingTestCase):
    def test_asks_while_we_are_at_it(self) -> None:
        self.meeting.introduced(MESSAGE)
        self.log()
        self.meeting.requested()
        self.assertEqual(self.log(), ["cancel", "refresh"])

    def test_asks_while_we_rest(self) -> None:
        self.meeting.introduced(MESSAGE)
        self.meeting.round_failed("silent")
        self.log()
        self.meeting.requested()
        self.assertEqual((self.log(), self.clock.getDelayedCalls()), (["refresh"], []))

    def test_asks_though_we_are_connected(self) -> None:
        self.meeting.introduced(MESSAGE)
        self.meeting.won(SUCCESS)
        self.log()
        self.meeting.requested()
        self.again()
        self.meeting.round_failed("silent")
        # There is a connection: to the user nothing has failed.
        self.assertEqual(self.log(), ["refresh", "ask", "introduced", "start"])

    def test_is_introduced_anew_while_we_are_at_it(self) -> None:
        self.meeting.introduced(MESSAGE)
        self.log()
        self.meeting.introduced(MESSAGE)
        self.assertEqual(self.log(), ["start"])


class OffendedTests(MeetingTestCase):
    def test_not_listened_to_for_a_while(self) -> None:
        for punching in (False, True):
            self.setUp()
            if punching:
                self.meeting.introduced(MESSAGE)
            self.meeting.offended()
            self.meeting.offended()
            self.log()
            self.meeting.want()
            self.meeting.requested()
            self.meeting.introduced(MESSAGE)
            self.clock.advance(FIRST_REST - 1)
            self.assertEqual(self.log(), [])
            self.clock.advance(1)
            self.assertEqual((self.log(), self.clock.getDelayedCalls()), (["refresh"], []))

    def test_a_start_that_is_under_way_is_cancelled(self) -> None:
        self.meeting.introduced(MESSAGE)
        self.log()
        self.meeting.offended()
        self.assertEqual(self.log(), ["cancel"])

    def test_what_was_waited_for_before_is_not_any_more(self) -> None:
        self.meeting.introduced(MESSAGE)
        self.meeting.round_failed("silent")
        self.meeting.offended()
        self.assertEqual(len(self.clock.getDelayedCalls()), 1)


class AnyOrderTests(MeetingTestCase):
    INPUTS = st.sampled_from(
        [
            "introduced",
            "requested",
            "want",
            "won",
            "start_failed",
            "round_failed",
            "refreshed",
            "absent",
            "broker_lost",
            "offended",
            "stop",
            "wait",
        ]
    )
    ARGUMENTS = {"introduced": MESSAGE, "won": SUCCESS, "round_failed": "silent"}
    # These follow an attempt, which only a meeting that is punching has; the others come as they like.
    ONLY_PUNCHING = ("won", "start_failed", "round_failed")

    @given(st.lists(st.tuples(INPUTS, st.sampled_from([1.0, 7.0, 40.0])), max_size=40))
    @settings(deadline=None, max_examples=300)
    def test_nothing_is_left_after_the_stop(self, steps: list[tuple[str, float]]) -> None:
        self.setUp()
        starts = 0
        for name, seconds in steps:
            if name == "wait":
                self.clock.advance(seconds)
                continue
            given_ = (self.ARGUMENTS[name],) if name in self.ARGUMENTS else ()
            try:
                getattr(self.meeting, name)(*given_)
            except NoTransition:
                self.assertIn(name, self.ONLY_PUNCHING)
            self.assertLessEqual(len(self.clock.getDelayedCalls()), 1)
        self.meeting.stop()
        self.assertEqual(self.clock.getDelayedCalls(), [])
        log = self.log()
        for name in ("introduced", "requested", "want", "refreshed", "absent", "broker_lost", "offended", "stop"):
            getattr(self.meeting, name)(*([MESSAGE] if name == "introduced" else []))
        self.clock.advance(1000)
        self.assertEqual(self.log(), [])
        # What was begun was ended: each start by a cancellation, a failure or a success.
        for entry in log:
            starts += (entry == "start") - (entry == "cancel")
        self.assertGreaterEqual(starts, 0)
        # "failed" once for each "introduced" at the most.
        balance = 0
        for entry in log:
            balance += (entry == "introduced") - entry.startswith("failed")
            self.assertGreaterEqual(balance, 0)

    def test_a_stop_cancels_the_start(self) -> None:
        self.meeting.introduced(MESSAGE)
        self.log()
        self.meeting.stop()
        self.assertEqual(self.log(), ["cancel"])

    def test_every_input_is_known_to_the_test(self) -> None:
        names = {name for name in vars(Meeting) if not name.startswith("_")}
        self.assertEqual(
            names,
            {"introduced", "requested", "want", "won", "start_failed", "round_failed"}
            | {"refreshed", "absent", "unanswered", "broker_lost", "offended", "calm", "stop"},
        )
