"""The screen of a chat: real processes, each in a terminal of its own.  Plain functions, for pytest alone."""

from __future__ import annotations

import os
import re
import signal
import sys
from collections.abc import Iterator

import pytest

from tests.loopback.processes import Stage
from tests.loopback.terminals import Terminal

CHANGING = (
    (re.compile(r"^\d\d:\d\d "), "HH:MM "),
    (re.compile(r"\d+-[a-z]+-[a-z]+"), "7-velvet-ocean"),
    (re.compile(r"127\.0\.0\.1:\d+"), "ADDRESS"),
    (re.compile(r"In room \d+ "), "In room 7 "),
    (re.compile(r"<?\d+ ms"), "N ms"),
    (re.compile(r"(host|srflx|prflx), \d+\.\d+ s"), "host, N s"),
)
CODE = re.compile(r"chat --broker \S+ (\d+-[a-z]+-[a-z]+)")


def shown(rows: list[str]) -> list[str]:
    """The rows with what differs from time to time replaced."""
    # The length of the ports decides whether the line of the log needs another row.
    rows = re.sub(r"(host|srflx|prflx),\n +", r"\1, ", "\n".join(rows)).split("\n")
    for pattern, instead in CHANGING:
        rows = [pattern.sub(instead, row) for row in rows]
    return rows


class Chats:
    """Chats at one broker."""

    def __init__(self, stage: Stage) -> None:
        self.stage = stage
        self.broker = f"127.0.0.1:{stage.broker('tcp:0:interface=127.0.0.1')}"
        self.terminals: list[Terminal] = []

    def start(self, name: str, *options: str, columns: int = 80, rows: int = 24, kind: str = "xterm") -> Terminal:
        command = (sys.executable, "-m", "p2phole", "chat", "--broker", self.broker, "--name", name)
        home = self.stage.folder / name
        terminal = Terminal(home, *command, *options, columns=columns, rows=rows, kind=kind)
        self.terminals.append(terminal)
        return terminal

    def pair(self) -> tuple[Terminal, Terminal]:
        """Two that are connected, by a code."""
        alice = self.start("alice", "--invite")
        rows = alice.until(lambda rows: CODE.search("\n".join(rows)))
        found = CODE.search("\n".join(rows))
        assert found is not None
        bob = self.start("bob", found[1])
        for terminal in (alice, bob):
            terminal.shows(" lan · ")
        return alice, bob


@pytest.fixture
def chats(stage: Stage) -> Iterator[Chats]:
    chats = Chats(stage)
    yield chats
    for terminal in chats.terminals:
        terminal.close()


def test_two_talk(chats: Chats) -> None:
    alice, bob = chats.pair()
    bob.type("hello alice\r")
    alice.shows("bob: hello alice")
    alice.type("hi bob\r")
    expected = [
        *[""] * 16,
        "HH:MM -- On the other machine, once, within an hour:",
        "HH:MM --     p2phole chat --broker ADDRESS 7-velvet-ocean",
        "HH:MM -- In room 7 as alice: ADDRESS is seen as ADDRESS.",
        "HH:MM -- Connected to bob directly: ADDRESS to ADDRESS, host, N s.",
        "HH:MM    bob: hello alice",
        "HH:MM ✓✓ you: hi bob",
        " bob · lan · N ms",
        ">",
    ]
    alice.until(lambda rows: shown(rows)[-23:] == expected[1:])
    bob.until(lambda rows: any(row.endswith("✓✓ you: hello alice") for row in rows))

    alice.resize(40, 12)
    rows = alice.until(lambda rows: shown(rows)[-4:] == ["   bob: hello alice", "✓✓ you: hi bob", *expected[-2:]])
    assert len(rows) == 12 and all(len(row) <= 40 for row in rows)
    assert not any(re.match(r"\d\d:\d\d ", row) for row in rows)  # there is no room for the time
    alice.type("one two three four five six seven eight nine ten")
    alice.until(
        lambda rows: (
            shown(rows)[-4:]
            == ["✓✓ you: hi bob", " bob · lan · N ms", "> one two three four five six seven eigh", "t nine ten"]
        )
    )
    alice.type("\r")
    bob.shows("alice: one two three four five six seven eight nine ten")
    alice.until(
        lambda rows: (
            shown(rows)[-4:]
            == ["✓✓ you: one two three four five six", "   seven eight nine ten", " bob · lan · N ms", ">"]
        )
    )

    bob.type("\x04")  # ctrl-D
    assert (bob.ends(), bob.is_restored) == (0, True)
    alice.until(lambda rows: rows[-3:] == ["-- Disconnected from bob: left.", " the other side has left", ">"])
    alice.type("/quit\r")
    assert (alice.ends(), alice.is_restored) == (0, True)
    assert "Traceback" not in (alice.written + bob.written).decode()


def test_several_and_one_of_them_only(chats: Chats) -> None:
    alice, bob, carol = (chats.start(name, "--room", "team") for name in ("alice", "bob", "carol"))
    alice.shows("bob · lan", "carol · lan")
    alice.type("/to\t")
    alice.shows("> /to")
    alice.type("car\t")
    alice.shows("> /to carol")
    alice.type("\r")
    alice.shows("To carol only.", "carol>")
    alice.type("for carol\r")
    alice.shows("✓✓ you to carol: for carol")
    alice.type("/to\r")
    alice.shows("To everybody.")
    alice.type("/nonsense\r/who\r//slash\r")
    alice.shows(
        "!! There is no command /nonsense: /help lists them.",
        "bob: lan, ",
        "carol: lan, ",
        "✓✓ you: /slash",
    )
    bob.shows("alice: /slash")
    carol.shows("alice: for carol", "alice: /slash")
    assert not any("for carol" in row for row in bob.rows)


