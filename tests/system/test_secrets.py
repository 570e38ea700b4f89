"""Rooms with a secret, known people and codes, on whole peers and a whole broker; and a broker in between."""

from __future__ import annotations

import base64
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from twisted.trial.unittest import SynchronousTestCase

from p2phole import events
from p2phole.addresses import Endpoint
from p2phole.broker import factory as broker_factory
from p2phole.broker import service as broker_service
from p2phole.broker.codes import Codes
from p2phole.broker.protocol import BrokerProtocol
from p2phole.errors import LocalError
from p2phole.peer.errors import BrokerRefused, CodeBurned, CodeWrong, InvitationOver, NobodyKnown
from p2phole.secure import agreement
from p2phole.secure.codes import Code, parse
from p2phole.secure.guesses import MOST_GUESSES
from p2phole.secure.identity import Credentials
from p2phole.wire.messages import Introduction, Letter, Registered, ToPeer
from tests.doubles import FakePeople
from tests.support.network import Nat
from tests.system.test_pairs import RESET, SILENT
from tests.system.world import Peer, World

SECRET = "seven hungry otters cross a crimson bridge"
OTHER = "seven hungry otters cross a crimson ridge"
PATIENCE = 5.0


class SecretCase(SynchronousTestCase):
    """A world whose broker may lie, and whose lines are kept."""

    def setUp(self) -> None:
        self.world = World(broker=False)
        self.lines: list[bytes] = []
        self.meddle: Callable[[Meddler, ToPeer], list[ToPeer]] = lambda session, message: [message]
        self.sessions: list[Meddler] = []
        self.patch(broker_factory, "BrokerProtocol", lambda *given: Meddler(self, *given))
        self.world.start_broker()
        self.folder = Path(self.mktemp())
        self.folder.mkdir(parents=True)
        self.addCleanup(lambda: [peer.stop() for peer in self.world.peers])

    def secret(self, text: str) -> Path:
        path = self.folder / text[-6:]
        path.write_text(text + "\n")
        path.chmod(0o600)
        return path

    def peer(self, name: str, secret: str | None = SECRET, **settings: Any) -> Peer:
        number = len(self.world.peers) + 1
        router = settings.pop("router", Nat(f"203.0.113.{number}", **(SILENT if number % 2 else RESET)))
        if secret is not None:
            settings.setdefault("secret_file", self.secret(secret))
        return self.world.peer(self.world.site(f"{name}{number}", router), name, **settings)

    def pair(self, **settings: Any) -> tuple[Peer, Peer]:
        return self.peer("alice", **settings), self.peer("bob", **settings)

    def assert_refused(self, peers: tuple[Peer, ...], *reasons: str, seconds: float = PATIENCE + 0.5) -> None:
        """All of them are told so, and there is no connection."""
        self.world.until(lambda: all(peer.all(events.Failed) for peer in peers), seconds)
        for peer in peers:
            self.assertIn(peer.all(events.Failed)[0].reason, reasons)
            self.assertEqual(peer.all(events.Connected), [])


class Meddler(BrokerProtocol):
    """A broker's connection that lets the test change what it says."""

    def __init__(self, case: SecretCase, *given: Any) -> None:
        super().__init__(*given)
        self.case = case
        case.sessions.append(self)

    def lineReceived(self, line: bytes) -> None:
        self.case.lines.append(line)
        super().lineReceived(line)

    def send(self, message: ToPeer) -> None:
        for changed in self.case.meddle(self, message):
            super().send(changed)


