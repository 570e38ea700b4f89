"""Standard input and output, on descriptors of every kind."""

from __future__ import annotations

import errno
import fcntl
import os
import pty
import socket
import tty
from unittest.mock import patch

from twisted.internet.error import ConnectionDone, ConnectionLost
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from p2phole.use.pipe import unblocked as unblocked_module
from p2phole.use.pipe.standard import PIECE, Input, Output
from p2phole.use.pipe.unblocked import ROOM, SURE, unblocked
from tests.use.descriptors import Watching, drain, wait_for


class Descriptors(SynchronousTestCase):
    def keep(self, *descriptors: int) -> tuple[int, ...]:
        for each in descriptors:
            self.addCleanup(_close, each)
        return descriptors

    def pipe(self) -> tuple[int, ...]:
        return self.keep(*os.pipe())

    def terminal(self) -> tuple[int, ...]:
        """Ours and theirs."""
        master, slave = self.keep(*pty.openpty())
        tty.setraw(slave)
        return master, slave

    def sockets(self) -> tuple[int, ...]:
        return self.keep(*(each.detach() for each in socket.socketpair()))


def _close(descriptor: int) -> None:
    try:
        os.close(descriptor)
    except OSError:
        pass


class UnblockedTests(Descriptors):
    def test_nothing_is_changed_of_what_is_shared(self) -> None:
        for make in (self.pipe, self.terminal, self.sockets):
            reading, writing = make()
            for descriptor, writes in ((reading, False), (writing, True)):
                if make is self.terminal and descriptor == reading:
                    continue
                before = fcntl.fcntl(descriptor, fcntl.F_GETFL)
                self.assertFalse(before & os.O_NONBLOCK)
                one = unblocked(descriptor, writes)
                if writes:
                    with self.assertRaises(BlockingIOError):
                        while True:
                            one.write(bytes(65_536))
                else:
                    self.assertRaises(BlockingIOError, one.read, 1)
                self.assertEqual(fcntl.fcntl(descriptor, fcntl.F_GETFL), before, make)
                one.close()
                os.fstat(descriptor)

    def test_what_cannot_be_opened_anew_is_asked_first(self) -> None:
        reading, writing = self.pipe()
        with patch.object(unblocked_module.os, "open", side_effect=PermissionError):
            source, sink = unblocked(reading, False), unblocked(writing, True)
        self.assertRaises(BlockingIOError, source.read, 1)
        self.assertEqual(sink.write(bytes(2 * SURE)), SURE)
        with self.assertRaises(BlockingIOError):
            while True:
                self.assertEqual(sink.write(bytes(2 * SURE)), SURE)
        self.assertEqual(len(source.read(10)), 10)
        for each in (source, sink):
            self.assertTrue(os.get_blocking(each.fileno()))
            each.close()

    def test_a_pipe_gets_room(self) -> None:
        reading, writing = self.pipe()
        unblocked(reading, False).close()
        self.assertEqual(fcntl.fcntl(writing, fcntl.F_GETPIPE_SZ), ROOM)
        with patch("fcntl.fcntl", side_effect=PermissionError):
            unblocked(reading, False).close()

    def test_a_file_goes_on_where_it_is(self) -> None:
        path = self.mktemp()
        with open(path, "w+b") as file:
            file.write(b"before")
            file.flush()
            sink = unblocked(file.fileno(), True)
            sink.write(b"+behind")
            sink.close()
            file.seek(3)
            source = unblocked(file.fileno(), False)
            self.assertEqual(source.read(100), b"ore+behind")
            source.close()


