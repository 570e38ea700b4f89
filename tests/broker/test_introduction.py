"""Who is introduced to whom, and with what delay."""

from collections.abc import Callable
from itertools import count

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from p2phole.addresses import Candidate, Endpoint
from p2phole.behaviour import PORT, Behaviour
from p2phole.broker.directory import MemoryDirectory
from p2phole.broker.introduction import MOST_LETTERS, MOST_REMEMBERED, WISHES, Introductions, delays
from p2phole.wire.messages import Absent, Introduction, Letter, Requested
from tests.broker.test_directory import FakeMember, fake_member

LOBBY = ("open", "lobby")


def introductions(seconds: Callable[[], float] = lambda: 0.0) -> Introductions:
    tokens = count(1)
    return Introductions(MemoryDirectory(), lambda: next(tokens).to_bytes(16, "big"), seconds)


class DelayTests(SynchronousTestCase):
    def test_the_nearer_one_waits_for_half_the_difference(self) -> None:
        self.assertEqual(delays(0.020, 0.100), (0.040, 0.0))
        self.assertEqual(delays(0.100, 0.020), (0.0, 0.040))
        self.assertEqual(delays(0.05, 0.05), (0.0, 0.0))

    def test_a_claim_counts_one_second_at_most(self) -> None:
        self.assertEqual(delays(3600.0, 0.0), (0.0, 0.5))
        self.assertEqual(delays(-5.0, 0.2), (0.1, 0.0))

    @given(st.floats(-10, 10), st.floats(-10, 10))
    @settings(deadline=None)
    def test_both_start_together(self, first: float, second: float) -> None:
        waits = delays(first, second)
        self.assertEqual(min(waits), 0.0)
        self.assertLessEqual(max(waits), 0.5)
        arrivals = [min(max(one, 0), 1) / 2 + wait for one, wait in zip((first, second), waits, strict=True)]
        self.assertAlmostEqual(*arrivals)


class IntroductionTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.introductions = introductions()

    def arrive(self, *members: FakeMember) -> None:
        for member in members:
            self.introductions.arrived(member)

    def test_a_new_member_and_each_one_there(self) -> None:
        first, second, third = fake_member(1), fake_member(2), fake_member(3)
        self.arrive(first)
        self.assertEqual(first.told, [])
        self.arrive(second, third)
        self.assertEqual([len(one.told) for one in (first, second, third)], [2, 2, 2])
        self.assertEqual([one.name for one in third.told], ["name 1", "name 2"])  # type: ignore[union-attr]

    def test_what_both_are_told(self) -> None:
        first, second = fake_member(1, round_trip=0.2), fake_member(2, round_trip=0.04)
        first.profile.candidates = (Candidate("host", Endpoint.parse("10.0.0.1:4000")),)
        self.arrive(first, second)
        [to_first], [to_second] = first.told, second.told
        assert isinstance(to_first, Introduction) and isinstance(to_second, Introduction)
        profile = first.profile
        self.assertEqual(
            to_second,
            Introduction(
                profile.name,
                profile.fingerprint,
                profile.instance,
                profile.observed,
                profile.candidates,
                f"{1:032x}",
                1,
                0.08,
            ),
        )
        self.assertEqual((to_first.token, to_first.attempt, to_first.delay), (to_second.token, 1, 0.0))
        self.assertEqual(to_first.observed, second.profile.observed)

    def test_not_those_who_both_say_that_they_are_connected(self) -> None:
        first, second = fake_member(1), fake_member(2)
        first.linked, second.linked = {second.profile.instance[:8]}, {first.profile.instance[:8]}
        self.arrive(first, second)
        self.assertEqual(first.told + second.told, [])

    def test_one_alone_can_not_say_so(self) -> None:
        first, second = fake_member(1), fake_member(2)
        second.linked = {first.profile.instance[:8]}
        self.arrive(first, second)
        self.assertEqual((len(first.told), len(second.told)), (1, 1))

    def test_a_broker_that_knows_them_as_connected_believes_who_comes_back(self) -> None:
        first, second = fake_member(1), fake_member(2)
        self.arrive(first, second)
        again = fake_member(2)
        again.linked = {first.profile.instance[:8]}
        self.arrive(again)
        self.assertEqual((len(first.told), again.told), (1, []))
        lost = fake_member(2)
        self.arrive(lost)
        self.assertEqual((len(first.told), len(lost.told)), (2, 1))

    def test_another_introduction_when_both_ask(self) -> None:
        first, second = fake_member(1), fake_member(2)
        self.arrive(first, second)
        first.told.clear()
        second.told.clear()
        self.introductions.requested(first, second.profile.instance)
        self.assertEqual((first.told, second.told), ([], [_wish(first)]))
        self.introductions.requested(second, first.profile.instance)
        [to_first], [_, to_second] = first.told, second.told
        assert isinstance(to_first, Introduction) and isinstance(to_second, Introduction)
        self.assertEqual((to_first.attempt, to_second.attempt), (2, 2))
        self.assertEqual(to_first.token, to_second.token)
        self.assertNotEqual(to_first.token, f"{1:032x}")
        # That is over: the next one has to be asked for by both again.
        self.introductions.requested(second, first.profile.instance)
        self.assertEqual(first.told[1:], [_wish(second)])

    def test_asking_twice_is_asking_once(self) -> None:
        first, second = fake_member(1), fake_member(2)
        self.arrive(first, second)
        self.introductions.requested(first, second.profile.instance)
        self.introductions.requested(first, second.profile.instance)
        self.assertEqual(len(first.told), 1)

    def test_asking_for_nobody(self) -> None:
        first = fake_member(1)
        elsewhere = fake_member(2, "elsewhere")
        self.arrive(first, elsewhere)
        for instance in ("f" * 32, first.profile.instance, elsewhere.profile.instance):
            self.introductions.requested(first, instance)
        self.assertEqual([type(one) for one in first.told], [Absent] * 3)
        self.assertEqual(elsewhere.told, [])

    def test_what_was_asked_is_forgotten_with_who_asked(self) -> None:
        first, second = fake_member(1), fake_member(2)
        self.arrive(first, second)
        self.introductions.requested(first, second.profile.instance)
        self.introductions.left(first)
        self.introductions.left(first)
        first.told.clear()
        self.introductions.requested(second, first.profile.instance)
        self.assertEqual(second.told[-1], Absent(first.profile.instance))
        again = fake_member(1)
        self.arrive(again)
        [introduction] = again.told
        assert isinstance(introduction, Introduction)
        self.assertEqual(introduction.attempt, 1)

    def test_who_waits_for_one_that_goes_is_told(self) -> None:
        first, second, third = fake_member(1), fake_member(2), fake_member(3)
        self.arrive(first, second, third)
        self.introductions.requested(first, second.profile.instance)
        third.told.clear()
        self.introductions.left(second)
        self.assertEqual(first.told[-1], Absent(second.profile.instance, second.profile.fingerprint))
        self.assertEqual(third.told, [])

    def test_what_is_known_of_the_nat_is_passed_on(self) -> None:
        first, second = fake_member(1), fake_member(2)
        first.profile.nat = Behaviour(PORT, PORT, "random", "silent")
        self.arrive(first, second)
        [to_first], [to_second] = first.told, second.told
        assert isinstance(to_first, Introduction) and isinstance(to_second, Introduction)
        self.assertEqual((to_first.nat, to_second.nat), (second.profile.nat, first.profile.nat))

    def test_who_is_told_of_a_wish_is_told_once(self) -> None:
        first, second = fake_member(1), fake_member(2)
        self.arrive(first, second)
        second.told.clear()
        for _ in range(100):
            self.introductions.requested(first, second.profile.instance)
        self.assertEqual(second.told, [_wish(first)])
        self.introductions.requested(second, first.profile.instance)
        self.introductions.requested(first, second.profile.instance)
        # One introduction, and then the next wish.
        self.assertEqual([type(one) for one in second.told[1:]], [Introduction, Requested])

    def test_nobody_keeps_another_one_busy(self) -> None:
        """Who answers each wish is asked so often only, by each of the others."""
        clock = Clock()
        made = introductions(clock.seconds)
        flood, kind, third = fake_member(1), fake_member(2), fake_member(3)
        for member in (flood, kind, third):
            made.arrived(member)

        def introduced(other: FakeMember, times: int) -> int:
            """How often that succeeds in so many tries."""
            kind.told.clear()
            for _ in range(times):
                made.requested(other, kind.profile.instance)
                if kind.told and kind.told[-1] == _wish(other):
                    made.requested(kind, other.profile.instance, other.profile.fingerprint)
            return [type(told) for told in kind.told].count(Introduction)

        self.assertEqual(introduced(flood, 200), WISHES.burst)
        self.assertEqual(introduced(third, 10), 10)
        for _ in range(3):
            clock.advance(1 / WISHES.per_second)
            self.assertEqual(introduced(flood, 20), 1)
        # The wish that was not passed on is granted when the other one asks.
        made.requested(flood, kind.profile.instance)
        kind.told.clear()
        made.requested(kind, flood.profile.instance)
        self.assertEqual([type(told) for told in kind.told], [Introduction])
        # And what a pair needs, three starts within a round and a round in half a minute, always comes through.
        for _ in range(100):
            self.assertEqual(introduced(third, 3), 3)
            clock.advance(30)

    def test_who_has_another_ones_instance_hides_nobody(self) -> None:
        """Both are asked, and each is introduced as itself."""
        first, thief, second = fake_member(1), fake_member(2, fingerprint="f" * 64), fake_member(2)
        self.arrive(first, thief, second)
        for member in (first, thief, second):
            member.told.clear()
        self.introductions.requested(first, second.profile.instance)
        self.assertEqual((thief.told, second.told), ([_wish(first)], [_wish(first)]))
        self.introductions.requested(second, first.profile.instance)
        introduction = first.told[-1]
        assert isinstance(introduction, Introduction)
        self.assertEqual((introduction.fingerprint, introduction.attempt), (second.profile.fingerprint, 2))
        self.assertEqual(len(thief.told), 1)

    def test_who_has_another_ones_instance_disturbs_nobody_that_says_whom_it_means(self) -> None:
        first, thief, second = fake_member(1), fake_member(2, fingerprint="f" * 64), fake_member(2)
        self.arrive(first, second, thief)
        for member in (first, thief, second):
            member.told.clear()
        theirs = second.profile
        # The thief asks, and the answer that names it is for nobody else.
        self.introductions.requested(thief, first.profile.instance)
        self.assertEqual(first.told, [_wish(thief)])
        self.introductions.requested(first, theirs.instance, "f" * 64)
        self.assertEqual([type(one) for one in first.told], [Requested, Introduction])
        self.assertEqual(second.told, [])
        # And the other way round.
        self.introductions.requested(first, theirs.instance, theirs.fingerprint)
        self.assertEqual((second.told, len(thief.told)), ([_wish(first)], 1))
        self.introductions.requested(second, first.profile.instance, first.profile.fingerprint)
        self.assertEqual([type(one) for one in second.told], [Requested, Introduction])
        self.assertEqual(len(thief.told), 1)
        # That the thief is there does not hide that the other one has left.
        self.introductions.left(second)
        self.introductions.requested(first, theirs.instance, theirs.fingerprint)
        self.assertEqual(first.told[-1], Absent(theirs.instance, theirs.fingerprint))
        self.assertEqual(len(thief.told), 1)

    def test_one_member_in_two_rooms(self) -> None:
        """What it does in one of them is of no matter in the other."""
        places = ({}, {"room": "attic"}, {"space": "secret"})
        pairs = [(fake_member(1, **place), fake_member(2, **place)) for place in places]
        for pair in pairs:
            self.arrive(*pair)
        self.introductions.requested(pairs[0][0], pairs[0][1].profile.instance)
        self.introductions.requested(pairs[1][1], pairs[1][0].profile.instance)
        for pair in pairs:
            self.assertEqual([type(told) for told in pair[0].told].count(Introduction), 1)
        self.introductions.left(pairs[1][0])
        self.introductions.requested(pairs[0][1], pairs[0][0].profile.instance)
        self.assertEqual([type(told) for told in pairs[0][0].told].count(Introduction), 2)

    def test_links_are_not_remembered_for_ever(self) -> None:
        member, friend = fake_member(1), fake_member(2)
        self.arrive(member, friend)
        for number in range(3, MOST_REMEMBERED + 20):
            guest = fake_member(number, fingerprint="a" * 64)
            self.arrive(guest)
            self.introductions.left(guest)
            self.assertLessEqual(len(member.linked), MOST_REMEMBERED)
        self.assertIn(friend.profile.instance[:8], member.linked)
        self.assertLess(len(member.linked), 100)


class LetterTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.introductions = introductions()
        self.first, self.second = fake_member(1), fake_member(2)
        for member in (self.first, self.second):
            self.introductions.arrived(member)
        self.token = f"{1:032x}"

    def send(self, sender: FakeMember, to: FakeMember, token: str = "", body: str = "aGk=") -> list[Letter]:
        """What arrives, at anybody."""
        for member in (self.first, self.second):
            member.told.clear()
        self.introductions.letter(sender, Letter(to.profile.instance, token or self.token, body))
        others = {id(one): one for one in (self.first, self.second, sender, to)}.values()
        return [told for member in others for told in member.told if isinstance(told, Letter)]

    def test_both_ways(self) -> None:
        for sender, to in ((self.first, self.second), (self.second, self.first)):
            self.assertEqual(self.send(sender, to), [_letter(sender, self.token)])
            self.assertEqual(len(to.told), 1)

    def test_four_from_either_side(self) -> None:
        for sender, to in ((self.first, self.second), (self.second, self.first)):
            sent = [len(self.send(sender, to)) for _ in range(MOST_LETTERS + 3)]
            self.assertEqual(sent, [1] * MOST_LETTERS + [0] * 3)

    def test_only_by_the_latest_introduction_of_this_very_pair(self) -> None:
        third = fake_member(3)
        self.introductions.arrived(third)
        self.assertEqual(self.send(self.first, self.second, "f" * 32), [])
        # Those of the pairs with the third one.
        for token in (f"{2:032x}", f"{3:032x}"):
            self.assertEqual(self.send(self.first, self.second, token), [])
        self.assertEqual(self.send(third, self.second), [])
        self.assertEqual(self.send(self.first, self.first), [])
        for _ in range(MOST_LETTERS):
            self.send(self.first, self.second)
        self.introductions.requested(self.first, self.second.profile.instance)
        self.introductions.requested(self.second, self.first.profile.instance)
        self.assertEqual(self.send(self.first, self.second), [])
        self.assertEqual(len(self.send(self.first, self.second, f"{4:032x}")), 1)

    def test_not_before_there_is_an_introduction(self) -> None:
        hesitant = hesitant_member(5)
        self.introductions.arrived(hesitant)
        self.introductions.letter(self.first, Letter(hesitant.profile.instance, "0" * 32, ""))
        self.assertEqual([type(one) for one in hesitant.told], [Requested] * 2)

    def test_who_has_left_gets_none_and_nobody_is_told(self) -> None:
        self.introductions.left(self.second)
        self.assertEqual(self.send(self.first, self.second), [])
        self.assertEqual(self.first.told, [])
        again = fake_member(2)
        self.introductions.arrived(again)
        self.assertEqual(self.send(self.first, again), [])
        self.assertEqual(len(self.send(self.first, again, f"{2:032x}")), 1)

    def test_who_has_another_ones_instance_gets_none(self) -> None:
        thief = fake_member(2, fingerprint="f" * 64)
        self.introductions.arrived(thief)
        thief.told.clear()
        self.assertEqual(len(self.send(self.first, self.second)), 1)
        self.assertEqual((len(self.second.told), thief.told), (1, []))

    def test_to_whom_it_is(self) -> None:
        for fingerprint, arrives in (("f" * 64, 0), (self.second.profile.fingerprint, 1), ("", 1)):
            self.second.told.clear()
            letter = Letter(self.second.profile.instance, self.token, "aGk=", fingerprint)
            self.introductions.letter(self.first, letter)
            self.assertEqual(len(self.second.told), arrives)


