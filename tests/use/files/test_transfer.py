"""From one folder to another, over a session in memory: whole, in part, again, and when something is wrong."""

from __future__ import annotations

import errno
import fcntl
import hashlib
import os
from pathlib import Path
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.defer import Deferred, succeed
from twisted.trial.unittest import SynchronousTestCase

from p2phole.session.errors import GivenUp
from p2phole.use.files import store as store_module
from p2phole.use.files.arriving import MOST_FINISHING
from p2phole.use.files.errors import CannotWrite, NoRoom, NotTaken
from p2phole.use.files.incoming import Clash, Incoming
from p2phole.use.files.listing import Entry, Result
from p2phole.use.files.names import PART, part_name
from p2phole.use.files.source import find
from p2phole.use.files.store import Store
from tests.session.sides import flush
from tests.use.files.pairs import SENDER, Pair


def content(size: int, seed: str = "") -> bytes:
    """The same for the same seed, nothing that repeats."""
    return hashlib.shake_128(seed.encode()).digest(size)


class Case(SynchronousTestCase):
    def setUp(self) -> None:
        self.here = Path(self.mktemp()).absolute()
        self.there = Path(self.mktemp()).absolute()
        self.here.mkdir(parents=True)

    def put(self, path: str, data: bytes, folder: Path | None = None) -> Path:
        where = (folder or self.here) / path
        where.parent.mkdir(parents=True, exist_ok=True)
        where.write_bytes(data)
        return where

    def tree(self, folder: Path) -> dict[str, bytes | None]:
        """All that is in a folder; None for folders."""
        return {
            str(path.relative_to(folder)): None if path.is_dir() else path.read_bytes()
            for path in sorted(folder.rglob("*"))
        }

    def complete(self, pair: Pair, count: int) -> None:
        for told in (pair.sender, pair.receiver):
            self.assertEqual((told.result, told.error), (Result(count), None))
        self.assertEqual((pair.sender.done, pair.receiver.done), (pair.sources.offer.size,) * 2)


class WholeTests(Case):
    def test_a_folder(self) -> None:
        photos = self.here / "photos"
        (photos / "empty" / "inner").mkdir(parents=True)
        self.put("photos/large", content(1_000_000))
        self.put("photos/none", b"")
        script = self.put("photos/sub/run.sh", b"#!/bin/sh\n")
        script.chmod(0o700)
        self.put("photos/sub/data", b"x").chmod(0o604)
        os.utime(script, ns=(1, 1_234_567_890_123_456_789))
        pair = Pair([photos], self.there).run()
        self.complete(pair, 8)
        self.assertEqual(self.tree(self.there), self.tree(self.here))
        [proposal] = pair.receiver.proposals
        self.assertEqual((proposal.names, proposal.taken, proposal.missing), (("photos",), (), 1_000_011))
        status = (self.there / "photos" / "sub" / "run.sh").stat()
        self.assertEqual((status.st_mtime_ns, status.st_mode & 0o777), (1_234_567_890_123_456_789, 0o755))
        self.assertEqual((self.there / "photos" / "sub" / "data").stat().st_mode & 0o777, 0o644)
        self.assertEqual(pair.receiver.moved, 1_000_011)

    def test_several(self) -> None:
        paths = [self.put(name, content(70_000, name)) for name in ("b", "a", "c")]
        pair = Pair(paths, self.there).run()
        self.complete(pair, 3)
        self.assertEqual(pair.receiver.files, ["b", "a", "c"])
        self.assertEqual(self.tree(self.there), self.tree(self.here))

    def test_many_small_ones_in_few_bytes(self) -> None:
        for number in range(1500):
            self.put(f"many/{number}", b"%d" % number)
        pair = Pair([self.here / "many"], self.there)
        before = pair.cable.plugs[1].total
        pair.run()
        self.complete(pair, 1501)
        self.assertEqual(self.tree(self.there), self.tree(self.here))
        # What comes back is nothing for each of them.
        self.assertLess(pair.cable.plugs[1].total - before, 5_000)

    def test_more_than_the_disk_takes_at_a_time(self) -> None:
        """Files that are being finished are bounded, and the other side waits."""
        for number in range(300):
            self.put(f"many/{number}", b"%d" % number)
        pair = Pair([self.here / "many"], self.there)
        waiting: list[tuple[Deferred[Any], Any, Any]] = []

        def slow(call: Any, *arguments: Any) -> Deferred[Any]:
            if getattr(call, "__name__", "") != "finish":
                return succeed(call(*arguments))
            waiting.append((Deferred(), call, arguments))
            return waiting[-1][0]

        pair.work = slow
        pair.run()
        most = 0
        while waiting:
            most = max(most, len(waiting))
            done, call, arguments = waiting.pop(0)
            done.callback(call(*arguments))
            flush(pair.clock, pair.cable)
        self.assertEqual(most, MOST_FINISHING)
        self.complete(pair, 301)

    def test_a_text(self) -> None:
        pair = Pair([], self.there, text="Grüße\n\x1b[2J").run()
        self.assertEqual(pair.receiver.texts, ["Grüße\n\x1b[2J"])
        self.complete(pair, 1)
        self.assertFalse(self.there.exists())

    def test_over_links_that_break(self) -> None:
        path = self.put("file", content(1_500_000))
        pair = Pair([path], self.there)
        pair.begin()
        for _ in range(30):
            for _ in range(7):
                pair.cable.deliver(1, 30_011)
                pair.cable.deliver(0, 30_011)
            pair.again()
        flush(pair.clock, pair.cable)
        self.complete(pair, 1)
        self.assertEqual(self.tree(self.there), self.tree(self.here))


