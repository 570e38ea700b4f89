"""Whom a peer meets, and what they have to prove: without a network."""

from __future__ import annotations

import os

from twisted.internet.task import Clock
from twisted.logger import globalLogPublisher
from twisted.trial.unittest import SynchronousTestCase

from p2phole.peer.trust import MOST_WAIT, PROOFS_A_SECOND, Trust, hashed
from p2phole.secure.guesses import EVERY, MOST_GUESSES
from p2phole.secure.roles import Identity
from tests.doubles import FakePeople
from tests.secure.parties import FOLLOWER, LEADER, LEADS, identity

STRANGER = Identity("e" * 64, "1" * 32)


class Case(SynchronousTestCase):
    def trust(self, space: str = "secret", secret: bytes | None = b"x", **options: object) -> Trust:
        self.clock = Clock()
        self.people = FakePeople(friend=FOLLOWER.fingerprint)
        return Trust(self.clock, LEADER, (space, "r"), secret, self.people, os.urandom, **options)  # type: ignore


class ProofsTests(Case):
    def test_who_has_to_prove_what(self) -> None:
        friend, stranger = identity(FOLLOWER), Identity("f" * 64, "1" * 32)
        trust = self.trust()
        self.assertTrue(trust.demands_proof and trust.closed and trust.knows(stranger))
        self.assertEqual([trust.authenticated(each) for each in (friend, stranger)], ["secret", "secret"])
        trust = self.trust("open", None)
        self.assertFalse(trust.demands_proof or trust.closed or trust.knows(stranger))
        self.assertTrue(trust.knows(friend))
        self.assertEqual([trust.authenticated(each) for each in (friend, stranger)], ["pinned", "tofu"])

    def test_ten_a_second(self) -> None:
        trust = self.trust()
        pauses = [trust.pause(STRANGER) for _ in range(PROOFS_A_SECOND + 1)]
        self.assertEqual(pauses[0], 0.0)
        self.assertAlmostEqual(pauses[-1] or 0.0, 1.0)
        while trust.pause(STRANGER) is not None:
            pass
        self.clock.advance(MOST_WAIT)
        self.assertLess(trust.pause(STRANGER) or 0.0, 1.0)

    def test_no_pause_without_a_secret(self) -> None:
        trust = self.trust("open", None)
        self.assertEqual({trust.pause(STRANGER) for _ in range(1000)}, {0.0})

    def test_the_name_of_the_room_and_nothing_else(self) -> None:
        self.assertEqual(len(hashed("team")), 64)
        self.assertNotEqual(hashed("team"), hashed("teams"))


class OnlyTests(Case):
    def test_only_that_one(self) -> None:
        trust = self.trust("open", None, only=(FOLLOWER.fingerprint, "friend"))
        self.assertTrue(trust.closed)
        self.assertEqual([trust.meets(each) for each in (FOLLOWER.fingerprint, "f" * 64)], [True, False])
        self.assertEqual([trust.claims_to_be_wanted(each) for each in ("friend", "foe")], [True, False])


class GuessTests(Case):
    def setUp(self) -> None:
        self.lines: list[str] = []
        observer = lambda event: self.lines.append(str(event.get("log_format")))  # noqa: E731
        globalLogPublisher.addObserver(observer)
        self.addCleanup(globalLogPublisher.removeObserver, observer)

    def stranger(self, number: int) -> Identity:
        return Identity(f"{number:064x}", "1" * 32)

    def told(self) -> int:
        return sum("too often" in line for line in self.lines)

    def fail(self, trust: Trust, theirs: Identity) -> bool:
        taken = trust.take_guess(theirs)
        if taken is not None:
            self.assertTrue(trust.is_crowded)
            trust.settled(theirs)
            trust.has_failed(theirs)
            self.assertFalse(trust.is_crowded)
        return taken is not None

    def test_over_all_strangers_and_the_user_is_told_once(self) -> None:
        trust = self.trust()
        for number in range(MOST_GUESSES):
            self.assertEqual(self.told(), 0)
            self.assertTrue(self.fail(trust, self.stranger(number)))
        self.assertEqual(self.told(), 1)
        for number in range(99):
            self.assertFalse(trust.may_guess(self.stranger(number)))
            trust.has_failed(self.stranger(number))
        self.assertEqual(self.told(), 1)
        self.assertTrue(self.fail(trust, identity(FOLLOWER)), "a known key")
        self.clock.advance(EVERY)
        self.assertTrue(self.fail(trust, self.stranger(99)))
        self.assertFalse(self.fail(trust, self.stranger(98)))
        self.assertEqual(self.told(), 2)

    def test_a_known_key_has_its_own_ten(self) -> None:
        trust = self.trust()
        self.assertEqual(
            [self.fail(trust, identity(FOLLOWER)) for _ in range(MOST_GUESSES + 1)],
            [True] * MOST_GUESSES + [False],
        )
        self.assertTrue(trust.may_guess(STRANGER))

    def test_who_has_proved_it_is_no_stranger_any_more(self) -> None:
        trust = self.trust()
        guess = trust.take_guess(self.stranger(1))
        assert guess is not None
        guess.give_back()
        trust.settled(self.stranger(1))
        trust.has_proven(self.stranger(1))
        for number in range(2, MOST_GUESSES + 2):
            self.assertTrue(self.fail(trust, self.stranger(number)))
        self.assertFalse(trust.may_guess(self.stranger(99)))
        self.assertTrue(trust.may_guess(self.stranger(1)))

    def test_a_code_has_one(self) -> None:
        trust, burned = self.trust("code"), []
        trust.burned = lambda: burned.append(1)
        self.assertTrue(self.fail(trust, self.stranger(1)))
        self.assertEqual(burned, [1])
        self.assertFalse(trust.may_guess(self.stranger(2)))

    def test_a_code_is_for_one(self) -> None:
        trust, burned = self.trust("code"), []
        trust.burned = lambda: burned.append(1)
        trust.has_proven(STRANGER)
        self.assertTrue(trust.meets(STRANGER.fingerprint))
        self.assertFalse(trust.meets("d" * 64))
        trust.has_failed(self.stranger(1))
        self.assertEqual(burned, [])

    def test_nothing_is_proved_before_there_is_a_code(self) -> None:
        trust = self.trust("code", None)
        self.assertTrue(trust.demands_proof)
        self.assertFalse(trust.meets(STRANGER.fingerprint))
        with self.assertRaises(ValueError):
            trust.proof(LEADS, b"", self)  # type: ignore[arg-type]