def hesitant_member(number: int) -> FakeMember:
    member = fake_member(number)
    member.profile.prepare = True
    return member


class PreparationTests(SynchronousTestCase):
    """Members that learn their mapping before each introduction."""

    def setUp(self) -> None:
        self.introductions = introductions()

    def meet(self, first: FakeMember, second: FakeMember) -> None:
        self.introductions.arrived(first)
        self.introductions.arrived(second)

    def check_introduced(self, first: FakeMember, second: FakeMember) -> None:
        """Once, by the same message, and nothing else is due."""
        one, two = first.told[-1], second.told[-1]
        assert isinstance(one, Introduction) and isinstance(two, Introduction)
        self.assertEqual((one.token, one.attempt), (two.token, two.attempt))
        for member in (first, second):
            self.assertEqual([type(told) for told in member.told].count(Introduction), 1)
        pair = self.introductions._pair(first, second)  # type: ignore[arg-type]
        self.assertEqual((pair.asked, pair.told), (set(), set()))

    def test_one_of_them(self) -> None:
        """It is asked to, and introduced as soon as it asks in turn; the other one hears nothing before."""
        for order in (1, -1):
            self.setUp()
            hesitant, ready = hesitant_member(1), fake_member(2)
            self.meet(*(hesitant, ready)[::order])
            self.assertEqual((hesitant.told, ready.told), ([_wish(ready)], []))
            self.introductions.requested(hesitant, ready.profile.instance)
            self.assertEqual(len(ready.told), 1)
            self.check_introduced(hesitant, ready)

    def test_both(self) -> None:
        """Each is told once, and they are introduced when both are ready, whoever is first."""
        for order in (1, -1):
            self.setUp()
            pair = hesitant_member(1), hesitant_member(2)
            self.meet(*pair)
            first, second = pair[::order]
            self.introductions.requested(first, second.profile.instance)
            self.assertEqual((first.told, second.told), ([_wish(second)], [_wish(first)]))
            self.introductions.requested(second, first.profile.instance)
            self.check_introduced(first, second)

    def test_what_it_says_last_is_passed_on(self) -> None:
        hesitant, ready = hesitant_member(1), fake_member(2)
        self.meet(hesitant, ready)
        hesitant.profile.candidates = (Candidate("predicted", Endpoint.parse("203.0.113.5:7003")),)
        self.introductions.requested(hesitant, ready.profile.instance)
        introduction = ready.told[-1]
        assert isinstance(introduction, Introduction)
        self.assertEqual(introduction.candidates, hesitant.profile.candidates)

    def test_who_need_not_prepare_may_ask_before(self) -> None:
        hesitant, ready = hesitant_member(1), fake_member(2)
        self.meet(hesitant, ready)
        self.introductions.requested(ready, hesitant.profile.instance)
        self.assertEqual((hesitant.told, ready.told), ([_wish(ready)], []))
        self.introductions.requested(hesitant, ready.profile.instance)
        self.check_introduced(hesitant, ready)

    def test_not_where_both_say_that_they_are_connected(self) -> None:
        first, second = hesitant_member(1), hesitant_member(2)
        first.linked, second.linked = {second.profile.instance[:8]}, {first.profile.instance[:8]}
        self.meet(first, second)
        self.assertEqual(first.told + second.told, [])

    def test_one_that_leaves_while_it_prepares(self) -> None:
        for order in (1, -1):
            self.setUp()
            hesitant, ready = hesitant_member(1), fake_member(2)
            self.meet(hesitant, ready)
            (gone, left) = (hesitant, ready)[::order]
            self.introductions.left(gone)
            self.assertEqual(self.introductions._pairs, {})
            self.introductions.requested(left, gone.profile.instance)
            self.assertEqual(left.told[-1], Absent(gone.profile.instance))
            again = hesitant_member(1) if gone is hesitant else fake_member(2)
            self.introductions.arrived(again)
            hesitant, ready = (again, left) if gone is hesitant else (left, again)
            self.assertEqual(hesitant.told[-1], _wish(ready))
            self.introductions.requested(hesitant, ready.profile.instance)
            self.check_introduced(hesitant, ready)

    def test_by_another_connection(self) -> None:
        """What was said on the first one has not been heard on this one."""
        hesitant, ready = hesitant_member(1), fake_member(2)
        self.meet(hesitant, ready)
        again = hesitant_member(1)
        self.introductions.arrived(again)
        self.assertEqual(again.told, [_wish(ready)])
        self.introductions.requested(again, ready.profile.instance)
        self.check_introduced(again, ready)

    def test_who_has_asked_waits_for_one_that_comes_by_another_connection(self) -> None:
        """And is not asked to ask: it would take that for the question it has answered already."""
        waiting, mover = hesitant_member(1), hesitant_member(2)
        self.meet(waiting, mover)
        self.introductions.requested(waiting, mover.profile.instance)
        waiting.told.clear()
        again = hesitant_member(2)
        self.introductions.arrived(again)
        self.assertEqual((waiting.told, again.told), ([], [_wish(waiting)]))
        self.introductions.requested(again, waiting.profile.instance)
        self.check_introduced(waiting, again)

    def test_another_start(self) -> None:
        """As without preparation: both ask."""
        hesitant, ready = hesitant_member(1), fake_member(2)
        self.meet(hesitant, ready)
        self.introductions.requested(hesitant, ready.profile.instance)
        self.introductions.requested(hesitant, ready.profile.instance)
        self.assertEqual(ready.told[1:], [_wish(hesitant)])
        self.introductions.requested(ready, hesitant.profile.instance)
        second = hesitant.told[-1]
        assert isinstance(second, Introduction)
        self.assertEqual(second.attempt, 2)


