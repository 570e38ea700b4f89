"""``p2phole id`` and ``p2phole secret``, without the process around them."""

from __future__ import annotations

import os
import re
import stat
import sys
from io import BytesIO, StringIO, TextIOWrapper
from pathlib import Path

from twisted.python.usage import UsageError
from twisted.trial.unittest import SynchronousTestCase

from p2phole.people import command, secret
from p2phole.secure.identity import load_or_make
from p2phole.secure.known import Known
from p2phole.secure.people import KeyKept, NameTaken, NobodyMet, NotKept, SeveralMet
from p2phole.secure.words import phrase, word_list

BOB, EVE = "b2" * 32, "e5" * 32


class Terminal(StringIO):
    """Somebody looks at it."""

    def isatty(self) -> bool:
        return True


class IdTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.folder = Path(self.mktemp()).absolute()
        self.key = self.folder / "key.pem"
        self.known = Known.load(self.folder / "known.json", lambda: 1_800_000_000.0)

    def run_command(self, *arguments: str) -> tuple[str, str]:
        """What it writes to either stream."""
        out, err = StringIO(), StringIO()
        self.patch(sys, "stdout", out)
        self.patch(sys, "__stderr__", err)
        options = command.Options()
        options.parseOptions(["--key-file", str(self.key), *arguments])
        self.assertEqual(command.run(options), 0)
        return out.getvalue(), err.getvalue()

    def test_own(self) -> None:
        """The key is made, once."""
        text, _ = self.run_command()
        fingerprint = load_or_make(self.key).fingerprint
        self.assertEqual(
            text, f"fingerprint  {fingerprint}\nphrase       {phrase(fingerprint)}\nkey file     {self.key}\n"
        )
        self.assertEqual(self.run_command()[0], text)

    def test_others_need_no_key(self) -> None:
        for arguments in (("list",), ("keep", "bob", BOB), ("rename", "bob", "ann"), ("forget", "ann")):
            self.run_command(*arguments)
        self.assertFalse(self.key.exists())

    def test_keep_who_was_met(self) -> None:
        self.known.met(BOB, "bob", "secret")
        out, err = self.run_command("keep", "Bob")
        self.assertEqual((out, err), (f"Bob is kept, with the key {BOB[:16]}...: {phrase(BOB)}\n", ""))
        self.assertEqual(self.known.name_of(BOB), "Bob")
        self.known.met(EVE, "eve", "code")
        self.run_command("keep", "mother", "e5e5")
        self.assertEqual(self.known.name_of(EVE), "mother")
        self.assertEqual(self.run_command("keep", "bob")[0], out)  # once more changes nothing
        self.assertRaises(KeyKept, self.run_command, "keep", "robert", "bob")
        self.assertRaises(NameTaken, self.run_command, "keep", "bob", "a1" * 32)

    def test_keep_on_a_brokers_word(self) -> None:
        """Is said; not where the user has the whole fingerprint from somewhere else."""
        self.known.met(BOB, "bob", "tofu")
        _, err = self.run_command("keep", "bob")
        [line] = err.splitlines()
        self.assertIn("only a broker", line)
        self.known.forget("bob")
        self.assertEqual(self.run_command("keep", "bob", BOB.upper())[1], "")

    def test_keep_nobody(self) -> None:
        self.assertRaises(NobodyMet, self.run_command, "keep", "bob")
        self.known.met(BOB, "bob", "secret")
        self.known.met(EVE, "bob", "secret")
        self.assertRaises(SeveralMet, self.run_command, "keep", "bob")
        self.run_command("keep", "bob", "bob?e5e5")
        self.assertEqual(self.known.name_of(EVE), "bob")

    def test_forget_and_rename(self) -> None:
        self.known.keep("bob", BOB)
        self.assertEqual(self.run_command("rename", "bob", "ann")[0], "bob is now ann.\n")
        self.assertEqual(self.run_command("forget", "ann")[0], "ann is forgotten.\n")
        for arguments in (("forget", "ann"), ("rename", "ann", "bob")):
            self.assertRaises(NotKept, self.run_command, *arguments)

    def test_list(self) -> None:
        self.known.keep("bob", BOB)
        self.known.met(EVE, "bob", "secret")
        text, _ = self.run_command("list")
        self.assertIn("\nbob ", text)
        self.assertIn("\nbob?e5e5 ", text)

    def test_whatever_the_output_can_encode(self) -> None:
        self.known.keep("Zoë", BOB)
        self.patch(sys, "stdout", TextIOWrapper(BytesIO(), encoding="ascii"))
        options = command.Options()
        options.parseOptions(["list", "--key-file", str(self.key)])
        command.run(options)
        self.assertIn(b"Zo\\xeb", sys.stdout.buffer.getvalue())  # type: ignore[attr-defined]