class SecretTests(SecretCase):
    def test_whoever_has_the_secret_is_met(self) -> None:
        alice, bob = self.pair()
        self.world.connected()
        for peer in (alice, bob):
            self.assertEqual(peer.all(events.Connected)[0].authenticated, "secret")
        alice.say("hello")
        self.world.until(lambda: "hello" in bob.texts())
        self.assertEqual([how for _key, _name, how in alice.people.seen], ["secret"])

    def test_it_costs_no_time_where_observed_endpoints_do(self) -> None:
        alice, bob = self.pair()
        self.world.connected()
        carol, dave = (self.peer(name, None, room="open") for name in ("carol", "dave"))
        self.world.until(lambda: carol.all(events.Connected) and dave.all(events.Connected))
        with_secret = max(peer.all(events.Connected)[0].seconds for peer in (alice, bob))
        without = max(peer.all(events.Connected)[0].seconds for peer in (carol, dave))
        self.assertLess(with_secret, without + 0.05)

    def test_rehearsed_before_anybody_is_there(self) -> None:
        rehearsed: list[str] = []
        self.patch(agreement, "rehearse", lambda: rehearsed.append("spake2"))
        alice = self.peer("alice", None)
        self.world.until(lambda: alice.all(events.Registered))
        self.assertEqual(rehearsed, [])
        bob = self.peer("bob")
        self.world.until(lambda: rehearsed)
        self.assertEqual((rehearsed, bob.all(events.Registered)), (["spake2"], []))

    def test_another_secret_is_refused_on_both_sides_within_five_seconds(self) -> None:
        alice, bob = self.peer("alice"), self.peer("bob", OTHER)
        self.assert_refused((alice, bob), "secret")

    def test_secret_and_open_members_are_never_introduced(self) -> None:
        alice, bob = self.peer("alice"), self.peer("bob", None)
        self.world.net.advance(10)
        self.assertEqual(alice.all(events.Introduced) + bob.all(events.Introduced), [])

    def test_the_broker_sees_neither_secret_nor_room_nor_host_candidates(self) -> None:
        self.pair(room="family")
        self.world.connected()
        seen = b"\n".join(self.lines)
        self.assertIn(b'"type":"letter"', seen)
        bodies = b"".join(
            base64.b64decode(line.split(b'"body":"')[1].split(b'"')[0])
            for line in self.lines
            if b'"type":"letter"' in line
        )
        for hidden in (b"otters", b"family", b"192.168."):
            self.assertNotIn(hidden, seen + bodies)

    def test_one_lan_by_sealed_candidates(self) -> None:
        lan = Nat("203.0.113.77", **SILENT)
        alice, bob = self.peer("alice", router=lan), self.peer("bob", router=lan)
        self.world.connected(limit=3)
        for peer in (alice, bob):
            self.assertEqual(peer.all(events.Connected)[0].candidate, "host")

    def test_no_host_candidates_for_anybody(self) -> None:
        lan = Nat("203.0.113.77", **SILENT)
        alice, bob = (self.peer(name, router=lan, host_candidates=False) for name in ("alice", "bob"))
        self.world.until(lambda: alice.all(events.Failed) and bob.all(events.Failed), 30)
        self.assertEqual(alice.all(events.Connected), [])

    def test_a_room_of_twenty(self) -> None:
        for number in range(20):
            self.peer(f"p{number}", credentials=Credentials.of(Ed25519PrivateKey.generate()))
        self.world.connected(limit=120)
        for peer in self.world.peers:
            self.assertEqual([each for each in peer.all(events.Failed) if each.reason in ("secret", "locked")], [])


class GuessTests(SecretCase):
    def test_ten_wrong_secrets_and_then_strangers_wait(self) -> None:
        alice = self.peer("alice")
        for _ in range(MOST_GUESSES + 3):
            self.peer("mallory", OTHER, credentials=Credentials.of(Ed25519PrivateKey.generate()))
            self.world.net.advance(3)
        reasons = [event.reason for event in alice.all(events.Failed)]
        self.assertEqual(reasons[:MOST_GUESSES], ["secret"] * MOST_GUESSES)
        self.assertEqual(set(reasons[MOST_GUESSES:]), {"locked"})

    def test_a_key_that_is_known_is_let_in_all_the_same(self) -> None:
        friend = Credentials.of(Ed25519PrivateKey.generate())
        alice = self.peer("alice", people=FakePeople(friend=friend.fingerprint))
        for _ in range(MOST_GUESSES + 1):
            self.peer("mallory", OTHER, credentials=Credentials.of(Ed25519PrivateKey.generate()))
            self.world.net.advance(3)
        stranger = self.peer("stranger")
        bob = self.peer("bob", credentials=friend)
        both = ((alice, friend), (bob, alice.credentials))
        self.world.until(lambda: all(one.all(events.Connected, id=key.fingerprint) for one, key in both))
        self.assertEqual([event.peer for event in alice.all(events.Connected)], ["friend"])
        self.assertEqual(stranger.all(events.Connected, id=alice.credentials.fingerprint), [])

    def test_who_takes_a_confirmation_and_says_nothing_has_guessed(self) -> None:
        alice = self.peer("alice")

        def swallow(session: Meddler, message: ToPeer) -> list[ToPeer]:
            # Alice gets the shares, and never a confirmation.
            long = isinstance(message, Letter) and len(message.body) > 200
            return [] if long and session is self.sessions[0] else [message]

        self.meddle = swallow
        for _ in range(MOST_GUESSES + 1):
            self.peer("mallory", credentials=Credentials.of(Ed25519PrivateKey.generate()))
            self.world.net.advance(25)
        self.assertEqual(alice.all(events.Connected), [])
        self.assertIn("locked", [event.reason for event in alice.all(events.Failed)])


