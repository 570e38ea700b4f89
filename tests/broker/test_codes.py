"""Rooms for two, found by a short number."""

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from p2phole.broker import codes as module
from p2phole.broker.codes import (
    FEWEST_NUMBERS,
    KEPT_SECONDS,
    LIFE_SECONDS,
    MOST_OPEN,
    MOST_RESTING,
    SPARE,
    Codes,
)
from p2phole.secure.codes import MOST_NUMBER
from p2phole.wire.codec import BadLine
from tests.broker.shared import numbered

ALICE, BOB, CAROL = (("a" * 64, "1" * 32), ("b" * 64, "2" * 32), ("c" * 64, "3" * 32))


class CodesTestCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.ended: list[str] = []
        self.drawn: list[int] = []
        in_order = numbered(0)

        def draw() -> bytes:
            return self.drawn.pop(0).to_bytes(16, "big") if self.drawn else in_order()

        self.codes = Codes(self.clock.seconds, self.clock.callLater, self.ended.append, draw)

    def refused(self, key: tuple[str, str], number: str, inviter: bool = False) -> str:
        return str(self.assertRaises(BadLine, self.codes.enter, key, number, inviter).code)


class CodesTests(CodesTestCase):
    def test_any_number_that_is_not_out(self) -> None:
        self.drawn += [416, 416, 998, 416 + FEWEST_NUMBERS, 998, 2**128 - 1]
        last = str(1 + (2**128 - 1) % FEWEST_NUMBERS)
        self.assertEqual([self.codes.enter(ALICE, "") for _ in range(3)], ["417", "999", last])
        self.assertEqual(self.drawn, [])

    def test_a_number_that_is_over_rests(self) -> None:
        """Who types a code too late meets nobody else's invitation."""
        self.assertEqual(self.codes.enter(ALICE, ""), "1")
        self.clock.advance(LIFE_SECONDS)
        self.drawn += [0, 0, 6]
        self.assertEqual(self.codes.enter(CAROL, ""), "7")
        self.assertEqual(self.refused(BOB, "1"), "no-such-code")
        self.clock.advance(LIFE_SECONDS - 1)
        self.drawn += [0, 7]
        self.assertEqual(self.codes.enter(CAROL, ""), "8")
        self.clock.advance(1)
        self.drawn += [0]
        self.assertEqual(self.codes.enter(CAROL, ""), "1")

    def test_what_is_remembered_of_them_is_bounded(self) -> None:
        self.patch(module, "MOST_RESTING", 3)
        for number in range(5):
            self.assertEqual(self.codes.enter(ALICE, ""), str(1 + number))
            self.codes.left(ALICE, str(1 + number))
            self.clock.advance(KEPT_SECONDS)
            self.assertLessEqual(len(self.codes._resting), 3)
        self.drawn += [2, 3, 4, 1]
        self.assertEqual(self.codes.enter(BOB, ""), "2")

    def test_the_more_are_out_the_more_there_are(self) -> None:
        """So that nobody hits one in more than one of four tries, and there is always one to be found."""
        for _ in range(2000):
            self.codes.enter(ALICE, "")
        self.drawn += [SPARE * 2001 - 1]
        self.assertEqual(self.codes.enter(ALICE, ""), str(SPARE * 2001))
        self.assertLessEqual(SPARE * (MOST_OPEN + MOST_RESTING + 1), MOST_NUMBER)

    def test_an_inviter_is_nobodys_guest(self) -> None:
        """After the broker's restart the number that it had may be another one's, or nobody's yet."""
        number = self.codes.enter(ALICE, "", True)
        self.assertEqual(self.refused(BOB, number, True), "no-such-code")
        self.assertEqual(self.refused(BOB, "77", True), "no-such-code")
        self.assertEqual(self.codes.enter(CAROL, number), number)
        self.assertEqual(self.refused(CAROL, number, True), "no-such-code")
        for said in (True, False):
            self.assertEqual(self.codes.enter(ALICE, number, said), number)
        self.assertEqual(self.codes.enter(CAROL, number), number)

    def test_two_and_no_third(self) -> None:
        number = self.codes.enter(ALICE, "")
        self.assertEqual(self.codes.enter(BOB, number), number)
        for key in (CAROL, (ALICE[0], CAROL[1]), (CAROL[0], ALICE[1])):
            self.assertEqual(self.refused(key, number), "code-taken")

    def test_who_has_taken_it(self) -> None:
        """A process that was started again is told that it was its own user, and nobody else."""
        number = self.codes.enter(ALICE, "")
        self.codes.enter(BOB, number)
        for key, who in (((BOB[0], CAROL[1]), "you have used"), (CAROL, "somebody else has used")):
            self.assertIn(who, self.assertRaises(BadLine, self.codes.enter, key, number).detail)

    def test_both_come_back(self) -> None:
        number = self.codes.enter(ALICE, "")
        self.codes.enter(BOB, number)
        for _ in range(3):
            for key in (ALICE, BOB):
                self.codes.left(key, number)
                self.clock.advance(KEPT_SECONDS - 1)
                self.assertTrue(self.codes.belongs(key, number))
                self.assertEqual(self.codes.enter(key, number), number)
        self.codes.left(BOB, number)
        self.assertEqual(self.refused(CAROL, number), "code-taken")
        self.assertEqual(self.ended, [])

    def test_no_such_number(self) -> None:
        number = self.codes.enter(ALICE, "")
        for wrong in ("2", "0", "-1", "01", "1 ", " 1", "+1", "\u0661", "1.0", "one", "9" * 200, "lobby"):
            self.assertEqual(self.refused(BOB, wrong), "no-such-code", wrong)
        self.assertFalse(self.codes.belongs(BOB, number))

    def test_an_hour(self) -> None:
        number = self.codes.enter(ALICE, "")
        self.clock.advance(LIFE_SECONDS - 1)
        self.codes.enter(BOB, number)
        self.codes.enter(ALICE, number)
        self.clock.advance(1)
        self.assertEqual(self.ended, [number])
        for key in (ALICE, BOB, CAROL):
            self.assertEqual(self.refused(key, number), "no-such-code")
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_an_inviter_that_does_not_come_back(self) -> None:
        number = self.codes.enter(ALICE, "")
        self.codes.left(ALICE, number)
        self.clock.advance(KEPT_SECONDS - 1)
        self.codes.enter(BOB, number)
        self.assertEqual(self.ended, [])
        self.clock.advance(1)
        self.assertEqual(self.ended, [number])

    def test_losing_the_connection_gains_no_time(self) -> None:
        number = self.codes.enter(ALICE, "")
        self.clock.advance(LIFE_SECONDS - 10)
        self.codes.left(ALICE, number)
        self.codes.left(ALICE, number)
        self.clock.advance(10)
        self.assertEqual(self.ended, [number])

    def test_who_leaves_a_room_that_is_over_ends_no_other(self) -> None:
        number = self.codes.enter(ALICE, "")
        self.clock.advance(LIFE_SECONDS)
        self.clock.advance(LIFE_SECONDS)
        self.drawn.append(int(number) - 1)
        self.assertEqual(self.codes.enter(BOB, ""), number)
        self.codes.left(ALICE, number)
        self.clock.advance(KEPT_SECONDS)
        self.assertTrue(self.codes.belongs(BOB, number))

    def test_there_is_an_end_to_them(self) -> None:
        self.patch(module, "MOST_OPEN", 3)
        for _ in range(3):
            self.codes.enter(ALICE, "")
        problem = self.assertRaises(BadLine, self.codes.enter, BOB, "")
        self.assertEqual((problem.code, problem.retry > 0), ("limit", True))
        self.clock.advance(LIFE_SECONDS)
        self.assertEqual(self.codes.enter(BOB, ""), "4")


