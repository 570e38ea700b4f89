"""From texts to ports, addresses and endpoints."""

import os

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from p2phole.coercion import address_literal, broker_address, port, port_or_zero, server_endpoint
from p2phole.peer.settings import BrokerAddress

PIECES = [*"abc019:[].\\=/%-_ü", "tcp:", "tls:", "host=", "port=", "::1"]
ENDPOINT_LIKE = st.lists(st.sampled_from(PIECES)).map("".join)


class PortTests(SynchronousTestCase):
    def test_ports(self) -> None:
        self.assertEqual((port("1"), port("65535"), port_or_zero("0")), (1, 65535, 0))

    def test_no_ports(self) -> None:
        for text in ("", "-1", "65536", "http", "1_0", " 9", "9000 # broker", "\u0663", "9" * 5000, "1e3"):
            for coerce in (port, port_or_zero):
                self.assertIn("is not a port", str(self.assertRaises(ValueError, coerce, text)))
        self.assertIn("0 is no port", str(self.assertRaises(ValueError, port, "0")))


class AddressLiteralTests(SynchronousTestCase):
    def test_usual_spelling(self) -> None:
        for text, address in {
            "192.0.2.1": "192.0.2.1",
            "2001:DB8:0::1": "2001:db8::1",
            "::ffff:192.0.2.1": "192.0.2.1",
            "127.0.0.2": "127.0.0.2",
        }.items():
            self.assertEqual(address_literal(text), address)

    def test_refused(self) -> None:
        for text in (
            "",
            "broker.example",
            "192.0.2.1:9000",
            "fe80::1%eth0",
            "0.0.0.0",
            "::",
            "224.0.0.1",
            "ff02::1",
        ):
            self.assertRaises(ValueError, address_literal, text)


class BrokerAddressTests(SynchronousTestCase):
    def test_forms(self) -> None:
        for text, address in {
            "broker.example": BrokerAddress("broker.example", 9000),
            "broker.example:1": BrokerAddress("broker.example", 1),
            "192.0.2.1:443": BrokerAddress("192.0.2.1", 443),
            "2001:db8::1": BrokerAddress("2001:db8::1", 9000),
            "[2001:db8::1]": BrokerAddress("2001:db8::1", 9000),
            "[2001:db8::1]:443": BrokerAddress("2001:db8::1", 443),
            "fe80::1%eth0": BrokerAddress("fe80::1%eth0", 9000),
            "tcp:broker:443": BrokerAddress("broker", 443),
            "tcp:broker": BrokerAddress("broker", 9000),
            "tcp:host=broker:port=443": BrokerAddress("broker", 443),
            "tcp:port=443:broker": BrokerAddress("broker", 443),
            r"tcp:2001\:db8\:\:1:443": BrokerAddress("2001:db8::1", 443),
            "tcp:[::1]:443": BrokerAddress("::1", 443),
            "TLS:broker:443": BrokerAddress("broker", 443, tls=True),
            r"tls:host=\:\:1:port=443": BrokerAddress("::1", 443, tls=True),
            "unix:9000": BrokerAddress("unix", 9000),
            "bücher.example:1": BrokerAddress("bücher.example", 1),
        }.items():
            self.assertEqual(broker_address(text), address)

    def test_refused_with_the_reason(self) -> None:
        for text, words in {
            "unix:/run/broker": "cannot share its local port",
            "ssl:broker:443": "cannot share its local port",
            "tor:host=x.onion:port=80": "cannot share its local port",
            "http://broker:9000/": "URL",
            "tcp:broker:443:timeout=3": "'timeout=3'",
            "tcp:a:1:2": "'2'",
            "tcp:": "no host",
            "": "no host",
            ":9000": "no host",
            "tcp:9000": "neither a host name nor an address",
            "1.2.3": "neither a host name nor an address",
            "two words": "neither a host name nor an address",
            "a..b": "cannot be a host name",
            "x" * 64: "cannot be a host name",
            "broker:": "not a port",
            "broker:0": "no port",
            "broker:65536": "not a port",
            "1.2.3.4:5:6": "too many colons",
            "[::1": "brackets",
            "[1.2.3.4]:1": "brackets",
            "[::1]9000": "after its bracket",
            "0.0.0.0:9000": "cannot be dialled",
            "[::]:9000": "cannot be dialled",
        }.items():
            self.assertIn(words, str(self.assertRaises(ValueError, broker_address, text)), text)

    @given(ENDPOINT_LIKE)
    def test_nothing_else_comes_out(self, text: str) -> None:
        try:
            address = broker_address(text)
        except ValueError:
            return
        self.assertTrue(address.host and 0 < address.port < 65536)


class ServerEndpointTests(SynchronousTestCase):
    def test_good(self) -> None:
        certificates = self.mktemp()
        os.mkdir(certificates)
        for text in (
            "tcp:9000",
            "tcp:0",
            r"tcp:9000:interface=\:\:1",
            "haproxy:tcp:9000",
            f"tls:{certificates}:443",
        ):
            self.assertEqual(server_endpoint(text), text)

    def test_tls_with_a_key_file(self) -> None:
        """The contract's spelling; Twisted's own parser then finds that the file is not there."""
        path = self.mktemp()
        error = self.assertRaises(ValueError, server_endpoint, f"tls:443:privateKey={path}")
        self.assertIn("FileNotFoundError", str(error))
        self.assertIn("ssl:443", str(error))

    def test_refused(self) -> None:
        self.patch(os, "environ", {})
        for text, words in {
            "": "usable",
            "9000": "usable",
            "tcp:": "usable",
            "tcp:x": "usable",
            "tcp:1:colour=red": "usable",
            "tcp:9000\\": "usable",
            "carrier-pigeon:9000": "usable",
            "systemd:domain=INET:index=0": "usable",
            "tcp:65536": "port 65536",
            "tcp:port=-1": "port -1",
            "haproxy:tcp:70000": "port 70000",
            "unix:/run/broker": "from which address",
            "stdio:": "from which address",
        }.items():
            self.assertIn(words, str(self.assertRaises(ValueError, server_endpoint, text)), text)
