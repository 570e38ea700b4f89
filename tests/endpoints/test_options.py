"""The strings, as ``clientFromString`` and ``serverFromString`` read them."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import fields
from pathlib import Path
from typing import Any

import platformdirs
from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.endpoints import clientFromString, serverFromString
from twisted.internet.interfaces import IStreamClientEndpoint, IStreamServerEndpoint
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from p2phole.endpoints import P2PClientEndpoint, P2PServerEndpoint, options, peer_settings
from p2phole.endpoints.options import TIMEOUT, purpose, read_string
from p2phole.peer.settings import BrokerAddress, PeerSettings

ROOT = Path(options.__file__).parents[2]
BROKER = r"broker=tcp\:broker.example\:9000"


class StringTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.patch(os, "environ", {**os.environ, "XDG_DATA_HOME": "/data", "HOME": "/home/x"})
        os.environ.pop("P2PHOLE_BROKER", None)

    def client(self, text: str) -> Any:
        return clientFromString(Clock(), text)

    def server(self, text: str) -> Any:
        return serverFromString(Clock(), text)

    def refused(self, text: str, read: Any = None) -> str:
        """The one line that it is refused with."""
        problem = self.assertRaises(ValueError, read or self.client, text)
        self.assertTrue(str(problem).startswith("p2p: "), problem)
        self.assertNotIn("\n", str(problem))
        return str(problem)

    def test_those_of_the_contract(self) -> None:
        client = self.client(rf"p2p:bob:{BROKER}:room=team:secretFile=/path")
        server = self.server(rf"p2p:name=bob:{BROKER}:room=team:secretFile=/path")
        self.assertTrue(verifyObject(IStreamClientEndpoint, client))
        self.assertTrue(verifyObject(IStreamServerEndpoint, server))
        self.assertIsInstance(client, P2PClientEndpoint)
        self.assertIsInstance(server, P2PServerEndpoint)

    def test_every_option(self) -> None:
        given = {
            "broker": "tls:broker.example:443",
            "room": "team",
            "secretFile": "/s",
            "name": "bob",
            "keyFile": "/k",
            "brokerCa": "/ca",
            "port": "7000",
            "mapPort": "yes",
            "hostCandidates": "no",
            "resumeFor": "30",
            "service": "web",
            "timeout": "7.5",
        }
        whom, settings, service, timeout = read_string(["carol"], given, client=True)
        self.assertEqual((whom, service, timeout), ("carol", "web", 7.5))
        self.assertEqual(
            settings,
            PeerSettings(
                broker=BrokerAddress("broker.example", 443, True, Path("/ca")),
                name="bob",
                key_file=Path("/k"),
                room="team",
                port=7000,
                map_port=True,
                secret_file=Path("/s"),
                host_candidates=False,
                resume_for=30.0,
            ),
        )
        _, settings, _, _ = read_string([], {"broker": "b", "to": "dave"}, client=True)
        self.assertEqual(settings.to, "dave")
        # Whatever else a peer can be told makes no sense for an endpoint.
        strange = {"messages", "events", "code", "invite"}
        told = {python for python, _ in options._OF_PEER.values()}
        self.assertEqual({field.name for field in fields(PeerSettings)} - strange, told - {"broker_ca"})

    def test_defaults(self) -> None:
        os.environ["P2PHOLE_BROKER"] = "broker.example"
        whom, settings, service, timeout = read_string([], {}, client=False)
        self.assertEqual((whom, service, timeout), (None, "", TIMEOUT))
        self.assertEqual(settings.broker, BrokerAddress("broker.example", 9000))
        self.assertEqual((settings.room, settings.key_file), ("lobby", Path("/data/p2phole/key.pem")))
        self.assertTrue(settings.name)
        self.assertEqual(settings, peer_settings())

    def test_refused(self) -> None:
        for text, why in (
            ("p2p:bob", "no broker"),
            (rf"p2p:{BROKER}", "whom to call?"),
            (rf"p2p:bob:{BROKER}:to=bob", "whom to call?"),
            (r"p2p:bob:broker=tcp:broker.example:9000", "'broker.example' is one part too many"),
            (rf"p2p:bob:{BROKER}:colour=red", "unknown option 'colour', known: broker, room"),
            (rf"p2p:bob:{BROKER}:self=red", "unknown option 'self'"),
            (rf"p2p:bob:{BROKER}:reactor=red", "unknown option 'reactor'"),
            (rf"p2p:bob:{BROKER}:secretFile=/path", "a secret is a room's"),
            (rf"p2p:bob:{BROKER}:port=x", "port: 'x' is not a port"),
            (rf"p2p:bob:{BROKER}:mapPort=maybe", "mapPort: 'maybe' is neither yes nor no"),
            (rf"p2p:bob:{BROKER}:timeout=0", "timeout: nobody is reached in 0 seconds"),
            (rf"p2p:bob:{BROKER}:timeout=soon", "timeout: 'soon'"),
            (rf"p2p:bob:{BROKER}:service=Web", "service: 'Web' is none"),
            (rf"p2p:bob:{BROKER}:room=", "room: the room is empty"),
            (rf"p2p:bob:{BROKER}:keyFile=", "keyFile: the path is empty"),
            (rf"p2p:bob:{BROKER}:brokerCa=/x", "brokerCa: "),
            (r"p2p:bob:broker=unix\:/x", "broker: "),
            ("p2p:" + "x" * 65 + f":{BROKER}", "whom to call: the name has 65 characters"),
        ):
            self.assertIn(why, self.refused(text), text)
        for text, why in (
            (rf"p2p:bob:{BROKER}", "'bob' is one part too many"),
            (rf"p2p:name=bob:{BROKER}:timeout=3", "unknown option 'timeout'"),
            ("p2p:name=bob", "no broker"),
        ):
            self.assertIn(why, self.refused(text, self.server), text)

    @given(
        st.lists(st.text(max_size=5), max_size=3),
        st.dictionaries(st.one_of(st.sampled_from(options._OF_CLIENT), st.text()), st.text()),
    )
    def test_whatever_is_given(self, arguments: list[str], given: dict[str, str]) -> None:
        """It is read, or refused in a line that begins as all do."""
        for client in (True, False):
            try:
                whom, settings, _, seconds = read_string(arguments, given, client)
            except ValueError as problem:
                self.assertTrue(str(problem).startswith("p2p: "))
            else:
                self.assertIsInstance(settings, PeerSettings)
                self.assertTrue(seconds > 0 and (whom or settings.to or not client))

    def test_no_home(self) -> None:
        self.patch(platformdirs, "user_data_path", lambda name: Path("nowhere"))
        self.assertIn("keyFile: this user has no home folder", self.refused(rf"p2p:bob:{BROKER}"))

    def test_purpose(self) -> None:
        self.assertEqual(
            (purpose(""), purpose("web"), purpose("0.a-b")), ("endpoint", "endpoint.web", "endpoint.0.a-b")
        )
        for service in ("Web", "-x", "a b", "ä", "x" * 56, "a:b"):
            self.assertRaises(ValueError, purpose, service)
        self.assertRaises(ValueError, P2PServerEndpoint, Clock(), peer_settings("broker.example"), "Web")

    def test_only_the_parser_is_loaded_for_other_strings(self) -> None:
        """What Twisted loads to look for prefixes has nothing of ours, which could fail or be slow."""
        code = (
            "import sys, twisted.plugins.p2phole_endpoints as plugin\n"
            "assert plugin.__file__.startswith(sys.argv[1]), plugin.__file__\n"
            "sys.exit(any(name.split('.')[0] == 'p2phole' for name in sys.modules))"
        )
        ran = subprocess.run(
            [sys.executable, "-c", code, str(ROOT)], env={**os.environ, "PYTHONPATH": str(ROOT)}, timeout=60
        )
        self.assertEqual(ran.returncode, 0)