class AgainTests(Case):
    """What is there already, in part or whole."""

    def interrupted(self, path: Path, size: int) -> Pair:
        """The first run ends when so many bytes have come."""
        pair = Pair([path], self.there)
        pair.begin()
        while pair.receiver.moved < size:
            self.assertTrue(pair.cable.deliver(1, 10_000) + pair.cable.deliver(0, 10_000))
        assert pair.receiving is not None
        pair.receiving.abandon("killed")
        pair.sending.abandon("killed")
        self.assertEqual((pair.sender.ends, pair.receiver.ends), (0, 0))
        return pair

    def parts(self) -> list[Path]:
        return [path for path in self.there.rglob("*") if path.name.endswith(PART)]

    def test_the_rest(self) -> None:
        path = self.put("file", content(2_000_000))
        first = self.interrupted(path, 900_000)
        self.assertEqual([each.stat().st_size for each in self.parts()], [first.receiver.moved])
        pair = Pair([path], self.there).run()
        self.complete(pair, 1)
        self.assertEqual(pair.receiver.moved + first.receiver.moved, 2_000_000)
        self.assertEqual(pair.sender.moved, pair.receiver.moved)
        self.assertEqual(self.tree(self.there), self.tree(self.here))

    def test_a_file_that_changed_starts_anew(self) -> None:
        path = self.put("file", content(2_000_000))
        self.interrupted(path, 900_000)
        self.put("file", content(500_000, "another"))
        pair = Pair([path], self.there).run()
        self.assertEqual(pair.receiver.moved, 500_000)
        self.assertEqual((self.there / "file").read_bytes(), content(500_000, "another"))
        self.assertEqual(self.parts(), [])

    def test_a_part_that_is_not_as_it_was(self) -> None:
        path = self.put("file", content(1_000_000))
        self.interrupted(path, 500_000)
        [part] = self.parts()
        part.write_bytes(b"x" + part.read_bytes()[1:])
        pair = Pair([path], self.there).run()
        self.complete(pair, 1)
        self.assertEqual(pair.receiver.moved, 1_000_000)
        self.assertEqual(self.tree(self.there), self.tree(self.here))

    def test_a_folder(self) -> None:
        for number in range(10):
            self.put(f"many/{number}", content(100_000, str(number)))
        first = self.interrupted(self.here / "many", 450_000)
        pair = Pair([self.here / "many"], self.there).run()
        self.complete(pair, 11)
        self.assertEqual(first.receiver.moved + pair.receiver.moved, 1_000_000)
        self.assertEqual(self.tree(self.there), self.tree(self.here))

    def test_a_whole_part(self) -> None:
        """It was killed between the last byte and the name."""
        path = self.put("file", content(100_000))
        store = Store(self.there, SENDER, 0o022)
        self.there.mkdir()
        incoming = store.open(find([path], lambda: False).entries[0], 0)
        incoming.write(content(100_000))
        incoming.close()
        store.close()
        pair = Pair([path], self.there).run()
        self.complete(pair, 1)
        self.assertEqual(pair.receiver.moved, 0)
        self.assertEqual(self.tree(self.there), self.tree(self.here))

    def test_the_same_again(self) -> None:
        path = self.put("file", content(300_000))
        Pair([path], self.there).run()
        pair = Pair([path], self.there).run()
        self.complete(pair, 1)
        self.assertEqual((pair.receiver.moved, list(self.tree(self.there))), (0, ["file"]))

    def test_killed_between_two_names(self) -> None:
        """It has its name, and the hidden one still: whatever comes next does not change it."""
        path = self.put("file", content(100_000))
        self.put("file", content(100_000), self.there)
        os.link(self.there / "file", self.there / part_name(SENDER, "file"))
        self.complete(Pair([path], self.there).run(), 1)
        self.assertEqual(self.tree(self.there), self.tree(self.here))
        os.link(self.there / "file", self.there / part_name(SENDER, "file"))
        self.put("file", content(50_000, "another"))
        self.complete(Pair([path], self.there).run(), 1)
        self.assertEqual(self.tree(self.there), {"file": content(100_000), "file (2)": content(50_000, "another")})

    def test_a_part_belongs_to_its_sender(self) -> None:
        path = self.put("file", content(1_000_000))
        self.interrupted(path, 500_000)
        pair = Pair([path], self.there, store=Store(self.there, "another", 0o022)).run()
        self.assertEqual(pair.receiver.moved, 1_000_000)
        self.assertEqual(len(self.parts()), 1)

    def test_a_part_that_changes_behind_our_back(self) -> None:
        """Between its digest and the rest: what is there then is not what was compared."""
        path = self.put("file", content(1_000_000))
        self.interrupted(path, 500_000)
        pair = Pair([path], self.there)
        open_part = pair.store.open

        def late(entry: Entry, start: int) -> Incoming:
            [part] = self.parts()
            part.unlink()
            return open_part(entry, start)

        self.patch(pair.store, "open", late)
        pair.run()
        self.assertIn("has changed meanwhile", str(pair.receiver.error))
        self.assertFalse((self.there / "file").exists())

    @settings(max_examples=25, deadline=None)
    @given(st.lists(st.integers(0, 300_000), min_size=1, max_size=6), st.lists(st.integers(1, 60), max_size=8))
    def test_any_interruptions(self, sizes: list[int], steps: list[int]) -> None:
        """Wherever it is broken off, and however often: in the end it is all there, and came once."""
        here, there = Path(self.mktemp()).absolute(), Path(self.mktemp()).absolute()
        for number, size in enumerate(sizes):
            self.put(f"things/{number % 2}/{number}", content(size, str(number)), here)
        moved = 0
        for count in steps:
            pair = Pair([here / "things"], there)
            pair.begin()
            for _ in range(count):
                pair.cable.deliver(1, 20_011)
                pair.cable.deliver(0, 20_011)
            if pair.receiving is not None:
                pair.receiving.abandon("killed")
            moved += pair.receiver.moved
        pair = Pair([here / "things"], there).run()
        assert pair.receiver.result is not None
        self.assertEqual(pair.receiver.result.failures, 0)
        self.assertEqual(self.tree(there), self.tree(here))
        self.assertEqual(moved + pair.receiver.moved, sum(sizes))


