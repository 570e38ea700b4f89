"""Who is introduced to whom, and with what delay."""

from itertools import count

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from p2phole.addresses import Candidate, Endpoint
from p2phole.broker.directory import MemoryDirectory
from p2phole.broker.introduction import Introductions, delays
from p2phole.wire.messages import Absent, Introduction, Requested
from tests.broker.test_directory import FakeMember, fake_member


def introductions() -> Introductions:
    tokens = count(1)
    return Introductions(MemoryDirectory(), lambda: next(tokens).to_bytes(16, "big"))


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
        self.assertEqual((first.told, second.told), ([], [Requested(first.profile.instance)]))
        self.introductions.requested(second, first.profile.instance)
        [to_first], [_, to_second] = first.told, second.told
        assert isinstance(to_first, Introduction) and isinstance(to_second, Introduction)
        self.assertEqual((to_first.attempt, to_second.attempt), (2, 2))
        self.assertEqual(to_first.token, to_second.token)
        self.assertNotEqual(to_first.token, f"{1:032x}")
        # That is over: the next one has to be asked for by both again.
        self.introductions.requested(second, first.profile.instance)
        self.assertEqual(first.told[1:], [Requested(second.profile.instance)])

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

    @given(st.lists(st.tuples(st.sampled_from("alra"), st.integers(0, 3), st.integers(0, 3)), max_size=30))
    @settings(deadline=None, max_examples=100)
    def test_any_order(self, steps: list[tuple[str, int, int]]) -> None:
        made = introductions()
        there: dict[int, FakeMember] = {}
        gone: list[FakeMember] = []
        for what, one, two in steps:
            silent = [(member, len(member.told)) for member in gone]
            if what == "a":
                gone += [there[one]] if one in there else []
                there[one] = fake_member(one)
                made.arrived(there[one])
            elif one in there and what == "l":
                gone.append(there.pop(one))
                made.left(gone[-1])
            elif one in there:
                made.requested(there[one], f"{two:08x}" * 4)
            self.assertEqual(silent, [(member, len(member.told)) for member, _ in silent])
        told = [message for member in (*there.values(), *gone) for message in member.told]
        tokens = [message.token for message in told if isinstance(message, Introduction)]
        self.assertEqual({tokens.count(token) for token in tokens} - {2}, set())
        for member in there.values():
            made.left(member)
        left = {name: value for name, value in vars(made).items() if name in ("_asked", "_attempts")}
        self.assertEqual(left, {"_asked": set(), "_attempts": {}})
