"""From a hostile socket to an authenticated link."""

from __future__ import annotations

import socket

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.error import ConnectionDone
from twisted.internet.task import Clock
from twisted.test.iosim import IOPump
from twisted.trial.unittest import SynchronousTestCase

from p2phole.secure.channel import DROP_REASONS, PROOF_SECONDS, Channel, Claim
from p2phole.secure.identity import Credentials
from p2phole.secure.preface import SIZE, build
from tests import strategies
from tests.doubles import Pipe, Wire, join
from tests.secure.parties import FOLLOWER, FOLLOWS, LEADER, LEADS, STRANGER, Contest, claim

CLIENT_HELLO = b"\x16\x03"


class Meeting:
    """Two channels at the ends of one connection."""

    def __init__(
        self,
        *,
        leader_dials: bool = True,
        follower_dials: bool = True,
        leader: Credentials = LEADER,
        follower: Credentials = FOLLOWER,
    ) -> None:
        self.clock = Clock()
        self.leading, self.following = Contest(), Contest()
        claims = claim(LEADS, self.leading, leader), claim(FOLLOWS, self.following, follower)
        self.leader = self.channel(claims[0], leader_dials)
        self.follower = self.channel(claims[1], follower_dials)
        self.one: Pipe
        self.two: Pipe
        self.pump: IOPump
        self.one, self.two, self.pump = join(self.leader, self.follower, self.clock)

    def channel(self, its: Claim, dials: bool) -> Channel:
        if dials:
            return Channel(self.clock, its)
        found = {its.pairing.their_tag: its}
        return Channel(self.clock, find=lambda channel, tag: found.get(tag))

    def run(self) -> Meeting:
        self.pump.flush()
        return self


WAYS = ({}, {"leader_dials": False}, {"follower_dials": False})
"""A simultaneous open, and either side accepting."""


class HandshakeTests(SynchronousTestCase):
    def test_both_are_proven_whoever_connected(self) -> None:
        for way in WAYS:
            meeting = Meeting(**way).run()  # type: ignore[arg-type]
            [leading], [following] = meeting.leading.links, meeting.following.links
            self.assertEqual((leading.channel, following.channel), (meeting.leader, meeting.follower))
            leading.write(b"from the leader")
            following.write(b"from the follower")
            meeting.run()
            self.assertEqual(
                (meeting.leading.said, meeting.following.said), ([b"from the follower"], [b"from the leader"])
            )
            self.assertEqual(meeting.leading.drops + meeting.following.drops, [])
            meeting.clock.advance(10 * PROOF_SECONDS)
            self.assertEqual((meeting.one.disconnecting, meeting.two.disconnecting), (False, False))

    def test_in_single_bytes(self) -> None:
        for way in WAYS:
            meeting = Meeting(**way)  # type: ignore[arg-type]
            for pipe in (meeting.one, meeting.two):
                whole = pipe.bufferReceived
                pipe.bufferReceived = (
                    lambda data, whole=whole: [  # type: ignore[method-assign]
                        whole(data[at : at + 1]) for at in range(len(data))
                    ]
                )
            meeting.run()
            meeting.leading.links[0].write(b"x")
            meeting.run()
            self.assertEqual(meeting.following.said, [b"x"])

    def test_the_leader_shows_its_client_hello_with_the_preface(self) -> None:
        meeting = Meeting()
        self.assertEqual(meeting.one.sent[:SIZE], build(LEADS.my_tag))
        self.assertEqual(meeting.one.sent[SIZE : SIZE + 2], CLIENT_HELLO)

    def test_the_follower_shows_its_preface_alone(self) -> None:
        self.assertEqual(Meeting().two.sent, build(FOLLOWS.my_tag))

    def test_an_acceptor_shows_nothing_first(self) -> None:
        self.assertEqual(Meeting(leader_dials=False).one.sent, b"")
        self.assertEqual(Meeting(follower_dials=False).two.sent, b"")

    def test_nothing_of_us_is_readable(self) -> None:
        for way in WAYS:
            meeting = Meeting(**way).run()  # type: ignore[arg-type]
            meeting.leading.links[0].write(b"the secret words")
            meeting.run()
            sent = meeting.one.sent + meeting.two.sent
            for secret in (b"secret", LEADS.token, bytes.fromhex(LEADER.fingerprint), b"p2phole\x06"):
                self.assertNotIn(secret, sent)
            self.assertNotIn(LEADER.key.public_key().public_bytes_raw(), sent)

    def test_where_the_ends_are(self) -> None:
        meeting = Meeting()
        self.assertEqual(
            (str(meeting.leader.local), str(meeting.leader.remote)), ("10.0.0.1:4000", "192.0.2.7:5000")
        )
        self.assertEqual((meeting.leader.dialled, Meeting(leader_dials=False).leader.dialled), (True, False))

    def test_the_link_ends_with_the_connection(self) -> None:
        meeting = Meeting().run()
        ended: list[str] = []
        for link in (*meeting.leading.links, *meeting.following.links):
            link.ended = lambda reason, link=link: ended.append(type(reason.value).__name__)
        meeting.leader.drop()
        meeting.run()
        self.assertEqual((len(ended), meeting.one.aborted), (2, True))
        self.assertEqual((meeting.leading.drops, meeting.following.drops), (["closed"], ["closed"]))
        meeting.leading.links[0].write(b"too late")
        meeting.follower.drop()
        self.assertEqual(meeting.following.drops, ["closed"])

    def test_a_receiver_of_its_own(self) -> None:
        meeting = Meeting().run()
        got: list[bytes] = []
        meeting.following.links[0].receiver = got.append
        meeting.leading.links[0].write(b"x")
        meeting.run()
        self.assertEqual((got, meeting.following.said), ([b"x"], []))