class InputTests(Descriptors):
    def input(self, descriptor: int) -> Input:
        self.reactor = Watching()
        self.got: list[bytes] = []
        self.ends: list[OSError | None] = []
        return Input(self.reactor, descriptor, self.got.append, self.ends.append)

    def test_reads_what_is_there_and_then_what_comes(self) -> None:
        for make in (self.pipe, self.sockets):
            reading, writing = make()
            os.write(writing, b"there")
            source = self.input(reading)
            self.assertEqual(self.got, [])
            source.resume()
            self.assertEqual(self.got, [b"there"])
            self.assertFalse(self.reactor.turn())
            os.write(writing, b"\0then")
            self.reactor.turn()
            self.assertEqual(self.got, [b"there", b"\0then"])
            os.close(writing)
            self.reactor.turn()
            self.assertEqual((self.ends, self.reactor.readers), ([None], set()))

    def test_pauses(self) -> None:
        reading, writing = self.pipe()
        source = self.input(reading)
        source.resume()
        source.pause()
        os.write(writing, b"x")
        self.assertFalse(self.reactor.turn())
        source.resume()
        source.resume()
        self.assertEqual(self.got, [b"x"])
        source.close()

    def test_a_file_is_read_piece_by_piece_and_others_have_their_turns(self) -> None:
        with open(self.mktemp(), "w+b") as file:
            file.write(bytes(2 * PIECE + 1))
            file.seek(0)
            source = self.input(file.fileno())
            source.resume()
            self.assertEqual([*map(len, self.got)], [PIECE])
            self.reactor.turn()
            self.assertEqual([*map(len, self.got)], [PIECE, PIECE])
            source.pause()
            self.assertFalse(self.reactor.turn())
            source.resume()
            self.assertEqual([*map(len, self.got)], [PIECE, PIECE, 1])
            self.reactor.turn()
            self.assertEqual((self.ends, self.reactor.readers), ([None], set()))

    def test_may_be_paused_by_what_it_gives(self) -> None:
        with open("/dev/zero", "rb") as endless:
            source = self.input(endless.fileno())
            source._received = lambda data: source.pause()
            source.resume()
            self.assertEqual(self.reactor.readers, set())
            source.close()

    def test_a_terminal_ends_by_its_own_key(self) -> None:
        master, slave = self.keep(*pty.openpty())
        source = self.input(slave)
        self.assertTrue(source.is_terminal)
        source.resume()
        os.write(master, b"typed\n\x04")
        while not self.ends:
            wait_for(slave)
            self.reactor.turn()
        self.assertEqual((self.got, self.ends), ([b"typed\n"], [None]))

    def test_what_cannot_be_read(self) -> None:
        (folder,) = self.keep(os.open(".", os.O_RDONLY))
        self.input(folder).resume()
        [error] = self.ends
        assert error is not None
        self.assertEqual(error.errno, errno.EISDIR)

    def test_who_writes_is_told_that_nobody_reads(self) -> None:
        reading, writing = self.pipe()
        source = self.input(reading)
        source.resume()
        source.close()
        source.close()
        self.assertRaises(BrokenPipeError, os.write, writing, b"x")
        self.assertEqual(os.read(reading, 1), b"")  # and nothing else gets the number
        self.assertEqual(self.ends, [])

    def test_a_reactor_may_notice_the_end_before_it_is_read(self) -> None:
        reading, writing = self.pipe()
        source = self.input(reading)
        source.resume()
        os.close(writing)
        source.connectionLost(Failure(ConnectionDone()))
        source.connectionLost(Failure(ConnectionDone()))
        self.assertEqual(self.ends, [None])


class OutputTests(Descriptors):
    def output(self, descriptor: int) -> Output:
        self.reactor = Watching()
        self.drained = 0
        self.broken: list[OSError] = []
        return Output(self.reactor, descriptor, self.is_drained, self.broken.append)

    def is_drained(self) -> None:
        self.drained += 1

    def test_writes_at_once_or_when_it_can(self) -> None:
        for make in (self.pipe, self.sockets):
            reading, writing = make()
            sink = self.output(writing)
            self.assertTrue(sink.write(b"small"))
            large = os.urandom(3_000_000)
            self.assertFalse(sink.write(large))
            self.assertFalse(self.reactor.turn())
            got = b""
            while len(got) < len(large) + 5:
                self.assertEqual(self.drained, not sink.waiting)
                got += drain(reading)
                self.reactor.turn()
            self.assertEqual((got, self.drained, self.reactor.writers), (b"small" + large, 1, set()))
            sink.close()
            sink.close()
            self.assertEqual(os.read(reading, 1), b"")
            self.assertTrue(sink.write(b"nobody's"))

    def test_nobody_reads(self) -> None:
        reading, writing = self.pipe()
        sink = self.output(writing)
        os.close(reading)
        sink.write(b"x")
        self.assertEqual([each.errno for each in self.broken], [errno.EPIPE])

    def test_nobody_reads_any_more_what_waits(self) -> None:
        for by_event in (False, True):
            reading, writing = self.pipe()
            sink = self.output(writing)
            sink.write(bytes(3_000_000))
            os.close(reading)
            if by_event:
                sink.connectionLost(Failure(ConnectionLost()))
            self.reactor.turn()
            self.assertEqual([each.errno for each in self.broken], [errno.EPIPE])
            self.assertEqual((self.drained, self.reactor.writers), (0, set()))
            sink.connectionLost(Failure(ConnectionLost()))
            self.assertEqual(len(self.broken), 1)

    def test_a_full_disk(self) -> None:
        (full,) = self.keep(os.open("/dev/full", os.O_WRONLY))
        self.output(full).write(b"x")
        self.assertEqual([each.errno for each in self.broken], [errno.ENOSPC])

    def test_it_was_closed_before_the_command_began(self) -> None:
        # That is nobody's from now on; what else the tests have to say goes there.
        kept = os.dup(1)
        self.addCleanup(os.close, kept)
        self.addCleanup(os.dup2, kept, 1)
        with patch("sys.__stdout__", None):
            self.output(1).write(b"x")
        self.assertEqual([each.errno for each in self.broken], [errno.EBADF])
