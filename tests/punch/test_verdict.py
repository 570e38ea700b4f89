"""What two NATs allow, and why a start came to nothing."""

from __future__ import annotations

from itertools import product

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from p2phole.behaviour import (
    ADDRESS,
    ALLOCATIONS,
    ANSWERS,
    FILTERINGS,
    INDEPENDENT,
    MAPPINGS,
    PORT,
    UNKNOWN,
    Behaviour,
)
from p2phole.punch.prediction import calls_for_many_ports, calls_for_many_tries
from p2phole.punch.verdict import REASONS, Report, reason, technique
from p2phole.secure.channel import DROP_REASONS
from tests import strategies

OUTCOMES = ("silent", "refused", "unreachable", "elsewhere", "connected", "lost", "spent", "busy")
EVERY = [Behaviour(*words) for words in product(MAPPINGS, FILTERINGS, ALLOCATIONS)]

OPEN = Behaviour("none", "none", "preserved", "unknown")
HOME = Behaviour(INDEPENDENT, PORT, "preserved", "silent")
RESETS = Behaviour(INDEPENDENT, PORT, "preserved", "reset")
LOOSE = Behaviour(INDEPENDENT, ADDRESS, "preserved", "silent")
SEQUENTIAL = Behaviour(PORT, PORT, "sequential", "silent")
RANDOM = Behaviour(PORT, PORT, "random", "silent")

reports = st.builds(
    Report,
    st.lists(st.sampled_from(OUTCOMES), max_size=4).map(
        lambda seen: {str(at): one for at, one in enumerate(seen)}
    ),
    st.dictionaries(st.sampled_from(sorted(DROP_REASONS)), st.integers(1, 3), max_size=2),
)


def report(*outcomes: str, drops: tuple[str, ...] = ()) -> Report:
    return Report({str(at): one for at, one in enumerate(outcomes)}, dict.fromkeys(drops, 1))


class TechniqueTests(SynchronousTestCase):
    def test_each(self) -> None:
        for one, other, takes in (
            (OPEN, OPEN, "one port"),
            (HOME, HOME, "one port"),
            (HOME, UNKNOWN, "one port"),
            (RANDOM, OPEN, "one port"),
            (RANDOM, LOOSE, "one port"),
            (SEQUENTIAL, LOOSE, "one port"),
            (SEQUENTIAL, HOME, "prediction"),
            (SEQUENTIAL, SEQUENTIAL, "prediction"),
            (SEQUENTIAL, UNKNOWN, "prediction"),
            (Behaviour(ADDRESS, PORT, "sequential"), HOME, "prediction"),
            (RANDOM, HOME, "birthday"),
            (RANDOM, RESETS, "birthday"),
            (RANDOM, UNKNOWN, "birthday"),
            (RANDOM, RANDOM, "none"),
            (RANDOM, SEQUENTIAL, "none"),
        ):
            self.assertEqual(technique(one, other), takes, (one, other))

    def test_the_same_on_both_sides(self) -> None:
        for one, other in product(EVERY, EVERY):
            self.assertEqual(technique(one, other), technique(other, one))

    def test_what_is_unknown_forbids_nothing(self) -> None:
        for other in EVERY:
            self.assertNotEqual(technique(UNKNOWN, other), "none")

    def test_none_is_only_said_of_two_that_map_by_endpoint(self) -> None:
        for one, other in product(EVERY, EVERY):
            if technique(one, other) == "none":
                self.assertTrue(one.is_hard and other.is_hard)

    def test_who_goes_for_many_takes_part_in_a_birthday(self) -> None:
        """Both sides reckon alike, where both know the same."""
        for one, other in product(EVERY, EVERY):
            if calls_for_many_ports(one, other) or calls_for_many_tries(one, other):
                self.assertEqual(technique(one, other), "birthday", (one, other))
            if calls_for_many_ports(one, other) and other.filtering == PORT:
                self.assertTrue(calls_for_many_tries(other, one))


