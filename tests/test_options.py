"""Where an option comes from, and what a config file may say."""

import os
import re
import sys
from io import BytesIO, StringIO, TextIOWrapper
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st
from twisted.python.usage import UsageError
from twisted.trial.unittest import SynchronousTestCase

from p2phole import __version__
from p2phole.broker.tap import Options as BrokerOptions
from p2phole.options import SECTIONS, ConfigurableOptions, PlainOptions, file_path, read_config
from p2phole.peer.tap import Options as PeerOptions

SAMPLE = Path(__file__).parent.parent / "tap.cfg"
BOTH = (BrokerOptions, PeerOptions)


class Sample(ConfigurableOptions):
    """A broker's section, read without its rules."""

    section = "p2pbroker"
    variables = {"port": "SAMPLE_PORT"}
    optParameters = [["port", None, None, ""]]

    def opt_listen(self, text: str) -> None:
        """Repeatable."""
        self.collect("listen", text)

    def settle(self) -> None:
        self.port = self.value("port", int, 9000)


class WithFiles(SynchronousTestCase):
    def config(self, text: str | bytes) -> str:
        path = self.mktemp()
        Path(path).write_bytes(text if isinstance(text, bytes) else text.encode())
        return path

    def refused(self, arguments: list[str], *words: str) -> None:
        for options in (Sample, *BOTH):
            error = str(self.assertRaises(UsageError, options().parseOptions, arguments))
            self.assertNotIn("\n", error)
            for word in words:
                self.assertIn(word, error)


class OrderTests(WithFiles):
    def port(self, *arguments: str) -> int:
        options = Sample()
        options.parseOptions(list(arguments))
        return options.port

    def test_order(self) -> None:
        self.patch(os, "environ", {})
        full, empty = self.config("[p2pbroker]\nport = 2\n"), self.config("[p2pbroker]\nport =\n")
        self.assertEqual(self.port(), 9000)
        os.environ["SAMPLE_PORT"] = "3"
        self.assertEqual(self.port(), 3)
        self.assertEqual(self.port("--config", empty), 3)
        self.assertEqual(self.port("--config", full), 2)
        self.assertEqual(self.port("--config", full, "--port", "1"), 1)
        os.environ["SAMPLE_PORT"] = ""
        self.assertEqual(self.port("--config", empty), 9000)

    def test_error_says_where(self) -> None:
        self.patch(os, "environ", {"SAMPLE_PORT": "z"})
        config = self.config("[p2pbroker]\nport = y\n")
        for arguments, where in (([], "SAMPLE_PORT"), (["--config", config], config), (["--port", "x"], "--port")):
            error = self.assertRaises(UsageError, Sample().parseOptions, arguments)
            self.assertTrue(str(error).startswith(where), error)

    def test_repeatable(self) -> None:
        config = self.config("[p2pbroker]\nlisten = a\n  # not this\n  b # c\n")
        options = Sample()
        options.parseOptions(["--config", config])
        self.assertEqual([given.text for given in options.every("listen")], ["a", "b # c"])
        options = Sample()
        options.parseOptions(["--config", config, "--listen", "x", "--listen", "y"])
        self.assertEqual([given.text for given in options.every("listen")], ["x", "y"])
        options = Sample()
        options.parseOptions(["--config", self.config("[p2pbroker]\nlisten =\n")])
        self.assertEqual(options.every("listen"), [])


