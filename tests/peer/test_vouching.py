"""One attempt's proof: its turn, its letters, its end."""

from __future__ import annotations

import os

from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from p2phole.addresses import Candidate, Endpoint
from p2phole.peer.trust import Trust
from p2phole.peer.vouching import MOST_LETTERS, MOST_SEALED, PROOF_SECONDS, TURN_SECONDS, Vouching, seal, unseal
from p2phole.secure.guesses import MOST_GUESSES
from p2phole.secure.roles import Identity, Pairing
from p2phole.wire.messages import MAX_BODY
from tests.doubles import FakePeople
from tests.secure.parties import FOLLOWER, FOLLOWS, LEADER, LEADS

HOST = Candidate("host", Endpoint.parse("192.168.1.2:4000"))
MAPPED = Candidate("mapped", Endpoint.parse("[2001:db8::7]:4001"))
LONGEST = Candidate("mapped", Endpoint.parse("[2001:db8:aaaa:bbbb:cccc:dddd:eeee:ffff]:65535"))


class Side:
    def __init__(self, clock: Clock, pairing: Pairing, secret: bytes | None, *candidates: Candidate, **kept: str):
        own = LEADER if pairing.leads else FOLLOWER
        room = ("open" if secret is None else "secret", "r")
        self.trust = Trust(clock, own, room, secret, FakePeople(**kept), os.urandom)
        self.out: list[str] = []
        self.found: list[tuple[Candidate, ...]] = []
        self.why: list[str] = []
        self.vouching = Vouching(
            clock, self.trust, pairing, candidates, self.send, self.found.append, self.why.append
        )

    def send(self, body: str) -> None:
        self.out.append(body)


class VouchingTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()

    def pair(self, secret: bytes | None = b"x", **kept: str) -> tuple[Side, Side]:
        alice = Side(self.clock, LEADS, secret, HOST, **kept)
        return alice, Side(self.clock, FOLLOWS, secret, MAPPED)

    def turns(self, count: int) -> None:
        for _ in range(count):
            self.clock.advance(0)

    def talk(self, alice: Side, bob: Side) -> None:
        for side in (alice, bob):
            side.vouching.start(0)
        for _ in range(4):
            self.clock.advance(0.1)
            for one, other in ((alice, bob), (bob, alice)):
                out, one.out = one.out, []
                for body in out:
                    other.vouching.receive(body)

    def test_both_find_what_the_other_one_sealed(self) -> None:
        alice, bob = self.pair()
        self.talk(alice, bob)
        self.assertEqual((alice.found, bob.found), ([(MAPPED,)], [(HOST,)]))
        self.assertEqual(alice.why + bob.why, [])

    def test_one_side_knows_the_other_ones_key(self) -> None:
        alice, bob = self.pair(None, bob=FOLLOWER.fingerprint)
        self.talk(alice, bob)
        self.assertEqual((alice.found, bob.found), ([(MAPPED,)], [(HOST,)]))

    def test_strangers_without_a_secret_write_no_letters(self) -> None:
        alice, bob = self.pair(None)
        self.talk(alice, bob)
        self.assertEqual((alice.found, bob.found, alice.out, bob.out), ([], [], [], []))

    def test_another_secret(self) -> None:
        alice, bob = Side(self.clock, LEADS, b"x"), Side(self.clock, FOLLOWS, b"y")
        self.talk(alice, bob)
        self.assertEqual((alice.why, bob.why), (["secret"], ["secret"]))

    def test_letters_wait_for_the_turn(self) -> None:
        alice, bob = self.pair()
        alice.trust.pause(LEADS.theirs)  # somebody else's proof goes before
        bob.vouching.start(0)
        self.turns(2)
        alice.vouching.start(0)
        for body in bob.out * (MOST_LETTERS + 1):
            alice.vouching.receive(body)
        self.assertEqual(alice.out, [])
        self.clock.advance(0.2)
        self.assertEqual(len(alice.out), 2)

    def test_stopped_before_its_turn(self) -> None:
        alice, bob = self.pair()
        alice.vouching.start(0)
        alice.vouching.abandon()
        self.talk(Side(self.clock, LEADS, b"x"), bob)
        alice.vouching.receive("AAAA")
        self.clock.advance(10)
        self.assertEqual((alice.out, alice.why, self.clock.getDelayedCalls()), ([], [], []))

    def test_superseded(self) -> None:
        """The next proof with the same one need not wait, unless a guess was taken."""
        alice, bob = self.pair()
        alice.vouching.start(0)
        self.turns(2)
        self.assertEqual(len(alice.out), 1)
        alice.vouching.abandon()
        self.assertTrue(alice.trust.is_open(LEADS.theirs))
        alice.vouching.supersede()
        self.assertEqual((alice.vouching.over, alice.trust.is_open(LEADS.theirs)), (True, False))
        bob.vouching.start(0)
        self.turns(2)
        alice.vouching.receive(bob.out[0])
        self.assertEqual((len(alice.out), self.clock.getDelayedCalls()[1:]), (1, []))
        alice, bob = self.shown()
        alice.vouching.supersede()
        self.assertFalse(alice.vouching.over)

    def shown(self) -> tuple[Side, Side]:
        """Alice's confirmation has left, and nothing has come back."""
        alice, bob = self.pair()
        for side in (alice, bob):
            side.vouching.start(0)
        self.clock.advance(0)
        self.clock.advance(0)
        alice.vouching.receive(bob.out[0])
        self.assertEqual(len(alice.out), 2)
        return alice, bob

    def left(self, side: Side) -> int:
        return side.trust._guesses._left

    def test_a_confirmation_that_nobody_answers_is_a_guess(self) -> None:
        for end in ("abandon", None):
            alice, _bob = self.shown()
            if end:
                alice.vouching.abandon()
            self.assertEqual(self.left(alice), MOST_GUESSES - 1)
            self.clock.advance(PROOF_SECONDS)
            self.assertEqual((self.left(alice), alice.why, alice.found), (MOST_GUESSES - 1, [], []))
            self.assertTrue(alice.vouching.over)

    def test_a_proof_that_ends_after_its_attempt_is_no_guess(self) -> None:
        alice, bob = self.shown()
        alice.vouching.abandon()
        for body in alice.out:
            bob.vouching.receive(body)
        alice.vouching.receive(bob.out[1])
        self.assertEqual((self.left(alice), alice.found, alice.why), (MOST_GUESSES, [], []))

    def test_one_at_a_time_with_one_key(self) -> None:
        alice, bob = self.shown()
        pairing = Pairing(LEADS.mine, LEADS.theirs, b"n" * 16)
        out: list[str] = []
        second = Vouching(self.clock, alice.trust, pairing, (), out.append, lambda found: None, alice.why.append)
        second.start(0)
        self.clock.pump([0.1] * 10)
        self.assertEqual(out, [])
        for body in alice.out:
            bob.vouching.receive(body)
        alice.vouching.receive(bob.out[1])
        self.clock.pump([0.1] * 3)
        self.assertEqual((len(out), alice.why), (1, []))
        second.abandon()

    def test_while_others_proofs_are_under_way_letters_wait(self) -> None:
        alice, bob = self.pair()
        others = [Identity(f"{number:064x}", "1" * 32) for number in range(MOST_GUESSES)]
        guesses = [alice.trust.take_guess(each) for each in others]
        for side in (alice, bob):
            side.vouching.start(0)
        self.clock.pump([0, 0])
        alice.vouching.receive(bob.out[0])
        self.clock.advance(1)
        self.assertEqual(len(alice.out), 1)
        assert guesses[0] is not None
        guesses[0].give_back()
        alice.trust.settled(others[0])
        self.clock.advance(TURN_SECONDS)
        self.assertEqual((len(alice.out), alice.why), (2, []))
        alice.vouching.abandon()

    def test_locked_before_anything_is_computed(self) -> None:
        alice, _bob = self.pair()
        for _ in range(MOST_GUESSES):
            alice.trust.take_guess(Identity("d" * 64, "1" * 32))
        alice.trust.settled(Identity("d" * 64, "1" * 32))
        alice.vouching.start(0)
        self.clock.advance(0)
        self.assertEqual((alice.why, alice.out), (["locked"], []))

    def test_rubbish_from_who_has_nothing_to_prove_is_no_end(self) -> None:
        alice, _bob = self.pair(None, bob=FOLLOWER.fingerprint)
        alice.vouching.start(0)
        self.turns(2)
        self.assertEqual(len(alice.out), 1)
        alice.vouching.receive("AAAA")
        self.assertEqual(alice.why, [])

    def test_behind_the_syns(self) -> None:
        """At the agreed instant a connect is called, and its SYN leaves in the turn after that."""
        alice, bob = self.pair()
        self.clock.callLater(0.3, self.clock.callLater, 0, alice.send, "SYN")
        alice.vouching.start(0.3)
        bob.vouching.start(0)
        self.turns(2)
        alice.vouching.receive(bob.out[0])  # what comes early waits
        self.clock.advance(0.29)
        self.assertEqual(alice.out, [])
        self.clock.advance(0.02)
        self.turns(2)
        self.assertEqual((alice.out[0], len(alice.out)), ("SYN", 3))

    def test_behind_the_syns_also_as_an_answer(self) -> None:
        alice, bob = self.pair(None, bob=FOLLOWER.fingerprint)
        for side, delay in ((alice, 0), (bob, 0.3)):
            side.vouching.start(delay)
        self.turns(2)
        bob.vouching.receive(alice.out[0])
        self.clock.advance(0.29)
        self.assertEqual(bob.out, [])
        self.clock.advance(0.02)
        self.turns(2)
        self.assertEqual(len(bob.out), 2)


class SealTests(SynchronousTestCase):
    def test_as_many_as_there_can_be_fit_into_a_letter(self) -> None:
        content = seal((LONGEST,) * 30)
        self.assertEqual(unseal(content), (LONGEST,) * MOST_SEALED)
        padded = -(-len(content) // 256) * 256
        self.assertLessEqual((1 + 32 + padded + 16 + 2) // 3 * 4, MAX_BODY)

    def test_what_is_none_is_left_out(self) -> None:
        content = b"host 192.168.1.2:4000\nsrflx 192.0.2.1:1\nhost x\n\n\xff\nmapped [2001:db8::7]:4001\n\n\n"
        self.assertEqual(unseal(content), (HOST, MAPPED))

    @given(st.binary(max_size=400))
    def test_anything(self, content: bytes) -> None:
        self.assertLessEqual(len(unseal(content)), MOST_SEALED)
