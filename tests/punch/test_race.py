"""Several sockets may be proven; both sides end on one."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from p2phole.punch.race import CONFIRM, MOST_CONTENDERS, NOMINATE, Race
from p2phole.secure.channel import Channel, SecureLink
from tests.doubles import Pipe, join
from tests.secure.parties import FOLLOWS, LEADS, claim


class FakeLink:
    """A link that keeps what is written; it is its own channel."""

    def __init__(self) -> None:
        self.written = b""
        self.dropped: str | None = None
        self.race: Race | None = None

    def write(self, data: bytes) -> None:
        self.written += data

    @property
    def channel(self) -> FakeLink:
        return self

    @property
    def link(self) -> FakeLink:
        return self

    def drop(self, reason: str = "closed") -> None:
        if self.dropped is None:
            self.dropped = reason
            assert self.race is not None
            self.race.dropped(self, reason)  # type: ignore[arg-type]


class RaceTestCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.won: list[tuple[FakeLink, bytes]] = []

    def race(self, leads: bool, held: bool = False) -> Race:
        return Race(
            LEADS if leads else FOLLOWS,
            lambda link, rest: self.won.append((link, rest)),  # type: ignore[arg-type]
            held,
        )

    def contender(self, race: Race, secured: bool = True) -> FakeLink:
        link = FakeLink()
        link.race = race
        race.joined(link)  # type: ignore[arg-type]
        if secured:
            race.secured(link)  # type: ignore[arg-type]
        return link

    def say(self, link: FakeLink, data: bytes) -> None:
        assert link.race is not None
        link.race.spoke(link, data)  # type: ignore[arg-type]


class LeaderTests(RaceTestCase):
    def test_names_the_first_that_is_secured(self) -> None:
        race = self.race(True)
        first, second = self.contender(race), self.contender(race)
        self.assertEqual((first.written, second.written), (NOMINATE, b""))

    def test_wins_when_it_is_confirmed(self) -> None:
        race = self.race(True)
        first, second, third = self.contender(race), self.contender(race), self.contender(race, secured=False)
        self.say(first, CONFIRM + b"more")
        self.assertEqual(self.won, [(first, b"more")])
        self.assertEqual((first.dropped, second.dropped, third.dropped), (None, "closed", "closed"))

    def test_names_another_when_the_nominee_is_lost(self) -> None:
        race = self.race(True)
        first, second = self.contender(race), self.contender(race)
        first.drop()
        self.assertEqual((second.written, self.won), (NOMINATE, []))
        self.say(second, CONFIRM)
        self.assertEqual(self.won, [(second, b"")])

    def test_one_that_was_not_named_may_not_confirm(self) -> None:
        race = self.race(True)
        self.contender(race)
        second = self.contender(race)
        self.say(second, CONFIRM)
        self.assertEqual((second.dropped, self.won), ("stranger", []))

    def test_nonsense(self) -> None:
        for said in (b"X", NOMINATE, b"XC"):
            race = self.race(True)
            link = self.contender(race)
            self.say(link, said)
            self.assertEqual((link.dropped, self.won), ("stranger", []))
            self.assertEqual(race.drops, {"stranger": 1})

    def test_one_that_is_not_secured_may_not_speak(self) -> None:
        race = self.race(True)
        link = self.contender(race, secured=False)
        self.say(link, CONFIRM)
        self.assertEqual((link.dropped, self.won), ("closed", []))


class FollowerTests(RaceTestCase):
    def test_says_nothing_first(self) -> None:
        self.assertEqual(self.contender(self.race(False)).written, b"")

    def test_ends_on_what_the_leader_names(self) -> None:
        race = self.race(False)
        first, second = self.contender(race), self.contender(race)
        self.say(second, NOMINATE + b"more")
        self.assertEqual((second.written, self.won), (CONFIRM, [(second, b"more")]))
        self.assertEqual((first.dropped, second.dropped), ("closed", None))

    def test_nonsense(self) -> None:
        race = self.race(False)
        link = self.contender(race)
        self.say(link, CONFIRM)
        self.assertEqual((link.dropped, self.won), ("stranger", []))


class HeldTests(RaceTestCase):
    """While the other side has still to prove itself."""

    def test_the_leader_names_nobody_until_then(self) -> None:
        race = self.race(leads=True, held=True)
        self.assertFalse(race.is_waiting)
        link = self.contender(race)
        self.assertEqual((link.written, race.is_waiting), (b"", True))
        race.release()
        self.assertEqual((link.written, race.is_waiting), (NOMINATE, False))
        self.say(link, CONFIRM)
        self.assertEqual(self.won, [(link, b"")])

    def test_who_was_there_and_had_to_go_counts_as_waiting(self) -> None:
        """A channel may wait no longer than a start lasts, and the start is judged a little later."""
        race = self.race(leads=True, held=True)
        self.contender(race).channel.drop("slow")
        self.assertTrue(race.is_waiting)

    def test_the_follower_confirms_nothing_until_then(self) -> None:
        race = self.race(leads=False, held=True)
        link = self.contender(race)
        self.say(link, NOMINATE)
        self.assertEqual((link.written, self.won), (b"", []))
        race.release()
        self.assertEqual((link.written, self.won), (CONFIRM, [(link, b"")]))

    def test_nothing_else_is_kept_for_later(self) -> None:
        race = self.race(leads=False, held=True)
        link = self.contender(race)
        self.say(link, NOMINATE + b"x")
        self.assertEqual(link.dropped, "stranger")

    def test_what_was_nominated_is_gone_by_then(self) -> None:
        race = self.race(leads=False, held=True)
        link = self.contender(race)
        self.say(link, NOMINATE)
        link.drop()
        race.release()
        self.assertEqual(self.won, [])

    def test_released_after_the_end(self) -> None:
        for leads in (True, False):
            race = self.race(leads, held=True)
            link = self.contender(race)
            race.close()
            race.release()
            self.assertEqual((link.written, self.won), (b"", []))


class OverTests(RaceTestCase):
    def test_so_many_at_one_time(self) -> None:
        race = self.race(leads=False)
        links = [self.contender(race, secured=False) for _ in range(MOST_CONTENDERS + 1)]
        self.assertEqual([link.dropped for link in links], [None] * MOST_CONTENDERS + ["closed"])
        links[0].drop()
        self.assertIsNone(self.contender(race, secured=False).dropped)

    def test_who_comes_late_is_closed(self) -> None:
        race = self.race(False)
        self.say(self.contender(race), NOMINATE)
        late = self.contender(race, secured=False)
        self.assertEqual(late.dropped, "closed")

    def test_closed(self) -> None:
        for leads in (True, False):
            race = self.race(leads)
            link = self.contender(race)
            race.close()
            race.close()
            self.assertEqual((link.dropped, race.drops), ("closed", {"closed": 1}))
            self.say(link, CONFIRM if leads else NOMINATE)
        self.assertEqual(self.won, [])

    def test_drops_are_counted(self) -> None:
        race = self.race(True)
        for reason in ("slow", "unproven", "slow"):
            self.contender(race, secured=False).drop(reason)
        self.assertEqual(race.drops, {"slow": 2, "unproven": 1})


class AnyOrderTests(RaceTestCase):
    STEPS = st.tuples(
        st.sampled_from(["join", "secure", "say", "drop", "close"]),
        st.integers(0, 3),
        st.sampled_from([NOMINATE, CONFIRM, NOMINATE + b"x", b"x"]),
    )

    @given(st.booleans(), st.lists(STEPS, max_size=25))
    @settings(deadline=None, max_examples=150)
    def test_one_winner_at_most(self, leads: bool, steps: list[tuple[str, int, bytes]]) -> None:
        self.setUp()
        race = self.race(leads)
        links: list[FakeLink] = []
        for what, which, data in steps:
            if what == "join":
                links.append(self.contender(race, secured=False))
            elif what == "close":
                race.close()
            elif links:
                link = links[which % len(links)]
                if link.dropped is not None:
                    continue
                if what == "secure" and link not in race._secured:
                    race.secured(link)  # type: ignore[arg-type]
                elif what == "say" and (link, b"") not in [(won, b"") for won, _ in self.won]:
                    self.say(link, data)
                elif what == "drop":
                    link.drop("slow")
            self.assertLessEqual(len(self.won), 1)
        race.close()
        standing = [link for link in links if link.dropped is None]
        self.assertEqual([link for link in standing if link not in [won for won, _ in self.won]], [])


class OverTlsTests(SynchronousTestCase):
    """Two races on real channels."""

    def test_both_end_on_the_same_of_several(self) -> None:
        clock = Clock()
        won: list[tuple[str, SecureLink, bytes]] = []
        leading = Race(LEADS, lambda link, rest: won.append(("leader", link, rest)))
        following = Race(FOLLOWS, lambda link, rest: won.append(("follower", link, rest)))
        pairs: list[tuple[Channel, Channel]] = []
        pumps = []
        pipes: list[tuple[Pipe, Pipe]] = []
        for _ in range(3):
            channels = Channel(clock, claim(LEADS, leading)), Channel(clock, claim(FOLLOWS, following))
            pairs.append(channels)
            one, two, pump = join(*channels, clock)
            pipes.append((one, two))
            pumps.append(pump)
        # The second one is the quickest.
        for _ in range(50):
            for pump in (pumps[1], *pumps):
                pump.pump()
        [first, second] = won
        self.assertEqual({first[0], second[0]}, {"leader", "follower"})
        self.assertEqual({first[1].channel, second[1].channel}, set(pairs[1]))
        for number, (one, two) in enumerate(pipes):
            self.assertEqual(one.disconnecting or two.disconnecting, number != 1)
            if number != 1:
                self.assertTrue(one.aborted or two.aborted)
        clock.advance(60)
        self.assertEqual((pipes[1][0].disconnecting, pipes[1][1].disconnecting), (False, False))