class HostileBrokerTests(SecretCase):
    """What a broker may do to an introduction and to letters."""

    def swapped(self, key: Credentials, endpoint: bool = False) -> Callable[[Meddler, ToPeer], list[ToPeer]]:
        def meddle(session: Meddler, message: ToPeer) -> list[ToPeer]:
            if isinstance(message, Introduction):
                message = replace(message, fingerprint=key.fingerprint)
                if endpoint:
                    observed = replace(message.observed, ip=type(message.observed.ip)("198.51.100.2"))
                    message = replace(message, observed=observed)
            return [message]

        return meddle

    def test_keys_swapped(self) -> None:
        for endpoint in (False, True):
            self.setUp()
            self.meddle = self.swapped(Credentials.of(Ed25519PrivateKey.generate()), endpoint)
            self.assert_refused(self.pair(), "unproven")

    def test_without_a_secret_the_event_says_tofu(self) -> None:
        alice, _bob = self.pair(secret=None)
        self.world.connected()
        self.assertEqual(alice.all(events.Connected)[0].authenticated, "tofu")

    def test_letters_changed(self) -> None:
        for at in (2, 40, 100, -1):
            self.setUp()

            def change(session: Meddler, message: ToPeer, at: int = at) -> list[ToPeer]:
                if isinstance(message, Letter):
                    content = bytearray(base64.b64decode(message.body))
                    content[min(at, len(content) - 1)] ^= 1
                    message = replace(message, body=base64.b64encode(content).decode())
                return [message]

            self.meddle = change
            self.assert_refused(self.pair(), "secret", "unproven")

    def test_letters_reflected(self) -> None:
        def reflect(session: Meddler, message: ToPeer) -> list[ToPeer]:
            if isinstance(message, Letter):
                # Each gets back what it has sent itself, in the other one's name.
                [other] = [each for each in self.sessions if each is not session]
                BrokerProtocol.send(other, replace(message, instance=self.instance_of(session)))
                return []
            return [message]

        self.meddle = reflect
        self.assert_refused(self.pair(), "unproven")

    def instance_of(self, session: Meddler) -> str:
        return self.world.peers[self.sessions.index(session)].service.mine.instance

    def test_letters_kept_back(self) -> None:
        self.meddle = lambda session, message: [] if isinstance(message, Letter) else [message]
        self.assert_refused(self.pair(), "unconfirmed", seconds=30)

    def test_an_introduction_replayed(self) -> None:
        kept: list[ToPeer] = []

        def replay(session: Meddler, message: ToPeer) -> list[ToPeer]:
            if isinstance(message, Introduction | Letter) and session is self.sessions[0]:
                kept.append(message)
            return [message]

        self.meddle = replay
        alice, bob = self.pair()
        self.world.connected()
        for message in [*kept, *kept]:
            BrokerProtocol.send(self.sessions[0], message)
        self.world.net.advance(20)
        alice.say("still here")
        self.world.until(lambda: "still here" in bob.texts())
        self.assertEqual(len(bob.all(events.Connected)), 1)

    def test_it_joins_the_room_itself(self) -> None:
        alice, _bob = self.pair()
        self.world.connected()
        broker = self.peer("alice", OTHER)
        self.world.until(lambda: len(broker.all(events.Failed)) == 2)
        self.assertEqual(broker.all(events.Connected), [])
        self.assertEqual(len(alice.all(events.Connected)), 1)