class ReasonTests(SynchronousTestCase):
    def reason(self, seen: Report, mine: Behaviour = HOME, theirs: Behaviour = HOME, one: bool = False) -> str:
        return reason(seen, mine, theirs, one)

    def test_what_tells_most(self) -> None:
        for outcomes, drops, word in (
            ((), (), "nothing-to-dial"),
            (("silent",), (), "silent"),
            (("silent", "refused"), (), "refused"),
            (("silent", "unreachable"), (), "silent"),
            (("busy", "silent"), (), "busy"),
            (("busy", "refused"), (), "refused"),
            (("unreachable", "unreachable"), (), "unreachable"),
            (("spent",), (), "refused"),
            (("connected",), ("slow",), "lost"),
            (("lost",), ("stranger",), "lost"),
            (("elsewhere",), (), "lost"),
            (("unreachable", "lost"), ("stranger",), "lost"),
            (("silent",), ("unproven",), "unproven"),
            ((), ("unproven",), "unproven"),
        ):
            self.assertEqual(self.reason(report(*outcomes, drops=drops)), word, (outcomes, drops))

    def test_what_both_nats_do_comes_before_what_was_seen(self) -> None:
        for outcomes in (("silent",), ("refused",), ("silent", "refused", "unreachable"), ()):
            self.assertEqual(self.reason(report(*outcomes), RANDOM, RANDOM), "symmetric")
            self.assertEqual(self.reason(report(*outcomes), RANDOM, SEQUENTIAL), "symmetric")
        # But a false key is worse than any NAT.
        self.assertEqual(self.reason(report("silent", drops=("unproven",)), RANDOM, RANDOM), "unproven")

    def test_a_router_that_answers_what_was_opened_by_chance(self) -> None:
        for pair in ((RANDOM, RESETS), (RESETS, RANDOM)):
            self.assertEqual(self.reason(report("silent"), *pair), "answers")
        # Where nothing has to be met by chance, it is no reason.
        for pair in ((HOME, RESETS), (SEQUENTIAL, RESETS), (RESETS, RESETS)):
            self.assertEqual(self.reason(report("silent"), *pair), "silent")
        self.assertEqual(self.reason(report("silent"), RANDOM, HOME), "silent")

    def test_behind_one_router(self) -> None:
        self.assertEqual(self.reason(report("silent"), one=True), "no-hairpin")
        self.assertEqual(self.reason(report("refused", "silent"), RANDOM, RANDOM, one=True), "no-hairpin")
        # It did lead something back, or there was nothing to lead.
        self.assertEqual(self.reason(report("silent", "connected"), one=True), "silent")
        self.assertEqual(self.reason(report(), one=True), "nothing-to-dial")

    @given(reports, strategies.behaviours, strategies.behaviours, st.booleans())
    @settings(deadline=None, max_examples=300)
    def test_every_report_has_a_reason(self, seen: Report, mine: Behaviour, theirs: Behaviour, one: bool) -> None:
        word = reason(seen, mine, theirs, one)
        self.assertIn(word, REASONS)
        # Pure: the same again.
        self.assertEqual(reason(seen, mine, theirs, one), word)

    @given(strategies.behaviours, strategies.behaviours, st.booleans())
    @settings(deadline=None, max_examples=300)
    def test_two_that_see_the_same_say_the_same(self, mine: Behaviour, theirs: Behaviour, one: bool) -> None:
        seen = report("silent")
        self.assertEqual(reason(seen, mine, theirs, one), reason(seen, theirs, mine, one))

    def test_reasons_that_are_never_given_here(self) -> None:
        """The meeting gives those itself; every other one is given for something."""
        given_ = {
            reason(seen, mine, theirs, one)
            for seen in (
                report(),
                *(report(outcome) for outcome in OUTCOMES),
                report("silent", drops=("unproven",)),
                Report({}, {}, held=True),
            )
            for mine, theirs in ((HOME, HOME), (RANDOM, RANDOM), (RANDOM, RESETS))
            for one in (False, True)
        }
        self.assertEqual(set(REASONS) - given_, {"broker", "gone", "secret", "locked", "changed"})

    def test_each_says_what_to_change(self) -> None:
        for word, sentence in REASONS.items():
            self.assertRegex(word, "^[a-z-]+$")
            self.assertRegex(sentence, r"^[A-Z].*: .*\.$")

    def test_answers_are_judged_as_they_are(self) -> None:
        """All four answers to a stray SYN are known to the verdict."""
        words = {
            answer: self.reason(report("silent"), RANDOM, Behaviour(INDEPENDENT, PORT, "preserved", answer))
            for answer in ANSWERS
        }
        self.assertEqual(words, {"silent": "silent", "unknown": "silent", "reset": "answers", "icmp": "answers"})
