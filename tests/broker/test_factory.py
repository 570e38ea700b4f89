"""Making the broker's connections, and turning away those that are too many."""

from typing import Any

from twisted.internet.address import IPv4Address, IPv6Address, UNIXAddress
from twisted.internet.protocol import Protocol
from twisted.internet.task import Clock
from twisted.protocols.haproxy import proxyEndpoint
from twisted.trial.unittest import SynchronousTestCase

from p2phole.broker import factory as module
from p2phole.broker.factory import BehindProxy, Broker, TurnedAway
from p2phole.broker.protocol import LINGER_SECONDS, UNREGISTERED_SECONDS, BrokerProtocol
from p2phole.wire.codec import decode_to_peer
from p2phole.wire.messages import Error, Introduction, Ping, Registered, Request, ToPeer, Welcome
from tests.broker.shared import make_broker
from tests.broker.test_protocol import HELLO, lines
from tests.broker.test_session import register
from tests.doubles import Wire


def at(number: int) -> IPv4Address:
    return IPv4Address("TCP", f"192.0.2.{number}", 5000)


class Caller:
    """Somebody who connects."""

    def __init__(self, factory: Any, clock: Clock, address: Any) -> None:
        self.wire = Wire(clock, peer=address)
        self.protocol: Protocol | None = factory.buildProtocol(address)
        if self.protocol is not None:
            self.wire.attach(self.protocol)

    def heard(self) -> list[ToPeer]:
        return [decode_to_peer(line) for line in self.wire.taken().split(b"\n")[:-1]]

    def error(self) -> Error:
        error = self.heard()[-1]
        assert isinstance(error, Error), error
        assert self.wire.disconnecting
        return error

    def join(self, number: int, **other: object) -> "Caller":
        self.wire.receive(HELLO)
        self.wire.receive(lines(register(number, **other)))
        return self

    def go(self) -> None:
        self.wire.loseConnection()
        self.wire.clock.advance(0)


class FactoryTestCase(SynchronousTestCase):
    def broker(self, **limits: Any) -> Broker:
        self.clock = Clock()
        self.made = make_broker(self.clock, **limits)
        return self.made

    def call(self, number: int = 1, factory: Any = None) -> Caller:
        return Caller(factory or self.made, self.clock, at(number))

    def check_empty(self) -> None:
        """Nothing is counted, and nothing is due."""
        limits = self.made.limits
        self.assertEqual((limits._connections, limits._here, self.made.turned_away), (0, {}, set()))
        self.assertEqual(self.clock.getDelayedCalls(), [])


class ConnectionTests(FactoryTestCase):
    def test_too_many_from_one_address(self) -> None:
        self.broker(max_per_address=2)
        first, second, third, other = self.call(), self.call(), self.call(), self.call(2)
        error = third.error()
        self.assertEqual((error.code, error.retry > 0), ("limit", True))
        self.assertFalse(other.wire.disconnecting)
        self.clock.advance(0)
        first.go()
        fourth = self.call()
        self.assertIsInstance(fourth.protocol, BrokerProtocol)
        for caller in (second, other, fourth):
            caller.go()
        self.check_empty()

    def test_a_network_of_ipv6_is_one_address(self) -> None:
        self.broker(max_per_address=2)
        callers = [
            Caller(self.made, self.clock, IPv6Address("TCP", f"2001:db8:1:{net}::{number}", 5))
            for net, number in ((1, 1), (1, 2), (1, 3), (2, 1))
        ]
        self.assertEqual([caller.wire.disconnecting for caller in callers], [False, False, True, False])

    def test_too_many_in_all(self) -> None:
        self.broker(max_connections=3)
        callers = [self.call(number) for number in range(1, 5)]
        self.assertEqual(callers[-1].error().code, "limit")
        callers[0].go()
        self.assertIsInstance(self.call(9).protocol, BrokerProtocol)

    def test_turned_away_cheaply(self) -> None:
        """Of those to whom it is said, only so many are kept; nobody for longer than a moment."""
        self.patch(module, "MOST_TURNED_AWAY", 5)
        self.broker(max_per_address=1)
        stays = self.call()
        away = [self.call() for _ in range(8)]
        self.assertEqual([type(caller.protocol) for caller in away], [TurnedAway] * 5 + [type(None)] * 3)
        self.clock.advance(0)
        self.assertEqual(len(self.made.turned_away), 0)
        self.assertIsInstance(self.call().protocol, TurnedAway)
        self.clock.advance(0)
        stays.go()
        self.check_empty()

    def test_who_does_not_take_the_close_is_aborted(self) -> None:
        self.broker(max_per_address=1)
        self.call()
        wire = Wire(self.clock, peer=at(1))
        wire.loseConnection = lambda: None  # type: ignore[method-assign]
        wire.attach(self.made.buildProtocol(at(1)))
        wire.receive(b"x" * 100_000)
        self.clock.advance(LINGER_SECONDS)
        self.assertTrue(wire.aborted)

    def test_who_is_refused_counts_until_it_is_gone(self) -> None:
        self.broker(max_per_address=2)
        callers = [self.call(), self.call()]
        for caller in callers:
            caller.wire.receive(b"x\n")
            self.assertEqual(caller.error().code, "bad-json")
        self.clock.advance(0)
        self.clock.advance(LINGER_SECONDS)
        self.assertIsInstance(self.call().protocol, BrokerProtocol)

    def test_nobody_is_nowhere(self) -> None:
        self.broker()
        self.assertIsNone(self.made.buildProtocol(UNIXAddress("/run/x")))
        self.check_empty()