class ClashTests(Case):
    """Something else has the name."""

    def clash(self, answer: Clash, theirs: bytes = b"theirs", ours: bytes = b"ours, longer") -> Pair:
        path = self.put("a.txt", ours)
        self.put("a.txt", theirs, self.there)
        pair = Pair([path], self.there)
        pair.receiver.answer = succeed(answer)
        pair.run()
        self.assertEqual(pair.receiver.proposals[0].taken, ("a.txt",))
        return pair

    def test_keep_both(self) -> None:
        for theirs in (b"theirs", b"as long too!"):
            pair = self.clash(Clash.KEEP_BOTH, theirs)
            self.complete(pair, 1)
            self.assertEqual(self.tree(self.there), {"a.txt": theirs, "a (2).txt": b"ours, longer"})
            self.assertEqual(pair.receiver.names, {"a.txt": "a (2).txt" if theirs == b"theirs" else "a.txt"})
        # And once more: it is there, by another name.
        self.assertEqual(pair.receiver.moved, 0)

    def test_replace(self) -> None:
        pair = self.clash(Clash.REPLACE)
        self.complete(pair, 1)
        self.assertEqual(self.tree(self.there), {"a.txt": b"ours, longer"})

    def test_skip(self) -> None:
        pair = self.clash(Clash.SKIP)
        self.assertEqual(self.tree(self.there), {"a.txt": b"theirs"})
        for told in (pair.sender, pair.receiver):
            self.assertEqual(told.result, Result(0, 1, ((0, "another file has its name"),)))
        self.assertEqual(pair.receiver.moved, 0)

    def test_it_comes_meanwhile(self) -> None:
        """Whatever was answered: what was not asked about is not replaced."""
        path = self.put("a.txt", b"ours")
        pair = Pair([path], self.there)
        pair.receiver.answer = Deferred()
        pair.run()
        self.put("a.txt", b"theirs", self.there)
        pair.receiver.answer.callback(Clash.REPLACE)
        flush(pair.clock, pair.cable)
        self.complete(pair, 1)
        self.assertEqual(self.tree(self.there), {"a.txt": b"theirs", "a (2).txt": b"ours"})

    def test_a_file_system_without_links(self) -> None:
        def link(*arguments: Any, **keys: Any) -> None:
            raise PermissionError(errno.EPERM, os.strerror(errno.EPERM))

        self.patch(os, "link", link)
        for size, names in ((10, ["a"]), (20, ["a", "a (2)"])):
            path = self.put("a", content(size))
            self.complete(Pair([path], self.there).run(), 1)
            self.assertEqual(sorted(self.tree(self.there)), names)
        self.assertEqual(self.tree(self.there), {"a": content(10), "a (2)": content(20)})

    def test_a_link_is_never_followed(self) -> None:
        secret = self.put("elsewhere/secret", b"secret")
        path = self.put("from/photos/secret", b"evil").parent
        for number, place in enumerate(("photos", "photos/secret")):
            folder = self.there / str(number)
            link = folder / place
            link.parent.mkdir(parents=True)
            link.symlink_to(secret if number else secret.parent)
            pair = Pair([path], folder)
            pair.receiver.answer = succeed(Clash.REPLACE)
            pair.run()
            self.assertEqual(secret.read_bytes(), b"secret")
            self.assertEqual(os.listdir(secret.parent), ["secret"])
            if number:
                self.assertEqual(self.tree(folder)["photos/secret"], b"evil")
            else:
                self.assertEqual(pair.receiver.result, pair.sender.result)
                assert pair.sender.result is not None
                self.assertEqual((pair.sender.result.arrived, pair.sender.result.failures), (0, 2))

    def test_a_file_where_a_folder_is_needed(self) -> None:
        self.put("photos/inner/a", b"a")
        self.put("photos/b", b"b")
        self.put("photos/inner", b"a file", self.there)
        pair = Pair([self.here / "photos"], self.there).run()
        assert pair.receiver.result is not None
        self.assertEqual((pair.receiver.result.arrived, pair.receiver.result.failures), (2, 2))
        self.assertEqual(pair.sender.result, pair.receiver.result)
        self.assertEqual(self.tree(self.there), {"photos": None, "photos/b": b"b", "photos/inner": b"a file"})
        self.assertEqual(sorted(pair.receiver.failures), ["photos/inner", "photos/inner/a"])

    def test_a_folder_where_a_file_is_needed(self) -> None:
        path = self.put("a", b"a file")
        (self.there / "a").mkdir(parents=True)
        self.complete(Pair([path], self.there).run(), 1)
        self.assertEqual(self.tree(self.there), {"a": None, "a (2)": b"a file"})

    def test_a_part_that_is_a_link(self) -> None:
        path, secret = self.put("file", content(1000)), self.put("elsewhere", b"secret")
        pair = Pair([path], self.there)
        self.there.mkdir()
        (self.there / part_name(SENDER, "file")).symlink_to(secret)
        pair.run()
        self.assertIsInstance(pair.receiver.error, CannotWrite)
        self.assertEqual(secret.read_bytes(), b"secret")


