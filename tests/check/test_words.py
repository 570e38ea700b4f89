"""Findings in words: all of them, and that each line fits a terminal."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from ipaddress import ip_interface

from twisted.trial.unittest import SynchronousTestCase

from p2phole.addresses import Endpoint, InterfaceAddress
from p2phole.behaviour import ADDRESS, ALLOCATIONS, ANSWERS, FILTERINGS, INDEPENDENT, MAPPINGS, UNKNOWN
from p2phole.check import words
from p2phole.check.findings import Findings, Meeting, has_ipv6
from p2phole.check.outlook import HOME, KINDS, OPEN
from p2phole.punch.verdict import REASONS
from tests.check.test_outlook import EVERY, RANDOM, RANDOM_RESET, RESET, SEQUENTIAL

INSIDE, OUTSIDE = Endpoint.parse("192.168.1.10:38679"), Endpoint.parse("203.0.113.1:38679")
IPV6 = Endpoint.parse("[2001:db8::10]:38679")
LINE = 78
"""A terminal's line without the mark of a list."""


def found(nat=HOME, local=INSIDE, observed=OUTSIDE, **keys) -> Findings:
    return Findings("broker.example:9000", local, observed, nat, **keys)


def everything() -> Iterator[Findings]:
    """Every behaviour, over both families, the machine with IPv6 and without."""
    for nat in EVERY:
        yield found(nat)
        yield found(nat, ipv6=True)
        yield found(nat, IPV6, IPV6, ipv6=True)


class WordTests(SynchronousTestCase):
    def test_each_word_has_a_meaning(self) -> None:
        for name, known in (
            ("mapping", MAPPINGS),
            ("filtering", FILTERINGS),
            ("allocation", ALLOCATIONS),
            ("unsolicited", ANSWERS),
        ):
            self.assertEqual(set(words.MEANING[name]), set(known))
        for nat in EVERY:
            self.assertEqual([word for _name, word, _meaning in words.meaning(nat)], list(_words(nat)))

    def test_summary(self) -> None:
        self.assertEqual(
            words.summary(HOME),
            "This network shows everybody one outside port, and only what answers a dial is let in: "
            "both sides must dial at the same moment.",
        )
        self.assertIn("at random", words.summary(RANDOM))
        self.assertIn("in sequence", words.summary(SEQUENTIAL))
        self.assertNotIn("at random", words.summary(replace(HOME, allocation="random")))
        self.assertEqual(words.summary(UNKNOWN).count("not found out"), 2)
        for nat in EVERY:
            self.assertRegex(words.summary(nat), r"^[A-Z][ -~]*\.$")

    def test_lists_are_of_sentences_that_fit(self) -> None:
        for each in everything():
            for line in (*words.notes(each), *words.advice(each)):
                self.assertRegex(line, r"^[A-Z][ -~]*\.$")
                self.assertLessEqual(len(line), LINE)

    def test_advice_where_something_does_not_work(self) -> None:
        for each in everything():
            fails = not all(way.direct and way.sure for _kind, way in words.kinds(each))
            self.assertEqual(bool(words.advice(each)), fails and each.observed.ip.version == 4, each)
        self.assertEqual(words.advice(found(HOME)), [])
        self.assertEqual(
            words.advice(found(RANDOM, ipv6=True)),
            [
                "Here: use another network; an ordinary home router will do.",
                "Here: have the router map a port to the peer (--map-port).",
                "Or on both sides: use IPv6.",
            ],
        )
        self.assertEqual(words.advice(found(RESET)), [])
        self.assertIn("drop stray SYNs", words.advice(found(RANDOM_RESET))[0])
        self.assertIn("no such address", words.advice(found(RANDOM_RESET))[-1])

    def test_over_ipv6_no_routers_are_met(self) -> None:
        self.assertEqual(len(words.kinds(found())), len(KINDS))
        over = found(OPEN, IPV6, IPV6)
        self.assertEqual([kind.word for kind, _way in words.kinds(over)], ["open", "firewall"])
        self.assertIn("IPv6", words.notes(over)[0])

    def test_scope(self) -> None:
        loopback, private = Endpoint.parse("127.0.0.1:5"), Endpoint.parse("10.0.0.1:5")
        for observed, scope, word in ((loopback, "machine", "this machine"), (private, "private", "private")):
            self.assertEqual(found(observed=observed).scope, scope)
            self.assertIn(word, words.caveats(found(observed=observed))[0])
        self.assertEqual((found().scope, words.caveats(found())), ("ipv4", []))

    def test_own_firewall(self) -> None:
        for answer, does in (("silent", "drops"), ("reset", "refuses"), ("icmp", "refuses")):
            nat = replace(HOME, mapping="none", unsolicited=answer)
            (line,) = words.caveats(found(nat, OUTSIDE))
            self.assertIn(f"a firewall on this machine or just before it {does}", line)
        for nat in (HOME, OPEN, replace(OPEN, filtering="unknown")):
            self.assertEqual(words.caveats(found(nat)), [])

    def test_crossing_is_mentioned_where_it_is_needed(self) -> None:
        self.assertIn("cross", words.notes(found(HOME))[-1])
        for nat in (OPEN, replace(HOME, filtering=ADDRESS), replace(HOME, filtering=INDEPENDENT)):
            self.assertEqual(words.notes(found(nat)), [])