class WrongKeyTests(SynchronousTestCase):
    def test_of_the_follower(self) -> None:
        for way in WAYS:
            meeting = Meeting(follower=STRANGER, **way).run()  # type: ignore[arg-type]
            self.assertEqual((meeting.leading.links, meeting.following.links), ([], []))
            self.assertEqual(meeting.leading.drops, ["unproven"])
            self.assertTrue(meeting.one.disconnected and meeting.two.disconnected)

    def test_of_the_leader(self) -> None:
        for way in WAYS:
            meeting = Meeting(leader=STRANGER, **way).run()  # type: ignore[arg-type]
            # The follower, as TLS server, has judged: to it nothing was secured.  The leader learns it too
            # late to know, but hears nothing, and that alone would be its proof.
            self.assertEqual((meeting.following.links, meeting.following.drops), ([], ["unproven"]))
            self.assertEqual((meeting.leading.said, len(meeting.leading.drops)), ([], 1))

    def test_what_a_wrong_leader_says_at_once_is_not_heard(self) -> None:
        meeting = Meeting(leader=STRANGER)
        meeting.leading.secured = lambda link: link.write(b"N")  # type: ignore[method-assign]
        meeting.run()
        self.assertEqual(meeting.following.said, [])

    def test_unproven_until_the_first_byte(self) -> None:
        # A leader to which nothing is said within five seconds has no proof, though TLS is up.
        meeting = Meeting().run()
        self.assertEqual(len(meeting.leading.links), 1)
        meeting.clock.advance(PROOF_SECONDS)
        self.assertEqual(meeting.leading.drops, ["slow"])
        self.assertTrue(meeting.one.aborted)

    def test_nobody_learns_who_we_are_from_a_connection_that_is_not_theirs(self) -> None:
        # Somebody who knows the token, but has another key, as TLS server towards our leader.
        meeting = Meeting(follower=STRANGER).run()
        self.assertNotIn(LEADER.key.public_key().public_bytes_raw(), meeting.one.sent)


class EdgeTestCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.contest = Contest()
        self.over: list[Channel] = []

    def acceptor(self, its: Claim | None = None) -> Wire:
        found = {its.pairing.their_tag: its} if its else {}
        channel = Channel(self.clock, find=lambda channel, tag: found.get(tag), over=self.over.append)
        return Wire(self.clock).attach(channel)

    def dialler(self, leads: bool = True) -> Wire:
        return Wire(self.clock).attach(Channel(self.clock, claim(LEADS if leads else FOLLOWS, self.contest)))


