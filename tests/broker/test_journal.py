"""What the broker logs of its connections."""

from twisted.internet.task import Clock
from twisted.logger import LogEvent, formatEvent, globalLogPublisher
from twisted.trial.unittest import SynchronousTestCase

from p2phole.addresses import Endpoint
from p2phole.broker.journal import LINES, Journal
from p2phole.wire.messages import Error

WHERE = Endpoint.parse("192.0.2.7:5000")
ERROR = Error("bad-message", "register: candidates: '198.51.100.9' is not an address and a port")


class JournalTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.events: list[LogEvent] = []
        globalLogPublisher.addObserver(self.events.append)
        self.addCleanup(globalLogPublisher.removeObserver, self.events.append)

    def lines(self) -> list[str]:
        found = [formatEvent(event) for event in self.events]
        self.events.clear()
        return found

    def test_no_addresses(self) -> None:
        """Neither the peer's, nor any that it has sent."""
        Journal(self.clock.seconds).refused(ERROR, WHERE)
        self.assertEqual(self.lines(), ["A connection is closed: bad-message."])

    def test_addresses_where_they_are_asked_for(self) -> None:
        journal = Journal(self.clock.seconds, addresses=True)
        journal.refused(ERROR, WHERE)
        [line] = self.lines()
        self.assertIn("192.0.2.7:5000", line)
        self.assertIn("198.51.100.9", line)
        journal.refused(ERROR, None)
        self.assertEqual(len(self.lines()), 1)

    def test_a_flood_is_counted(self) -> None:
        journal = Journal(self.clock.seconds)
        for _ in range(100_000):
            journal.refused(ERROR, WHERE)
        self.assertEqual(len(self.lines()), LINES.burst)
        self.clock.advance(1 / LINES.per_second)
        journal.refused(ERROR, WHERE)
        self.assertEqual(
            self.lines(),
            [
                f"{100_000 - LINES.burst} more connections were closed.",
                "A connection is closed: bad-message.",
            ],
        )
