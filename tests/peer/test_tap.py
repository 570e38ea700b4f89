"""``twistd p2ppeer``: options and service."""

import getpass
import os
from pathlib import Path

import platformdirs
from hypothesis import given
from hypothesis import strategies as st
from twisted.application.service import IService, Service
from twisted.python.usage import UsageError
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from p2phole.peer import service
from p2phole.peer.settings import BrokerAddress, PeerSettings
from p2phole.peer.tap import Options, makeService, user_name
from p2phole.text import check_name


class OptionsTests(SynchronousTestCase):
    def setUp(self) -> None:
        environment = {"HOME": "/home/alice", "LOGNAME": "alice", "PATH": os.environ["PATH"]}
        self.patch(os, "environ", environment)

    def settings(self, *arguments: str) -> PeerSettings:
        options = Options()
        options.parseOptions(list(arguments))
        return options.settings

    def refused(self, *arguments: str) -> str:
        return str(self.assertRaises(UsageError, self.settings, *arguments))

    def test_defaults(self) -> None:
        self.assertEqual(
            self.settings("--broker", "b"),
            PeerSettings(
                broker=BrokerAddress("b", 9000),
                name="alice",
                key_file=platformdirs.user_data_path("p2phole") / "key.pem",
            ),
        )

    def test_everything(self) -> None:
        who = ("--broker", "tls:b:1", "--name", "bob", "--room", "den", "--port", "7")
        what = ("--message", "x", "--message", "y", "--events", "e", "--key-file", "k")
        whom = ("--secret-file", "s", "--to", "carol", "--broker-ca", "c", "--no-host-candidates", "--map-port")
        settings = self.settings(*who, *what, *whom)
        here = Path.cwd()
        self.assertEqual(
            settings,
            PeerSettings(
                broker=BrokerAddress("b", 1, tls=True, ca=here / "c"),
                name="bob",
                room="den",
                messages=("x", "y"),
                events=str(here / "e"),
                port=7,
                map_port=True,
                key_file=here / "k",
                secret_file=here / "s",
                to="carol",
                host_candidates=False,
            ),
        )

    def test_from_config(self) -> None:
        path = self.mktemp()
        Path(path).write_text("[p2ppeer]\nbroker = b:1\nmessage = one\n  two words\nevents = -\nname = \n")
        settings = self.settings("--config", path)
        self.assertEqual((settings.broker.port, settings.events, settings.name), (1, "-", "alice"))
        self.assertEqual(settings.messages, ("one", "two words"))

    def test_whom_to_meet_from_config(self) -> None:
        path = self.mktemp()
        lines = ["[p2ppeer]", "broker = tls:b:1", "room = den", "secret-file = /s", "to = carol", "broker-ca = /c"]
        Path(path).write_text("\n".join([*lines, "no-host-candidates = yes", ""]))
        settings = self.settings("--config", path)
        self.assertEqual((settings.secret_file, settings.to, settings.room), (Path("/s"), "carol", "den"))
        self.assertEqual((settings.broker.ca, settings.host_candidates), (Path("/c"), False))
        # The command line goes before, and each of the two may come from where it likes.
        settings = self.settings("--config", path, "--secret-file", "/t", "--to", "dave", "--broker", "tls:b:2")
        self.assertEqual((settings.secret_file, settings.to), (Path("/t"), "dave"))
        self.assertEqual(settings.broker, BrokerAddress("b", 2, tls=True, ca=Path("/c")))
        # Empty is none.
        Path(path).write_text("[p2ppeer]\nsecret-file =\nto =\nbroker-ca =\nno-host-candidates = no\n")
        self.assertEqual(self.settings("--config", path, "--broker", "b"), self.settings("--broker", "b"))

    def test_a_secret_without_its_room(self) -> None:
        error = self.refused("--broker", "b", "--secret-file", "s")
        self.assertEqual(error, "--secret-file: a secret is a room's: give --room too")
        path = self.mktemp()
        Path(path).write_text("[p2ppeer]\nsecret-file = s\n")
        error = self.refused("--broker", "b", "--config", path)
        self.assertTrue(error.startswith(f"{path}: secret-file: "), error)
        self.assertEqual(self.settings("--broker", "b", "--config", path, "--room", "den").room, "den")

    def test_authorities_without_tls(self) -> None:
        for broker, proposal in (("b", "tls:b:9000"), ("tcp:b:7", "tls:b:7"), ("::1", "tls:[::1]:9000")):
            error = self.refused("--broker", broker, "--broker-ca", "c")
            self.assertEqual(error, f"--broker-ca: {broker} is not reached over TLS: give {proposal}")
            self.assertTrue(self.settings("--broker", proposal, "--broker-ca", "c").broker.tls)

    def test_broker_is_required(self) -> None:
        self.assertIn("--broker", self.refused())
        os.environ["P2PHOLE_BROKER"] = "b:2"
        self.assertEqual(self.settings().broker, BrokerAddress("b", 2))
        os.environ["P2PHOLE_BROKER"] = "unix:/b"
        self.assertTrue(self.refused().startswith("P2PHOLE_BROKER: "))

    def test_bad_values_name_their_option(self) -> None:
        for option, value in (
            ("--broker", "b:x"),
            ("--broker", ""),
            ("--name", ""),
            ("--name", "x" * 65),
            ("--name", "\u202eecila"),
            ("--room", "\x1b[2J"),
            ("--room", " "),
            ("--port", "65536"),
            ("--message", ""),
            ("--message", "\udcff"),
            ("--events", "a\0"),
            ("--key-file", "a\0"),
            ("--key-file", ""),
            ("--secret-file", "a\0"),
            ("--secret-file", ""),
            ("--to", ""),
            ("--to", "x" * 65),
            ("--to", "bob\x1b[2J"),
            ("--broker-ca", "a\0"),
            ("--broker-ca", ""),
        ):
            broker = "tls:b:1" if option == "--broker-ca" else "b"
            room = ("--room", "den") if option == "--secret-file" else ()
            error = self.refused(*(() if option == "--broker" else ("--broker", broker)), *room, option, value)
            self.assertTrue(error.startswith(f"{option}: "), error)

    def test_no_home_folder(self) -> None:
        self.patch(platformdirs, "user_data_path", lambda name: Path("~/.local/share", name))
        self.assertIn("--key-file", self.refused("--broker", "b"))
        self.assertEqual(self.settings("--broker", "b", "--key-file", "/k").key_file, Path("/k"))


