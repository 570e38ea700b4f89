"""What is to be expected of two networks, for every combination of findings."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import astuple, replace
from itertools import product

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
from p2phole.check.outlook import HOME, KINDS, OPEN, SECONDS, Outlook, outlook, own_firewall, remedies
from p2phole.punch.verdict import technique

EVERY = [Behaviour(*words) for words in product(MAPPINGS, FILTERINGS, ALLOCATIONS, ANSWERS)]
BY_WORD = {kind.word: kind.behaviour for kind in KINDS}
RANDOM, SEQUENTIAL, RESET = BY_WORD["random"], BY_WORD["sequential"], BY_WORD["reset"]
RANDOM_RESET = replace(RANDOM, unsolicited="reset")


def is_known(behaviour: Behaviour) -> bool:
    return "unknown" not in astuple(behaviour)


def agree(mine: Behaviour, known: Behaviour) -> bool:
    """Whether ``mine`` may turn out to be ``known``."""
    return all(word in (was, "unknown") for was, word in zip(astuple(known), astuple(mine), strict=True))


def changed(one: Behaviour, remedy: str) -> Behaviour:
    """The network after the remedy."""
    return replace(one, unsolicited="silent") if remedy == "silence" else HOME if remedy == "network" else OPEN


class OutlookTests(SynchronousTestCase):
    def pairs(self) -> Iterator[tuple[Behaviour, Behaviour]]:
        yield from product(EVERY, (kind.behaviour for kind in KINDS))

    def test_kinds_with_each_other(self) -> None:
        """The whole table, from the easiest to the hardest."""
        letters = {"one port": "1", "prediction": "p", "birthday": "b", "none": "-"}
        rows = ["".join(letters[outlook(a.behaviour, b.behaviour).technique] for b in KINDS) for a in KINDS]
        self.assertEqual(rows, ["1111111", "11111pb", "1111111", "11111pb", "11111pb", "1p1ppp-", "1b1bb--"])

    def test_verdict(self) -> None:
        """It says what the peer itself goes by, but for what answers and so spoils a birthday."""
        for mine, theirs in self.pairs():
            takes = technique(mine, theirs)
            answer = all(each.unsolicited in ("reset", "icmp") for each in (mine, theirs))
            spoilt = takes == "birthday" and answer
            self.assertEqual(outlook(mine, theirs).technique, "none" if spoilt else takes, (mine, theirs))

    def test_both_sides_say_the_same(self) -> None:
        for mine, theirs in self.pairs():
            self.assertEqual(outlook(mine, theirs), outlook(theirs, mine), (mine, theirs))

    def test_what_is_known_is_sure(self) -> None:
        for mine, theirs in self.pairs():
            if is_known(mine) and is_known(theirs):
                said = outlook(mine, theirs)
                by_chance = not said.direct and technique(mine, theirs) == "birthday"
                self.assertEqual(said.sure, not by_chance, (mine, theirs))

    def test_what_is_sure_stays_so(self) -> None:
        """Whatever the unknown turns out to be."""
        unknown = [each for each in EVERY if "unknown" in astuple(each)]
        for mine, theirs in product(unknown, (HOME, RESET, RANDOM, SEQUENTIAL)):
            said = outlook(mine, theirs)
            possible = [known for known in EVERY if said.sure and agree(mine, known)]
            for known in possible:
                self.assertEqual(outlook(known, theirs).direct, said.direct, (mine, known, theirs))

    def test_unknown(self) -> None:
        self.assertEqual(outlook(UNKNOWN, HOME), Outlook("one port", True))
        self.assertEqual(outlook(UNKNOWN, RESET), Outlook("one port", False))
        self.assertEqual(outlook(UNKNOWN, RANDOM), Outlook("birthday", False))
        # As a broker with one address sees an ordinary router.
        seen = replace(HOME, mapping="unknown")
        self.assertEqual(outlook(seen, SEQUENTIAL), Outlook("prediction", True))
        self.assertEqual(outlook(seen, RANDOM), Outlook("birthday", False))

    def test_who_does_not_know_its_filter_does_not_try_many(self) -> None:
        self.assertFalse(outlook(replace(HOME, filtering="unknown"), RANDOM).sure)

    def test_open_side(self) -> None:
        for other in EVERY:
            self.assertEqual(outlook(OPEN, other), Outlook("one port", True))

    def test_each_technique_has_its_time(self) -> None:
        self.assertEqual({outlook(*pair).technique for pair in self.pairs()}, {*SECONDS, "none"})


class RemedyTests(SynchronousTestCase):
    def test_each_helps(self) -> None:
        for one, other in product(EVERY, (kind.behaviour for kind in KINDS)):
            for remedy in remedies(one, other):
                self.assertTrue(outlook(changed(one, remedy), other).direct, (one, other, remedy))

    def test_there_is_one_for_each_pair_that_fails(self) -> None:
        for one, other in product(EVERY, (kind.behaviour for kind in KINDS)):
            if not outlook(one, other).direct:
                self.assertTrue(remedies(one, other) or remedies(other, one), (one, other))

    def test_examples(self) -> None:
        for one, other, expected in (
            (RANDOM, RANDOM, ("network", "mapping")),
            (RANDOM, RESET, ("mapping",)),
            (RANDOM_RESET, RESET, ("silence", "network", "mapping")),
            (RESET, RANDOM_RESET, ("silence", "network", "mapping")),
            (HOME, HOME, ("mapping",)),
            (OPEN, HOME, ()),
            (BY_WORD["firewall"], HOME, ("firewall",)),
            (replace(BY_WORD["firewall"], unsolicited="reset"), RANDOM_RESET, ("silence", "network", "firewall")),
        ):
            self.assertEqual(remedies(one, other), expected, (one, other))


class FirewallTests(SynchronousTestCase):
    def test_said_only_where_there_is_no_nat(self) -> None:
        for nat in EVERY:
            self.assertEqual(own_firewall(nat), nat.mapping == "none" and nat.filtering in (ADDRESS, PORT))

    def test_not_behind_a_router(self) -> None:
        self.assertFalse(own_firewall(Behaviour(INDEPENDENT, PORT, "preserved", "silent")))