class KnownTests(SecretCase):
    def test_a_known_key_is_pinned(self) -> None:
        key = Credentials.of(Ed25519PrivateKey.generate())
        alice = self.peer("alice", None, people=FakePeople(bobby=key.fingerprint), to="bobby")
        bob = self.peer("bob", None, credentials=key)
        other = self.peer("carol", None)
        self.world.until(lambda: alice.all(events.Connected) and len(bob.all(events.Connected)) == 2)
        [event] = alice.all(events.Connected)
        self.assertEqual((event.peer, event.authenticated), ("bobby", "pinned"))
        self.assertEqual({event.authenticated for event in bob.all(events.Connected)}, {"tofu"})
        self.assertEqual(len(other.all(events.Connected)), 1)

    def test_host_candidates_are_sealed_for_a_known_one(self) -> None:
        key = Credentials.of(Ed25519PrivateKey.generate())
        lan = Nat("203.0.113.77", **SILENT)
        alice = self.peer("alice", None, people=FakePeople(bob=key.fingerprint), to="bob", router=lan)
        self.peer("bob", None, credentials=key, router=lan)
        self.world.connected(limit=3)
        self.assertEqual(alice.all(events.Connected)[0].candidate, "host")
        of_alice = [line for line in self.lines if b'"name":"alice"' in line]
        self.assertNotIn(b'"host"', b"".join(of_alice))

    def test_a_stranger_who_claims_the_name_is_refused_and_told_of_once(self) -> None:
        key = Credentials.of(Ed25519PrivateKey.generate())
        alice = self.peer("alice", None, people=FakePeople(bob=key.fingerprint), to="bob")
        mallory = self.peer("bob", None)
        self.world.until(lambda: alice.all(events.Failed))
        self.world.net.advance(60)
        [event] = alice.all(events.Failed)
        self.assertEqual((event.reason, event.peer), ("changed", f"bob?{mallory.credentials.fingerprint[:4]}"))
        self.assertEqual(alice.all(events.Connected) + mallory.all(events.Connected), [])

    def test_the_broker_swaps_the_key_of_a_known_one(self) -> None:
        key, hostile = (Credentials.of(Ed25519PrivateKey.generate()) for _ in range(2))
        alice = self.peer("alice", None, people=FakePeople(bob=key.fingerprint), to="bob")
        self.meddle = lambda session, message: [
            replace(message, fingerprint=hostile.fingerprint) if isinstance(message, Introduction) else message
        ]
        self.peer("bob", None, credentials=key)
        self.world.until(lambda: alice.all(events.Failed))
        self.assertEqual(alice.all(events.Failed)[0].reason, "changed")
        self.assertEqual(alice.all(events.Connected), [])

    def test_nobody_of_that_name_is_known(self) -> None:
        with self.assertRaises(NobodyKnown):
            self.peer("alice", None, to="nobody")
        self.world.peers.clear()