class AgainTests(Case):
    def test_a_room_of_their_own(self) -> None:
        trust = self.trust("code")
        self.assertFalse(trust.meet_again(), "nobody has proved the code")
        trust.has_proven(STRANGER)
        self.assertTrue(trust.meet_again())
        self.assertFalse(trust.meet_again(), "it is there")
        both = "\0".join(sorted((LEADER.fingerprint, STRANGER.fingerprint)))
        self.assertEqual(trust.room, ("secret", hashed(f"met by code\0r\0{both}")))

    def test_another_room_for_each_code(self) -> None:
        """Two transfers of the same two: their secrets are different, and would count as guesses."""
        rooms = set()
        for number in "78":
            trust = Trust(Clock(), LEADER, ("code", number), b"x", FakePeople(), os.urandom)
            trust.has_proven(STRANGER)
            trust.meet_again()
            rooms.add(trust.room)
        self.assertEqual(len(rooms), 2)

    def test_a_process_that_is_started_again(self) -> None:
        trust = self.trust("code", mark="d" * 64)
        trust.has_proven(STRANGER)
        trust.connected(STRANGER, "eve")
        self.assertEqual(trust.room, ("code", "r"))
        again = Trust(self.clock, LEADER, ("code", "r"), b"x", self.people, os.urandom, mark="d" * 64)
        trust.meet_again()
        self.assertEqual((again.room, again.number), (trust.room, "r"))
        self.assertTrue(again.meets_again and again.meets(STRANGER.fingerprint))
        self.assertFalse(again.meets("d" * 64), "anybody else")
        other = Trust(self.clock, LEADER, ("code", "r"), b"y", self.people, os.urandom, mark="c" * 64)
        self.assertEqual((other.room, other.meets_again), (("code", "r"), False))

    def test_a_process_that_is_started_again_burns_no_code(self) -> None:
        self.trust()
        self.people.marks["d" * 64] = STRANGER.fingerprint
        trust = Trust(self.clock, LEADER, ("code", "r"), b"x", self.people, os.urandom, mark="d" * 64)
        trust.burned = lambda: self.fail("burned")
        for _ in range(MOST_GUESSES):
            self.assertIsNotNone(trust.take_guess(STRANGER))
            trust.settled(STRANGER)
            trust.has_failed(STRANGER)
        self.assertFalse(trust.may_guess(STRANGER))

    def test_a_goodbye_uses_up_the_code(self) -> None:
        trust = self.trust("code", mark="d" * 64)
        trust.has_proven(STRANGER)
        trust.connected(STRANGER, "eve")
        trust.parted(Identity("f" * 64, "1" * 32))
        self.assertEqual(self.people.marks, {"d" * 64: STRANGER.fingerprint})
        trust.parted(STRANGER)
        self.assertEqual(self.people.marks, {})


class MeetingTests(Case):
    def test_a_meeting_is_noted_with_how(self) -> None:
        for space, secret, how in (("secret", b"x", "secret"), ("code", b"x", "code"), ("open", None, "tofu")):
            trust = self.trust(space, secret)
            trust.connected(Identity("f" * 64, "1" * 32), "bob")
            self.assertEqual(self.people.seen, [("f" * 64, "bob", how)])