def _letter(of: FakeMember, token: str) -> Letter:
    return Letter(of.profile.instance, token, "aGk=", of.profile.fingerprint)


def _wish(of: FakeMember) -> Requested:
    return Requested(of.profile.instance, of.profile.fingerprint)


class AnyOrderTests(SynchronousTestCase):
    @given(st.lists(st.tuples(st.sampled_from("apulra"), st.integers(0, 3), st.integers(0, 3)), max_size=30))
    @settings(deadline=None, max_examples=100)
    def test_any_order(self, steps: list[tuple[str, int, int]]) -> None:
        made = introductions()
        there: dict[int, FakeMember] = {}
        gone: list[FakeMember] = []
        for what, one, two in steps:
            silent = [(member, len(member.told)) for member in gone]
            if what in "ap":
                gone += [there[one]] if one in there else []
                there[one] = fake_member(one) if what == "a" else hesitant_member(one)
                made.arrived(there[one])
            elif one in there and what == "u":
                there[one].profile.prepare = not there[one].profile.prepare
            elif one in there and what == "l":
                gone.append(there.pop(one))
                made.left(gone[-1])
            elif one in there:
                made.requested(there[one], f"{two:08x}" * 4)
            self.assertEqual(silent, [(member, len(member.told)) for member, _ in silent])
        told = [message for member in (*there.values(), *gone) for message in member.told]
        tokens = [message.token for message in told if isinstance(message, Introduction)]
        self.assertEqual({tokens.count(token) for token in tokens} - {2}, set())
        # Nobody waits in vain: whoever asks for somebody who is there is answered when that one asks too.
        for one in there.values():
            for other in there.values():
                if one is not other:
                    before = len(other.told)
                    made.requested(one, other.profile.instance)
                    made.requested(other, one.profile.instance)
                    self.assertIn(Introduction, [type(message) for message in other.told[before:]])
        here = {(one, two) for one, row in made._pairs.get(LOBBY, {}).items() for two in row}
        keys = {member.profile.key for member in there.values()}
        self.assertEqual(here, {(one, two) for one in keys for two in keys if one != two})
        for member in there.values():
            made.left(member)
        self.assertEqual(made._pairs, {})
