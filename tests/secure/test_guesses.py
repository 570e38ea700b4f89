from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from p2phole.secure.guesses import EVERY, MOST_GUESSES, Guesses


class GuessesTests(SynchronousTestCase):
    def test_so_many_and_then_one_an_hour(self) -> None:
        guesses = Guesses()
        self.assertEqual([guesses.take(0.0) for _ in range(MOST_GUESSES + 1)], [True] * MOST_GUESSES + [False])
        self.assertTrue(guesses.spent)
        self.assertFalse(guesses.take(EVERY - 1))
        self.assertTrue(guesses.take(EVERY))
        self.assertFalse(guesses.take(EVERY + 1))
        # However long nobody tried: one.
        self.assertEqual([guesses.take(100 * EVERY) for _ in range(2)], [True, False])

    def test_what_was_proven_is_no_guess(self) -> None:
        guesses = Guesses(most=1)
        for now in range(50):
            self.assertTrue(guesses.take(float(now)))
            guesses.give_back()
        self.assertFalse(guesses.spent)

    def test_giving_back_makes_no_more_than_there_were(self) -> None:
        guesses = Guesses(most=2)
        guesses.give_back()
        self.assertEqual([guesses.take(0.0) for _ in range(3)], [True, True, False])

    def test_a_code_has_one(self) -> None:
        guesses = Guesses(most=1, every=None)
        self.assertEqual([guesses.take(0.0), guesses.take(1e9)], [True, False])