class StrangerTests(EdgeTestCase):
    def test_gets_not_one_byte(self) -> None:
        for data in (
            b"GET / HTTP/1.1\r\n\r\n",
            b"SSH-2.0-OpenSSH_10.0\r\n",
            b"\x16\x03\x01\x02\x00",
            b"\x00",
            b"p2phole\x02" + bytes(32),
            b"P2PHOLE\x01" + bytes(32),
        ):
            wire = self.acceptor(claim(LEADS, self.contest))
            wire.receive(data)
            self.assertEqual((wire.value(), wire.aborted), (b"", True))
            self.clock.advance(0)
            self.assertEqual(self.clock.getDelayedCalls(), [])
        self.assertEqual((self.contest.channels, self.contest.drops, len(self.over)), ([], [], 6))

    def test_with_a_tag_of_nobody_gets_not_one_byte(self) -> None:
        wire = self.acceptor(claim(LEADS, self.contest))
        wire.receive(build(bytes(32)) + b"\x16\x03\x01")
        self.clock.advance(PROOF_SECONDS - 0.1)
        self.assertEqual((wire.value(), wire.aborted), (b"", False))
        self.clock.advance(0.1)
        self.assertEqual((wire.value(), wire.aborted), (b"", True))

    def test_with_our_own_tag_gets_not_one_byte(self) -> None:
        # What we sent, sent back to our acceptor.
        wire = self.acceptor(claim(LEADS, self.contest))
        wire.receive(build(LEADS.my_tag))
        self.clock.advance(PROOF_SECONDS)
        self.assertEqual((wire.value(), wire.aborted, self.contest.channels), (b"", True, []))

    def test_slow_ones(self) -> None:
        for said in (b"", b"p2phole", build(FOLLOWS.my_tag), build(FOLLOWS.my_tag) + b"\x16\x03\x01\x01\x00"):
            wire = self.acceptor(claim(LEADS, self.contest))
            wire.receive(said)
            self.clock.advance(PROOF_SECONDS - 0.01)
            self.assertFalse(wire.aborted)
            self.clock.advance(0.02)
            self.assertTrue(wire.aborted)
        self.assertEqual(self.contest.drops, ["slow", "slow"])

    def test_one_byte_a_second_does_not_help(self) -> None:
        wire = self.acceptor(claim(LEADS, self.contest))
        for byte in build(FOLLOWS.my_tag)[: int(PROOF_SECONDS) + 2]:
            wire.receive(bytes([byte]))
            self.clock.advance(1)
        self.assertTrue(wire.aborted)

    def test_at_the_address_that_was_dialled(self) -> None:
        for leads in (True, False):
            for data in (b"HTTP/1.1 400 Bad Request\r\n", b"SSH-2.0\r\n", build(bytes(32))):
                self.setUp()
                wire = self.dialler(leads)
                wire.receive(data)
                self.assertEqual((self.contest.drops, wire.aborted), (["stranger"], True))

    def test_who_closes_without_a_word_proves_nothing_and_refutes_nothing(self) -> None:
        # A web server at the same private address hangs up on what it does not understand.
        for leads in (True, False):
            self.setUp()
            wire = self.dialler(leads)
            wire.lose(ConnectionDone())
            self.assertEqual(self.contest.drops, ["closed"])
            self.assertEqual(self.clock.getDelayedCalls(), [])


class ItselfTests(EdgeTestCase):
    def test_its_own_tag_comes_back(self) -> None:
        for leads in (True, False):
            self.setUp()
            wire = self.dialler(leads)
            wire.receive(wire.value())
            self.assertEqual((self.contest.drops, wire.aborted), (["itself"], True))


class WaitingTests(EdgeTestCase):
    def test_admitted_when_the_introduction_comes(self) -> None:
        clock, following = Clock(), Contest()
        waiting: list[tuple[Channel, bytes]] = []

        def find(channel: Channel, tag: bytes) -> None:
            waiting.append((channel, tag))

        leader = Channel(clock, claim(LEADS, self.contest))
        follower = Channel(clock, find=find)
        _, pipe, pump = join(leader, follower, clock)
        pump.flush()
        self.assertEqual((waiting, pipe.sent), ([(follower, LEADS.my_tag)], b""))
        clock.advance(1)
        follower.admit(claim(FOLLOWS, following))
        pump.flush()
        self.assertEqual((len(self.contest.links), len(following.links)), (1, 1))

    def test_what_waits_is_bounded(self) -> None:
        wire = self.acceptor()
        wire.receive(build(LEADS.my_tag) + b"x" * 1000)
        wire.receive(b"x" * 3000)
        self.assertFalse(wire.aborted)
        wire.receive(b"x" * 1000)
        self.assertTrue(wire.aborted)

    def test_too_late(self) -> None:
        wire = self.acceptor()
        wire.receive(build(LEADS.my_tag))
        self.clock.advance(PROOF_SECONDS)
        channel = wire.protocol
        assert isinstance(channel, Channel)
        channel.admit(claim(FOLLOWS, self.contest))
        self.assertEqual((wire.value(), self.contest.channels), (b"", []))