class ProxyTests(FactoryTestCase):
    """Whoever comes by a proxy counts as itself, not as the proxy."""

    def wrapped(self, **limits: Any) -> Any:
        class Endpoint:
            def listen(self, factory: Any) -> Any:
                return factory

        return proxyEndpoint(Endpoint()).listen(BehindProxy(self.broker(**limits)))  # type: ignore[no-untyped-call]

    def header(self, number: int) -> bytes:
        return f"PROXY TCP4 192.0.2.{number} 198.51.100.1 {5000 + number} 9000\r\n".encode()

    def test_by_the_address_that_it_names(self) -> None:
        factory = self.wrapped(max_per_address=2)
        callers = [Caller(factory, self.clock, at(200)) for _ in range(5)]
        for number, caller in zip((1, 1, 1, 2, 3), callers, strict=True):
            caller.wire.receive(self.header(number) + HELLO)
        heard = [type(caller.heard()[-1]) for caller in callers]
        self.assertEqual(heard, [Welcome, Welcome, Error, Welcome, Welcome])
        self.clock.advance(0)
        self.assertEqual(sorted(self.made.limits._here.values()), [1, 1, 2])
        for caller in callers:
            caller.go()
        self.clock.advance(LINGER_SECONDS)
        self.clock.advance(UNREGISTERED_SECONDS)
        self.check_empty()

    def test_before_it_names_any(self) -> None:
        factory = self.wrapped(max_connections=3, max_per_address=2)
        callers = [Caller(factory, self.clock, at(200)) for _ in range(4)]
        self.assertEqual([caller.wire.disconnecting for caller in callers], [False] * 3 + [True])

    def test_no_address(self) -> None:
        factory = self.wrapped()
        caller = Caller(factory, self.clock, at(200))
        caller.wire.receive(b"PROXY UNKNOWN\r\n" + HELLO)
        self.assertTrue(caller.wire.disconnecting)
        self.clock.advance(0)
        self.clock.advance(LINGER_SECONDS)
        self.check_empty()