class AnyOrderTests(CodesTestCase):
    STEP = st.one_of(
        st.tuples(st.just("ask"), st.integers(0, 2), st.just(0)),
        st.tuples(st.sampled_from(["enter", "left"]), st.integers(0, 2), st.integers(1, 3)),
        st.tuples(st.just("pass"), st.sampled_from([1, 100, 299, 300, 3599]), st.just(0)),
    )

    @given(st.lists(STEP, max_size=30))
    @settings(deadline=None, max_examples=150)
    def test_never_a_third_and_never_too_old(self, steps: list[tuple[str, int, int]]) -> None:
        self.setUp()
        members: dict[str, set[tuple[str, str]]] = {}
        born: dict[str, float] = {}
        for what, one, number in steps:
            key = (ALICE, BOB, CAROL)[one % 3]
            if what == "pass":
                self.clock.advance(one)
            elif what == "ask":
                given_ = self.codes.enter(key, "")
                self.assertNotIn(given_, born)
                members[given_], born[given_] = {key}, self.clock.seconds()
            elif what == "left":
                self.codes.left(key, str(number))
            else:
                try:
                    entered = self.codes.enter(key, str(number))
                except BadLine as problem:
                    self.assertEqual(problem.code == "no-such-code", str(number) not in born)
                else:
                    members[entered].add(key)
            for over in self.ended:
                del members[over], born[over]
            self.ended.clear()
            self.assertTrue(all(len(there) < 3 for there in members.values()))
            self.assertTrue(all(self.clock.seconds() - since < LIFE_SECONDS for since in born.values()))
        self.clock.advance(LIFE_SECONDS)
        self.assertEqual((self.codes._out, self.clock.getDelayedCalls()), ({}, []))