def test_what_somebody_says_is_harmless(chats: Chats) -> None:
    alice, bob = chats.pair()
    bob.type("\x1b[200~one\x1b]0;title\x07\u202etwo\rthree\x1b[201~\r")
    rows = alice.shows("three")
    assert any(r"\x1b]0;title\x07\u202etwo" in row for row in rows)
    assert b"\x1b]0;title" not in alice.written


def test_what_waits_for_somebody_arrives_in_order(chats: Chats) -> None:
    alice = chats.start("alice", "--room", "team")
    alice.shows("nobody else is in team")
    for text in ("one", "two", "three"):
        alice.type(f"{text}\r")
    alice.shows("…  you: one", "…  you: three", "nobody else is in team · 3 waiting")
    bob = chats.start("bob", "--room", "team")
    rows = bob.shows("alice: three")
    assert [row.split()[-1] for row in rows if "alice: " in row and "Connected" not in row] == [
        "one",
        "two",
        "three",
    ]
    alice.shows("✓✓ you: one", "✓✓ you: two", "✓✓ you: three")
    os.kill(bob.pid, signal.SIGKILL)
    alice.shows("bob · away")
    alice.type("too late\r")
    alice.shows("…  you: too late", "bob · away · 1 waiting")
    alice.type("\x03")  # ctrl-C
    assert (alice.ends(), alice.is_restored) == (0, True)
    assert " 1 message has not arrived.\r\n" in alice.last_words


def test_scrolling_back(chats: Chats) -> None:
    alice = chats.start("alice", "--room", "team", rows=12)
    alice.shows("In room team as alice")
    alice.type("\r".join(f"line {number}" for number in range(30)) + "\r")
    alice.shows("line 29")
    alice.type("\x1b[5~")  # PageUp
    rows = alice.shows("↓ more")
    assert [row.split()[-1] for row in rows[:10]] == [str(number) for number in range(11, 21)]
    alice.type("\x1b[6~\x1b[6~")
    alice.until(lambda rows: "line 29" in rows[9] and "more" not in rows[10])


def test_a_file(chats: Chats) -> None:
    alice, bob = chats.pair()
    here, there = chats.stage.folder / "alice", chats.stage.folder / "bob"
    (here / "a photo.jpg").write_bytes(os.urandom(3_000_000))
    alice.type("/send a\t")
    alice.shows("> /send a photo.jpg")
    alice.type("\r")
    bob.shows("!! alice sends a photo.jpg: 1 file, 3 MB.")
    bob.type("/take\r")
    bob.shows("-- a photo.jpg from alice: here, verified, 1 file, 3 MB.")
    alice.shows("-- a photo.jpg to bob: arrived, 1 file, 3 MB.")
    assert (there / "a photo.jpg").read_bytes() == (here / "a photo.jpg").read_bytes()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal(chats: Chats, number: int) -> None:
    alice = chats.start("alice", "--room", "team")
    alice.shows("nobody else is in team")
    os.kill(alice.pid, number)
    assert (alice.ends(), alice.is_restored) == (0, True)


def test_a_window_that_is_closed(chats: Chats) -> None:
    """The other side hears that this one has left, not that it is lost."""
    alice, bob = chats.pair()
    bob.hang_up()
    alice.shows("the other side has left")
    assert os.waitstatus_to_exitcode(os.waitpid(bob.pid, 0)[1]) == 0
    bob.status = 0


def test_what_went_wrong_is_said_behind_the_screen(chats: Chats) -> None:
    alice = chats.start("alice", "--room", "team", "--wait", "1")
    alice.shows("nobody else is in team")
    assert (alice.ends(), alice.is_restored) == (1, True)
    line = "p2phole: Nobody came within 1 s: start the other side, or wait longer with --wait.\r\n"
    assert alice.last_words.endswith(line)


BROKEN = """
import sys
from p2phole import cli
from p2phole.use.chat.use import Chat

status = Chat.status
Chat.status = lambda chat, width: chat.no_such_thing if width == 40 else status(chat, width)
sys.exit(cli.main())
"""


@pytest.mark.parametrize("columns", [40, 80])
def test_a_defect_in_what_draws(chats: Chats, columns: int) -> None:
    """The terminal is given back, and one line says what it was; at first, and later."""
    chat = ("chat", "--broker", chats.broker, "--room", "team")
    alice = Terminal(chats.stage.folder / "alice", sys.executable, "-c", BROKEN, *chat, columns=columns)
    chats.terminals.append(alice)
    if columns == 80:
        alice.shows("nobody else is in team")
        alice.resize(40, 12)
    assert (alice.ends(), alice.is_restored) == (1, True)
    assert re.search(r"p2phole: The screen cannot be drawn \(AttributeError: [^\r\n]*\r\n", alice.last_words)
    assert "Traceback" not in alice.written.decode()


def test_a_start_that_fails(chats: Chats) -> None:
    alice = chats.start("alice", "--room", "team", "--secret-file", "missing")
    assert alice.ends() == 1
    assert re.search(r"p2phole: [^\r\n]+missing[^\r\n]+\r\n", alice.written.decode())


def test_a_terminal_that_can_place_nothing(chats: Chats) -> None:
    alice = chats.start("alice", "--room", "team", kind="dumb")
    bob = chats.start("bob", "--room", "team", kind="dumb")
    alice.shows("Connected to bob directly")
    alice.type("plain\r")
    bob.shows("alice: plain")
    assert b"\x1b" not in alice.written + bob.written
    alice.type("\x04")
    assert alice.ends() == 0
    os.kill(bob.pid, signal.SIGTERM)
    assert bob.ends() == 0
