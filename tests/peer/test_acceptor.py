"""What comes in on the shared port."""

from __future__ import annotations

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from p2phole.peer.acceptor import MOST_STRANGERS, Acceptor
from p2phole.secure.channel import PROOF_SECONDS
from p2phole.secure.preface import build
from tests.doubles import THERE, Wire
from tests.secure.parties import FOLLOWS, LEADS, Contest, claim


class AcceptorTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.acceptor = Acceptor(self.clock)
        self.contest = Contest()
        self.claim = claim(LEADS, self.contest)

    def connect(self, said: bytes = b"") -> Wire:
        wire = Wire(self.clock).attach(self.acceptor.buildProtocol(THERE))
        wire.receive(said)
        return wire

    def test_whose_it_is(self) -> None:
        self.acceptor.expect(self.claim)
        wire = self.connect(build(FOLLOWS.my_tag))
        self.assertEqual(self.contest.channels, [wire.protocol])
        self.assertTrue(wire.value().startswith(build(LEADS.my_tag)))

    def test_nobodys(self) -> None:
        self.acceptor.expect(self.claim)
        for said in (b"", b"GET / HTTP/1.1\r\n\r\n", build(bytes(32)), build(LEADS.my_tag)):
            wire = self.connect(said)
            self.clock.pump([PROOF_SECONDS, 0])
            self.assertEqual((wire.value(), wire.aborted), (b"", True))
        self.assertEqual(self.contest.channels, [])

    def test_forgotten(self) -> None:
        self.acceptor.expect(self.claim)
        self.acceptor.forget(self.claim)
        self.acceptor.forget(self.claim)
        self.assertEqual((self.connect(build(FOLLOWS.my_tag)).value(), self.contest.channels), (b"", []))

    def test_before_its_introduction(self) -> None:
        wires = [self.connect(build(FOLLOWS.my_tag) + b"\x16\x03\x01"[:more]) for more in (0, 3)]
        self.clock.advance(PROOF_SECONDS - 1)
        self.assertEqual([wire.value() for wire in wires], [b"", b""])
        self.acceptor.expect(self.claim)
        self.assertEqual(self.contest.channels, [wire.protocol for wire in wires])
        self.assertTrue(wires[0].value().startswith(build(LEADS.my_tag)))

    def test_its_introduction_comes_too_late(self) -> None:
        wire = self.connect(build(FOLLOWS.my_tag))
        self.clock.pump([PROOF_SECONDS, 0])
        self.acceptor.expect(self.claim)
        self.assertEqual((wire.value(), wire.aborted, self.contest.channels), (b"", True, []))

    def test_gone_before_its_introduction(self) -> None:
        first, second = self.connect(build(FOLLOWS.my_tag)), self.connect(build(FOLLOWS.my_tag))
        first.loseConnection()
        self.clock.advance(0)
        self.acceptor.expect(self.claim)
        self.assertEqual(self.contest.channels, [second.protocol])

    def test_many_strangers_do_not_keep_out_a_friend(self) -> None:
        self.acceptor.expect(self.claim)
        strangers = [self.connect() for _ in range(MOST_STRANGERS)]
        self.assertFalse(any(wire.aborted for wire in strangers))
        friend = self.connect(build(FOLLOWS.my_tag))
        self.assertEqual([wire.aborted for wire in strangers], [True] + [False] * (MOST_STRANGERS - 1))
        for _ in range(3 * MOST_STRANGERS):
            self.connect()
        self.clock.advance(0)
        self.assertFalse(friend.aborted)
        self.assertEqual(self.contest.channels, [friend.protocol])

    def test_early_ones_count_as_strangers(self) -> None:
        first = self.connect(build(bytes(32)))
        for number in range(MOST_STRANGERS):
            self.connect(build(bytes([number]) * 32))
        self.assertTrue(first.aborted)

    def test_closed(self) -> None:
        self.acceptor.expect(self.claim)
        friend = self.connect(build(FOLLOWS.my_tag))
        strangers = [self.connect(), self.connect(b"p2p"), self.connect(build(bytes(32)))]
        self.acceptor.close()
        self.assertEqual([wire.aborted for wire in (friend, *strangers)], [False, True, True, True])

    def test_nothing_is_left(self) -> None:
        before = {name: len(value) for name, value in vars(self.acceptor).items() if isinstance(value, dict)}
        for said in (b"", b"x", build(bytes(32)), build(FOLLOWS.my_tag)) * 3:
            self.connect(said)
        self.clock.pump([PROOF_SECONDS, 0])
        after = {name: len(value) for name, value in vars(self.acceptor).items() if isinstance(value, dict)}
        self.assertEqual((after, self.clock.getDelayedCalls()), (before, []))
