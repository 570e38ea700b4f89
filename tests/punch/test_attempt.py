"""One agreed start of one pair."""

from __future__ import annotations

from automat import NoTransition
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from p2phole.addresses import Candidate, Endpoint
from p2phole.peer.acceptor import Acceptor
from p2phole.punch.attempt import DEADLINE, Start, Success, attempt
from p2phole.punch.birthday import many_ports
from p2phole.punch.ledger import SynLedger
from p2phole.punch.schedule import PATIENT, SynBudget
from p2phole.punch.shared_port import SharedPort
from p2phole.punch.verdict import Report
from p2phole.secure.channel import Channel
from p2phole.secure.preface import build
from tests.doubles import THERE, Wire
from tests.punch.dialling import FakeDialler
from tests.secure.parties import FOLLOWER, FOLLOWS, LEADER, LEADS
from tests.support.nat import Nat
from tests.support.network import Network

SEEN = Candidate("srflx", Endpoint.parse("192.0.2.7:5000"))
NEAR = Candidate("host", Endpoint.parse("10.0.0.9:5000"))


class AttemptTestCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.dialler = FakeDialler(self.clock)
        self.won: list[Success] = []
        self.lost: list[Report] = []

    def start(self, *candidates: Candidate, delay: float = 0.1, leads: bool = True) -> Start:
        return Start(
            self.clock,
            self.dialler,
            LEADER if leads else FOLLOWER,
            LEADS if leads else FOLLOWS,
            candidates,
            delay,
            SynBudget(SynLedger()),
            lambda: 0.5,
            self.won.append,
            self.lost.append,
        )