class RateTests(FactoryTestCase):
    def test_registrations_of_an_address(self) -> None:
        self.broker(registration_rate=3)
        for number in range(1, 4):
            self.assertIn(Registered("lobby"), self.call().join(number).heard())
        error = self.call().join(4).error()
        self.assertEqual((error.code, error.retry), ("limit", 20.0))
        self.assertIn(Registered("lobby"), self.call(2).join(5).heard())
        self.clock.advance(error.retry)
        self.assertIn(Registered("lobby"), self.call().join(4).heard())

    def test_registrations_of_a_key(self) -> None:
        self.broker(registration_rate=3)
        heard = [self.call(number).join(number, fingerprint="a" * 64).heard()[-1] for number in range(1, 5)]
        self.assertEqual([isinstance(last, Error) for last in heard], [False, False, False, True])

    def test_a_full_room(self) -> None:
        self.broker(max_room_members=2)
        first, second = self.call(1).join(1), self.call(2).join(2)
        error = self.call(3).join(3).error()
        self.assertEqual((error.code, error.retry > 0), ("limit", True))
        self.assertIn(Registered("attic"), self.call(3).join(3, room="attic").heard())
        # Whoever is in it may come again by another connection.
        self.assertIn(Registered("lobby"), self.call(1).join(1).heard())
        self.assertFalse(second.wire.disconnecting)
        second.go()
        self.assertIn(Registered("lobby"), self.call(3).join(3).heard())
        self.assertTrue(first.wire.disconnecting)

    def test_one_key_does_not_fill_a_room(self) -> None:
        self.broker(max_room_members=20)
        same = [self.call(number).join(number, fingerprint="a" * 64) for number in range(1, 9)]
        error = self.call(9).join(9, fingerprint="a" * 64).error()
        self.assertEqual((error.code, error.retry > 0), ("limit", True))
        self.assertIn("key", error.detail)
        # Elsewhere, others here, and one of them by another connection, are let in.
        for number, key, room in ((9, "a", "attic"), (10, "b", "lobby"), (8, "a", "lobby")):
            caller = self.call(number).join(number, fingerprint=key * 64, room=room)
            self.assertIsInstance(caller.heard()[1], Registered)
        same[0].go()
        self.assertIsInstance(self.call(9).join(9, fingerprint="a" * 64).heard()[1], Registered)

    def test_introductions(self) -> None:
        self.broker(introduction_rate=6)
        members = [self.call(number).join(number) for number in range(1, 4)]
        for member in members:
            member.heard()
        for _ in range(6):
            members[0].wire.receive(lines(Request("00000002" * 4, ())))
        self.assertFalse(members[0].wire.disconnecting)
        members[0].wire.receive(lines(Request("00000002" * 4, ())))
        self.assertEqual(members[0].error().code, "limit")
        self.assertFalse(members[1].wire.disconnecting or members[2].wire.disconnecting)

    def test_introductions_by_coming_again_and_again(self) -> None:
        self.broker(introduction_rate=6)
        members = [self.call(number).join(number) for number in range(1, 4)]
        came = 0
        while True:
            caller = self.call(9).join(9)
            if isinstance(caller.heard()[-1], Error):
                break
            caller.go()
            came += 1
        self.assertEqual(came, 2)
        for member in members:
            told = [one for one in member.heard() if isinstance(one, Introduction) and one.name == "name 9"]
            self.assertEqual(len(told), came)

    def test_lines(self) -> None:
        self.broker(line_rate=1)
        flood, other = self.call(1).join(1), self.call(2).join(2)
        flood.wire.receive(b'{"type":"pong","number":9}\n' * 100)
        self.clock.pump([0] * 8)  # so many lines take several turns
        self.assertEqual(flood.error().code, "limit")
        self.assertFalse(other.wire.disconnecting)

    def test_bytes(self) -> None:
        self.broker(byte_rate=100)
        caller = self.call()
        for _ in range(3):
            caller.wire.receive(b" " * 1000)
        self.assertEqual(caller.error().code, "limit")

    def test_a_member_of_a_large_room_may_say_much_at_once(self) -> None:
        """As where it is asked by everybody whether it is ready, and answers."""
        self.broker()
        member = self.call().join(1)
        member.wire.receive(lines(Request("f" * 32, ())) * 500)
        self.clock.pump([0] * 40)
        self.assertFalse(member.wire.disconnecting)