class RaceIsOverTests(EdgeTestCase):
    def test_dropped_as_it_joins(self) -> None:
        self.contest.joined = lambda channel: channel.drop()  # type: ignore[method-assign]
        dialled = self.dialler()
        accepted = self.acceptor(claim(LEADS, self.contest))
        accepted.receive(build(FOLLOWS.my_tag))
        for wire in (dialled, accepted):
            self.assertEqual((wire.value(), wire.aborted), (b"", True))
        self.clock.advance(0)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_dropped_with_a_reset_that_only_the_first_router_sees(self) -> None:
        wire = self.dialler()
        assert isinstance(wire.protocol, Channel)
        wire.protocol.drop_unheard()
        self.assertTrue(wire.aborted)
        self.assertEqual(wire.socket.options[socket.IPPROTO_IP, socket.IP_TTL], 1)
        self.assertEqual(wire.socket.options[socket.IPPROTO_IPV6, socket.IPV6_UNICAST_HOPS], 1)

    def test_what_comes_behind_the_drop_is_not_read(self) -> None:
        wire = self.acceptor(claim(LEADS, self.contest))
        channel = wire.protocol
        assert isinstance(channel, Channel)
        channel.drop("slow")
        channel.dataReceived(build(FOLLOWS.my_tag))
        self.assertEqual((self.contest.channels, wire.value()), ([], b""))


class AnythingTests(EdgeTestCase):
    PIECES = st.one_of(
        st.binary(max_size=60),
        st.sampled_from(
            [build(FOLLOWS.my_tag), build(LEADS.my_tag), build(bytes(32)), b"\x16\x03\x01\x00\x05hello"]
        ),
        st.integers(0, 5000).map(bytes),
    )

    @given(st.booleans(), st.booleans(), st.lists(PIECES, max_size=6), strategies.cuts)
    @settings(deadline=None, max_examples=150)
    def test_any_bytes_in_any_chunks(self, dials: bool, leads: bool, pieces: list[bytes], at: list[int]) -> None:
        self.setUp()
        wire = self.dialler(leads) if dials else self.acceptor(claim(LEADS if leads else FOLLOWS, self.contest))
        data = b"".join(pieces)
        for chunk in strategies.cut(data, at):
            wire.receive(chunk)
        if not dials and data[:SIZE] != build(FOLLOWS.my_tag if leads else LEADS.my_tag):
            self.assertEqual(wire.value(), b"")
        self.clock.advance(PROOF_SECONDS)
        self.clock.advance(0)
        self.assertFalse(wire.connected)
        self.assertEqual((self.contest.links, self.contest.said), ([], []))
        self.assertEqual(len(self.contest.drops), len(self.contest.channels))
        self.assertLessEqual(set(self.contest.drops), set(DROP_REASONS))
        self.assertEqual(self.clock.getDelayedCalls(), [])

    @given(st.integers(0, 10_000), st.binary(min_size=1, max_size=4), st.booleans())
    @settings(deadline=None, max_examples=80)
    def test_a_handshake_with_a_few_other_bytes(self, where: int, other: bytes, leader: bool) -> None:
        meeting = Meeting()
        pipe = meeting.one if leader else meeting.two
        whole = pipe.bufferReceived
        seen = 0

        def tamper(data: bytes) -> None:
            nonlocal seen
            at = where - seen
            seen += len(data)
            if 0 <= at < len(data):
                data = (data[:at] + other + data[at + len(other) :])[: len(data)]
            whole(data)

        pipe.bufferReceived = tamper  # type: ignore[method-assign]
        meeting.run()
        meeting.clock.advance(PROOF_SECONDS)
        meeting.run()
        for contest in (meeting.leading, meeting.following):
            self.assertLessEqual(len(contest.links), 1)
            self.assertLessEqual(set(contest.drops), set(DROP_REASONS))
