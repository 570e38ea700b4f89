"""Answering how a peer is; the asking is in tests/loopback, with real sockets."""

from __future__ import annotations

from pathlib import Path

from twisted.internet.task import Clock
from twisted.internet.testing import MemoryReactorClock, StringTransport
from twisted.trial.unittest import SynchronousTestCase

from p2phole.peer.status import Report, encode
from p2phole.peer.status_socket import ANSWER_SECONDS, MOST_QUESTIONS, Answer, Answers, StatusSocket
from tests.peer.test_status import REPORT


class Asked(StringTransport):
    """Somebody who asks."""

    aborted = False

    def abortConnection(self) -> None:
        self.aborted = True


class AnswersTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.reports = 0
        self.answers = Answers(self.clock, self.report)

    def report(self) -> Report:
        self.reports += 1
        return REPORT

    def ask(self) -> tuple[Answer, Asked]:
        answer, asked = self.answers.buildProtocol(None), Asked()
        assert answer is not None
        answer.makeConnection(asked)
        return answer, asked

    def test_one_line_and_the_end(self) -> None:
        answer, asked = self.ask()
        self.assertEqual((asked.value(), asked.disconnecting), (encode(REPORT), True))
        answer.dataReceived(b"anything")
        answer.connectionLost()
        self.assertEqual((self.clock.getDelayedCalls(), self.reports), ([], 1))

    def test_who_does_not_read_the_answer(self) -> None:
        answer, asked = self.ask()
        self.clock.advance(ANSWER_SECONDS)
        self.assertTrue(asked.aborted)
        answer.connectionLost()

    def test_too_many_at_a_time(self) -> None:
        answers = [self.ask()[0] for _ in range(MOST_QUESTIONS)]
        self.assertIsNone(self.answers.buildProtocol(None))
        answers[0].connectionLost()
        self.ask()


class SocketTests(SynchronousTestCase):
    def test_where_there_can_be_none(self) -> None:
        """All goes on as well; nobody needs to know."""
        folder = Path(self.mktemp())
        folder.write_text("")
        socket = StatusSocket(MemoryReactorClock(), "1", lambda: REPORT, folder / "p2phole")
        socket.open()
        self.assertIsNone(socket.close())