class CodeTests(FactoryTestCase):
    def ask(self, number: int, room: str = "", address: int = 1, inviter: bool = False) -> Caller:
        return self.call(address).join(number, space="code", room=room, inviter=inviter)

    def test_two_meet(self) -> None:
        self.broker()
        alice, bob = self.ask(1), self.ask(2, "1")
        self.assertIn(Registered("1"), alice.heard()[:2])
        self.assertIsInstance(bob.heard()[-1], Introduction)
        self.assertEqual(self.ask(3, "1").error().code, "code-taken")

    def test_not_with_an_open_room_of_that_name(self) -> None:
        self.broker()
        self.call(2).join(7, room="1")
        self.assertEqual(type(self.ask(1).heard()[-1]), Ping)

    def test_an_hour(self) -> None:
        self.broker()
        alice, bob = self.ask(1), self.ask(2, "1")
        self.clock.advance(3600)
        self.assertEqual([alice.error().code, bob.error().code], ["expired"] * 2)
        self.assertIn(Registered("2"), self.ask(3).heard())

    def test_an_inviter_that_is_lost_and_comes_back(self) -> None:
        self.broker()
        alice, bob = self.ask(1), self.ask(2, "1")
        alice.go()
        self.clock.advance(299)
        again = self.ask(1, "1")
        self.assertIn(Registered("1"), again.heard())
        self.clock.advance(600)
        self.assertFalse(bob.wire.disconnecting)
        again.go()
        self.clock.advance(300)
        self.assertEqual(bob.error().code, "expired")

    def test_who_can_not_prove_the_inviters_key_ends_nothing(self) -> None:
        self.broker()
        alice = self.ask(1)
        alice.heard()

        def doubt(message: object, nonce: str) -> None:
            from p2phole.wire.codec import BadLine

            raise BadLine("possession", "no")

        self.made.admission._prove = doubt  # type: ignore[method-assign]
        self.assertEqual(self.ask(1, "1").error().code, "possession")
        self.clock.advance(600)
        self.assertFalse(alice.wire.disconnecting)

    def test_an_inviter_whose_number_another_broker_gave(self) -> None:
        """The two that meet here by the number that it has brought are left alone."""
        self.broker()
        alice = self.ask(1)
        self.assertEqual(self.ask(2, "1", inviter=True).error().code, "no-such-code")
        self.assertIn(Registered("1"), self.ask(3, "1").heard())
        self.assertFalse(alice.wire.disconnecting)
        self.assertIn(Registered("1"), self.ask(1, "1", inviter=True).heard())

    def test_few_tries_from_one_address(self) -> None:
        """Who has not the words spoils an invitation by its number alone, and has to look for one."""
        self.broker()
        for number in range(1, 25):
            self.ask(number, address=number + 1)
        for number in range(10):
            self.assertEqual(self.ask(100 + number, "99").error().code, "no-such-code")
        for number in ("6", "99"):
            error = self.ask(200, number).error()
            self.assertEqual((error.code, error.retry), ("limit", 60.0))
        # Others invite, and from elsewhere all is as ever.
        self.assertIn(Registered("25"), self.ask(300).heard())
        self.assertIn(Registered("6"), self.ask(301, "6", address=99).heard())
        self.clock.advance(60)
        self.assertIn(Registered("7"), self.ask(302, "7").heard())
        self.assertEqual(self.ask(303, "7").error().code, "code-taken")
        self.assertEqual(self.ask(304, "8").error().code, "limit")

    def test_who_knows_the_number_need_not_wait(self) -> None:
        """A house full of guests, each with a number of its own."""
        self.broker()
        for number in range(1, 25):
            self.ask(number, address=number + 1)
        for number in range(1, 25):
            self.assertIn(Registered(str(number)), self.ask(100 + number, str(number)).heard())
        self.assertIn(Registered("5"), self.ask(105, "5").heard())

    def test_inviters_that_come_back_are_no_guests(self) -> None:
        """As all of them behind one address do after the broker's restart."""
        self.broker()
        for number in range(20):
            self.assertEqual(self.ask(number, "9", inviter=True).error().code, "no-such-code")
        self.assertEqual(self.ask(21, "9").error().code, "no-such-code")

    def test_nobody_takes_all_of_them(self) -> None:
        """Invitations that an address makes and tries are few; coming back to one's own is free."""
        self.broker(invitation_rate=4)
        alice = self.ask(1, address=9)
        for number in range(2, 6):
            self.assertEqual(self.ask(number, "77", inviter=True).error().code, "no-such-code")
        error = self.ask(6).error()
        self.assertEqual((error.code, error.retry), ("limit", 15.0))
        self.assertEqual(self.ask(6, "1").error().code, "limit")
        for _ in range(20):
            self.assertIn(Registered("1"), self.ask(1, "1", address=9).heard())
        self.assertIn(Registered("1"), self.ask(7, "1", address=8).heard())
        self.assertTrue(alice.wire.disconnecting)
