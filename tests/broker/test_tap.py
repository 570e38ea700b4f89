"""``twistd p2pbroker``: options and service."""

from dataclasses import fields, replace
from pathlib import Path

from twisted.application.service import IService, Service
from twisted.python.usage import UsageError
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from p2phole.broker import service
from p2phole.broker.settings import BrokerSettings, LimitSettings
from p2phole.broker.tap import LIMITS, Options, makeService


class OptionsTests(SynchronousTestCase):
    def settings(self, *arguments: str) -> BrokerSettings:
        options = Options()
        options.parseOptions(list(arguments))
        return options.settings

    def refused(self, *arguments: str) -> str:
        return str(self.assertRaises(UsageError, self.settings, *arguments))

    def config(self, *lines: str) -> str:
        path = self.mktemp()
        Path(path).write_text("\n".join(("[p2pbroker]", *lines)))
        return path

    def test_defaults(self) -> None:
        self.assertEqual(self.settings(), BrokerSettings(9000, (), 9001, None))

    def test_probe_port_follows_the_port(self) -> None:
        self.assertEqual(self.settings("--port", "700").probe_port, 701)
        self.assertEqual(self.settings("--port", "65535").probe_port, 0)
        self.assertEqual(self.settings("--port", "700", "--probe-port", "0").probe_port, 0)
        self.assertEqual(self.settings("--port", "700", "--probe-port", "9").probe_port, 9)

    def test_probe_port_cannot_be_the_port(self) -> None:
        self.assertIn("--probe-port 9000", self.refused("--probe-port", "9000"))

    def test_listen(self) -> None:
        settings = self.settings("--listen", "tcp:443", "--listen", "haproxy:tcp:444")
        self.assertEqual((settings.listen, settings.probe_port), (("tcp:443", "haproxy:tcp:444"), 0))
        self.assertEqual(self.settings("--listen", "tcp:443", "--probe-port", "9000").probe_port, 9000)

    def test_listen_excludes_port(self) -> None:
        self.assertIn("exclude each other", self.refused("--listen", "tcp:443", "--port", "444"))
        self.assertIn(
            "exclude each other", self.refused("--config", self.config("listen = tcp:443", "port = 444"))
        )

    def test_the_nearer_of_listen_and_port_counts(self) -> None:
        listens, has_port = self.config("listen = tcp:443"), self.config("port = 444")
        self.assertEqual(self.settings("--config", has_port, "--listen", "tcp:443").listen, ("tcp:443",))
        settings = self.settings("--config", listens, "--port", "444")
        self.assertEqual((settings.listen, settings.port, settings.probe_port), ((), 444, 445))

    def test_public_names(self) -> None:
        """As peers give them to --broker."""
        names = ("Broker.example", "broker.example:443", "2001:db8::1", "[2001:db8::1]:80", "tls:b.example:443")
        settings = self.settings(*(word for name in names for word in ("--public-name", name)))
        self.assertEqual(
            settings.public_names,
            (
                "Broker.example:9000",
                "broker.example:443",
                "[2001:db8::1]:9000",
                "[2001:db8::1]:80",
                "b.example:443",
            ),
        )

    def test_limits(self) -> None:
        self.assertEqual(self.settings().limits, LimitSettings())
        names = [name.replace("-", "_") for name, _default, _text in LIMITS]
        self.assertEqual(names, [each.name for each in fields(LimitSettings)])
        for number, (name, default, _text) in enumerate(LIMITS, 11):
            limits = self.settings(f"--{name}", str(number)).limits
            changed = replace(LimitSettings(), **{name.replace("-", "_"): number})
            self.assertEqual(limits, changed)
            self.assertEqual(self.settings("--config", self.config(f"{name} = {number}")).limits, changed)
            self.assertEqual(getattr(LimitSettings(), name.replace("-", "_")), default)
            for bad in ("0", "-1", "x", "1e3", "1000000001", " 5"):
                self.assertTrue(self.refused(f"--{name}", bad).startswith(f"--{name}: "))

    def test_log_addresses(self) -> None:
        self.assertFalse(self.settings().log_addresses)
        self.assertTrue(self.settings("--log-addresses").log_addresses)
        self.assertTrue(self.settings("--config", self.config("log-addresses = yes")).log_addresses)
        self.assertFalse(self.settings("--config", self.config("log-addresses = no")).log_addresses)

    def test_bad_values_name_their_option(self) -> None:
        for option, value in (
            ("--port", "0"),
            ("--port", "65536"),
            ("--port", ""),
            ("--probe-port", "-1"),
            ("--probe-address", "broker.example"),
            ("--listen", "tcp:x"),
            ("--listen", ""),
            ("--public-name", "0.0.0.0"),
            ("--public-name", ""),
            ("--public-name", "a:b"),
        ):
            self.assertTrue(self.refused(option, value).startswith(f"{option}: "))

    def test_probe_address(self) -> None:
        self.assertEqual(self.settings("--probe-address", "2001:DB8::1").probe_address, "2001:db8::1")


class MakeServiceTests(SynchronousTestCase):
    def test_gives_the_settings_to_the_service(self) -> None:
        made: list[tuple[object, ...]] = []
        self.patch(service, "make_broker", lambda *arguments: made.append(arguments) or Service())
        options = Options()
        options.parseOptions(["--port", "700"])
        self.assertTrue(verifyObject(IService, makeService(options)))
        [(_reactor, settings, fail)] = made
        self.assertEqual(settings, options.settings)
        self.assertTrue(callable(fail))
