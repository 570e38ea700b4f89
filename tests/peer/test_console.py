"""Standard input and output of a peer."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.interfaces import IHalfCloseableProtocol, IPushProducer
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from p2phole.peer import console as module
from p2phole.peer.console import Console, LineSplitter
from tests import strategies

MOST = 12


class SplitterTestCase(SynchronousTestCase):
    def split(self, *chunks: bytes, most: int = MOST) -> list[str]:
        self.odd: list[str] = []
        splitter = LineSplitter(most, self.odd.append)
        lines: list[str] = []
        for chunk in chunks:
            lines += splitter.feed(chunk)
        return lines + splitter.feed(b"", last=True)


class LineSplitterTests(SplitterTestCase):
    def test_lines(self) -> None:
        self.assertEqual(self.split(b"one\ntw", b"o\r\n\nlast"), ["one", "two", "", "last"])
        self.assertEqual(self.split(), [])
        self.assertEqual(self.odd, [])

    def test_too_long_comes_in_pieces(self) -> None:
        self.assertEqual(self.split(b"x" * 30 + b"\ny\n"), ["x" * 12, "x" * 12, "x" * 6, "y"])
        self.assertEqual(self.split(b"x" * 30), ["x" * 12, "x" * 12, "x" * 6])
        self.assertIn("more than 12 bytes", self.odd[0])

    def test_cut_between_characters(self) -> None:
        self.assertEqual(self.split("xü€🦊€€€".encode()), ["xü€🦊", "€€€"])

    def test_not_utf8(self) -> None:
        self.assertEqual(self.split(b"a\xffb\n"), ["a\ufffdb"])
        self.assertIn("not UTF-8", self.odd[0])

    def test_what_replaces_it_fits_as_well(self) -> None:
        # Three bytes for one: what is sent is never more than fits into a message.
        for data in (b"\xff" * 100, b"\xff" * 100 + b"\n", b"\xe2\x82" * 30, b"\xf0\x9f" * 6 + b"\n"):
            for line in self.split(data):
                self.assertLessEqual(len(line.encode()), MOST)

    @given(st.text(st.characters(exclude_characters="\n\r", exclude_categories=["Cs"])), strategies.cuts)
    @settings(deadline=None, max_examples=100)
    def test_nothing_is_lost(self, text: str, at: list[int]) -> None:
        lines = self.split(*strategies.cut(text.encode(), at))
        self.assertEqual("".join(lines), text)

    @given(st.binary(max_size=100), strategies.cuts, st.integers(4, 40))
    @settings(deadline=None, max_examples=200)
    def test_any_bytes(self, data: bytes, at: list[int], most: int) -> None:
        for line in self.split(*strategies.cut(data, at), most=most):
            self.assertNotIn("\n", line)
            self.assertLessEqual(len(line.encode()), most)

    def test_what_is_held_is_bounded(self) -> None:
        splitter = LineSplitter(MOST, lambda what: None)
        for _ in range(100):
            splitter.feed(b"x" * 1000)
            self.assertLessEqual(len(splitter._buffer), MOST)


class FakeStdio:
    """What Twisted's StandardIO does with the console, without file descriptors."""

    def __init__(self, protocol: Console, reactor: Any) -> None:
        self.protocol = protocol
        self.reading = True
        self.written = b""
        self.producer: Any = None
        self.closed = False
        protocol.makeConnection(self)

    def registerProducer(self, producer: Any, streaming: bool) -> None:
        assert streaming
        self.producer = producer

    def unregisterProducer(self) -> None:
        self.producer = None

    def pauseProducing(self) -> None:
        self.reading = False

    def resumeProducing(self) -> None:
        self.reading = True

    def write(self, data: bytes) -> None:
        self.written += data

    def loseConnection(self) -> None:
        self.closed = True


class ConsoleTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.lines: list[str] = []
        self.done: list[int] = []
        self.overs: list[int] = []
        self.patch(module, "StandardIO", FakeStdio)
        self.console = Console(MOST, self.lines.append, lambda: self.overs.append(1))
        self.console.start(object())
        self.stdio: FakeStdio = self.console._stdio

    def show(self, *lines: str) -> None:
        for line in lines:
            self.console.show(line, lambda: self.done.append(len(self.done) + 1))

    def test_interfaces(self) -> None:
        self.assertTrue(verifyObject(IHalfCloseableProtocol, self.console))
        self.assertTrue(verifyObject(IPushProducer, self.console))

    def test_nothing_is_read_until_somebody_is_there(self) -> None:
        self.assertFalse(self.stdio.reading)
        self.console.hold(False)
        self.assertTrue(self.stdio.reading)
        self.console.dataReceived(b"one\ntwo\n")
        self.assertEqual(self.lines, ["one", "two"])

    def test_held_in_the_middle(self) -> None:
        def line(text: str) -> None:
            self.lines.append(text)
            self.console.hold(True)

        self.console._line = line
        self.console.hold(False)
        self.console.dataReceived(b"one\ntwo\nthree\n")
        self.assertEqual((self.lines, self.stdio.reading), (["one"], False))
        self.console.hold(False)
        self.assertEqual((self.lines, self.stdio.reading), (["one", "two"], False))

    def test_the_end_of_the_input(self) -> None:
        self.console.hold(False)
        self.console.dataReceived(b"one\nlast")
        self.console.readConnectionLost()
        self.assertEqual((self.lines, self.stdio.closed, self.overs), (["one", "last"], False, [1]))
        self.console.hold(True)
        self.stdio.reading = False
        self.console.hold(False)
        self.assertFalse(self.stdio.reading)

    def test_the_end_of_the_input_before_somebody_is_there(self) -> None:
        self.console.dataReceived(b"one\n")
        self.console.readConnectionLost()
        self.assertEqual((self.lines, self.overs), ([], []))
        self.console.hold(False)
        self.assertEqual((self.lines, self.overs), (["one"], [1]))

    def test_shown(self) -> None:
        self.show("bob: grüße", "bob: two")
        self.assertEqual((self.stdio.written, self.done), ("bob: grüße\nbob: two\n".encode(), [1, 2]))

    def test_a_slow_reader_holds_back_what_counts_as_shown(self) -> None:
        self.show("one")
        self.console.pauseProducing()
        self.show("two", "three")
        self.assertEqual((self.stdio.written, self.done), (b"one\n", [1]))
        self.console.resumeProducing()
        self.assertEqual((self.stdio.written, self.done), (b"one\ntwo\nthree\n", [1, 2, 3]))

    def test_a_reader_that_is_slow_again_at_once(self) -> None:
        self.console.pauseProducing()
        self.show("one", "two")
        written = self.stdio.write
        self.stdio.write = lambda data: (written(data), self.console.pauseProducing())  # type: ignore
        self.console.resumeProducing()
        self.assertEqual((self.stdio.written, self.done), (b"one\n", [1]))

    def test_nobody_reads_any_more(self) -> None:
        self.console.pauseProducing()
        self.show("one", "two")
        self.console.writeConnectionLost()
        self.show("three")
        self.assertEqual((self.stdio.written, self.done), (b"", [1, 2, 3]))

    def test_both_are_gone(self) -> None:
        self.console.pauseProducing()
        self.show("one")
        self.console.connectionLost()
        self.console.stopProducing()
        self.assertEqual(self.done, [1])

    def test_stopped(self) -> None:
        self.console.stop()
        self.show("one")
        self.assertEqual((self.stdio.written, self.stdio.closed, self.stdio.producer), (b"", True, None))
        self.assertEqual(self.done, [1])

    def test_closed_from_the_start(self) -> None:
        def closed(*arguments: object, **more: object) -> None:
            raise OSError(9, "Bad file descriptor")

        self.patch(module, "StandardIO", closed)
        console = Console(MOST, self.lines.append, lambda: self.overs.append(1))
        console.start(object())
        console.hold(False)
        console.show("one", lambda: self.done.append(1))
        console.stop()
        self.assertEqual(self.done, [1])

    def test_odd_input_is_told_once(self) -> None:
        self.console.hold(False)
        for _ in range(3):
            self.console.dataReceived(b"\xff\n")
        self.assertEqual(self.lines, ["\ufffd"] * 3)
