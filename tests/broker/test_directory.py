"""Who is in which room."""

from dataclasses import dataclass, field

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from p2phole.addresses import Endpoint
from p2phole.broker.directory import Key, MemoryDirectory, Profile
from p2phole.wire.messages import ToPeer


@dataclass(eq=False)
class FakeMember:
    """A member without a connection."""

    profile: Profile
    linked: set[str] = field(default_factory=set)
    round_trip: float = 0.0
    told: list[ToPeer] = field(default_factory=list)
    was_replaced: bool = False

    def tell(self, message: ToPeer) -> None:
        self.told.append(message)

    def replaced(self) -> None:
        self.was_replaced = True

    def expired(self) -> None:
        self.was_replaced = True


def fake_member(
    number: int, room: str = "lobby", round_trip: float = 0.0, fingerprint: str = "", space: str = "open"
) -> FakeMember:
    endpoint = Endpoint.parse(f"192.0.2.{(number + 1) % 256}:4000")
    return FakeMember(
        Profile(
            f"name {number}",
            room,
            fingerprint or f"{number:064x}",
            f"{number:08x}" * 4,
            endpoint,
            (),
            space=space,
        ),
        round_trip=round_trip,
    )


class MemoryDirectoryTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.directory = MemoryDirectory()

    def test_those_there_already(self) -> None:
        first, second, third = fake_member(1), fake_member(2), fake_member(3)
        self.assertEqual(self.directory.join(first), ())
        self.assertEqual(self.directory.join(second), (first,))
        self.assertEqual(self.directory.join(third), (first, second))
        self.assertTrue(self.directory.leave(first))
        self.assertEqual(self.directory.join(fake_member(4)), (second, third))

    def test_rooms_are_apart(self) -> None:
        here, there = fake_member(1, "here"), fake_member(2, "there")
        self.directory.join(here)
        self.assertEqual(self.directory.join(there), ())
        self.assertEqual(self.directory.find(("open", "here"), here.profile.instance, ""), (here,))
        self.assertEqual(self.directory.find(("open", "there"), here.profile.instance, ""), ())

    def test_name_spaces_are_apart(self) -> None:
        """Also for one and the same member, by two connections."""
        room = "7"
        members = [fake_member(1, room, space=space) for space in ("open", "secret", "code")]
        for member in members:
            self.assertEqual(self.directory.join(member), ())
            self.assertEqual(self.directory.find((member.profile.space, room), f"{1:08x}" * 4, ""), (member,))
        self.assertEqual([member.was_replaced for member in members], [False] * 3)

    def test_the_same_one_again(self) -> None:
        old, other, new = fake_member(1), fake_member(2), fake_member(1)
        self.directory.join(old)
        self.directory.join(other)
        self.assertEqual(self.directory.join(new), (other,))
        self.assertEqual((old.was_replaced, new.was_replaced), (True, False))
        self.assertFalse(self.directory.leave(old))
        self.assertEqual(self.directory.find(("open", "lobby"), new.profile.instance, ""), (new,))

    def test_one_key_two_instances(self) -> None:
        first, second = fake_member(1, fingerprint="a" * 64), fake_member(2, fingerprint="a" * 64)
        self.directory.join(first)
        self.assertEqual(self.directory.join(second), (first,))
        self.assertFalse(first.was_replaced)

    def test_others(self) -> None:
        first, second = fake_member(1, fingerprint="a" * 64), fake_member(2, fingerprint="a" * 64)
        for member in (first, second, fake_member(3), fake_member(4, "elsewhere", fingerprint="a" * 64)):
            self.directory.join(member)
        for key, others in (
            (first.profile.key, (2, 1)),
            (("a" * 64, "0" * 32), (3, 2)),
            (("b" * 64, first.profile.instance), (3, 0)),
        ):
            self.assertEqual(self.directory.others(("open", "lobby"), key), others)
        self.assertEqual(self.directory.others(("open", "nowhere"), first.profile.key), (0, 0))

    def test_another_key_with_the_same_instance_replaces_nobody(self) -> None:
        first, thief = fake_member(1), fake_member(1, fingerprint="f" * 64)
        self.directory.join(first)
        self.assertEqual(self.directory.join(thief), (first,))
        self.assertFalse(first.was_replaced)
        self.assertEqual(self.directory.find(("open", "lobby"), first.profile.instance, ""), (first, thief))
        for one in (first, thief):
            found = self.directory.find(("open", "lobby"), first.profile.instance, one.profile.fingerprint)
            self.assertEqual(found, (one,))
        self.assertEqual(self.directory.find(("open", "lobby"), first.profile.instance, "0" * 64), ())
        # The thief may even have been first.
        self.directory.leave(first)
        again = fake_member(1)
        self.assertEqual(self.directory.join(again), (thief,))
        self.assertEqual(self.directory.find(("open", "lobby"), first.profile.instance, ""), (thief, again))

    def test_leaving_without_being_there(self) -> None:
        self.assertFalse(self.directory.leave(fake_member(1)))

    @given(st.lists(st.tuples(st.booleans(), st.integers(0, 4), st.sampled_from(["a", "b"]))))
    @settings(deadline=None, max_examples=60)
    def test_as_a_table(self, steps: list[tuple[bool, int, str]]) -> None:
        directory = MemoryDirectory()
        table: dict[tuple[str, Key], FakeMember] = {}
        everybody: list[FakeMember] = []
        for joins, number, room in steps:
            if joins or not everybody:
                member = fake_member(number, room)
                key = (room, member.profile.key)
                others = {one for (there, _), one in table.items() if there == room} - {table.get(key)}
                self.assertEqual(set(directory.join(member)), others)
                table[key] = member
                everybody.append(member)
            else:
                member = everybody[number % len(everybody)]
                key = (member.profile.room, member.profile.key)
                self.assertEqual(directory.leave(member), table.get(key) is member)
                if table.get(key) is member:
                    del table[key]
        for key, member in table.items():
            self.assertEqual(directory.find(("open", key[0]), member.profile.instance, ""), (member,))
            directory.leave(member)
        self.assertEqual(vars(directory), vars(MemoryDirectory()))
