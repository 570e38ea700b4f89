"""The product through real kernels' NATs: what only they can show."""

from __future__ import annotations

import statistics

import pytest
from twisted.trial.unittest import SynchronousTestCase

from tests.natlab.laboratory import Laboratory
from tests.natlab.namespace import Host
from tests.natlab.routers import Masquerade
from tests.natlab.scenario import Program, require_laboratory, start_broker, start_peer
from tests.natlab.sites import Open

pytestmark = pytest.mark.natlab

SECRETS = ("a word that only alice says", "a word that only bob says")


class RoomsCase(SynchronousTestCase):
    """A laboratory for each test."""

    def setUp(self) -> None:
        require_laboratory()
        self.lab = Laboratory(seed=1)
        self.lab.__enter__()
        self.addCleanup(self.lab.close)

    def pair(self, alice: Host, bob: Host) -> tuple[Program, Program]:
        """Two peers that greet each other, the second one started when the first is registered."""
        first = start_peer(alice, "alice", message=SECRETS[0])
        first.wait("registered")
        return first, start_peer(bob, "bob", message=SECRETS[1])

    def met(self, *programs: Program) -> None:
        """Each has got the other's message, directly, within the first agreed start."""
        for program in programs:
            connected = program.wait("connected")
            self.assertEqual((connected["path"], connected["attempts"]), ("direct", 1))
            program.wait("message", direction="in")
            program.wait("message", direction="out")


class PairTests(RoomsCase):
    """Two sites."""

    def check(self, first: Masquerade | Open, second: Masquerade | Open, near: bool = False) -> None:
        start_broker(self.lab)
        alice, bob = self.lab.site("alice", first), self.lab.site("bob", second)
        if near:
            # Two milliseconds between the two, a sixth of a second from one of them to the broker.
            self.lab.one_way("alice", "bob", 0.001)
            self.lab.one_way("bob", "broker", 0.08)
        with self.lab.capture() as capture:
            programs = self.pair(alice, bob)
            self.met(*programs)
        payload = b"".join(segment.payload for segment in capture.tcp())
        for secret in SECRETS:
            self.assertNotIn(secret.encode(), payload)
        seconds = [program.events.all("connected")[0]["seconds"] for program in programs]
        # Four round trips, where three are needed, and what a loaded machine takes.
        self.assertLess(statistics.mean(seconds), 1.0)

    def test_silent_with_silent(self) -> None:
        self.check(Masquerade(), Masquerade())

    def test_reset_with_reset(self) -> None:
        self.check(Masquerade(stray="reset"), Masquerade(stray="reset"))

    def test_silent_with_reset(self) -> None:
        self.check(Masquerade(), Masquerade(stray="reset"))

    def test_open_with_reset(self) -> None:
        self.check(Open(), Masquerade(stray="reset"))

    def test_near_but_far_from_the_broker_silent(self) -> None:
        self.check(Masquerade(), Masquerade(), near=True)

    def test_near_but_far_from_the_broker_reset(self) -> None:
        self.check(Masquerade(stray="reset"), Masquerade(stray="reset"), near=True)

    def test_same_private_network_no_stray_syn(self) -> None:
        """Both homes use one private network: nobody dials the private address of the other."""
        start_broker(self.lab)
        lan = "192.168.77.0/24"
        alice = self.lab.site("alice", Masquerade(stray="reset", lan=lan))
        bob = self.lab.site("bob", Masquerade(stray="reset", lan=lan))
        decoy = alice.site.host("decoy")
        with self.lab.capture(alice) as inside:
            programs = self.pair(alice, bob)
            self.met(*programs)
        syns = {segment.dst for segment in inside.tcp() if "S" in segment.flags and segment.src == alice.address}
        self.assertNotIn(decoy.address, syns)
        self.assertFalse({address for address in syns if address.startswith("192.168.")})


class GroupTests(RoomsCase):
    """More than two sites, and a broker that goes away."""

    def test_ten_behind_ten_routers(self) -> None:
        """45 direct connections; every message once to everyone."""
        start_broker(self.lab)
        names = [f"p{number}" for number in range(10)]
        hosts = [
            self.lab.site(name, Masquerade(stray="reset" if number % 2 else "silent"))
            for number, name in enumerate(names)
        ]
        peers = [start_peer(host, name, message=f"from {name}") for host, name in zip(hosts, names, strict=True)]
        for peer in peers:
            peer.wait("connected", count=9)
            peer.wait("message", count=9, direction="in")
            peer.wait("message", count=9, direction="out")
        for peer in peers:
            texts = sorted(event["text"] for event in peer.events.all("message", direction="in"))
            self.assertEqual(texts, sorted(f"from {name}" for name in names if name != peer.name))
            self.assertEqual(len({event["remote"] for event in peer.events.all("connected")}), 9)
            self.assertEqual(len({event["local"] for event in peer.events.all("connected")}), 1)

    def test_broker_killed_in_mid_conversation(self) -> None:
        """Nothing is lost; whoever comes after its return is introduced.  How soon: tests/system/test_rooms.py."""
        broker = start_broker(self.lab)
        sites = [self.lab.site(name, Masquerade(stray="reset")) for name in ("alice", "bob", "carol")]
        alice, bob = self.pair(sites[0], sites[1])
        self.met(alice, bob)
        for number in range(30):
            alice.say(str(number))
            if number == 10:
                broker.process.kill()
                broker.process.wait()
        alice.wait("broker-lost")
        bob.wait("message", count=31, direction="in")
        texts = [event["text"] for event in bob.events.all("message", direction="in")]
        self.assertEqual(texts[1:], [str(number) for number in range(30)])
        start_broker(self.lab)
        carol = start_peer(sites[2], "carol")
        carol.wait("connected", count=2)
        self.assertEqual(len(bob.events.all("disconnected")), 0)