class ConfigTests(WithFiles):
    def test_unknown_names_are_named(self) -> None:
        for text, word in {
            "[p2pbrokers]\n": "[p2pbrokers]",
            "[DEFAULT]\nport = 1\n": "[DEFAULT]",
            "[p2pbroker]\nprot = 1\n": "'prot'",
            "[p2ppeer]\nprot = 1\n": "'prot'",
            "[p2pbroker]\nPort = 1\n": "'Port'",
            "[p2pbroker]\nprobe_port = 1\n": "'probe_port'",
            "[p2pbroker]\nconfig = x\n": "'config'",
            "[p2ppeer]\nrelay = x\n": "'relay'",
        }.items():
            self.refused(["--config", self.config(text)], word)

    def test_no_config_file(self) -> None:
        missing = self.mktemp()
        for path in (missing, ".", missing + "\0"):
            self.refused(["--config", path], "--config")
        for text in (
            b"port = 1\n",
            b"[p2pbroker]\nport\n",
            b"[p2pbroker]\nport: 1\n",
            b"[p2pbroker]\nport = 1\nport = 2\n",
            b"[p2pbroker]\n[p2pbroker]\n",
            b"[p2pbroker",
            b"[p2pbroker]\nname = \xff\n",
            b"\x00\x01",
            b"#" * (1 << 21),
        ):
            self.refused(["--config", self.config(text)], "--config")

    def test_endless(self) -> None:
        self.refused(["--config", "/dev/zero"], "/dev/zero")

    def test_byte_order_mark_and_percent(self) -> None:
        self.assertEqual(
            read_config(self.config(b"\xef\xbb\xbf[p2ppeer]\r\nname = 100% \xc3\xbc\r\n")),
            {"p2ppeer": {"name": "100% ü"}},
        )

    @given(st.binary() | st.text().map(lambda text: f"[p2ppeer]\n{text}".encode()))
    def test_any_file(self, data: bytes) -> None:
        path = self.config(data)
        try:
            read_config(path)
        except UsageError as error:
            self.assertNotIn("\n", str(error))


class SampleFileTests(SynchronousTestCase):
    def test_has_every_key(self) -> None:
        sections = read_config(str(SAMPLE))
        self.assertEqual(set(sections), set(SECTIONS))
        for options in BOTH:
            self.assertEqual(sorted(sections[options.section]), options.keys_in_config())

    def test_is_the_defaults(self) -> None:
        self.patch(os, "environ", {**os.environ, "P2PHOLE_BROKER": "127.0.0.1:9000"})
        for kind in BOTH:
            plain, sample = kind(), kind()
            plain.parseOptions([])
            sample.parseOptions(["--config", str(SAMPLE)])
            self.assertEqual(plain.settings, sample.settings)

    def test_examples_in_comments_are_keys(self) -> None:
        for key in re.findall(r"(?m)^#\s+([a-z-]+) = ", SAMPLE.read_text()):
            self.assertIn(key, [key for options in BOTH for key in options.keys_in_config()])


class CommonTests(WithFiles):
    def test_stray_arguments_and_unknown_options_are_named(self) -> None:
        self.refused(["stray"], "'stray'")
        self.refused(["--no-such"], "--no-such")
        self.refused(["--port"], "--port")

    def test_options_of_later_issues(self) -> None:
        for option in ["relay=x", "cluster=x", "metrics=x", "status", "offer-relay"]:
            self.refused([f"--{option}"], option.partition("=")[0])

    def test_errors_can_be_printed_everywhere(self) -> None:
        """twistd prints them to standard output, whatever that can encode."""
        self.patch(sys, "stdout", TextIOWrapper(BytesIO(), encoding="ascii"))
        for argument in ("\udcff", "ü", "\x1b[2J", "a\nb"):
            error = str(self.assertRaises(UsageError, PeerOptions().parseOptions, ["--broker", argument + ":x"]))
            self.assertTrue(error.isascii() and error.isprintable(), error)

    def test_version(self) -> None:
        for options in (PlainOptions, *BOTH):
            self.patch(sys, "stdout", StringIO())
            error = self.assertRaises(SystemExit, options().parseOptions, ["--version"])
            self.assertEqual((error.code, sys.stdout.getvalue()), (0, f"p2phole {__version__}\n"))

    def test_help_has_a_line_for_each_option(self) -> None:
        for options in BOTH:
            lines = options().getUsage(width=80).partition("\n\n")[0].splitlines()[1:]
            self.assertEqual(len(lines), len(options.keys_in_config()) + len(("config", "help", "version")))


class FilePathTests(SynchronousTestCase):
    def test_absolute(self) -> None:
        """twistd changes its folder before the files are opened."""
        self.assertEqual(file_path("events"), os.path.abspath("events"))
        self.assertEqual(file_path("/x/../y"), "/y")

    def test_home(self) -> None:
        self.patch(os, "environ", {"HOME": "/home/alice"})
        self.assertEqual(file_path("~/key.pem"), "/home/alice/key.pem")

    def test_refused(self) -> None:
        for text in ("", "a\0b", "~no-such-user-here/key"):
            self.assertRaises(ValueError, file_path, text)