class AttemptTests(AttemptTestCase):
    def test_nothing_is_dialled_before_the_agreed_instant(self) -> None:
        attempt(self.start(NEAR, SEEN))
        self.clock.advance(0.099)
        self.assertEqual(self.dialler.calls, [])
        self.clock.advance(0.002)
        self.assertEqual([call.endpoint for call in self.dialler.calls], [NEAR.endpoint, SEEN.endpoint])

    def test_candidates_that_come_late_are_dialled_once(self) -> None:
        for seconds, before in ((0.05, []), (0.2, [SEEN.endpoint])):
            self.setUp()
            start = self.start(SEEN)
            machine = attempt(start)
            self.clock.advance(seconds)
            machine.join((SEEN, NEAR))
            machine.join((NEAR,))
            self.assertEqual([call.endpoint for call in self.dialler.calls][:1], before)
            self.clock.advance(0.1)
            self.assertEqual([call.endpoint for call in self.dialler.calls], [SEEN.endpoint, NEAR.endpoint])
            machine.cancel()
            machine.join((SEEN,))  # too late for anything
            self.assertEqual(len(self.dialler.calls), 2)

    def test_handed_over(self) -> None:
        """What is dialled already is not dialled again by the start that takes over, and the rest is closed."""
        first, second = self.start(SEEN, NEAR, delay=0), self.start(SEEN, delay=0.1)
        machine = attempt(first)
        self.clock.advance(0)
        attempt(second)
        first.hand_over(second)
        machine.cancel()
        self.assertEqual([call.endpoint for call in self.dialler.open], [SEEN.endpoint])
        self.clock.advance(0.2)
        self.assertEqual([call.endpoint for call in self.dialler.calls], [SEEN.endpoint, NEAR.endpoint])
        [call] = self.dialler.open
        channel = call.answer(THERE)
        assert isinstance(channel, Channel) and channel._claim is not None
        self.assertIs(channel._claim.contest, second.race)
        self.clock.advance(DEADLINE)
        self.assertEqual((len(self.lost), self.lost[0].outcomes[str(SEEN.endpoint)]), (1, "connected"))

    def test_held_until_they_join(self) -> None:
        start = self.start(SEEN)
        start.held = True
        machine = attempt(start)
        assert start.race is not None
        self.assertTrue(start.race._held)
        machine.join(())
        self.assertFalse(start.race._held)

    def test_eager_but_where_no_router_is(self) -> None:
        public = Candidate("host", Endpoint.parse("192.0.2.9:5000"))
        attempt(self.start(NEAR, SEEN, public, delay=0))
        self.clock.advance(0)
        for call in list(self.dialler.calls):
            call.refuse()
        self.clock.advance(0)
        self.assertEqual([call.endpoint for call in self.dialler.open], [SEEN.endpoint, public.endpoint])
        self.clock.advance(PATIENT)
        self.assertIn(NEAR.endpoint, [call.endpoint for call in self.dialler.open])

    def test_predicted_ports_leave_the_rest_its_syns(self) -> None:
        guesses = [Candidate("predicted", Endpoint(SEEN.endpoint.ip, 5001 + number)) for number in range(8)]
        budget = SynBudget(SynLedger())
        for _ in range(3):
            start = self.start(*guesses, SEEN)
            start.budget = budget
            attempt(start)
            before = len(self.dialler.calls)
            self.clock.advance(0.1)
            self.assertEqual(len(self.dialler.calls) - before, 9)
            self.clock.advance(DEADLINE)
            self.assertEqual(set(self.lost[-1].outcomes.values()), {"silent"})

    def test_many_are_closed_with_the_attempt(self) -> None:
        """Whether the deadline passes, somebody forgets it, or it is forgotten before they begin."""
        for end in ("expire", "cancel", "before"):
            self.setUp()
            start = self.start(SEEN, delay=0)
            machine = attempt(start)
            self.clock.advance(0)
            many = many_ports(self.clock, self.dialler, SEEN.endpoint, start.channel)
            if end == "before":
                machine.cancel()
            start.go_for_many(many)
            self.clock.advance(0.02)
            self.assertEqual(bool(many.sent), end != "before")
            if end == "expire":
                self.clock.advance(DEADLINE)
            else:
                machine.cancel()
            self.assertEqual((self.dialler.open, self.clock.getDelayedCalls()), ([], []))
            sent = many.sent
            self.clock.advance(5)
            self.assertEqual(many.sent, sent)

    def test_many_only_once_in_an_attempt(self) -> None:
        start = self.start(SEEN, delay=0)
        attempt(start)
        first, second = (many_ports(self.clock, self.dialler, SEEN.endpoint, start.channel) for _ in range(2))
        start.go_for_many(first)
        start.go_for_many(second)
        self.assertEqual((bool(first.sent), second.sent), (True, 0))
        start.clear()

    def test_the_deadline(self) -> None:
        attempt(self.start(NEAR, SEEN))
        self.clock.advance(0.1)
        self.dialler.calls[0].no_route()
        self.clock.advance(DEADLINE - 0.01)
        self.assertEqual(self.lost, [])
        self.clock.advance(0.02)
        [report] = self.lost
        self.assertEqual(report.outcomes, {str(NEAR.endpoint): "unreachable", str(SEEN.endpoint): "silent"})
        self.assertEqual((self.won, self.dialler.open, self.clock.getDelayedCalls()), ([], [], []))

    def test_nothing_to_dial(self) -> None:
        attempt(self.start())
        self.clock.pump([0.1, DEADLINE])
        self.assertEqual(self.lost, [Report({}, {})])

    def test_what_fell_out_is_reported(self) -> None:
        attempt(self.start(SEEN))
        self.clock.advance(0.1)
        channel = self.dialler.calls[0].answer(THERE)
        channel.transport.receive(b"HTTP/1.1 400\r\n")
        self.clock.pump([0, DEADLINE])
        self.assertEqual(self.lost, [Report({str(SEEN.endpoint): "lost"}, {"stranger": 1})])

    def test_cancelled(self) -> None:
        for after in (0.0, 0.1, 0.2, DEADLINE + 1):
            self.setUp()
            machine = attempt(self.start(SEEN))
            self.clock.advance(after)
            told = len(self.lost)
            machine.cancel()
            machine.cancel()
            self.clock.pump([0, 60])
            self.assertEqual((self.won, len(self.lost)), ([], told))
            self.assertEqual((self.dialler.open, self.clock.getDelayedCalls()), ([], []))

    def test_contenders_are_closed_at_the_end(self) -> None:
        machine = attempt(self.start(SEEN))
        self.clock.advance(0.1)
        channel = self.dialler.calls[0].answer(THERE)
        machine.cancel()
        self.assertTrue(channel.transport.aborted)

    def test_an_acceptor_takes_what_comes_before_the_start(self) -> None:
        start = self.start(SEEN)
        attempt(start)
        wire = Wire(self.clock).attach(Channel(self.clock, find=lambda channel, tag: start.claim))
        wire.receive(build(FOLLOWS.my_tag))
        self.assertTrue(wire.value().startswith(build(LEADS.my_tag)))

    def test_tls_is_made_once_and_while_the_syns_are_under_way(self) -> None:
        start = self.start(SEEN)
        attempt(start)
        self.clock.advance(0.1)
        self.clock.advance(0)
        made = start.pinned
        self.assertIsNotNone(made)
        self.assertIs(start.claim.tls(), made)

    @given(st.lists(st.sampled_from(["win", "expire", "cancel", "time passes"]), max_size=8), st.booleans())
    @settings(deadline=None, max_examples=60)
    def test_any_order_of_inputs(self, inputs: list[str], begins: bool) -> None:
        self.setUp()
        start = self.start(SEEN, delay=0.0 if begins else 3.0)
        machine = attempt(start)
        channel = Channel(self.clock, start.claim)
        Wire(self.clock).attach(channel)
        link = channel.link
        assert link is not None
        for name in inputs:
            try:
                if name == "win":
                    machine.win(link, b"")
                elif name == "time passes":
                    self.clock.advance(1)
                else:
                    getattr(machine, name)()
            except NoTransition:
                pass
        machine.cancel()
        self.clock.pump([0, 60])
        self.assertLessEqual(len(self.won) + len(self.lost), 1)
        self.assertEqual((self.dialler.open, self.clock.getDelayedCalls()), ([], []))