class CodeTests(SecretCase):
    def invite(self, **settings: Any) -> tuple[Peer, list[Code]]:
        codes: list[Code] = []
        alice = self.peer("alice", None, invite=True, invited=codes.append, **settings)
        self.world.until(lambda: codes)
        return alice, codes

    def test_two_meet_by_a_code(self) -> None:
        alice, [code] = self.invite()
        bob = self.peer("bob", None, code=parse(str(code).upper()))
        self.world.connected()
        self.assertEqual(bob.all(events.Connected)[0].authenticated, "secret")
        self.assertEqual([how for _key, _name, how in alice.people.seen + bob.people.seen], ["code"] * 2)
        self.assertNotIn("-".join(code.words).encode(), b"".join(self.lines))

    def test_one_wrong_word_burns_it(self) -> None:
        alice, [code] = self.invite()
        wrong = replace(code, words=(code.words[0], "zoo" if code.words[1] != "zoo" else "zone"))
        mallory = self.peer("mallory", None, code=wrong)
        self.world.until(lambda: alice.errors and mallory.errors)
        self.assertIsInstance(alice.errors[0], CodeBurned)
        self.assertIsInstance(mallory.errors[0], CodeWrong)
        self.assertEqual(alice.all(events.Connected), [])

    def test_a_number_that_was_not_given(self) -> None:
        bob = self.peer("bob", None, code=Code(77, ("zoo", "zone")))
        self.world.until(lambda: bob.errors)
        self.assertIsInstance(bob.errors[0], LocalError)
        self.assertIn("invit", str(bob.errors[0]))

    def test_the_broker_forgets_the_invitation(self) -> None:
        """After the two have met that is of no interest; before, it is the end."""
        alice, [code] = self.invite()
        bob = self.peer("bob", None, code=code)
        self.world.connected()
        self.world.broker_host.crash()
        self.world.start_broker()
        self.world.net.advance(30)
        alice.say("still here")
        self.world.until(lambda: "still here" in bob.texts())
        self.assertEqual(alice.errors + bob.errors, [])
        carol, _codes = self.invite()
        self.world.broker_host.crash()
        self.world.start_broker()
        self.world.until(lambda: carol.errors)
        self.assertIsInstance(carol.errors[0], InvitationOver)

    def test_an_inviter_comes_back_to_a_broker_that_has_given_its_number_to_others(self) -> None:
        self.patch(broker_service, "_random", lambda: b"\7" * 16)
        self.world.broker_host.crash()
        self.world.start_broker()
        alice, [code] = self.invite()
        self.world.broker_host.crash()
        self.world.start_broker()
        carol, [other] = self.invite()
        self.assertEqual(code.number, other.number)
        self.world.until(lambda: alice.errors)
        self.assertIsInstance(alice.errors[0], InvitationOver)
        dave = self.peer("dave", None, code=other)
        self.world.until(lambda: carol.all(events.Connected) and dave.all(events.Connected))
        self.assertEqual(carol.errors + dave.errors, [])

    def test_a_broker_that_gives_no_number(self) -> None:
        for room in ("", "0", "x"):
            self.setUp()
            self.meddle = lambda session, message, room=room: [  # type: ignore[misc]
                replace(message, room=room) if isinstance(message, Registered) else message
            ]
            alice = self.peer("alice", None, invite=True)
            self.world.until(lambda alice=alice: alice.errors)  # type: ignore[misc]
            self.assertIsInstance(alice.errors[0], BrokerRefused)
            self.assertEqual(alice.all(events.Registered), [])

    def third(self, code: Code) -> Peer:
        """Somebody whom the broker brings in behind the two, as its own codes would not let it."""
        self.patch(Codes, "enter", lambda codes, key, number, *more: number or "1")
        return self.peer("mallory", None, code=code, credentials=Credentials.of(Ed25519PrivateKey.generate()))

    def test_a_third_one_ends_nothing_and_hears_nothing(self) -> None:
        for words in (("zoo", "zone"), None):
            self.setUp()
            alice, [code] = self.invite()
            bob = self.peer("bob", None, code=code)
            self.world.connected()
            mallory = self.third(code if words is None else replace(code, words=words))
            self.world.net.advance(20)
            alice.say("still here")
            self.world.until(lambda bob=bob: "still here" in bob.texts())  # type: ignore[misc]
            self.assertEqual((alice.errors, bob.errors), ([], []))
            self.assertEqual(mallory.all(events.Connected) + mallory.all(events.Message), [])
            self.assertEqual(len(alice.all(events.Connected)), 1)

    def test_a_silent_guess_burns_it_and_the_inviter_is_told(self) -> None:
        alice, [code] = self.invite()

        def swallow(session: Meddler, message: ToPeer) -> list[ToPeer]:
            long = isinstance(message, Letter) and len(message.body) > 200
            return [] if long and session is self.sessions[0] else [message]

        self.meddle = swallow
        self.peer("mallory", None, code=code)
        self.world.until(lambda: alice.errors, 6)
        self.assertIsInstance(alice.errors[0], CodeBurned)


class ForgettingTests(SecretCase):
    def test_members_that_never_came_are_forgotten(self) -> None:
        alice = self.peer("alice", None)
        for number in range(50):
            observed = Endpoint.parse(f"192.0.2.{number + 1}:5000")
            instance = f"{number:032x}"
            introduction = Introduction("x", "e" * 64, instance, observed, (), "f" * 32, 1, 0.0)
            self.world.until(lambda: self.sessions and alice.all(events.Registered))
            BrokerProtocol.send(self.sessions[0], introduction)
        self.world.net.advance(1)
        self.assertEqual(len(list(alice.service._members)), 50)
        self.world.net.advance(200)  # the broker knows none of them when they are asked for
        self.assertEqual(len(list(alice.service._members)), 0)

    def test_a_private_address_at_the_brokers_word_is_not_dialled_after_a_proof_either(self) -> None:
        inside = Endpoint.parse("192.168.1.1:80")
        self.meddle = lambda session, message: [
            replace(message, observed=inside) if isinstance(message, Introduction) else message
        ]
        self.pair()
        self.world.connected()  # by what they have told themselves
        self.world.net.advance(5)
        dialled = {record.sent_destination.host for record in self.world.net.packets if record.flags == "SYN"}
        self.assertNotIn("192.168.1.1", dialled)
