"""The options of ``p2phole forward`` and of the service."""

from __future__ import annotations

import os
import sys
from io import StringIO
from pathlib import Path

from twisted.python.usage import UsageError
from twisted.trial.unittest import SynchronousTestCase

from p2phole.peer.tap import Options as PeerOptions
from p2phole.use.forward.command import Options
from p2phole.use.forward.specs import Plan, SocketPath, allowed, allowed_to_listen, forward

GIVEN = ("--broker", "b:1", "--key-file", "k")


class OptionsTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.home = Path(self.mktemp())
        self.patch(os, "environ", {**os.environ, "XDG_CONFIG_HOME": str(self.home.absolute())})
        self.patch(sys, "stdin", StringIO())

    def parse(self, *arguments: str) -> Options:
        options = Options()
        options.parseOptions([*GIVEN, *arguments])
        return options

    def refused(self, *arguments: str) -> str:
        return str(self.assertRaises(UsageError, self.parse, *arguments))

    def test_as_ssh_has_them(self) -> None:
        plan = Plan(
            (forward("1:a:1"), forward("2:a:2")),
            (forward("3:a:3"),),
            (allowed("a:1"), allowed("/x")),
            (allowed_to_listen("*"),),
        )
        allow = ("--allow", "a:1", "--allow", "/x", "--allow-listen", "*")
        for arguments in (
            ("-L", "1:a:1", "-L2:a:2", "-R", "3:a:3"),
            ("--forward", "1:a:1", "--forward=2:a:2", "--remote-forward", "3:a:3"),
        ):
            self.assertEqual(self.parse("7-velvet-ocean", *arguments, *allow).plan, plan)
            options = PeerOptions()
            if arguments[0] != "-L":
                options.parseOptions([*GIVEN, *arguments, *allow])
                self.assertEqual(options.plan, plan)

    def test_from_a_file(self) -> None:
        path = self.mktemp()
        Path(path).write_text("[p2ppeer]\nforward = 1:a:1\n    2:a:2\nallow = a:*\n")
        for kind in (PeerOptions, Options):
            options = kind()
            options.parseOptions([*GIVEN, "--config", path, "--room", "r"])
            self.assertEqual(options.plan, Plan((forward("1:a:1"), forward("2:a:2")), (), (allowed("a:*"),)))
        # Standard input and output alone, whatever else is forwarded as a rule.
        options = self.parse("--config", path, "--room", "r", "-W", "/x")
        self.assertEqual((options.plan, options.through), (Plan(allow=(allowed("a:*"),)), SocketPath("/x")))

    def test_nothing_is_something(self) -> None:
        self.assertEqual(self.parse("--invite").plan, Plan())

    def test_errors_say_where(self) -> None:
        for arguments, where in (
            (("-L", "x"), "--forward: 'x' is not [ADDR:]PORT:HOST:PORT"),
            (("-R", "1:a:0"), "--remote-forward: '0' is not a port"),
            (("--allow", "a"), "--allow: 'a' is not HOST:PORT"),
            (("--allow-listen", "a"), "--allow-listen: 'a' is not a port"),
            (("-W", "a"), "-W: 'a' is not HOST:PORT"),
            (("-W", "a:1", "-L", "1:a:1"), "-W and --forward exclude each other"),
            (("-W", "a:1", "-R", "1:a:1"), "-W and --remote-forward exclude each other"),
            (("-W", "a:1", "--events", "-"), "--events: with -W standard output"),
        ):
            self.assertTrue(self.refused("--room", "r", *arguments).startswith(where), arguments)
        self.patch(sys.stdin, "isatty", lambda: True)
        self.assertIn("give the CODE", self.refused("-W", "a:1"))