class OptionTests(SynchronousTestCase):
    def settings(self, *arguments: str) -> command.Settings:
        options = command.Options()
        options.parseOptions(list(arguments))
        return options.settings

    def test_key_file(self) -> None:
        """On either side of the command, or from the peer's part of a config file, or the default."""
        self.patch(os, "environ", {"HOME": "/home/alice"})
        config = self.mktemp()
        Path(config).write_text("[p2ppeer]\nkey-file = /c.pem\n")
        for arguments, path in (
            (["--key-file", "/a.pem"], "/a.pem"),
            (["--key-file", "/a.pem", "list"], "/a.pem"),
            (["list", "--key-file", "/b.pem"], "/b.pem"),
            (["--key-file", "/a.pem", "list", "--key-file", "/b.pem"], "/b.pem"),
            (["--config", config], "/c.pem"),
            (["list", "--config", config], "/c.pem"),
            (["--key-file", "/a.pem", "--config", config, "list"], "/a.pem"),
            (["list"], "/home/alice/.local/share/p2phole/key.pem"),
        ):
            self.assertEqual(self.settings(*arguments), command.Settings(Path(path)), arguments)

    def test_words(self) -> None:
        self.assertEqual(self.settings("keep", "bob").words, ("bob",))
        self.assertEqual(self.settings("keep", "bob", "b2b2").words, ("bob", "b2b2"))
        self.assertEqual(self.settings("rename", "bob", "ann").words, ("bob", "ann"))

    def test_usage(self) -> None:
        for arguments, words in (
            (["dance"], "dance"),
            (["list", "x"], "'x'"),
            (["keep"], "keep [options] NAME [WHO]"),
            (["keep", "a", "b", "c"], "NAME [WHO]"),
            (["keep", ""], "empty"),
            (["keep", "b#"], "'#'"),
            (["keep", "\x1b"], "x1b"),
            (["forget"], "forget [options] NAME"),
            (["rename", "a"], "rename [options] OLD NEW"),
            (["rename", "a", "b?"], "'?'"),
            (["--key-file", "a\0b"], "NUL"),
            (["list", "--config", "/no/such"], "/no/such"),
        ):
            error = str(self.assertRaises(UsageError, self.settings, *arguments))
            self.assertIn(words, error)
            self.assertTrue(error.isprintable())


class SecretTests(SynchronousTestCase):
    def made(self, out: StringIO) -> tuple[str, str]:
        err = StringIO()
        self.patch(sys, "stdout", out)
        self.patch(sys, "__stderr__", err)
        options = secret.Options()
        options.parseOptions([])
        self.assertEqual(secret.run(options), 0)
        return out.getvalue(), err.getvalue()

    def test_nothing_else(self) -> None:
        one, hint = self.made(StringIO())
        self.assertEqual(hint, "")
        self.assertRegex(one, r"^[a-z]+(-[a-z]+){11}\n$")
        self.assertLessEqual(set(one.strip().split("-")), set(word_list()))
        self.assertNotEqual(self.made(StringIO())[0], one)

    def test_hint_for_who_looks_at_it(self) -> None:
        _, hint = self.made(Terminal())
        self.assertIn("umask 077", hint)

    def test_the_hint_makes_a_private_file(self) -> None:
        [line] = re.findall(r"\(.*\)", secret.HINT)
        path = Path(self.mktemp())
        shell = line.replace("p2phole secret", "echo secret").replace("room.secret", str(path))
        self.assertEqual(os.waitstatus_to_exitcode(os.system(shell)), 0)
        self.assertEqual(stat.S_IMODE(path.stat().st_mode), 0o600)