class WrongTests(Case):
    """When something goes wrong."""

    def test_not_wanted(self) -> None:
        pair = Pair([self.put("a", b"a")], self.there)
        pair.receiver.answer = succeed(None)
        pair.run()
        self.assertIsInstance(pair.receiver.error, NotTaken)
        self.assertIn("its user does not take it", str(pair.sender.error))
        self.assertFalse(self.there.exists())

    def test_nothing_is_written_before_the_answer(self) -> None:
        pair = Pair([self.put("a", b"a")], self.there)
        pair.receiver.answer = Deferred()
        pair.run()
        self.assertFalse(self.there.exists())
        pair.receiver.answer.callback(Clash.KEEP_BOTH)
        flush(pair.clock, pair.cable)
        self.complete(pair, 1)

    def test_the_sender_leaves_while_the_user_thinks(self) -> None:
        pair = Pair([self.put("a", b"a")], self.there)
        pair.receiver.answer = Deferred()
        pair.run()
        pair.sending.abandon("it was stopped")
        flush(pair.clock, pair.cable)
        self.assertEqual(pair.receiver.ends, 1)
        pair.receiver.answer.callback(Clash.KEEP_BOTH)
        self.assertFalse(self.there.exists())

    def test_no_room(self) -> None:
        store = Store(self.there, SENDER, 0o022)
        self.patch(store, "free", lambda: 999_999)
        pair = Pair([self.put("a", content(1_000_000))], self.there, store=store).run()
        self.assertIsInstance(pair.receiver.error, NoRoom)
        self.assertIn("1 MB more", str(pair.receiver.error))
        self.assertEqual(pair.receiver.proposals, [])

    def test_the_disk_becomes_full(self) -> None:
        path = self.put("a", content(1_000_000))
        write, room = Incoming.write, [500_000]

        def full(incoming: Incoming, data: bytes) -> None:
            room[0] -= len(data)
            if room[0] < 0:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            write(incoming, data)

        patched = self.patch(Incoming, "write", full)
        pair = Pair([path], self.there).run()
        self.assertIsInstance(pair.receiver.error, CannotWrite)
        for told in (pair.receiver, pair.sender):
            self.assertIn("(No space left on device)", str(told.error))
        patched.restore()
        again = Pair([path], self.there).run()
        self.complete(again, 1)
        self.assertLess(again.receiver.moved, 600_000)

    def test_files_that_change_while_they_are_sent(self) -> None:
        for number, change in enumerate(("shorter", "longer", "written", "gone", "fifo")):
            good, path = self.put(f"{number}/good", b"good"), self.put(f"{number}/bad", content(500_000))
            pair = Pair([path, good], self.there / str(number))
            if change == "shorter":
                pair.begin()
                while not pair.receiver.moved:
                    pair.cable.deliver(1, 30_000)
                    pair.cable.deliver(0, 30_000)
                os.truncate(path, 250_000)
            elif change == "longer":
                with path.open("ab") as file:
                    file.write(b"x")
            elif change == "written":
                os.utime(path, ns=(5, 5))
            elif change == "gone":
                path.unlink()
            else:
                path.unlink()
                os.mkfifo(path)
            if change == "shorter":
                flush(pair.clock, pair.cable)
            else:
                pair.run()
            for told in (pair.sender, pair.receiver):
                assert told.result is not None, (change, told.error)
                self.assertEqual((told.result.arrived, told.result.failures), (1, 1), change)
                self.assertEqual(list(told.failures), ["bad"])
            self.assertEqual(self.tree(self.there / str(number)), {"good": b"good"}, change)

    def test_the_session_ends(self) -> None:
        pair = Pair([self.put("a", content(500_000))], self.there)
        pair.begin()
        while not pair.receiver.moved:
            pair.cable.deliver(1, 30_000)
            pair.cable.deliver(0, 30_000)
        error = GivenUp(purpose="all", why="it is over")
        for side in (pair.one, pair.two):
            side.session.end(error)
        self.assertEqual((pair.sender.error, pair.receiver.error), (error, error))

    def test_it_is_known_when_all_is_verified(self) -> None:
        """A sender that hears nothing any more can't know; a receiver that has told everything is done."""
        pair = Pair([self.put("a", b"a")], self.there)
        pair.begin()
        while not pair.receiver.names:
            pair.cable.deliver(0, 30_000)
            pair.cable.deliver(1, 30_000)
        error = GivenUp(purpose="all", why="it is over")
        for side in (pair.one, pair.two):
            side.session.end(error)
        self.assertEqual((pair.sender.error, pair.sender.result), (error, None))
        self.assertEqual(pair.receiver.result, Result(1))

    def test_two_at_once(self) -> None:
        path = self.put("a", b"a")
        store = Store(self.there, SENDER, 0o022)
        self.there.mkdir()
        other = store.open(find([path], lambda: False).entries[0], 0)
        pair = Pair([path], self.there).run()
        self.assertIn("another p2phole", str(pair.receiver.error))
        other.close()
        store.close()

    def other(self, path: Path, start: int = 0) -> tuple[Store, Incoming]:
        """Another process that receives it."""
        self.there.mkdir(exist_ok=True)
        store = Store(self.there, SENDER, 0o022)
        self.addCleanup(store.close)
        return store, store.open(find([path], lambda: False).entries[0], start)

    def test_the_other_one_names_it_just_before_the_lock(self) -> None:
        """What it has finished must not be taken for a part, and cut."""
        path, flock = self.put("a", b"all of it"), fcntl.flock
        for clash in (Clash.KEEP_BOTH, Clash.REPLACE):
            _, other = self.other(path)
            other.write(b"all of it")

            def lock(fd: int, how: int) -> None:
                self.patch(store_module.fcntl, "flock", flock)
                other.finish(clash)  # noqa: B023 (called at once)
                flock(fd, how)

            self.patch(store_module.fcntl, "flock", lock)
            _, mine = self.other(path)
            self.assertEqual((self.there / "a").read_bytes(), b"all of it")
            mine.drop()
            self.assertEqual([each.name for each in self.there.iterdir()], ["a"])
            (self.there / "a").unlink()

    def test_a_part_of_the_other_one_stays(self) -> None:
        path = self.put("a", b"all of it")
        _, other = self.other(path)
        other.write(b"all")
        (self.there / "a").write_bytes(b"all of it")
        os.utime(self.there / "a", ns=(1, 1))
        self.assertEqual(Pair([path], self.there).run().receiver.result, Result(1))
        other.write(b" of it")
        self.assertEqual(other.finish(Clash.KEEP_BOTH), "a (2)")

    def test_what_is_dropped_is_gone_before_another_one_can_have_it(self) -> None:
        path = self.put("a", b"all of it")
        _, first = self.other(path)
        close = first.close

        def closed() -> None:
            close()
            self.second = self.other(path)[1]

        first.close = closed  # type: ignore[method-assign]
        first.drop()
        self.second.write(b"all of it")
        self.assertEqual(self.second.finish(Clash.KEEP_BOTH), "a")

    def test_names_that_the_file_system_takes_for_one(self) -> None:
        """Of two that would replace the same file, one is called otherwise."""
        for name in ("a", "A", "other"):
            self.put(f"d/{name}", b"new " + name.encode())
        mine = self.put("d/a", b"mine", self.there)
        for name in ("A", "other"):
            os.link(mine, self.there / "d" / name)  # as the file system would say it, of the first two
        pair = Pair([self.here / "d"], self.there)
        pair.receiver.answer = succeed(Clash.REPLACE)
        self.complete(pair.run(), 4)
        found = self.tree(self.there / "d")
        self.assertEqual(sorted(found), ["A", "a", "a (2)", "other"])
        self.assertEqual([found[name] for name in ("A", "a (2)", "other")], [b"new A", b"new a", b"new other"])

    def test_a_file_system_that_can_do_little(self) -> None:
        def refuse(*_: object, **__: object) -> None:
            raise OSError(errno.EINVAL, "Invalid argument")

        def sync(fd: int) -> None:
            if os.path.isdir(f"/proc/self/fd/{fd}"):
                refuse()

        path = self.put("a", b"a")
        for call, instead in (("fchmod", refuse), ("utime", refuse), ("fsync", sync)):
            self.patch(os, call, instead)
        self.complete(Pair([path], self.there).run(), 1)

    def test_a_disk_that_fails_at_the_end(self) -> None:
        path = self.put("a", b"a")

        def sync(fd: int) -> None:
            if not os.path.isdir(f"/proc/self/fd/{fd}"):
                raise OSError(errno.EIO, "Input/output error")

        self.patch(os, "fsync", sync)
        pair = Pair([path], self.there).run()
        self.assertEqual(pair.receiver.failures, {"a": "Input/output error"})
        self.assertEqual(pair.sender.result, Result(0, 1, ((0, "Input/output error"),)))

    def test_times_beyond_what_is_told(self) -> None:
        path, look, fstat = self.put("a", b"a"), Path.stat, os.fstat

        def far(status: os.stat_result, when: int) -> os.stat_result:
            return os.stat_result(tuple(status)[:10], {"st_mtime_ns": when})

        for when in (2**64, -(2**64)):
            self.patch(Path, "stat", lambda path, when=when, **how: far(look(path, **how), when))
            self.patch(os, "fstat", lambda fd, when=when: far(fstat(fd), when))
            (self.there / "a").unlink(missing_ok=True)
            self.complete(Pair([path], self.there).run(), 1)

    def test_looking_and_making_can_be_stopped(self) -> None:
        """A list may have hundreds of thousands of folders, many deep."""
        store = Store(self.there, SENDER, 0o022)
        entries = [Entry("/".join("d" * depth)) for depth in range(1, 100)]
        for looks in (0, 3):
            left = iter([False] * looks)
            stopped = lambda: next(left, True)  # noqa: B023, E731 (called at once)
            self.assertEqual(len(store.look(entries, stopped)), looks)
        left = iter([False] * 3)
        self.assertEqual(store.make([entry.path for entry in entries], lambda: next(left, True)), {})
        self.assertEqual(list(self.tree(self.there)), ["d", "d/d", "d/d/d"])