class UserNameTests(SynchronousTestCase):
    def test_no_such_user(self) -> None:
        for error in (KeyError("uid not found"), OSError("no user"), ImportError("pwd")):

            def fail(error: Exception = error) -> str:
                raise error

            self.patch(getpass, "getuser", fail)
            self.assertEqual(user_name(), "peer")

    def test_made_fit(self) -> None:
        for user, name in {
            "a\x1bb": "ab",
            " alice ": "alice",
            "\u202e": "peer",
            "": "peer",
            "x" * 70: "x" * 64,
        }.items():
            self.patch(getpass, "getuser", lambda user=user: user)
            self.assertEqual(user_name(), name)

    @given(st.text(st.characters(exclude_categories=[])))
    def test_always_a_name(self, user: str) -> None:
        self.patch(getpass, "getuser", lambda: user)
        check_name(user_name(), "name")


class MakeServiceTests(SynchronousTestCase):
    def test_gives_the_settings_to_the_service(self) -> None:
        made: list[tuple[object, ...]] = []
        self.patch(service, "make_peer", lambda *arguments: made.append(arguments) or Service())
        options = Options()
        options.parseOptions(["--broker", "b"])
        self.assertTrue(verifyObject(IService, makeService(options)))
        [(_reactor, settings, fail)] = made
        self.assertEqual(settings, options.settings)
        self.assertTrue(callable(fail))
