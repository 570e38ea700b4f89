"""The people that a user knows."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from p2phole.errors import LocalError
from p2phole.secure import people as p
from p2phole.secure.people import Kept, Met, Passing, People

ANN, BOB, EVE = ("a1" * 32, "b2" * 32, "e5" * 32)
NOW = 1_800_000_000.75


def key(number: int) -> str:
    return f"{number:064x}"


class KeepTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.people = People().keep("bob", BOB, NOW)

    def refused(self, kind: type[LocalError], word: str, change: object, *arguments: object) -> None:
        self.assertIn(word, str(self.assertRaises(kind, change, *arguments)))

    def test_keep(self) -> None:
        self.assertEqual(self.people.kept, (Kept("bob", BOB, 1_800_000_000),))
        self.assertTrue(self.people.is_known(BOB, NOW))
        self.assertFalse(self.people.is_known(EVE, NOW))
        self.assertEqual(self.people.kept_as(" Bob ").fingerprint, BOB)  # type: ignore[union-attr]

    def test_once_more(self) -> None:
        self.assertIs(self.people.keep("Bob", BOB, NOW + 1), self.people)

    def test_a_pin_is_never_replaced(self) -> None:
        self.refused(p.NameTaken, "bob is kept already, with the key b2b2", self.people.keep, "bob", EVE, NOW)
        self.refused(p.NameTaken, "bob is kept already", self.people.keep, "BOB", EVE, NOW)
        self.refused(p.KeyKept, "already, as bob", self.people.keep, "robert", BOB, NOW)
        both = self.people.keep("ann", ANN, NOW)
        self.refused(p.NameTaken, "ann is kept", both.rename, "bob", "Ann")
        self.refused(p.KeyKept, "already, as bob", both.keep, "ann", BOB, NOW)

    def test_names_of_ones_own(self) -> None:
        for name in ("", "b?b2b2", "\x1b"):
            self.assertRaises(ValueError, self.people.keep, name, EVE, NOW)
            self.assertRaises(ValueError, self.people.rename, "bob", name)
        for fingerprint in ("", "e5", EVE.upper(), EVE + "0", EVE + "\n"):
            self.assertRaises(ValueError, self.people.keep, "eve", fingerprint, NOW)

    def test_forget(self) -> None:
        people = self.people.meet(BOB, "bob", "code", NOW).forget("BOB")
        self.assertEqual((people.kept, people.is_known(BOB, NOW)), ((), False))
        self.refused(p.NotKept, r"Nobody is kept as \x1b", people.forget, "\x1b")

    def test_rename(self) -> None:
        people = self.people.keep("ann", ANN, NOW).rename("BOB", "robert")
        self.assertEqual([one.name for one in people.kept], ["robert", "ann"])
        self.assertEqual(people.rename("robert", "Robert").kept[0], Kept("Robert", BOB, 1_800_000_000))
        self.refused(p.NotKept, "as bob", people.rename, "bob", "x")

    def test_bound(self) -> None:
        full = People(kept=tuple(Kept(f"n{number}", key(number), 0) for number in range(p.MOST_KEPT)))
        self.refused(p.TooManyKept, "1000 people", full.keep, "bob", BOB, NOW)


class ShownTests(SynchronousTestCase):
    def test_names(self) -> None:
        people = People().keep("bob", BOB, NOW).keep("Ann Lee", ANN, NOW)
        for claimed, fingerprint, shown in (
            ("robert", BOB, "bob"),
            ("ann lee", BOB, "bob"),
            ("eve", EVE, "eve"),
            ("bob", EVE, "bob?e5e5"),
            ("BOB ", EVE, "BOB ?e5e5"),
            ("annlee", EVE, "annlee?e5e5"),
            ("\x1b[2J", EVE, r"\x1b[2J"),
        ):
            self.assertEqual(people.shown(claimed, fingerprint), shown)

    @given(st.text(), st.text(min_size=1))
    def test_nobody_else_looks_like_who_is_kept(self, claimed: str, own: str) -> None:
        try:
            people = People().keep(own, BOB, NOW)
        except ValueError:
            return
        self.assertEqual(people.shown(claimed, BOB), own)
        self.assertIs(people.kept_as(people.shown(claimed, EVE)), None)
        self.assertIs(people.kept_as(people.shown(own, EVE)), None)


class MeetTests(SynchronousTestCase):
    def test_the_last_name_and_the_best_proof(self) -> None:
        people = People().meet(EVE, "eve", "tofu", NOW).meet(BOB, "bob", "secret", NOW + 1)
        first, second = Met(EVE, "eve", "tofu", 1_800_000_000), Met(BOB, "bob", "secret", 1_800_000_001)
        self.assertEqual(people.met, (first, second))
        people = people.meet(BOB, "Robert", "tofu", NOW + 100)
        self.assertEqual(people.met[-1], Met(BOB, "Robert", "secret", 1_800_000_100))
        people = people.meet(EVE, "eve", "code", NOW + 200).meet(EVE, "eve", "pinned", NOW + 300)
        self.assertEqual(people.met[-1], Met(EVE, "eve", "pinned", 1_800_000_300))
        self.assertRaises(ValueError, people.meet, EVE, "eve", "magic", NOW)
        self.assertRaises(ValueError, people.meet, "e5", "eve", "tofu", NOW)

    def test_again_within_a_minute(self) -> None:
        people = People().meet(EVE, "eve", "tofu", NOW)
        self.assertEqual(people.meet(EVE, "eve", "tofu", NOW + 59), people)
        for again in (
            people.meet(EVE, "eve", "secret", NOW + 59),
            people.meet(EVE, "Eve", "tofu", NOW + 59),
            people.meet(EVE, "eve", "tofu", NOW + 60),
            people.meet(EVE, "eve", "tofu", NOW - 60),
        ):
            self.assertNotEqual(again, people)

    def test_strangers_push_out_strangers(self) -> None:
        people = People().meet(BOB, "bob", "secret", NOW)
        for number in range(1000):
            people = people.meet(key(number), "eve", "tofu", NOW)
        self.assertEqual(len(people.met), p.MOST_MET)
        self.assertEqual((people.met[0].fingerprint, people.met[-1].fingerprint), (BOB, key(999)))
        for number in range(1000, 1100):
            people = people.meet(key(number), "ann", "secret", NOW)
        people = people.meet(EVE, "eve", "tofu", NOW)
        self.assertEqual(len(people.met), p.MOST_MET)
        self.assertEqual((people.met[0].fingerprint, people.met[-1].fingerprint), (key(1037), EVE))


class PassingTests(SynchronousTestCase):
    def test_for_a_day(self) -> None:
        day = p.PASSING_SECONDS
        people = People().meet(BOB, "bob", "code", NOW).meet(EVE, "eve", "tofu", NOW)
        at = people.passing[0].at
        self.assertEqual(people.passing, (Passing(BOB, 1_800_000_000),))
        for passed, known in ((0, True), (day - 0.01, True), (day, False), (-5, True), (-day, False)):
            self.assertEqual(people.is_known(BOB, at + passed), known, passed)
        self.assertFalse(people.is_known(EVE, NOW))

    def test_another_meeting_by_code_renews_it(self) -> None:
        people = People().meet(BOB, "bob", "code", NOW).meet(BOB, "bob", "code", NOW + 30)
        self.assertEqual(people.passing, (Passing(BOB, 1_800_000_030),))

    def test_any_other_meeting_does_not(self) -> None:
        people = People().meet(BOB, "bob", "code", NOW)
        for how in ("secret", "pinned", "tofu"):
            people = people.meet(BOB, "bob", how, NOW + 50_000)
        self.assertFalse(people.is_known(BOB, NOW + 86_400))

    def test_bound(self) -> None:
        people = People().meet(ANN, "ann", "code", NOW - 86_400)
        for number in range(100):
            people = people.meet(key(number), "bob", "code", NOW)
            self.assertNotIn(ANN, [one.fingerprint for one in people.passing])
        self.assertEqual([one.fingerprint for one in people.passing], [key(number) for number in range(36, 100)])

    def test_a_code_that_was_typed_finds_its_key_for_a_day(self) -> None:
        people = People().meet(BOB, "bob", "code", NOW, "1" * 64).meet(BOB, "bob", "code", NOW + 1, "2" * 64)
        people = people.meet(EVE, "eve", "code", NOW, "3" * 64).meet(ANN, "ann", "code", NOW)
        self.assertEqual([people.met_by(str(number) * 64, NOW) for number in range(1, 5)], [BOB, BOB, EVE, None])
        self.assertIsNone(people.met_by("", NOW))
        self.assertIsNone(people.met_by("3" * 64, NOW + p.PASSING_SECONDS))

    def test_a_code_is_used_up(self) -> None:
        people = People().meet(BOB, "bob", "code", NOW, "1" * 64).meet(BOB, "bob", "code", NOW, "2" * 64)
        self.assertEqual((people.use_up(""), people.use_up("3" * 64)), (people, people))
        people = people.use_up("1" * 64)
        self.assertEqual([people.met_by(mark * 64, NOW) for mark in "12"], [None, BOB])
        people = people.use_up("2" * 64)
        self.assertIsNone(people.met_by("2" * 64, NOW))
        self.assertTrue(people.is_known(BOB, NOW))
        self.assertEqual(len(people.passing), 1)

    def test_any_clock(self) -> None:
        for now in (-1e12, -1.0, 0.0, 5.0, 1e12, 1e300):
            people = People().meet(BOB, "bob", "code", now)
            self.assertTrue(0 <= people.met[0].at <= p.LATEST)
            self.assertEqual(people.is_known(BOB, now), 0 <= now < 1e12 or now == -1.0)


class FindTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.people = (
            People().meet(BOB, "bob", "secret", NOW).meet(EVE, "Bob", "tofu", NOW).meet(ANN, "b2b2", "secret", NOW)
        )

    def test_found(self) -> None:
        for text, found in (
            ("a1a1", ANN),
            ("A1A1A1", ANN),
            (ANN, ANN),
            ("b2b2b", BOB),
            ("bob?b2b2", BOB),
            ("BOB?E5e5", EVE),
            (key(1), key(1)),  # never met
        ):
            self.assertEqual(self.people.find_met(text), found, text)

    def test_not_found(self) -> None:
        for text in ("", "ann", "a1a", "bob?a1a1", "a1a1" * 17, "\x1b", "?"):
            error = self.assertRaises(p.NobodyMet, self.people.find_met, text)
            self.assertNotIn("\x1b", str(error))

    def test_several(self) -> None:
        for text, starts in (("bob", (BOB, EVE)), ("b2b2", (BOB, ANN)), ("bob?", (BOB, EVE))):
            error = str(self.assertRaises(p.SeveralMet, self.people.find_met, text))
            for start in starts:
                self.assertIn(start[:16], error)