class PairTests(SynchronousTestCase):
    """Two attempts, each on its host of a memory network."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.network = Network(self.clock)
        self.won: dict[str, Success] = {}
        self.lost: dict[str, Report] = {}
        self.ports: list[SharedPort] = []

    def tearDown(self) -> None:
        for port in self.ports:
            port.close()
        self.network.advance(60)

    def side(self, host: object, name: str, *candidates: str, delay: float = 0.0) -> Start:
        leads = name == "leader"
        acceptor = Acceptor(host)  # type: ignore[arg-type]
        port = SharedPort(host, 4000, acceptor, check_free=lambda port: None)
        self.ports.append(port)
        start = Start(
            host,  # type: ignore[arg-type]
            port,
            LEADER if leads else FOLLOWER,
            LEADS if leads else FOLLOWS,
            tuple(Candidate("srflx", Endpoint.parse(text)) for text in candidates),
            delay,
            SynBudget(SynLedger()),
            lambda: 0.5,
            lambda success: self.won.__setitem__(name, success),
            lambda report: self.lost.__setitem__(name, report),
        )
        attempt(start)
        acceptor.expect(start.claim)
        return start

    def check(self) -> None:
        self.network.run_until(lambda: len(self.won) == 2, 3)
        said: list[bytes] = []
        self.won["follower"].link.receiver = said.append
        self.won["leader"].link.write(b"hello")
        self.network.advance(1)
        self.assertEqual((said, self.lost), ([b"hello"], {}))

    def test_one_side_can_not_be_reached(self) -> None:
        for dialler, other in (("leader", "follower"), ("follower", "leader")):
            self.setUp()
            home = Nat("203.0.113.5", name="home")
            inside = self.network.host("inside", address="192.168.1.7", behind=home)
            outside = self.network.host("outside", address="192.0.2.2")
            self.side(inside, dialler, "192.0.2.2:4000")
            self.side(outside, other)
            self.check()
            self.assertEqual(self.won[other].candidate, "prflx")
            self.assertEqual(
                (self.won[dialler].candidate, str(self.won[dialler].remote)), ("srflx", "192.0.2.2:4000")
            )

    def test_two_routers_silent_or_not(self) -> None:
        for stray in ("silent", "reset"):
            for delay in (0.0, 0.03):
                self.setUp()
                homes = [Nat(f"203.0.113.{n}", stray=stray, name=f"home {n}") for n in (1, 2)]  # type: ignore[arg-type]
                hosts = [
                    self.network.host(f"inside {n}", address="192.168.1.7", behind=home)
                    for n, home in enumerate(homes)
                ]
                self.side(hosts[0], "leader", "203.0.113.2:4000")
                self.side(hosts[1], "follower", "203.0.113.1:4000", delay=delay)
                self.check()

    def test_nobody_there(self) -> None:
        host = self.network.host("alone", address="192.0.2.2")
        self.side(host, "leader", "192.0.2.9:4000")
        self.network.advance(DEADLINE + 1)
        self.assertEqual(self.lost["leader"].outcomes, {"192.0.2.9:4000": "silent"})
        self.assertEqual(host.getDelayedCalls(), [])
