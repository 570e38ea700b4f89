"""Whom to meet, as people type it."""

from __future__ import annotations

import os
import sys
from io import StringIO
from pathlib import Path

from twisted.python.usage import UsageError
from twisted.trial.unittest import SynchronousTestCase

from p2phole.secure.codes import Code
from p2phole.use.options import Options

CODE = Code(7, ("velvet", "ocean"))


class OptionsTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.home = Path(self.mktemp())
        self.patch(os, "environ", {**os.environ, "XDG_CONFIG_HOME": str(self.home.absolute()), "HOME": "/nowhere"})
        os.environ.pop("P2PHOLE_BROKER", None)
        self.patch(sys, "stdin", StringIO())

    def parse(self, *arguments: str, broker: bool = True) -> Options:
        options = Options()
        options.parseOptions([*(("--broker", "b:1", "--key-file", "k") if broker else ()), *arguments])
        return options

    def refused(self, *arguments: str) -> str:
        return str(self.assertRaises(UsageError, self.parse, *arguments))

    def own(self, text: str) -> None:
        (self.home / "p2phole").mkdir(parents=True)
        (self.home / "p2phole" / "config").write_text(text)

    def test_a_code_as_people_type_it(self) -> None:
        for typed in (["7-velvet-ocean"], ["7", "Velvet", "OCEAN"], ["7 velvet ocean"]):
            self.assertEqual(self.parse(*typed).settings.code, CODE)

    def test_options_behind_it(self) -> None:
        options = self.parse("7", "velvet", "--name", "me", "ocean", "--map-port", "--wait=5")
        self.assertEqual((options.settings.code, options.settings.name, options.wait), (CODE, "me", 5.0))
        self.assertTrue(options.settings.map_port)
        self.assertIn("nonsense", self.refused("7-velvet-ocean", "--nonsense"))

    def test_what_is_no_code(self) -> None:
        self.assertIn("velvet", self.refused("7-velvt-ocean"))
        self.assertIn("number", self.refused("velvet-ocean"))

    def test_one_way_to_meet(self) -> None:
        self.assertTrue(self.parse("--invite").settings.invite)
        self.assertIn("exclude", self.refused("--invite", "7-velvet-ocean"))
        for option in ("--room=r", "--to=bob"):
            self.assertIn(option[:4], self.refused(option, "7-velvet-ocean"))
            self.assertFalse(self.parse(option).settings.invite)
        self.assertIn("whom", self.refused())

    def test_the_user_is_asked_where_there_is_one(self) -> None:
        stdin = StringIO()
        stdin.isatty = lambda: True  # type: ignore[method-assign]
        self.patch(sys, "stdin", stdin)
        options = self.parse()
        self.assertTrue(options.asks)
        options.answered(CODE)
        self.assertEqual(options.settings.code, CODE)

    def test_the_users_own_file(self) -> None:
        self.own("[p2ppeer]\nbroker = mine:9000\nkey-file = k\nroom = team\nname = me\n")
        settings = self.parse(broker=False).settings
        self.assertEqual((str(settings.broker), settings.room, settings.name), ("mine:9000", "team", "me"))
        self.assertEqual(str(self.parse().settings.broker), "b:1")
        other = self.home / "other"
        other.write_text("[p2ppeer]\nname = you\n")
        settings = self.parse("--config", str(other), broker=False).settings
        self.assertEqual((settings.name, settings.room), ("you", "team"))
        # A room that is usual does not speak against a code.
        self.assertEqual(self.parse("7-velvet-ocean", broker=False).settings.code, CODE)

    def test_it_goes_before_the_environment(self) -> None:
        self.own("[p2ppeer]\nbroker = mine:9000\nkey-file = k\n")
        os.environ["P2PHOLE_BROKER"] = "env:9000"
        self.assertEqual(str(self.parse("--room=r", broker=False).settings.broker), "mine:9000")

    def test_an_error_in_it_says_where(self) -> None:
        self.own("[p2ppeer]\nbrokr = x\n")
        self.assertIn(str(self.home / "p2phole" / "config"), self.refused("--room=r"))