class PairTests(SynchronousTestCase):
    """What would help a pair that failed."""

    def test_every_reason(self) -> None:
        for word in REASONS:
            for kind in KINDS:
                each = found(RANDOM, meeting=Meeting("bob", kind.behaviour, reason=word))
                here, there, both = words.pair_advice(each, each.meeting)
                self.assertEqual(bool(here or there or both), word not in words.NO_REMEDY)
                for line in (*here, *there, *both):
                    self.assertRegex(line, r"^[a-z][ -~]*[^.]$")
        self.assertLessEqual(words.NO_REMEDY, set(REASONS))

    def test_both_sides(self) -> None:
        each = found(RANDOM_RESET, meeting=Meeting("bob", RESET, reason="answers"))
        here, there, both = words.pair_advice(each, each.meeting)
        self.assertIn("another network", here[1])
        for side in (here, there):
            self.assertIn("drop stray SYNs", side[0])
        self.assertIn("IPv6", both[0])

    def test_one_router_before_both(self) -> None:
        each = found(HOME, meeting=Meeting("bob", HOME, reason="no-hairpin"))
        here, there, both = words.pair_advice(each, each.meeting)
        self.assertEqual(here, there)
        self.assertNotIn("map", " ".join((*here, *there, *both)))

    def test_over_ipv6_nobody_is_sent_to_ipv6(self) -> None:
        each = found(HOME, IPV6, IPV6, meeting=Meeting("bob", HOME, reason="silent"))
        self.assertEqual(words.pair_advice(each, each.meeting)[2], [])

    def test_too_little_was_known(self) -> None:
        each = found(RANDOM, meeting=Meeting("bob", reason="refused"))
        self.assertIn("try again", words.unexpected(each, each.meeting))

    def test_unexpected(self) -> None:
        for nat, theirs, reason, expected in (
            (HOME, HOME, "silent", True),
            (HOME, HOME, "refused", True),
            (HOME, HOME, "gone", False),
            (RANDOM, RANDOM, "symmetric", False),
            (RANDOM, RESET, "silent", True),
            (RANDOM_RESET, RESET, "silent", False),
        ):
            each = found(nat, meeting=Meeting("bob", theirs, reason=reason))
            self.assertEqual(bool(words.unexpected(each, each.meeting)), expected, (nat, theirs, reason))


class FindingsTests(SynchronousTestCase):
    def test_direct(self) -> None:
        """With whom was asked for; else with an ordinary home router."""
        for nat in (HOME, RESET, OPEN, SEQUENTIAL, RANDOM, UNKNOWN):
            self.assertTrue(found(nat).direct)
        self.assertFalse(found(OPEN, meeting=Meeting("bob", OPEN, reason="silent")).direct)
        self.assertTrue(found(RANDOM, meeting=Meeting("bob", RANDOM, "host", "192.0.2.1:5", 0.1)).direct)

    def test_ipv6_of_the_machine(self) -> None:
        for address, expected in (
            ("2001:db8::1/64", True),
            ("fe80::1/64", False),
            ("fd00::1/64", False),
            ("::1/128", False),
            ("203.0.113.1/24", False),
        ):
            self.assertEqual(has_ipv6([_interface(address)]), expected, address)
        self.assertFalse(has_ipv6([]))


def _interface(text: str) -> InterfaceAddress:
    each = ip_interface(text)
    return InterfaceAddress(each.ip, each.network)


def _words(nat) -> tuple[str, str, str, str]:
    return nat.mapping, nat.filtering, nat.allocation, nat.unsolicited
