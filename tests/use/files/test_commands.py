"""``p2phole send`` and ``receive`` as people type them."""

from __future__ import annotations

import os
import sys
from io import StringIO
from pathlib import Path
from typing import Any

from twisted.python.usage import UsageError
from twisted.trial.unittest import SynchronousTestCase

from p2phole.secure.codes import Code
from p2phole.use.files import receive_command as receive
from p2phole.use.files import send_command as send

CODE = Code(7, ("velvet", "ocean"))


class Case(SynchronousTestCase):
    def setUp(self) -> None:
        self.home = Path(self.mktemp()).absolute()
        self.home.mkdir(parents=True)
        self.patch(os, "environ", {**os.environ, "XDG_CONFIG_HOME": str(self.home), "HOME": "/nowhere"})
        self.patch(sys, "stdin", StringIO())
        self.file = self.home / "file"
        self.file.write_text("x")

    def parse(self, kind: Any, *arguments: str) -> Any:
        options = kind()
        options.parseOptions([*arguments, "--broker", "b:1", "--key-file", "k"])
        return options

    def refused(self, kind: Any, *arguments: str) -> str:
        return str(self.assertRaises(UsageError, self.parse, kind, *arguments))


class SendTests(Case):
    def test_it_invites(self) -> None:
        options = self.parse(send.Options, str(self.file), str(self.home))
        self.assertEqual(options.paths, (self.file, self.home))
        self.assertTrue(options.settings.invite)

    def test_or_meets_somebody(self) -> None:
        for arguments in (("--room=r",), ("--to=bob",)):
            self.assertFalse(self.parse(send.Options, str(self.file), *arguments).settings.invite)
        options = self.parse(send.Options, str(self.file), "7-velvet-ocean")
        self.assertEqual((options.settings.code, options.settings.invite), (CODE, False))
        self.assertEqual(options.paths, (self.file,))
        options = self.parse(send.Options, "7-velvet-ocean", "--text", "hello")
        self.assertEqual((options.settings.code, options.text, options.paths), (CODE, "hello", ()))

    def test_a_file_that_is_called_like_a_code(self) -> None:
        self.addCleanup(os.chdir, os.getcwd())
        os.chdir(self.home)
        Path("7-velvet-ocean").write_text("x")
        options = self.parse(send.Options, "7-velvet-ocean")
        self.assertEqual(options.paths, (Path.cwd() / "7-velvet-ocean",))
        self.assertTrue(options.settings.invite)

    def test_what_can_not_be_sent(self) -> None:
        for arguments, why in (
            ((), "what to send"),
            (("7-velvet-ocean",), "what to send"),
            ((str(self.file), "--text", "x"), "what to send"),
            (("/not/there",), "no such file"),
            (("7-velvt-ocean",), "no such file"),
            (("--text", "x" * 50_000), "too long"),
            (("--text", "\ud800"), "UTF-8"),
            ((str(self.file), "--output", "x"), "output"),
        ):
            self.assertIn(why, self.refused(send.Options, *arguments))


class ReceiveTests(Case):
    def test_where_to(self) -> None:
        self.assertEqual(self.parse(receive.Options, "7-velvet-ocean", "-y").folder, Path.cwd())
        options = self.parse(receive.Options, "-y", "7", "velvet", "ocean", "-o", str(self.home / "new"))
        self.assertEqual((options.folder, options.settings.code), (self.home / "new", CODE))
        self.assertIn("no folder", self.refused(receive.Options, "7-velvet-ocean", "-y", "-o", str(self.file)))

    def test_somebody_has_to_say_yes(self) -> None:
        self.assertIn("give --yes", self.refused(receive.Options, "7-velvet-ocean"))
        sys.stdin.isatty = lambda: True  # type: ignore[method-assign]
        self.assertFalse(self.parse(receive.Options, "7-velvet-ocean")["yes"])
